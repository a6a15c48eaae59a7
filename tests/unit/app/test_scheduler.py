"""Works in threads: once each, failures with a name, and nothing running while the state is taken."""

from __future__ import annotations

import threading

import pytest

from trainpoint.app import Flow, List, Work
from trainpoint.app.scheduler import AT_ONCE, Scheduler
from trainpoint.app.tree import install

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
        self.more: List[Waits] = List()


def app() -> tuple[Root, Scheduler]:
    root, scheduler = Root(), Scheduler()
    install(root, scheduler)
    return root, scheduler


def settle(scheduler: Scheduler) -> None:
    """Until every call has ended, or one has failed."""
    while scheduler.busy and not scheduler._failed:
        scheduler.wait(since=scheduler.changes, seconds=0.1)


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
        return 0.01 if len(waited) % 2 else 0

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


def test_calls_of_one_work_run_one_after_the_other_and_beside_those_of_others() -> None:
    root, scheduler = app()
    root.more.append(Waits())
    other = root.more[0]
    for number in range(20):
        root.waits.run(number)
    other.run(7)
    assert root.waits._began.wait(DEADLINE_SECONDS)
    assert other._began.wait(DEADLINE_SECONDS), "another work does not wait for this one"
    statuses = [call["status"] for call in root.waits._tp_calls.values()]
    assert statuses == ["running"] + ["pending"] * 19
    other._go.set()
    root.waits._go.set()
    settle(scheduler)
    assert root.waits.done == list(range(20)), "as they were made"
    assert other.done == [7]


def test_works_are_told_apart_also_where_their_class_says_that_all_are_equal() -> None:
    class Equal(Waits):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return len(self.done)  # changes while it is at work

    root, scheduler = app()
    root.more.extend((Equal(), Equal()))
    for work in root.more:
        work._go.set()
        work.run(1)
        work.run(2)
    settle(scheduler)
    assert [work.done for work in root.more] == [[1, 2], [1, 2]]


def test_more_works_than_threads_take_turns() -> None:
    root, scheduler = app()
    root.more.extend(Waits() for _ in range(AT_ONCE + 5))
    for number, work in enumerate(root.more):
        work.run(number)
    for work in reversed(root.more):
        work._go.set()
    settle(scheduler)
    assert not scheduler.busy
    assert [work.done for work in root.more] == [[number] for number in range(AT_ONCE + 5)]


def test_calls_that_never_began_are_given_up_at_the_end_and_can_be_made_again() -> None:
    root, scheduler = app()
    root.more.extend(Waits() for _ in range(AT_ONCE + 1))
    for work in root.more:
        work.run(1)
    root.more[0].run(2)
    scheduler.close()
    for work in root.more:
        work._go.set()
    settle(scheduler)
    statuses = [[call["status"] for call in work._tp_calls.values()] for work in root.more]
    assert statuses == [["succeeded", "pending"], *[["succeeded"]] * (AT_ONCE - 1), ["pending"]]
    install(root, None)
    root.more[0].run(2)
    root.more[AT_ONCE].run(1)
    assert root.more[0].done == [1, 2]
    assert root.more[AT_ONCE].done == [1]
