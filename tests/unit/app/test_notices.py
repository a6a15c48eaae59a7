"""What is told of a state: what it leaves out, and what a start from it could not give back."""

from __future__ import annotations

import logging

import pytest

from trainpoint.app import Flow, List, Work
from trainpoint.app.component import walk
from trainpoint.app.notices import Notices, created_later, left_out, listed, of_another_class
from trainpoint.format.digest import JsonObject


class Inner(Flow):
    def __init__(self) -> None:
        super().__init__()
        self._cache = 1
        self.w = Work()

    late: Work


class Main(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.parts = List(Work())

    late: Inner


class Creates(Main):
    def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
        self.late = Inner()
        super().load_state_dict(flow_state, children_states, strict)


def later(root: Main, grow: bool = True) -> list[str]:
    made = {path: type(component) for path, component in walk(root)}
    if grow:
        root.late, root.inner.late = Inner(), Work()
        root.parts.append(Work())
    return [name for _, name in created_later(root, made)]


def test_what_the_constructor_makes_is_there_at_every_start() -> None:
    assert later(Main(), grow=False) == []


def test_what_is_created_later_is_named_by_its_topmost_component() -> None:
    assert later(Main()) == ["root.inner.late", "root.parts.1", "root.late"]


def test_a_component_of_another_class_in_the_same_place_is_told() -> None:
    root = Main()
    made = {path: type(component) for path, component in walk(root)}
    root.inner.w = Work()
    assert list(created_later(root, made)) == []

    class Other(Work):
        pass

    root.inner.w = Other()
    assert list(created_later(root, made)) == [], "the constructor makes a work there, to which its state is given"
    (told,) = [text for _, text in of_another_class(root, made)]
    assert told.startswith("root.inner.w is a ")
    assert told.endswith("Other, not a Work")
    root.inner.w = Flow()  # type: ignore[assignment]
    assert [name for _, name in created_later(root, made)] == ["root.inner.w"]
    assert list(of_another_class(root, made)) == []


def test_a_flow_that_creates_it_itself_is_trusted() -> None:
    assert later(Creates()) == []


def test_each_thing_is_told_once_also_if_it_comes_later(caplog: pytest.LogCaptureFixture) -> None:
    root = Main()
    notices = Notices(root)
    told = []
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        for second in range(5):
            if second == 2:
                vars(root)["_private"] = 1
            if second == 3:
                root.late = Inner()
            notices.look(float(second))
            notices.look(second + 0.5)  # less than a second later
            told.append([record.message for record in caplog.records])
            caplog.clear()
    assert told == [
        ["not saved: root.inner._cache: its name begins with _"],
        [],
        ["not saved: root._private: its name begins with _"],
        [
            "created as the app runs: root.late; a start from its checkpoints ends with exit code 86, unless a "
            "load_state_dict of its flow creates it",
        ],
        [],
    ]


def test_of_a_list_that_grows_the_first_item_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Item(Work):
        def __init__(self) -> None:
            super().__init__()
            self._private = 1

    root = Main()
    root.parts.clear()
    notices = Notices(root)
    with caplog.at_level(logging.INFO, logger="trainpoint"):
        for second in range(5):
            root.parts.append(Item())
            notices.look(float(second))
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "not saved: root.inner._cache: its name begins with _",
        "created as the app runs: root.parts.0",
    ]
    assert "root.parts.0._private: its name begins with _" in caplog.text


def test_a_long_list_says_how_many_more_there_are() -> None:
    root = Main()
    for number in range(11):
        setattr(root, f"_x{number:02}", 0)
    names = [text for _, text in left_out(root)]
    assert len(names) == 12
    assert listed(names, "; ").endswith("root._x09: its name begins with _ and 2 more")
    assert listed(names[:10], "; ").endswith("root._x09: its name begins with _")
