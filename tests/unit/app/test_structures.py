"""Dict and List: like dict and list, of components only, each in one place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trainpoint.app import Dict, Flow, List, Work
from trainpoint.app.component import Component, dotted
from trainpoint.app.notices import left_out
from trainpoint.app.state import capture
from trainpoint.errors import ComponentError


class Root(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.d = Dict(a=Work(), b=Work())
        self.l = List(Work(), Work())


def test_a_dict_is_a_mapping() -> None:
    one, two = Work(), Flow()
    d = Dict({"a": one}, b=two)
    assert list(d) == ["a", "b"]
    assert d["a"] is one
    assert d.get("c") is None
    assert "b" in d
    assert len(d) == 2
    assert d.pop("a") is one
    d["again"] = one
    assert list(d.items()) == [("b", two), ("again", one)]
    d.clear()
    assert not d


def test_a_list_is_a_sequence() -> None:
    one, two, three = Work(), Work(), Flow()
    li = List[Component]([one, two])
    li.append(three)
    assert list(li) == [one, two, three]
    assert li[-1] is three
    assert li[:2] == [one, two]
    li.remove(one)
    li.insert(0, Work())
    assert li.pop() is three
    assert len(li) == 2
    del li[:]
    assert not li
    li.extend([three, one])
    assert li.index(one) == 1


def test_names_follow_the_places() -> None:
    root = Root()
    second = root.l[1]
    assert dotted(second) == "root.l.1"
    del root.l[0]
    assert dotted(second) == "root.l.0"
    assert dotted(root.d["b"]) == "root.d.b"


def test_what_is_replaced_or_deleted_is_free_again() -> None:
    root = Root()
    old_d, old_l = root.d["a"], root.l[0]
    root.d["a"], root.l[0] = Work(), Work()
    del root.d["b"]
    root.d["x"], root.d["y"] = old_l, old_d
    assert [dotted(old_l), dotted(old_d)] == ["root.d.x", "root.d.y"]


def test_setting_the_same_item_again_changes_nothing() -> None:
    root = Root()
    root.d["a"] = root.d["a"]
    root.l[1] = root.l[1]
    assert dotted(root.l[1]) == "root.l.1"


def twice_in_a_list(root: Root) -> None:
    root.l.append(root.l[0])


def twice_in_a_dict(root: Root) -> None:
    root.d["c"] = root.d["a"]


def from_one_to_the_other(root: Root) -> None:
    root.l[0] = root.d["a"]


def none_in_a_dict(root: Root) -> None:
    root.d["a"] = None  # type: ignore[assignment]


def a_number_in_a_list(root: Root) -> None:
    root.l.append(3)  # type: ignore[arg-type]


def a_key_that_is_no_text(root: Root) -> None:
    root.d[3] = Work()  # type: ignore[index]


def a_slice(root: Root) -> None:
    root.l[:] = [Work()]


def an_attribute(root: Root) -> None:
    root.d.count = 3


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (twice_in_a_list, "root.l.2 is already root.l.0"),
        (twice_in_a_dict, "root.d.c is already root.d.a"),
        (from_one_to_the_other, "root.l.0 is already root.d.a"),
        (none_in_a_dict, "root.d.a cannot be of the type NoneType: a Dict holds flows, works and structures"),
        (a_number_in_a_list, "root.l.2 cannot be of the type int"),
        (a_key_that_is_no_text, "root.d has no place for the key 3"),
        (a_slice, "one component, one place"),
        (an_attribute, "root.d.count cannot be set: a Dict holds nothing but its items"),
    ],
    ids=lambda case: case.__name__ if callable(case) else "",
)
def test_what_a_structure_cannot_hold_is_refused_and_changes_nothing(
    mistake: Callable[[Root], None], message: str
) -> None:
    root = Root()
    before = [*root.d.items()], [*root.l]
    with pytest.raises(ComponentError) as raised:
        mistake(root)
    assert message in raised.value.message
    assert ([*root.d.items()], [*root.l]) == before


def test_structures_are_told_apart_by_identity() -> None:
    assert Dict() != Dict()
    assert len({Dict(), Dict(), List(), List()}) == 4


def test_what_it_holds_can_be_said_for_the_type_checker_and_leaves_no_trace() -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.d = Dict[Work](a=Work())
            self.l = List[Work]()

    root = Main()
    captured = capture(root)
    assert list(left_out(root)) == []
    assert captured.state["state"]["structures"]["l"] == {"kind": "List", "items": []}
