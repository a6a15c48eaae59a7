"""Dict and List: like dict and list, of components only, each in one place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trainpoint.app import Dict, Flow, List, Work
from trainpoint.app.component import Component, dotted
from trainpoint.app.notices import left_out
from trainpoint.app.state import Report, capture, parse, restore
from trainpoint.errors import ComponentError, IncompatibleStateError
from trainpoint.format.digest import JsonObject


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


def test_a_key_that_no_file_can_hold_is_refused_where_it_is_set() -> None:
    app = Root()
    with pytest.raises(ComponentError, match=r"root\.d has no place for the key 'caf\\udce9'"):
        app.d["caf\udce9"] = Work()
    app.d["café\n"] = Work()


# --- what the app has taken away --------------------------------------------------------------------------------------


class Named(Work):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.n = 0


class Todo(Flow):
    def __init__(self, *names: str) -> None:
        super().__init__()
        self.x = 1
        self.w = Named("w")
        self.todo = List(Named(name) for name in names or "abc")
        self.by = Dict({name: Named(name) for name in names or "abc"})


def again(app: Flow, code: Flow) -> Report:
    """Saved, and restored into other code, or the same."""
    return restore(code, parse(capture(app).text(), "test"))


def items(app: Todo) -> list[tuple[str, int]]:
    return [(item._name, item.n) for item in app.todo]


def test_what_the_app_has_taken_away_does_not_come_back() -> None:
    app = Todo()
    for number, item in enumerate(app.todo, 1):
        item.n = number
    del app.todo[0], app.by["b"], app.x, app.w
    code = Todo()
    report = again(app, code)
    assert items(code) == [("b", 2), ("c", 3)]
    assert list(code.by) == ["a", "c"]
    assert not hasattr(code, "x")
    assert not hasattr(code, "w")
    assert report.kept_default == ()
    assert report.dropped == ()
    assert {"root.x", "root.w", "root.by.b"} <= set(report.changed)
    assert capture(code).text() == capture(app).text()


def test_items_keep_their_states_wherever_the_app_has_moved_them() -> None:
    app = Todo()
    for number, item in enumerate(app.todo, 1):
        item.n = number
    app.todo.append(app.todo.pop(0))
    code = Todo()
    again(app, code)
    assert items(code) == [("b", 2), ("c", 3), ("a", 1)]


def test_new_items_of_the_code_stay_and_those_that_load_state_dict_adds_get_what_came_later() -> None:
    class Adds(Todo):
        def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
            self.todo.append(Named("later"))
            super().load_state_dict(flow_state, children_states, strict)

    app = Todo("a", "b")
    app.todo[1].n = 2
    del app.todo[0]
    app.todo.append(Named("later"))
    app.todo[1].n = 7
    code = Adds("a", "b", "new")
    report = again(app, code)
    assert items(code) == [("b", 2), ("later", 7), ("new", 0)]
    assert "root.todo.2" in report.kept_default


def test_an_item_that_the_app_has_put_in_the_place_of_another_is_restored_there() -> None:
    def assigned(app: Todo) -> None:
        app.todo[0] = Named("new")

    def appended(app: Todo) -> None:
        del app.todo[0]
        app.todo.append(Named("new"))

    def emptied(app: Todo) -> None:
        app.todo = List(Named("new"))

    def none_left(app: Todo) -> None:
        app.todo, app.by = List(), Dict()

    for change, count in ((assigned, 3), (appended, 3), (emptied, 1), (none_left, 0)):
        app = Todo()
        change(app)
        for number, item in enumerate(app.todo, 1):
            item.n = number
        code = Todo()
        again(app, code)
        assert [n for _, n in items(code)] == list(range(1, count + 1)), change.__name__
        assert len(code.by) == len(app.by)
        assert capture(code).state["state"]["structures"].keys() == capture(app).state["state"]["structures"].keys()
        third = Todo()
        again(code, third)
        assert [n for _, n in items(third)] == list(range(1, count + 1)), f"{change.__name__}, for the second time"


def test_one_of_another_class_is_not_taken_for_what_the_code_makes_there() -> None:
    class Other(Named):
        def __init__(self) -> None:
            super().__init__("other")
            self.more = 1

    app = Todo()
    app.w, app.todo[1], app.by["a"] = Other(), Other(), Other()
    with pytest.raises(IncompatibleStateError) as raised:
        again(app, Todo())
    for name in ("root.w.more", "root.todo.1.more", "root.by.a.more"):
        assert f"{name}: a variable of the state that the code does not set" in raised.value.message


def test_items_that_load_state_dict_makes_go_by_places_also_where_there_are_as_many_as_in_the_code() -> None:
    class Whole(Todo):
        def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
            self.todo = List(Named(str(item["vars"]["n"])) for item in children_states["todo"]["items"])
            super().load_state_dict(flow_state, children_states, strict)

    class OneByOne(Todo):
        def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
            for number, item in enumerate(children_states["todo"]["items"]):
                self.todo[number] = Named(str(item["vars"]["n"]))
            super().load_state_dict(flow_state, children_states, strict)

    app = Todo()
    app.todo.append(Named("d"))
    for number, item in enumerate(app.todo, 1):
        item.n = number
    del app.todo[0]
    for code in (Whole(), OneByOne()):
        again(app, code)
        assert items(code) == [("2", 2), ("3", 3), ("4", 4)]


def test_a_part_that_is_made_once_more_with_less_has_less_after_a_restart_too() -> None:
    class Pool(Flow):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.works = List(Named(str(number)) for number in range(size))

    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.pool = Pool(3)

    app, code = Main(), Main()
    app.pool = Pool(2)
    again(app, code)
    assert len(code.pool.works) == 2


def test_a_list_that_load_state_dict_makes_itself_goes_by_places() -> None:
    class Makes(Todo):
        def load_state_dict(self, flow_state: JsonObject, children_states: JsonObject, strict: bool = True) -> None:
            self.todo = List(Named("own") for _ in children_states["todo"]["items"])
            super().load_state_dict(flow_state, children_states, strict)

    app = Todo()
    app.todo[2].n = 3
    del app.todo[0]
    code = Makes()
    again(app, code)
    assert items(code) == [("own", 0), ("own", 3)]


def test_what_a_constructor_takes_away_from_a_part_is_not_there_from_the_beginning() -> None:
    class Less(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Todo()
            del self.inner.x, self.inner.todo[0]

    state = capture(Less()).state["state"]["flows"]["inner"]
    assert "gone" not in state
    assert state["structures"]["todo"].keys() == {"kind", "items"}
    code = Less()
    assert again(Less(), code).changed == ()
    assert items(code.inner) == [("b", 0), ("c", 0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": "x"},
        {"order": [0]},
        {"order": [0, 0]},
        {"order": [0, 3]},
        {"order": [0, "1"]},
        {"made": -1},
        {"made": "2"},
    ],
)
def test_an_order_that_names_no_items_is_refused(wrong: JsonObject) -> None:
    app = Todo("a", "b")
    document = capture(app).state
    document["state"]["structures"]["todo"] |= {"made": 2, "order": [1, 0], **wrong}
    with pytest.raises(IncompatibleStateError, match=r"order of root\.todo does not say"):
        restore(Todo("a", "b"), document)
