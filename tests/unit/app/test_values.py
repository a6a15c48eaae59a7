"""Values of a state: what JSON can hold comes back exactly, everything else is an error that names the attribute."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, deque
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.app import Work
from trainpoint.app.values import MAX_DEPTH, copied, decode, encode, same, text_of
from trainpoint.errors import UnsupportedStateError


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


ENDLESS: list[object] = []
ENDLESS.append(ENDLESS)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts | st.sampled_from(["__float__", "__dict__"]), inner, max_size=3)
    ),
    max_leaves=10,
)


def through_json(value: object) -> object:
    return decode(json.loads(text_of(encode(value, "root.x"))))


@given(values)
def test_what_is_saved_comes_back_as_it_was(value: object) -> None:
    assert repr(through_json(value)) == repr(value)  # 1 and 1.0, 0.0 and -0.0, NaN, and the order of keys
    assert same(through_json(value), value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        -0.0,
        5e-324,
        0.1,
        2**63,
        -(10**4000),
        True,
        None,
        "größe ☃ 𝄞 \x00",
        {"__float__": "NaN"},
        {"__dict__": {"__float__": "NaN"}},
        {"__dict__": 3, "b": 4},
        {"b": 1, "a": 2, "": [[], {}]},
    ],
    ids=repr,
)
def test_values_at_the_edges_come_back(value: object) -> None:
    assert repr(through_json(value)) == repr(value)


def test_a_state_is_json_that_every_parser_reads() -> None:
    def no_constant(name: str) -> object:
        raise AssertionError(f"{name} is no JSON")

    text = text_of(encode([math.nan, math.inf, -math.inf], "root.x"))
    assert json.loads(text, parse_constant=no_constant) == [
        {"__float__": "NaN"},
        {"__float__": "Infinity"},
        {"__float__": "-Infinity"},
    ]


@pytest.mark.parametrize(
    ("value", "where", "what", "remedy"),
    [
        ((1, 2), "root.x", "a tuple", "list(self.x)"),
        ({1, 2}, "root.x", "a set", "list(self.x)"),
        (b"abc", "root.x", "a bytes", "text, numbers"),
        (Path("/data"), "root.x", "Path", "str(self.x)"),
        (datetime.now(UTC), "root.x", "a datetime.datetime", "self.x.isoformat()"),
        (np.float64(0.5), "root.x", "a numpy.float64", "float(self.x)"),
        (np.arange(3), "root.x", "a numpy.ndarray", "self.x.tolist()"),
        (Colour.RED, "root.x", "Colour", "int(self.x)"),
        (Name("ada"), "root.x", "Name", "str(self.x)"),
        (OrderedDict(a=1), "root.x", "a collections.OrderedDict", "dict(self.x)"),
        (deque([1]), "root.x", "a collections.deque", "text, numbers"),
        (1j, "root.x", "a complex", "text, numbers"),
        (10**5000, "root.x", "4000 digits", "str(self.x)"),
        ("\ud800", "root.x", "lone surrogate", "repair"),
        ({3: "three"}, "root.x", "a key that is an int", "str(k)"),
        ({"\ud800": 1}, "root.x", "lone surrogate", "repair"),
        ({"a": [1, {"b": (1,)}]}, "root.x['a'][1]['b']", "a tuple", "list(value)"),
        (ENDLESS, "root.x[0]", "contains itself", "flatter"),
        (len, "root.x", "a builtin_function_or_method", "text, numbers"),
        ([Work()], "root.x[0]", "Work", "trainpoint.app.List"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_an_error_that_names_the_attribute(
    value: object, where: str, what: str, remedy: str
) -> None:
    with pytest.raises(UnsupportedStateError) as raised:
        encode(value, "root.x")
    assert raised.value.message.startswith(f"{where}")
    assert what in raised.value.message
    assert remedy in raised.value.remedy
    assert "begin the attribute's name with _" in raised.value.remedy


def test_depth_has_a_limit_that_can_be_used_in_full() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert through_json(value) == value
    with pytest.raises(UnsupportedStateError, match=f"deeper than {MAX_DEPTH} levels"):
        encode([value], "root.x")


def test_a_copy_shares_no_list_and_no_dict() -> None:
    value = {"a": [1, [2]], "b": {"c": []}}
    for copy in (copied(value), encode(value, "root.x"), decode(value)):
        assert copy == value
        value["a"][1].append(3)  # type: ignore[index]
        assert copy == {"a": [1, [2]], "b": {"c": []}}
        value["a"][1].pop()  # type: ignore[index]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, False),
        (1, True, False),
        (0.0, -0.0, False),
        (math.nan, math.nan, True),
        ([1], [1], True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        (None, None, True),
    ],
)
def test_sameness_is_that_of_the_state(one: object, other: object, equal: bool) -> None:
    assert same(one, other) is equal
