"""May the bytes of a Checkpoint go? What is never allowed is the property at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import at
from trainpoint_operator.decisions.deletion import (
    SETTLING,
    Blocked,
    Delete,
    DeletionInput,
    Keep,
    Verdict,
    Wait,
    may_delete,
)

PLAIN = DeletionInput(
    seen=at(10),
    now=at(13),
    retain=False,
    store="main",
    store_exists=True,
    namespace_terminating=False,
    kind_terminating=False,
)
CASES: list[tuple[str, DeletionInput, str]] = [
    ("a person deleted it", PLAIN, "Delete"),
    ("it was just deleted", replace(PLAIN, seen=None), "Wait"),
    ("it was just seen", replace(PLAIN, now=at(12.9)), "Wait"),
    ("its namespace goes", replace(PLAIN, namespace_terminating=True), "Keep NamespaceTerminating"),
    ("its namespace goes, seen just now", replace(PLAIN, seen=None, namespace_terminating=True), "Keep NamespaceTerm"),
    ("the kind goes", replace(PLAIN, kind_terminating=True), "Keep KindTerminating"),
    ("its bytes are to stay", replace(PLAIN, retain=True), "Keep Retained"),
    ("nobody knows where its bytes are", replace(PLAIN, store=""), "Keep NoStoreRef"),
    ("its store is gone", replace(PLAIN, store_exists=False), "Blocked StoreNotFound"),
    ("its store is gone, but its bytes are to stay", replace(PLAIN, store_exists=False, retain=True), "Keep Retained"),
    ("its store is gone with the namespace", replace(PLAIN, store_exists=False, namespace_terminating=True), "Keep"),
]


def words(verdict: Verdict) -> str:
    return f"{type(verdict).__name__} {getattr(verdict, 'reason', '')}"


@pytest.mark.parametrize(("facts", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_verdict_when(facts: DeletionInput, expected: str) -> None:
    assert words(may_delete(facts)).startswith(expected)


def test_who_is_blocked_is_told_both_ways_out() -> None:
    verdict = may_delete(replace(PLAIN, store_exists=False))
    assert isinstance(verdict, Blocked)
    assert "CheckpointStore main does not exist" in verdict.message
    assert "create it again" in verdict.message
    assert "deletionPolicy: Retain" in verdict.message


TIMES = st.floats(0, 30).map(at)


@given(
    st.builds(
        DeletionInput,
        seen=st.none() | TIMES,
        now=TIMES,
        retain=st.booleans(),
        store=st.sampled_from(["main", ""]),
        store_exists=st.booleans(),
        namespace_terminating=st.booleans(),
        kind_terminating=st.booleans(),
    )
)
def test_bytes_go_only_when_nothing_speaks_against_it(facts: DeletionInput) -> None:
    verdict = may_delete(facts)
    if isinstance(verdict, Delete):
        assert not (facts.retain or facts.namespace_terminating or facts.kind_terminating)
        assert facts.store
        assert facts.store_exists
        assert facts.seen is not None
        assert facts.now - facts.seen >= SETTLING


@given(st.floats(0, 1000).map(at))
def test_two_seconds_pass_also_where_the_status_holds_whole_seconds_only(seen: datetime) -> None:
    """The way of the reconciler: it writes down when it saw the deletion, and reads that back."""
    written = seen.replace(microsecond=0)
    now = seen
    while isinstance(verdict := may_delete(replace(PLAIN, seen=written, now=now)), Wait):
        assert 0 < verdict.seconds <= 3
        now += timedelta(seconds=verdict.seconds)
    assert isinstance(verdict, Delete)
    assert SETTLING <= now - seen <= SETTLING + timedelta(seconds=1.001)


def test_what_is_kept_says_so() -> None:
    for facts in (replace(PLAIN, retain=True), replace(PLAIN, kind_terminating=True), replace(PLAIN, store="")):
        verdict = may_delete(facts)
        assert isinstance(verdict, Keep)
        assert "bytes stay" in verdict.message
