"""Works in threads: once each, failures with a name, and nothing running while the state is taken."""

from __future__ import annotations

import threading

import pytest

from trainpoint.app import Flow, Work
from trainpoint.app.scheduler import AT_ONCE, Scheduler
from trainpoint.app.tree import install
from trainpoint.clock import SystemClock

DEADLINE_SECONDS = 120.0


class Waits(Work):
    """Ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self._began = threading.Event()
        self.done: list[int] = []

    def run(self, number: int = 0) -> None:
        self._began.set()
        assert self._go.wait(DEADLINE_SECONDS), "nobody let it go"
        self.done.append(number)


class Fails(Work):
    def run(self, what: str) -> None:
        raise ValueError(what)


class Root(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.waits = Waits()
        self.fails = Fails()


def app() -> tuple[Root, Scheduler]:
    root, scheduler = Root(), Scheduler(SystemClock())
    install(root, scheduler)
    return root, scheduler


def settle(scheduler: Scheduler) -> None:
    scheduler.finish(stop=lambda: False)


def test_a_call_returns_at_once_and_runs_once_for_each_set_of_arguments() -> None:
    root, scheduler = app()
    for _ in range(3):
        root.waits.run(1)
        root.waits.run(2)
    assert scheduler.busy
    assert scheduler.changes == 2
    root.waits._go.set()
    settle(scheduler)
    root.waits.run(1)
    assert not scheduler.busy
    assert sorted(root.waits.done) == [1, 2]
    assert root.waits.has_succeeded


def test_a_failure_is_raised_in_the_loop_with_the_name_and_arguments_of_the_work() -> None:
    root, scheduler = app()
    root.fails.run("broken")
    settle(scheduler)
    with pytest.raises(ValueError, match="broken") as raised:
        scheduler.raise_failed()
    assert raised.value.__notes__ == ["raised by the work root.fails.run('broken')"]
    assert root.fails.has_failed
    scheduler.raise_failed()  # once


def test_nothing_runs_while_the_state_is_taken_and_nothing_begins() -> None:
    root, scheduler = app()
    root.waits.run(1)
    assert root.waits._began.wait(DEADLINE_SECONDS)
    root.waits._go.set()
    with scheduler.still(lambda: DEADLINE_SECONDS) as running:
        assert running == ()
        assert root.waits.done == [1]
        root.waits.run(2)
        assert scheduler.busy
        assert root.waits.done == [1]
    settle(scheduler)
    assert sorted(root.waits.done) == [1, 2]


def test_a_work_that_does_not_end_is_waited_for_once_and_named() -> None:
    root, scheduler = app()
    root.waits.run(1)
    waited: list[float] = []

    def limit() -> float:
        waited.append(0)
        return 0.01

    with scheduler.still(limit) as running:
        assert running == ("root.waits",)
    looked = len(waited)
    assert looked
    with scheduler.still(limit) as running:
        assert running == ("root.waits",)
    assert len(waited) == looked, "the same work is not waited for again"
    with scheduler.still(limit, anew=True) as running:
        assert running == ("root.waits",)
    assert len(waited) > looked
    root.waits._go.set()
    settle(scheduler)
    with scheduler.still(limit) as running:
        assert running == ()


def test_more_calls_than_threads_take_turns() -> None:
    root, scheduler = app()
    for number in range(AT_ONCE + 5):
        root.waits.run(number)
    root.waits._go.set()
    settle(scheduler)
    assert root.waits.has_succeeded
    assert not scheduler.busy
    assert len(root.waits._tp_calls) == AT_ONCE + 5


def test_calls_that_never_began_are_given_up_at_the_end_and_can_be_made_again() -> None:
    root, scheduler = app()
    for number in range(AT_ONCE + 1):
        root.waits.run(number)
    scheduler.close()
    root.waits._go.set()
    settle(scheduler)
    statuses = [call["status"] for call in root.waits._tp_calls.values()]
    assert statuses.count("succeeded") == AT_ONCE
    assert statuses.count("pending") == 1
    install(root, None)
    root.waits.run(AT_ONCE)
    assert root.waits._tp_last_status() == "succeeded"
