"""Claiming in a store: the requests, who is waited for, what is left behind."""

from __future__ import annotations

import itertools

import pytest

from tests.support.claims import TASK, Machine, ended, fences, forge, process, put_manifest, suffixes
from trainpoint.api import reasons
from trainpoint.catalog.entries import entries
from trainpoint.claim.store import TRY_SECONDS, AttemptView
from trainpoint.errors import (
    ConflictError,
    CorruptRecordError,
    RefusedError,
    StoreError,
    StoreUnreachableError,
    SupersededError,
)
from trainpoint.format.layout import TaskPath, attempt_key, run_key
from trainpoint.format.records import IntentRecord, RunRecord
from trainpoint.policies.start import Refuse
from trainpoint.store.directory import DirectoryStore
from trainpoint.testing import MemoryStore


@pytest.fixture
def machine() -> Machine:
    return Machine()


# --- undisturbed ------------------------------------------------------------------------------------------------------


def test_the_first_claim_is_attempt_0_and_says_who_and_that_the_run_began(machine: Machine) -> None:
    me = process(1)
    claimed = machine.claim(me)
    assert (claimed.attempt, claimed.record.first_sequence, claimed.record.seen) == (0, 1, {})
    assert claimed.record.holder == me
    key = run_key("_", "w", "r")
    assert RunRecord.from_bytes(machine.store.get(key), key=key).owner == "ada"


def test_requests_of_a_claim_come_in_an_order_that_is_safe(machine: Machine) -> None:
    log: list[str] = []
    machine.memory.before = lambda verb, key: log.append(
        f"{verb} {key.rpartition('.')[2] if '.' in key else key[-10:]}"
    )
    machine.claim(process(1))
    assert log == [
        "list /attempts/",
        "put intent",
        "list /attempts/",
        "list manifests/",
        "put fence",
        "get json",
        "put json",
        "put json",
    ]


def test_a_later_claim_makes_six_requests(machine: Machine) -> None:
    first = machine.claim(process(1))
    first.end(ended(first))
    machine.memory.requests.clear()
    machine.claim(process(2))
    assert machine.memory.requests == {"list": 3, "put": 3}


def test_the_run_is_recorded_once_for_all_its_tasks(machine: Machine) -> None:
    machine.claim(process(1))
    key = run_key("_", "w", "r")
    before = machine.store.get(key)
    machine.clock.advance(10)
    machine.claim(process(2), task=TaskPath("w", "r", "eval"))
    assert machine.store.get(key) == before


def test_attempts_rise_and_sequences_go_on(machine: Machine) -> None:
    for attempt in range(4):
        claimed = machine.claim(process(attempt))
        assert claimed.attempt == attempt
        assert claimed.record.first_sequence == 2 * attempt + 1
        put_manifest(machine.store, attempt, claimed.record.first_sequence)
        put_manifest(machine.store, attempt, claimed.record.first_sequence + 1)
        claimed.end(ended(claimed))
    assert claimed.record.seen == {0: 2, 1: 4, 2: 6}
    assert fences(machine) == [(3, 6), (2, 4), (1, 2), (0, 0)]
    assert [entry.superseded for entry in entries(machine.store, TASK)] == [False] * 8


def test_tasks_and_indexes_do_not_wait_for_each_other(machine: Machine) -> None:
    machine.processes.alive = {1, 2, 3}
    machine.claim(process(1))
    assert machine.claim(process(2), task=TaskPath("w", "r", "main", "1")).attempt == 0
    assert machine.claim(process(3), task=TaskPath("w", "r2", "main")).attempt == 0
    assert machine.waits == []


def test_a_lost_attempts_folder_does_not_make_numbers_begin_anew(machine: Machine) -> None:
    put_manifest(machine.store, 7, 40)
    claimed = machine.claim(process(1))
    assert (claimed.attempt, claimed.record.first_sequence) == (8, 41)


# --- others -----------------------------------------------------------------------------------------------------------


def test_a_holder_that_was_killed_is_taken_over_at_once(machine: Machine) -> None:
    machine.claim(process(1))
    assert machine.claim(process(2)).attempt == 1
    assert machine.clock.slept == []
    assert fences(machine) == [(1, 0), (0, 0)], "no bar: the dead cannot be told anything"


def test_an_intent_of_a_process_that_was_killed_holds_nobody_up(machine: Machine) -> None:
    left = IntentRecord(TASK, 0, "a" * 16, process(1), "2026-01-01T00:00:00.000000Z")
    machine.store.put(attempt_key(TASK, 0, left.uid, "intent"), left.to_bytes())
    assert machine.claim(process(2)).attempt == 1
    assert machine.clock.slept == []


