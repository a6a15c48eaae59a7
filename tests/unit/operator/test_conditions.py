"""Conditions and status patches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.apidouble import merge
from trainpoint.format.digest import JsonObject
from trainpoint_operator.conditions import Condition, is_true, merged, size_text, status_patch

THEN, NOW = "2026-11-22T01:00:00Z", "2026-11-22T02:00:00Z"


def old(type: str, status: str, message: str = "m") -> JsonObject:
    return {
        "type": type,
        "status": status,
        "observedGeneration": 1,
        "lastTransitionTime": THEN,
        "reason": "Before",
        "message": message,
    }


def test_the_transition_time_stays_while_the_status_stays() -> None:
    (ready,) = merged([old("Ready", "True")], [Condition("Ready", "True", "After", "n")], generation=2, now=NOW)
    assert (ready["lastTransitionTime"], ready["reason"], ready["message"]) == (THEN, "After", "n")
    assert ready["observedGeneration"] == 2


def test_the_transition_time_moves_with_the_status() -> None:
    (ready,) = merged([old("Ready", "True")], [Condition("Ready", "False", "After", "n")], generation=2, now=NOW)
    assert (ready["status"], ready["lastTransitionTime"]) == ("False", NOW)


def test_the_order_is_that_of_before_and_new_types_come_last() -> None:
    new = [Condition("C", "True", "R", ""), Condition("A", "True", "R", ""), Condition("B", "True", "R", "")]
    found = merged([old("B", "True"), old("A", "False")], new, generation=1, now=NOW)
    assert [c["type"] for c in found] == ["B", "A", "C"]


def test_a_type_that_is_not_named_stays_as_it_is() -> None:
    kept = old("Verified", "True")
    assert merged([kept], [Condition("Ready", "True", "R", "")], generation=9, now=NOW)[0] == kept


def test_the_same_again_changes_nothing() -> None:
    new = [Condition("Ready", "True", "R", "x"), Condition("Verified", "Unknown", "R", "y")]
    once = merged([], new, generation=1, now=THEN)
    assert merged(once, new, generation=1, now=NOW) == once


def test_a_long_message_is_cut_to_what_the_kinds_accept() -> None:
    (cut,) = merged([], [Condition("Ready", "True", "R", "ä" * 5000)], generation=1, now=NOW)
    assert len(cut["message"]) == 1024
    assert cut["message"].endswith("ä…")
    (whole,) = merged([], [Condition("Ready", "True", "R", "ä" * 1024)], generation=1, now=NOW)
    assert whole["message"] == "ä" * 1024


@pytest.mark.parametrize(("status", "expected"), [("True", True), ("False", False), ("Unknown", False)])
def test_only_true_is_true(status: str, expected: bool) -> None:
    assert is_true([old("Other", "True"), old("Ready", status)], "Ready") is expected


def test_a_condition_that_is_not_there_is_not_true() -> None:
    assert not is_true([old("Other", "True")], "Ready")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (512, "512"),
        (1023, "1023"),
        (1024, "1Ki"),
        (3 * 1024, "3Ki"),
        (1536, "1.5Ki"),
        (10 * 1024 - 1, "10Ki"),
        (1024**2 - 1, "1Mi"),
        (12 * 1024**3, "12Gi"),
        (980 * 1024**3, "980Gi"),
        (1024**6, "1Ei"),
        (5000 * 1024**6, "5000Ei"),
        (-1, "0"),
    ],
)
def test_sizes_for_columns(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({}, {}, None),
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 3}}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": {"y": None}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": None}}),
        ({"a": 1}, {"a": {}}, {"a": {}}),
        ({}, {"a": {}}, {"a": {}}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {"a": None}, None),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": 1, "claim": {"n": 3}}, {"a": 2, "claim": {"n": 3}}, {"a": 2}),
    ],
)
def test_the_smallest_patch(before: JsonObject, after: JsonObject, patch: JsonObject | None) -> None:
    assert status_patch(before, after) == patch


LEAVES = st.one_of(st.integers(0, 3), st.booleans(), st.text("ab", max_size=2), st.lists(st.integers(0, 2), max_size=2))
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner | LEAVES, max_size=3),
    max_leaves=8,
)


@given(TREES, TREES)
def test_a_patch_makes_the_one_into_the_other(before: JsonObject, after: JsonObject) -> None:
    patch = status_patch(before, after)
    if patch is None:
        assert repr(before) == repr(after) or before == after
    else:
        assert merge(before, patch) == after
        assert status_patch(after, after) is None
