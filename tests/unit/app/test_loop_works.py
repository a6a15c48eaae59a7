"""Works beside a flow that runs, and beside one that has stopped."""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from typing import ClassVar

import pytest

from tests.support.apps import (
    DEADLINE_SECONDS,
    AllAtOnce,
    Counts,
    Numbers,
    Slow,
    Told,
    WithSlow,
    ask,
    end_of,
    saved_works,
    states,
    terminate,
    wait_for,
)
from trainpoint.app import Dict, Flow, List, Work, start
from trainpoint.app.begin import AppCheckpoint
from trainpoint.app.loop import run_app
from trainpoint.app.scheduler import Scheduler
from trainpoint.app.state import capture, restore
from trainpoint.app.tree import call_pending, install
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import (
    UnsupportedStateError,
)
from trainpoint.format.digest import JsonObject

pytestmark = pytest.mark.usefixtures("launched")


def test_while_a_work_runs_it_is_saved_as_it_was_before_its_call(catalog: BucketCatalog) -> None:
    run_app(WithSlow(3))
    assert saved_works(catalog)[0] == (0, ["pending"])
    assert saved_works(catalog)[-1] == (1, ["succeeded"])


def test_a_state_waits_for_works_that_end_soon(catalog: BucketCatalog) -> None:
    class Main(WithSlow):
        consistent_seconds = DEADLINE_SECONDS

        def run(self) -> None:
            threading.Timer(0.2, self.w._go.set).start()
            super().run()

    run_app(Main(1))
    assert set(map(str, saved_works(catalog))) == {"(1, ['succeeded'])"}


def test_the_hooks_yes_is_followed_also_where_a_work_outlasts_the_wait_and_the_app_then_stops(
    catalog: BucketCatalog,
) -> None:
    class Main(WithSlow):
        def should_save_checkpoint(self) -> bool:
            return self.n == 2

    run_app(Main(3))
    assert saved_works(catalog) == [(0, ["pending"])]


class Halves(Work):
    """Is half way for as long as it is not let go."""

    def __init__(self) -> None:
        super().__init__()
        self._begun, self._go = threading.Event(), threading.Event()
        self.half = 0
        self.table: dict[str, list[int]] = {"rows": []}

    def run(self, number: int) -> None:
        self.half += 1
        self.table["rows"].append(number)
        self._begun.set()
        assert self._go.wait(DEADLINE_SECONDS)
        self.half += 1
        self.table["rows"].append(number)


class Own(Flow):
    """Says itself what its state is."""

    def __init__(self, work: Halves) -> None:
        super().__init__()
        self.w = work

    def state_dict(self) -> JsonObject:
        return super().state_dict()


class Places(Flow):
    """Works in every place where one can be."""

    consistent_seconds = 0

    def __init__(self) -> None:
        super().__init__()
        self.n = 0
        self.called = False
        self.w, self.items, self.named, self.own = Halves(), List(Halves()), Dict(x=Halves()), Own(Halves())

    def works(self) -> list[Halves]:
        return [self.w, self.items[0], self.named["x"], self.own.w]

    def run(self) -> None:
        self.n += 1
        if not self.called:
            self.called = True
            for work in self.works():
                work.run(1)
            for work in self.works():
                assert work._begun.wait(DEADLINE_SECONDS)
            for work in self.works():
                work.run(2)
        if self.n == 3:
            for work in self.works():
                work._go.set()
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return self.n == 2


def test_nothing_half_done_is_saved_wherever_a_work_is_and_no_call_is_lost(catalog: BucketCatalog) -> None:
    run_app(Places())
    (state,) = [one["state"] for one in states(catalog)]
    own = state["flows"]["own"]["works"]["w"]
    items, named = (state["structures"][name]["items"] for name in ("items", "named"))
    works = [state["works"]["w"], *items, named["x"], own]
    assert [work["vars"] for work in works] == [{"half": 0, "table": {"rows": []}}] * 4
    for work in works:
        calls = [(call["args"], call["status"]) for call in work["calls"].values()]
        assert calls == [([1], "pending"), ([2], "pending")]
    again = Places()
    for work in again.works():
        work._go.set()
    restore(again, states(catalog)[0])
    call_pending(again)
    assert [(work.half, work.table["rows"]) for work in again.works()] == [(4, [1, 1, 2, 2])] * 4


