"""Holders that cannot be seen from here, takeovers, and what an overtaken writer learns."""

from __future__ import annotations

import itertools

import pytest

from tests.support.claims import TASK, Machine, elsewhere, fences, forge, process, put_manifest, suffixes
from trainpoint.catalog.entries import entries
from trainpoint.claim.store import Claim
from trainpoint.errors import ConflictError, SupersededError
from trainpoint.format.layout import EVERY_SEQUENCE, attempt_key
from trainpoint.format.records import IntentRecord
from trainpoint.policies.start import QUIET_SECONDS


@pytest.fixture
def machine() -> Machine:
    return Machine()


# --- elsewhere --------------------------------------------------------------------------------------------------------


def test_a_holder_on_another_host_is_respected_until_it_was_silent_for_two_minutes(machine: Machine) -> None:
    forge(machine.store, elsewhere(1), 0)
    began = machine.clock.monotonic()
    assert machine.claim(process(2), wait_seconds=600).attempt == 1
    assert QUIET_SECONDS <= machine.clock.monotonic() - began < QUIET_SECONDS + 15
    assert machine.waits == [
        "w/r/main is being written by process 1 on gpu-9 (user ada), attempt 0, since 2026-01-01 00:00:00 UTC"
    ]


def test_beats_keep_a_holder_on_another_host_alive(machine: Machine) -> None:
    record = forge(machine.store, elsewhere(1), 0)
    beats = 0

    def beat(verb: str, key: str) -> None:
        nonlocal beats
        due = machine.clock.monotonic() // 30
        if due > beats:
            beats = int(due)
            machine.store.put(attempt_key(TASK, 0, record.uid, "beat"), b"")

    machine.memory.before = beat
    with pytest.raises(ConflictError, match="process 1 on gpu-9"):
        machine.claim(process(2), wait_seconds=600)
    assert beats == 20


def test_the_age_of_a_holder_is_measured_by_the_servers_clock_alone(machine: Machine) -> None:
    """This machine's clock may be hours off: it is another one than the store's here."""
    forge(machine.store, elsewhere(1), 0)
    own = Machine()
    own.clock.advance(7200)
    own.store = machine.store
    with pytest.raises(ConflictError):
        own.claim(process(2), wait_seconds=5)
    machine.clock.advance(QUIET_SECONDS)
    assert own.claim(process(2), wait_seconds=5).attempt == 1


def test_asking_for_the_servers_time_costs_little(machine: Machine) -> None:
    forge(machine.store, elsewhere(1), 0)
    machine.memory.requests.clear()
    with pytest.raises(ConflictError):
        machine.claim(process(2), wait_seconds=60)
    assert machine.memory.requests["put"] <= 7, "one small object every ten seconds, none with each look"
    assert suffixes(machine).count("beat") == 1


def test_an_intent_on_another_host_is_given_two_minutes(machine: Machine) -> None:
    left = IntentRecord(TASK, 0, "a" * 16, elsewhere(1), "2026-01-01T00:00:00.000000Z")
    machine.store.put(attempt_key(TASK, 0, left.uid, "intent"), left.to_bytes())
    with pytest.raises(ConflictError, match="is being claimed by process 1 on gpu-9"):
        machine.claim(process(2), wait_seconds=60)
    machine.clock.advance(60)
    assert machine.claim(process(2)).attempt == 1


# --- taken for dead ---------------------------------------------------------------------------------------------------


def test_an_overtaken_writer_is_told_and_what_it_adds_late_is_superseded(machine: Machine) -> None:
    machine.processes.alive = {1}
    old = machine.claim(process(1))
    put_manifest(machine.store, 0, 1)
    old.check_superseded()
    new = machine.claim(process(2), takeover=True)
    assert (new.attempt, new.record.seen) == (1, {0: 1})
    with pytest.raises(SupersededError, match="attempt 0 of w/r/main was superseded: attempt 1"):
        old.check_superseded()
    put_manifest(machine.store, 0, 2)
    assert {e.id.sequence: e.superseded for e in entries(machine.store, TASK)} == {1: False, 2: True}
    new.check_superseded()


def test_a_commit_that_was_reported_while_a_successor_claimed_is_not_superseded(machine: Machine) -> None:
    """Whatever request of the takeover it comes before: either its writer is told, or it stays eligible."""
    outcomes: list[bool] = []
    for moment in itertools.count():
        machine = Machine()
        machine.processes.alive = {1}
        old = machine.claim(process(1))
        count = itertools.count()
        reported: list[bool] = []

        def commit(
            verb: str,
            key: str,
            machine: Machine = machine,
            old: Claim = old,
            moment: int = moment,
            count: itertools.count[int] = count,
            reported: list[bool] = reported,
        ) -> None:
            if next(count) == moment:
                machine.memory.before = None
                try:
                    old.check_superseded()
                    put_manifest(machine.store, 0, 1)
                    old.check_superseded()
                    reported.append(True)
                except SupersededError:
                    reported.append(False)

        machine.memory.before = commit
        new = machine.claim(process(2), takeover=True)
        assert new.attempt == 1
        if not reported:
            break  # the takeover makes no more requests
        if reported[0]:
            late = [e.superseded for e in entries(machine.store, TASK)]
            assert late == [False], f"reported before request {moment}, and superseded"
        outcomes += reported
    assert set(outcomes) == {True, False}
    assert outcomes == sorted(outcomes, reverse=True), "once it is told, it stays so"


def test_a_takeover_puts_up_a_bar_first(machine: Machine) -> None:
    machine.processes.alive = {1}
    machine.claim(process(1))
    machine.claim(process(2), takeover=True)
    assert fences(machine) == [(1, EVERY_SEQUENCE), (1, 0), (0, 0)]


def test_a_takeover_does_not_pass_over_whoever_comes_after_it_has_begun(machine: Machine) -> None:
    machine.processes.alive = {1, 3}
    machine.claim(process(1))

    def come_first(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".intent"):
            machine.memory.before = None
            forge(machine.store, process(3), 1, "c" * 16)

    machine.memory.before = come_first
    with pytest.raises(ConflictError, match="process 3"):
        machine.claim(process(2), takeover=True, wait_seconds=5)


def test_asking_whether_it_is_superseded_is_one_request_at_any_number_of_checkpoints(machine: Machine) -> None:
    claimed = machine.claim(process(1))
    for sequence in range(1, 2500):
        put_manifest(machine.store, 0, sequence)
    machine.memory.requests.clear()
    claimed.check_superseded()
    assert machine.memory.requests == {"list": 1}