def test_a_live_holder_is_named_after_the_wait(machine: Machine) -> None:
    machine.processes.alive = {1}
    machine.claim(process(1))
    with pytest.raises(ConflictError, match=r"w/r/main is being written by process 1 on here \(user ada\)") as caught:
        machine.claim(process(2), wait_seconds=5)
    assert "since 2026-01-01 00:00:00 UTC" in caught.value.message
    assert "--takeover" in caught.value.remedy
    assert caught.value.exit_code == 1, "86 would fail the holder's own Job"
    assert sum(machine.clock.slept) == pytest.approx(5)
    assert all(pause <= 1.5 for pause in machine.clock.slept)
    assert len(machine.waits) == 1, "told once"


def test_a_live_intent_is_waited_for(machine: Machine) -> None:
    machine.processes.alive = {1}
    left = IntentRecord(TASK, 0, "a" * 16, process(1), "2026-01-01T00:00:00.000000Z")
    machine.store.put(attempt_key(TASK, 0, left.uid, "intent"), left.to_bytes())
    with pytest.raises(ConflictError, match="is being claimed by process 1"):
        machine.claim(process(2), wait_seconds=5)


def test_whoever_waits_goes_on_when_the_holder_ends(machine: Machine) -> None:
    machine.processes.alive = {1}
    holder = machine.claim(process(1))
    lists = itertools.count()

    def end_meanwhile(verb: str, key: str) -> None:
        if verb == "list" and next(lists) == 4:
            machine.memory.before = None
            holder.end(ended(holder))

    machine.memory.before = end_meanwhile
    assert machine.claim(process(2)).attempt == 1
    assert len(machine.clock.slept) == 4


def test_the_wait_begins_anew_with_each_other_holder(machine: Machine) -> None:
    """A queue of short-lived holders is served in turn, however long it is; only one that stays is given up on."""
    machine.processes.alive = set(range(20))
    uids = [f"{number:016x}" for number in range(20)]
    number, began = 0, 0.0
    forge(machine.store, process(0), 0, uids[0])

    def next_holder(verb: str, key: str) -> None:
        nonlocal number, began
        if verb == "list" and number < 20 and machine.clock.monotonic() - began > 4:
            began = machine.clock.monotonic()
            machine.store.put(attempt_key(TASK, number, uids[number], "end"), b"")
            number += 1
            if number < 20:
                forge(machine.store, process(number), number, uids[number])

    machine.memory.before = next_holder
    assert machine.claim(process(99), wait_seconds=6).attempt == 20
    assert machine.clock.monotonic() > 20 * 4
    assert len(machine.waits) == 20


def test_the_same_process_cannot_open_a_task_twice(machine: Machine) -> None:
    me = process(1)
    machine.processes.alive = {1}
    first = machine.claim(me)
    with pytest.raises(ConflictError, match="already open in this process"):
        machine.claim(me)
    assert machine.clock.slept == [], "at once: it would wait for itself"
    first.end(ended(first))
    assert machine.claim(me).attempt == 1


