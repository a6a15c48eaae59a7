"""Several at a time, stopped together; again while the store does not answer."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from trainpoint.errors import (
    BucketNotFoundError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    TrainpointError,
)
from trainpoint.testing import FakeChance, FakeClock
from trainpoint.transfer.parallel import LONGEST_DELAY_SECONDS, Persistence, Stop, backoff_seconds, run_all

DEADLINE = 120.0


class BoomError(Exception):
    pass


@pytest.mark.parametrize("workers", [0, 1, 3, 50])
def test_every_task_runs_once(workers: int) -> None:
    done: list[int] = []
    run_all([lambda n=n: done.append(n) for n in range(20)], workers=workers, stop=Stop())  # type: ignore[misc]
    assert sorted(done) == list(range(20))


def test_as_many_run_at_a_time_as_there_are_workers() -> None:
    together = threading.Barrier(4)
    run_all([lambda: together.wait(DEADLINE)] * 8, workers=4, stop=Stop())  # type: ignore[list-item]
    assert not together.broken


def test_the_first_failure_is_raised_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise BoomError

    with pytest.raises(BoomError):
        run_all((lambda n=n: task(n) for n in range(1000)), workers=1, stop=Stop())  # type: ignore[misc]
    assert begun == [0, 1, 2]


def test_a_failure_stops_tasks_that_are_under_way_and_is_the_one_raised() -> None:
    stop = Stop()
    waiting = threading.Event()
    stopped: list[bool] = []

    def fails() -> None:
        assert waiting.wait(DEADLINE)
        raise BoomError

    def waits() -> None:
        waiting.set()
        pause = threading.Event()
        for _ in range(int(DEADLINE * 100)):
            if stop.is_set():
                stopped.append(True)
            stop.check()
            pause.wait(0.01)

    with pytest.raises(BoomError):
        run_all([waits, fails], workers=2, stop=stop)
    assert stopped, f"was not stopped within {DEADLINE} s"


def test_a_callers_flag_stops_it_all() -> None:
    flag = threading.Event()
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        flag.set()

    with pytest.raises(CancelledError):
        run_all((lambda n=n: task(n) for n in range(9)), workers=1, stop=Stop(flag))  # type: ignore[misc]
    assert begun == [0]


def test_fewer_threads_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter no thread can be started; the last save goes on without."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    run_all([lambda: done.append(1)] * 5, workers=4, stop=Stop())
    assert len(done) == 5


# --- again ------------------------------------------------------------------------------------------------------------


class Flaky:
    """Fails a number of times, then answers."""

    def __init__(self, error: TrainpointError, times: int) -> None:
        self.error, self.left, self.tries = error, times, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


def persistence(clock: FakeClock, deadline: float = 600, stop: Stop | None = None) -> Persistence:
    return Persistence(clock, FakeChance(), deadline, stop or Stop())


@pytest.mark.parametrize("error", [StoreUnreachableError("away"), StoreTimeoutError("slow")], ids=lambda e: e.code)
def test_a_store_that_does_not_answer_is_asked_again(error: TrainpointError) -> None:
    clock = FakeClock()
    action = Flaky(error, 5)
    assert persistence(clock).attempt(action) == "done"
    assert action.tries == 6
    assert 0.2 * 15.5 <= clock.monotonic() * 2 <= 0.2 * 31 * 2  # five pauses, doubling, each at least half


@pytest.mark.parametrize(
    "error",
    [StorePermissionError("no"), StoreFullError("full"), BucketNotFoundError("none"), StoreError("500")],
    ids=lambda e: e.code,
)
def test_what_waiting_does_not_mend_is_raised_at_once(error: TrainpointError) -> None:
    action = Flaky(error, 1)
    with pytest.raises(type(error)) as raised:
        persistence(FakeClock()).attempt(action)
    assert raised.value is error
    assert action.tries == 1


def test_after_the_deadline_the_error_says_how_long_it_was_tried() -> None:
    clock = FakeClock()
    action = Flaky(StoreUnreachableError("s3 does not answer", remedy="start it"), 10**6)
    with pytest.raises(StoreUnreachableError, match=r"s3 does not answer \(tried \d+ times over \d+ s\)") as raised:
        persistence(clock, deadline=60).attempt(action)
    assert raised.value.remedy == "start it"
    assert 60 - LONGEST_DELAY_SECONDS <= clock.monotonic() <= 60
    assert action.tries < 20


@pytest.mark.parametrize(("from_failure", "tries"), [(False, 1), (True, 2)])
def test_the_deadline_counts_from_the_start_or_for_long_work_from_the_first_failure(
    from_failure: bool, tries: int
) -> None:
    clock = FakeClock()
    action = Flaky(StoreUnreachableError("broke off"), 10**6)

    def takes_long() -> str:
        clock.advance(1000)
        return action()

    with pytest.raises(StoreUnreachableError, match="broke off"):
        persistence(clock, deadline=600).attempt(takes_long, from_failure=from_failure)
    assert action.tries == tries


def test_a_pause_ends_when_the_transfer_is_stopped() -> None:
    clock = FakeClock()

    class AfterASecond:
        def is_set(self) -> bool:
            return clock.monotonic() > 1

    with pytest.raises(CancelledError):
        persistence(clock, stop=Stop(AfterASecond())).attempt(Flaky(StoreUnreachableError("away"), 10**6))
    assert clock.monotonic() < 2


@pytest.mark.parametrize(("tries", "longest"), [(0, 0.2), (1, 0.4), (5, 6.4), (6, 10), (10**6, 10)])
def test_pauses_double_up_to_a_limit_and_are_jittered(tries: int, longest: float) -> None:
    assert backoff_seconds(tries, 0.0) == pytest.approx(longest / 2)
    assert backoff_seconds(tries, 0.999999) == pytest.approx(longest, rel=1e-5)
