"""An app that is told to end, or asked to save."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.apps import (
    DEADLINE_SECONDS,
    Counts,
    Numbers,
    Preempted,
    WithSlow,
    ask,
    end_of,
    saved_works,
    states,
    terminate,
    wait_for,
)
from trainpoint import Checkpoint
from trainpoint.app import Flow, Work
from trainpoint.app.begin import AppCheckpoint
from trainpoint.app.loop import FINAL_SECONDS, run_app
from trainpoint.app.saver import Saver
from trainpoint.app.scheduler import Scheduler
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.testing import FakeClock

pytestmark = pytest.mark.usefixtures("launched")


HOOKS = pytest.mark.parametrize("hook", [True, False])


@HOOKS
def test_sigterm_saves_the_state_after_the_iteration_whatever_the_hook_says(hook: bool, catalog: BucketCatalog) -> None:
    root = Preempted(10**9, lambda _: hook)
    with pytest.raises(SystemExit) as raised:
        run_app(root)
    assert raised.value.code == 143
    assert root.n == 3
    assert states(catalog)[-1]["state"]["vars"]["n"] == 3
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")


def test_sigterm_while_a_work_runs_saves_it_as_it_was_before_its_call(
    catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Main(WithSlow):
        consistent_seconds = 0

        def run(self) -> None:
            super().run()
            if self.n == 2:
                terminate()

    root = Main(10**9)
    with caplog.at_level(logging.INFO, logger="trainpoint"), pytest.raises(SystemExit) as raised:
        run_app(root)
    assert raised.value.code == 143
    assert states(catalog)[-1]["state"]["vars"]["n"] == 2
    assert saved_works(catalog)[-1] == (0, ["pending"])
    text = "root.w did not end in time after SIGTERM: saved as it was before that call, which a restart makes again"
    assert text in caplog.text
    root.w._go.set()


def test_a_capture_that_waits_for_a_work_when_sigterm_comes_and_the_last_one_have_one_limit(
    catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    waited: list[float] = []

    class Passing(FakeClock):
        """Two seconds pass with each look."""

        def monotonic(self) -> float:
            self.advance(2)
            return super().monotonic()

    class Main(WithSlow):
        consistent_seconds = 10**6

    class Timed(Scheduler):
        def still(self, left_seconds: Callable[[], float], *, anew: bool = False) -> Any:
            def left() -> float:
                waited.append(left_seconds())
                if len(waited) == 2:
                    terminate()
                return waited[-1]

            return super().still(left, anew=anew)

    root, clock = Main(10**9), Passing()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainpoint.app.loop.Scheduler", Timed)
        with caplog.at_level(logging.INFO, logger="trainpoint"), pytest.raises(SystemExit) as raised:
            run_app(root, clock=clock)
    root.w._go.set()
    assert raised.value.code == 143
    after = [left for left in waited if left <= FINAL_SECONDS]
    assert len(waited) > len(after), "before the signal it waits as long as the flow says"
    assert after == sorted(after, reverse=True), "the last capture does not begin to wait anew"
    assert after[-1] <= 0
    assert saved_works(catalog)[-1] == (0, ["pending"])


@HOOKS
def test_sigterm_ends_an_app_with_143_also_where_its_state_cannot_be_saved(
    hook: bool, catalog: BucketCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    class Main(Preempted):
        def run(self) -> None:
            super().run()
            self.bad = {1, 2} if self.n == 3 else 0

    with caplog.at_level(logging.ERROR, logger="trainpoint"), pytest.raises(SystemExit) as raised:
        run_app(Main(10**9, lambda n: hook))
    assert raised.value.code == 143
    assert bool(states(catalog)) == hook, "what was saved before stays"
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")
    (line,) = [record.message for record in caplog.records if "is not saved" in record.message]
    assert line.startswith("the state after iteration 3 is not saved: ")
    assert "root.bad" in line


def test_a_request_is_not_answered_by_a_state_of_before(
    opened: list[AppCheckpoint], catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins, goes_on = threading.Event(), threading.Event()

    def save(*arguments: Any, **more: Any) -> Any:
        begins.set()
        assert goes_on.wait(DEADLINE_SECONDS)
        return Checkpoint.save(*arguments, **more)

    class Main(Counts):
        def run(self) -> None:
            super().run()
            if self.n == 2:
                assert begins.wait(DEADLINE_SECONDS)  # the state of the first round is on its way
                ask(opened[0])
                goes_on.set()
                wait_for(lambda: states(catalog))

    monkeypatch.setattr(AppCheckpoint, "save", save)
    run_app(Main(3, lambda n: n == 1))
    assert [state["iteration"] for state in states(catalog)] == [1, 2]


def test_who_asks_for_a_save_gets_one_whatever_the_hook_says_also_of_an_unchanged_state(
    opened: list[AppCheckpoint], catalog: BucketCatalog
) -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.fixed = 1
            self._rounds = 0

        def run(self) -> None:
            self._rounds += 1
            if self._rounds == 3:
                wait_for(lambda: states(catalog))
            if self._rounds in (1, 3):
                ask(opened[0])
            if self._rounds == 5:
                self.stop()

    run_app(Main())
    found = states(catalog)
    assert [state["iteration"] for state in found] == [1, 3]
    assert found[0]["state"] == found[1]["state"]


def test_sigterm_while_the_last_state_of_a_finished_app_is_written_changes_nothing(
    catalog: BucketCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*arguments: Any, **more: Any) -> Any:
        terminate_from_main.set()
        assert told.wait(DEADLINE_SECONDS)
        return Checkpoint.save(*arguments, **more)

    class Ends(AppCheckpoint):
        def save(self, *arguments: Any, **more: Any) -> Any:
            return save(self, *arguments, **more)

        def _on_preempted(self) -> None:
            super()._on_preempted()
            told.set()

    terminate_from_main, told = threading.Event(), threading.Event()
    monkeypatch.setattr("trainpoint.app.loop.AppCheckpoint", Ends)
    end = Saver.close

    def close(saver: Saver) -> None:
        assert terminate_from_main.wait(DEADLINE_SECONDS)
        terminate()
        end(saver)

    monkeypatch.setattr(Saver, "close", close)
    run_app(Counts(5, lambda n: n == 5))
    assert states(catalog)[-1]["state"]["vars"]["n"] == 5
    assert end_of(catalog) == ("Completed", 0, "")


def test_a_work_that_fails_when_the_process_is_told_to_end_takes_nothing_away(catalog: BucketCatalog) -> None:
    class Fails(Work):
        def run(self) -> None:
            raise OSError("its child was told to end, too")

    class Main(Preempted):
        def __init__(self) -> None:
            super().__init__(10**9)
            self.w = Fails()

        def run(self) -> None:
            if self.n == 2:
                self.w.run()
                wait_for(lambda: self.w.has_failed)
            super().run()

    with pytest.raises(SystemExit) as raised:
        run_app(Main())
    assert raised.value.code == 143
    assert states(catalog)[-1]["state"]["vars"]["n"] == 3
    assert end_of(catalog) == ("Preempted", 143, "SIGTERM")


def test_a_flow_that_waits_in_its_round_for_its_work_ends_after_it(catalog: BucketCatalog) -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0
            self.w = Numbers()
            self.w._go.set()

        def run(self) -> None:
            self.n += 1
            for part in range(3):
                number = 3 * self.n + part
                self.w.run(number)
                if self.n == 2 and part == 0:
                    terminate()
                wait_for(lambda: number in self.w.done)  # noqa: B023

        def should_save_checkpoint(self) -> bool:
            return True

    with pytest.raises(SystemExit) as raised:
        run_app(root := Main())
    assert raised.value.code == 143
    assert root.w.done == [3, 4, 5, 6, 7, 8]
    assert states(catalog)[-1]["state"]["works"]["w"]["vars"]["done"] == root.w.done