class FailsAtOne(Work):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def run(self, number: int) -> None:
        self.total += number
        if number == 1:
            raise RuntimeError("its pod ends")


class EndsWith(Flow):
    """Is told to end, makes these calls in that round, and waits for the last of them."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self._numbers = numbers
        self.w = FailsAtOne()

    def run(self) -> None:
        terminate()
        for number in self._numbers:
            self.w.run(number)
        wait_for(lambda: self.w.has_failed if self._numbers[-1] == 1 else self.w.has_succeeded)


def test_a_call_that_has_failed_as_the_process_was_told_to_end_leaves_nothing_half_done(catalog: BucketCatalog) -> None:
    with pytest.raises(SystemExit):
        run_app(EndsWith(1))
    (work,) = [one["state"]["works"]["w"] for one in states(catalog)]
    assert work["vars"]["total"] == 0
    assert [call["status"] for call in work["calls"].values()] == ["pending"]


def test_after_a_call_that_has_failed_those_behind_it_leave_nothing_either(catalog: BucketCatalog) -> None:
    with pytest.raises(SystemExit):
        run_app(EndsWith(1, 10))
    (work,) = [one["state"]["works"]["w"] for one in states(catalog)]
    assert work["vars"]["total"] == 0
    assert [(call["args"], call["status"]) for call in work["calls"].values()] == [([1], "pending"), ([10], "pending")]


def test_what_the_flow_sets_on_a_work_that_runs_is_saved(catalog: BucketCatalog) -> None:
    class Main(Flow):
        consistent_seconds = 0

        def __init__(self) -> None:
            super().__init__()
            self.n = 0
            self.w = Halves()

        def run(self) -> None:
            self.n += 1
            self.w.run(1)
            assert self.w._begun.wait(DEADLINE_SECONDS)
            self.w.rate, self.w.names = 0.5, ["a"]
            if self.n == 2:
                self.w._go.set()
                self.stop()

        def should_save_checkpoint(self) -> bool:
            return self.n == 1

    run_app(Main())
    (work,) = [one["state"]["works"]["w"] for one in states(catalog)]
    assert work["vars"] == {"half": 0, "table": {"rows": []}, "rate": 0.5, "names": ["a"]}
    assert work["later"] == ["names", "rate"]


@pytest.mark.parametrize("seed", range(20))
def test_whenever_it_is_taken_a_state_has_a_call_wholly_or_not_at_all(seed: int) -> None:
    """Calls end while their state is taken, as they like."""
    chance, interval = random.Random(seed), sys.getswitchinterval()

    class Counts(Work):
        def __init__(self) -> None:
            super().__init__()
            self.one = self.two = 0

        def run(self, number: int) -> None:
            self.one += 1
            time.sleep(chance.choice([0, 0, 0.0005]))
            self.two += 1

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.works = List(*(Counts() for _ in range(4)))

    root = Main()
    scheduler = Scheduler()
    install(root, scheduler)
    sys.setswitchinterval(1e-5)
    try:
        for number in range(40):
            for work in root.works:
                work.run(number)
            with scheduler.still(lambda: 0.0):
                state = capture(root).state["state"]
            for work in state["structures"]["works"]["items"]:
                done = sum(call["status"] == "succeeded" for call in work["calls"].values())
                assert (work["vars"]["one"], work["vars"]["two"]) == (done, done)
                assert len(work["calls"]) == number + 1
    finally:
        sys.setswitchinterval(interval)
    wait_for(lambda: not scheduler.busy)


def test_the_loop_does_not_spin_while_there_is_nothing_but_a_work_to_wait_for(catalog: BucketCatalog) -> None:
    class Main(WithSlow):
        def run(self) -> None:
            if self.n == 0:
                threading.Timer(0.5, self.w._go.set).start()
            super().run()

        def should_save_checkpoint(self) -> bool:
            return False

    run_app(root := Main(0))
    assert root.w.done == 1
    assert root.n < 50, "it looks ten times a second, and when the work has ended"


def test_on_request_it_is_taken_at_once_and_a_running_work_is_saved_as_pending(catalog: BucketCatalog) -> None:
    root = WithSlow(3)
    root.consistent = False
    run_app(root)
    assert saved_works(catalog)[0] == (0, ["pending"])
    assert saved_works(catalog)[-1] == (1, ["succeeded"])


def test_a_work_that_has_finished_is_not_run_again_after_a_restart(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_app(WithSlow(2))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    root = WithSlow(0)
    run_app(root, checkpoint="latest")
    assert root.w.done == 1
    assert not root.w._go.is_set()


def test_a_work_that_had_not_finished_is_run_after_a_restart(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = WithSlow(3)
    root.consistent = False
    run_app(root)
    assert saved_works(catalog)[0] == (0, ["pending"])
    first = start.saved_by(catalog, "_", "app")[-1]
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")
    again = WithSlow(2)
    again.w._go.set()
    run_app(again, checkpoint=first.file)
    assert again.w.done == 1


def test_a_work_that_fails_ends_the_app_with_its_error_and_what_was_pending_is_saved(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise ValueError("no data")

    class Main(Counts):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Fails()

        def run(self) -> None:
            super().run()
            if self.n == 3:
                self.w.run()

    root = Main()
    with pytest.raises(ValueError, match="no data") as raised:
        run_app(root)
    assert raised.value.__notes__ == ["raised by the work root.w.run()"]
    assert states(catalog)[-1]["state"]["vars"]["n"] >= 2
    assert end_of(catalog) == ("Failed", 1, "ValueError: no data")


def test_an_app_that_stops_waits_for_its_works_and_saves_what_they_did(catalog: BucketCatalog) -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.w = Slow()

        def run(self) -> None:
            self.w.run()
            self.stop()
            threading.Timer(0.01, self.w._go.set).start()

        def should_save_checkpoint(self) -> bool:
            return True

    run_app(Main())
    assert saved_works(catalog) == [(1, ["succeeded"])]


def test_a_value_that_cannot_be_saved_ends_the_app_with_its_name(catalog: BucketCatalog) -> None:
    class Main(Counts):
        def run(self) -> None:
            super().run()
            self.bad = {1, 2}

    with pytest.raises(UnsupportedStateError, match=r"root\.bad"):
        run_app(Main(3))
    assert end_of(catalog)[:2] == ("Failed", 86)


def test_what_an_app_has_done_since_it_stopped_is_saved_before_its_works_have_all_ended(catalog: BucketCatalog) -> None:
    class Main(AllAtOnce):
        def __init__(self) -> None:
            super().__init__(free=False)
            self.more = Numbers()

        def run(self) -> None:
            super().run()
            self.more.run(7)
            self.w._go.set()

            def let_go() -> None:
                wait_for(lambda: any(state["state"]["works"]["w"]["vars"]["done"] for state in states(catalog)))
                self.more._go.set()

            threading.Thread(target=let_go).start()

    run_app(root := Main())
    assert root.more.done == [7]
    assert states(catalog)[-1]["state"]["works"]["more"]["vars"]["done"] == [7]


def test_who_asks_an_app_that_has_stopped_for_a_save_gets_one(
    opened: list[AppCheckpoint], catalog: BucketCatalog
) -> None:
    class Main(AllAtOnce):
        def run(self) -> None:
            super().run()

            def let_go() -> None:
                wait_for(lambda: self.checkpoint_context.iteration)  # its round is over
                ask(opened[0])
                wait_for(lambda: states(catalog))
                self.w._go.set()

            threading.Thread(target=let_go).start()

        def should_save_checkpoint(self) -> bool:
            return False

    run_app(root := Main(free=False))
    assert root.w.done == [0, 1, 2]
    assert len(states(catalog)) == 1


def test_a_work_that_fails_after_the_app_has_stopped_ends_it_with_its_error(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise ValueError("no data")

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.w = Fails()

        def run(self) -> None:
            self.stop()

        def should_save_checkpoint(self) -> bool:
            self.w.run()
            wait_for(lambda: self.w.has_failed)
            return False

    with pytest.raises(ValueError, match="no data"):
        run_app(Main())
    assert end_of(catalog) == ("Failed", 1, "ValueError: no data")


def test_an_app_that_its_hook_stops_waits_for_its_works(catalog: BucketCatalog) -> None:
    class Main(WithSlow):
        consistent = False

        def run(self) -> None:
            self.n += 1
            self.w.run()

        def should_save_checkpoint(self) -> bool:
            self.stop()
            threading.Timer(0.05, self.w._go.set).start()
            return True

    run_app(root := Main(0))
    assert root.w.done == 1
    assert saved_works(catalog)[-1] == (1, ["succeeded"])


def test_an_app_that_had_stopped_brings_its_works_to_their_end_and_no_more(catalog: BucketCatalog) -> None:
    with pytest.raises(SystemExit) as raised:
        run_app(first := Told(free=False))
    assert raised.value.code == 143
    first.w._go.set()
    assert states(catalog)[-1]["state"]["works"]["w"]["vars"]["done"] == []
    assert states(catalog)[-1]["stopped"] is True
    rounds: list[int] = []

    class Again(AllAtOnce):
        def run(self) -> None:
            rounds.append(1)

    run_app(again := Again(free=True))
    assert again.w.done == [0, 1, 2]
    assert rounds == [], "it had stopped"
    assert end_of(catalog) == ("Completed", 0, "")
    assert "stopped" not in states(catalog)[-1]


def test_calls_that_had_not_ended_are_made_again_also_where_the_flow_makes_them_once(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        run_app(Told(free=False))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")

    class Later(AllAtOnce):
        def run(self) -> None:
            self.w._go.set()  # what the work needs is there once the flow has run
            super().run()

    run_app(later := Later(free=False), checkpoint="latest")
    assert later.w.done == [0, 1, 2]


def test_calls_that_had_not_ended_come_before_those_that_the_flow_makes_now(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        run_app(Told(free=False))
    monkeypatch.setenv("TRAINPOINT_RUN", "r2")

    class More(AllAtOnce):
        def run(self) -> None:
            self.w.run(2)
            self.w.run(7)
            self.stop()

    run_app(more := More(free=True), checkpoint="latest")
    assert more.w.done == [0, 1, 2, 7]


class Takes(Work):
    """Fails as long as ``ready`` is not set; notes what it was called with."""

    ready: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def run(self, rate: float) -> None:
        if not self.ready:
            raise ValueError("not ready")
        self.rate = rate


class TakesMore(Takes):
    def run(self, rate: float, unit: str) -> None:  # type: ignore[override]
        self.rate = rate


class Trains(Flow):
    def __init__(self, work: type[Takes] = Takes) -> None:
        super().__init__()
        self.n = 0
        self.w = work()

    def run(self) -> None:
        self.n += 1
        if self.n == 2:
            self.w.run(0.5)

    def should_save_checkpoint(self) -> bool:
        return True


def test_a_call_that_has_failed_ends_the_app_before_that_is_saved(catalog: BucketCatalog) -> None:
    with pytest.raises(ValueError, match="not ready"):
        run_app(Trains())
    assert all(not state["state"]["works"]["w"]["calls"] for state in states(catalog))


def test_a_call_that_had_failed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Trains()
    with pytest.raises(ValueError, match="not ready"):
        root.w.run(0.5)
    restore(code := Trains(), capture(root).state)
    monkeypatch.setattr(Takes, "ready", True)
    call_pending(code)
    assert code.w.rate == 0.5


def test_a_call_that_fits_no_more_is_dropped_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    root = Trains()
    with pytest.raises(ValueError, match="not ready"):
        root.w.run(0.5)
    restore(code := Trains(TakesMore), capture(root).state)
    with caplog.at_level(logging.WARNING, logger="trainpoint"):
        call_pending(code)
    (line,) = caplog.messages
    assert line.startswith("root.w: the call {'args': [0.5], 'kwargs': {}} of the state is dropped")
    assert "missing a required argument: 'unit'" in line
    assert code.w._tp_calls == {}


def test_a_work_that_ends_itself_does_not_end_the_app_as_if_all_were_well(catalog: BucketCatalog) -> None:
    class Exits(Work):
        def run(self) -> None:
            raise SystemExit(0)

    class Main(Counts):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Exits()

        def run(self) -> None:
            super().run()
            self.w.run()

    with pytest.raises(RuntimeError, match=r"the work root\.w\.run\(\) has ended itself by SystemExit: 0"):
        run_app(Main())
    assert end_of(catalog)[:2] == ("Failed", 1)
