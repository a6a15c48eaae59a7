"""The handle on a claim that was won, and reading attempts back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from tests.support.claims import TASK, Machine, ended, process
from trainpoint.claim.store import read_attempts
from trainpoint.errors import CorruptRecordError, StoreError
from trainpoint.format.layout import attempt_key
from trainpoint.format.records import EndRecord, LoadedRecord


@pytest.fixture
def machine() -> Machine:
    return Machine()


def until(what: Callable[[], bool], describe: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, f"not within 30 s: {describe()}"
        threading.Event().wait(0.005)


def loaded(attempt: int, uid: str) -> LoadedRecord:
    return LoadedRecord(attempt, uid, "fresh", "default", "Newest", "newest that verifies", step=7)


def test_attempts_are_read_back_with_what_they_loaded_and_how_they_ended(machine: Machine) -> None:
    first = machine.claim(process(1))
    first.record_loaded(loaded(0, first.uid))
    machine.clock.advance(90)
    first.end(ended(first))
    second = machine.claim(process(2))
    views = read_attempts(machine.store, TASK)
    assert [(v.number, v.uid, v.holder) for v in views] == [(0, first.uid, process(1)), (1, second.uid, process(2))]
    assert views[0].loaded == loaded(0, first.uid)
    assert views[0].end == ended(first)
    assert (views[1].loaded, views[1].end) == (None, None)
    assert (views[0].last_sign - views[0].started).total_seconds() == 90
    assert second.previous == views[:1]


def test_the_attempts_before_are_read_when_they_are_asked_for_and_once(machine: Machine) -> None:
    for pid in (1, 2):
        machine.claim(process(pid))
    third = machine.claim(process(3))
    machine.memory.requests.clear()
    assert [v.number for v in third.previous] == [0, 1]
    assert [v.number for v in third.previous] == [0, 1]
    assert machine.memory.requests == {"get": 2}


@pytest.mark.parametrize("suffix", ["json", "loaded", "end"])
def test_a_damaged_record_of_an_attempt_is_named(machine: Machine, suffix: str) -> None:
    first = machine.claim(process(1))
    first.record_loaded(loaded(0, first.uid))
    first.end(ended(first))
    key = attempt_key(TASK, 0, first.uid, suffix)  # type: ignore[arg-type]
    machine.memory.flip_bit(key, 77)
    with pytest.raises(CorruptRecordError, match=key):
        read_attempts(machine.store, TASK)
    with pytest.raises(CorruptRecordError, match=key):
        _ = machine.claim(process(2)).previous if suffix != "json" else read_attempts(machine.store, TASK)


def test_the_first_end_counts(machine: Machine) -> None:
    claimed = machine.claim(process(1))
    claimed.end(ended(claimed))
    claimed.end(EndRecord(0, claimed.uid, "Failed", exit_code=1))
    (view,) = read_attempts(machine.store, TASK)
    assert view.end == ended(claimed)


def test_an_end_that_could_not_be_written_may_be_written_again(machine: Machine) -> None:
    def fail(verb: str, key: str) -> None:
        raise StoreError("the store says no")

    claimed = machine.claim(process(1))
    machine.memory.before = fail
    with pytest.raises(StoreError):
        claimed.end(ended(claimed))
    machine.memory.before = None
    claimed.end(ended(claimed))
    assert read_attempts(machine.store, TASK)[0].end == ended(claimed)


def test_an_end_that_could_not_be_written_does_not_lock_this_process_out(machine: Machine) -> None:
    def fail(verb: str, key: str) -> None:
        raise StoreError("the store says no")

    claimed = machine.claim(process(1))
    machine.memory.before = fail
    with pytest.raises(StoreError):
        claimed.end(ended(claimed))
    machine.memory.before = None
    assert machine.claim(process(1)).attempt == 1


# --- signs of life ----------------------------------------------------------------------------------------------------


def beats(machine: Machine) -> int:
    return sum(row.key.endswith(".beat") for row in machine.store.list(TASK.attempts))


def test_a_beat_is_a_newer_sign_of_life(machine: Machine) -> None:
    claimed = machine.claim(process(1))
    machine.clock.advance(45)
    claimed.beat()
    (view,) = read_attempts(machine.store, TASK)
    assert (view.last_sign - view.started).total_seconds() == 45


def beating(*, besides: list[threading.Thread]) -> list[threading.Thread]:
    """Threads that give signs of life; ``besides``: those of earlier tests, which may still be on their way out."""
    return [t for t in threading.enumerate() if t.name == "trainpoint-beat" and t not in besides]


def test_beats_are_written_until_they_are_stopped(machine: Machine) -> None:
    before = threading.enumerate()
    written = threading.Semaphore(0)
    machine.memory.before = lambda verb, key: written.release() if key.endswith(".beat") else None
    claimed = machine.claim(process(1))
    claimed.start_beat(every_seconds=0.001)
    claimed.start_beat(every_seconds=0.001)
    for _ in range(3):
        assert written.acquire(timeout=30), "no beat within 30 s"
    assert len(beating(besides=before)) == 1, "started once, however often asked"
    claimed.end(ended(claimed))
    until(lambda: not beating(besides=before), lambda: beating(besides=before))


def test_an_error_of_a_beat_is_kept_and_forgotten_with_the_next_good_one(machine: Machine) -> None:
    def fail(verb: str, key: str) -> None:
        raise StoreError("the store says no")

    claimed = machine.claim(process(1))
    machine.memory.before = fail
    claimed.start_beat(every_seconds=0.001)
    until(lambda: isinstance(claimed.beat_error, StoreError), lambda: claimed.beat_error)
    machine.memory.before = None
    until(lambda: claimed.beat_error is None and beats(machine) == 1, lambda: (claimed.beat_error, beats(machine)))
    claimed.stop_beat()


def test_stopping_what_was_never_started_is_fine(machine: Machine) -> None:
    machine.claim(process(1)).stop_beat()