def test_a_claim_that_comes_at_the_same_time_is_noticed_and_given_up(machine: Machine) -> None:
    """Another intent arrives between Look and Check; both would see each other, this one gives up and begins anew."""
    machine.processes.alive = {1}
    other = IntentRecord(TASK, 0, "a" * 16, process(1), "2026-01-01T00:00:00.000000Z")

    def come_between(verb: str, key: str) -> None:
        if verb == "put":
            machine.memory.before = give_up_later
            machine.store.put(attempt_key(TASK, 0, other.uid, "intent"), other.to_bytes())

    def give_up_later(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".lost"):
            machine.memory.before = None
            machine.store.put(attempt_key(TASK, 0, other.uid, "lost"), b"")

    machine.memory.before = come_between
    assert machine.claim(process(2)).attempt == 1
    assert suffixes(machine) == ["intent", "intent", "intent", "json", "lost", "lost"]
    assert len(machine.clock.slept) == 1


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["intent", "fence", "json"])
def test_a_claim_that_fails_half_way_is_given_up_so_that_nobody_waits_for_it(machine: Machine, failing: str) -> None:
    def fail(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(f".{failing}"):
            raise StoreError("the store says no")

    machine.processes.alive = {1}
    machine.memory.before = fail
    with pytest.raises(StoreError, match="says no"):
        machine.claim(process(1))
    machine.memory.before = None
    assert machine.claim(process(2), wait_seconds=0).attempt == 1


def test_a_store_that_is_away_is_not_asked_again(machine: Machine) -> None:
    asked: list[str] = []

    def away(verb: str, key: str) -> None:
        if verb == "put":
            asked.append(key)
            raise StoreUnreachableError("no answer")

    machine.memory.before = away
    with pytest.raises(StoreUnreachableError):
        machine.claim(process(1))
    assert len(asked) == 1


def test_the_same_process_may_try_again_after_a_failure(machine: Machine) -> None:
    def fail(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".json"):
            raise StoreUnreachableError("no answer")

    machine.memory.before = fail
    with pytest.raises(StoreUnreachableError):
        machine.claim(process(1))
    machine.memory.before = None
    assert machine.claim(process(1)).attempt == 1


def test_a_try_that_took_too_long_is_given_up(machine: Machine) -> None:
    """Others elsewhere will soon take it for dead."""

    def slow(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".fence"):
            machine.memory.before = None
            machine.clock.advance(TRY_SECONDS + 1)

    machine.memory.before = slow
    assert machine.claim(process(1)).attempt == 1
    assert suffixes(machine) == ["intent", "intent", "json", "lost"]


@pytest.mark.parametrize("suffix", ["json", "intent"])
def test_a_damaged_record_that_matters_stops_the_claim_and_is_named(machine: Machine, suffix: str) -> None:
    left = IntentRecord(TASK, 0, "a" * 16, process(1), "2026-01-01T00:00:00.000000Z")
    key = attempt_key(TASK, 0, left.uid, suffix)  # type: ignore[arg-type]
    if suffix == "json":
        forge(machine.store, process(1), 0, left.uid)
    else:
        machine.store.put(key, left.to_bytes())
    machine.memory.flip_bit(key, 100)
    with pytest.raises(CorruptRecordError, match=key):
        machine.claim(process(2))


def test_a_damaged_run_record_stops_the_first_claim(machine: Machine) -> None:
    key = run_key("_", "w", "r")
    machine.store.put(key, b"{}")
    with pytest.raises(CorruptRecordError, match=key):
        machine.claim(process(1))


def test_the_record_of_another_claim_is_not_believed(machine: Machine) -> None:
    record = forge(machine.store, process(1), 0)
    machine.store.put(attempt_key(TASK, 5, "b" * 16), record.to_bytes())
    with pytest.raises(CorruptRecordError, match=r"5-b+\.json is the record of another claim"):
        machine.claim(process(2))


# --- the run's own record ---------------------------------------------------------------------------------------------


def test_a_refusal_sees_all_attempts_and_stops_the_claim(machine: Machine) -> None:
    for pid in (1, 2):
        claimed = machine.claim(process(pid))
    seen: list[int] = []

    def refuse(attempts: object) -> Refuse:
        assert isinstance(attempts, list)
        seen.extend(view.number for view in attempts if isinstance(view, AttemptView))
        return Refuse(reasons.RETRIES_EXHAUSTED, "2 of 2 retries are used", "raise retry.limit")

    with pytest.raises(RefusedError, match="2 of 2") as caught:
        machine.claim(process(3), refusal=refuse)
    assert (seen, caught.value.exit_code, caught.value.remedy) == ([0, 1], 86, "raise retry.limit")
    assert claimed.attempt == 1
    assert "2-" not in "".join(machine.memory.keys())


def test_without_an_objection_the_claim_goes_on(machine: Machine) -> None:
    assert machine.claim(process(1), refusal=lambda attempts: None).attempt == 0


# --- a directory ------------------------------------------------------------------------------------------------------


def test_a_directory_gives_the_same_answers(machine: Machine, tmp_path: object) -> None:
    machine.store = DirectoryStore(f"{tmp_path}/store")
    machine.processes.alive = {2}
    first = machine.claim(process(1))
    put_manifest(machine.store, 0, 1)
    second = machine.claim(process(2))
    assert (second.attempt, second.record.seen) == (1, {0: 1})
    with pytest.raises(ConflictError):
        machine.claim(process(3), wait_seconds=0)
    with pytest.raises(SupersededError):
        first.check_superseded()


def test_two_stores_of_the_same_name_are_two(machine: Machine) -> None:
    """What is open in this process is known by the claim, not by the name of the store."""
    machine.claim(process(1))
    machine.store = MemoryStore(clock=machine.clock)
    assert machine.claim(process(1)).attempt == 0
