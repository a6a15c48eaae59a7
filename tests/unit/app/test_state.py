"""Saving and restoring an app: whole or not at all, with one error that lists all that does not fit."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
from typing import Any

import pytest

from tests.support.documents import blocks
from tests.support.repository import ROOT
from trainpoint.app import Dict, Flow, List, Work
from trainpoint.app.component import Component
from trainpoint.app.state import Report, capture, check_state, differences, parse, restore
from trainpoint.errors import ComponentError, IncompatibleStateError, NewerFormatError, UnsupportedStateError

State = dict[str, Any]


class Count(Work):
    def __init__(self) -> None:
        super().__init__()
        self.counter = 0

    def run(self, *_: object) -> None:
        self.counter += 1


class Seed(Flow):
    """The class of the page that apps follow, with ``Work()`` where it says ``WorkReload()``."""

    w: Count
    f: Seed
    z: int
    a: int

    def run(self) -> None:
        if not getattr(self, "w", None):
            self.w = Count()
        self.w.run()

    def should_save_checkpoint(self) -> bool:
        return True


class Migrating(Seed):
    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        self.w = Count()
        children_states["w"]["vars"]["counter"] *= 2
        super().load_state_dict(flow_state, children_states, strict)


def saved(root: Flow) -> State:
    """Through the file and back."""
    return parse(capture(root).text(time="2026-01-01T00:00:00Z"), "test")


def everything(root: Flow) -> object:
    """What must be as before when a state was refused: attributes with their identities and contents."""
    return _everything(root)


def _everything(component: Any) -> object:
    held = {name: (id(value), repr(value)) for name, value in component.__dict__.items()}
    children = {name: _everything(child) for name, child in component._tp_children()}
    return (id(component), component._tp_parent and id(component._tp_parent), list(held.items()), children)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_file_is_readable_json_with_the_variables_of_all_components() -> None:
    class Main(Flow):
        app_version = "3"

        def __init__(self) -> None:
            super().__init__()
            self.n = 1
            self.f = Seed()
            self.d = Dict(b=Count(), a=Seed())
            self.l = List(Count(), Dict())

    app = Main()
    app.f.run()
    app.late = math.nan
    captured = capture(app)
    call = {"name": "run", "args": [], "kwargs": {}, "status": "succeeded"}
    (key,) = app.f.w._tp_calls
    count = {"vars": {"counter": 0}, "calls": {}}
    flow: State = {"vars": {}, "calls": {}, "flows": {}, "works": {}, "structures": {}}
    text = captured.text(time="2026-01-01T00:00:00Z")
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "formatVersion": 1,
        "kind": "App",
        "app": {"name": "Main", "version": "3"},
        "time": "2026-01-01T00:00:00Z",
        "state": {
            "vars": {"late": {"__float__": "NaN"}, "n": 1},
            "later": ["late"],
            "calls": {},
            "flows": {"f": {**flow, "works": {"w": {"vars": {"counter": 1}, "calls": {key: call}}}}},
            "works": {},
            "structures": {
                "d": {"kind": "Dict", "items": {"b": {"kind": "Work", **count}, "a": {"kind": "Flow", **flow}}},
                "l": {"kind": "List", "items": [{"kind": "Work", **count}, {"kind": "Dict", "items": {}}]},
            },
        },
    }


def test_the_example_of_the_reference_is_a_file_that_an_app_takes_over() -> None:
    class Main(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0
            self.inner = Level()
            self.w = Count()
            self.d = Dict(a=Work())
            self.l = List(Dict[Work]())

    (example,) = (b.text for b in blocks(ROOT / "docs/reference/app-state.md") if b.language == "json")
    document = parse(example, "the example")
    app = Main()
    report = restore(app, document)
    assert report.changed == ("root.best", "root.n", "root.inner.text", "root.w.counter")
    assert app.w.has_succeeded
    taken = capture(app).state
    assert document["state"]["vars"] == taken["state"]["vars"]
    assert document["state"]["works"] == taken["state"]["works"]
    assert document["state"].keys() == taken["state"].keys()


def test_two_captures_of_the_same_state_are_the_same_text_and_share_nothing_with_the_app() -> None:
    app = Seed()
    app.table = {"b": [1], "a": 2}
    one, two = capture(app), capture(app)
    assert one.text() == two.text()
    app.table["b"].append(2)  # type: ignore[attr-defined]
    assert one.text() == two.text() != capture(app).text()
    app.table["b"].pop()  # type: ignore[attr-defined]
    app.z, app.a = 1, 2
    del app.z, app.a
    assert capture(app).text() == one.text(), "the order in which attributes were set makes no other state"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ('{"kind": "App", "formatVersion": 1, "app": {"na', "x.json is no readable JSON"),
        ("", "x.json is no readable JSON"),
        (b"\xff\xfe\x00", "x.json is no readable JSON"),
        ("[" * 100_000, "x.json is no readable JSON"),
        ("{}", "x.json: it is no state of an app"),
        ("[]", "x.json: it is no state of an app"),
        ('{"kind": "Manifest", "formatVersion": 1}', "it is no state of an app"),
        ('{"kind": "App"}', "formatVersion is None"),
        ('{"kind": "App", "formatVersion": true}', "formatVersion is True"),
        ('{"kind": "App", "formatVersion": 1}', "app.version is missing"),
        ('{"kind": "App", "formatVersion": 1, "app": {"version": "1"}}', "the state of root is no object"),
    ],
)
def test_what_is_no_state_is_refused_by_name(data: str | bytes, why: str) -> None:
    with pytest.raises(IncompatibleStateError) as raised:
        parse(data, "x.json")
    assert why in raised.value.message
    assert raised.value.message.startswith("x.json")
    assert raised.value.exit_code == 86


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("vars", [], "vars of root is no object"),
        ("calls", {"k": {"status": "done"}}, "the call 'k' of root has no status"),
        ("later", "n", "later of root is no list of names"),
        ("later", [1], "later of root is no list of names"),
        ("flows", {"f": 3}, "the state of root.f is no object"),
        ("flows", {"f": {"works": {"w": {"vars": 3}}}}, "vars of root.f.w is no object"),
        ("structures", {"d": {"items": {}}}, "the kind of root.d is None"),
        ("structures", {"d": {"kind": "Dict", "items": []}}, "the items of root.d are no object"),
        ("structures", {"d": {"kind": "List", "items": {}}}, "the items of root.d are no list"),
        ("structures", {"d": {"kind": "List", "items": [{}]}}, "the kind of root.d.0 is None"),
        (
            "structures",
            {"d": {"kind": "Dict", "items": {"a": {"kind": "Flow", "flows": 1}}}},
            "flows of root.d.a is no",
        ),
    ],
)
def test_a_state_of_another_shape_is_refused_with_the_place(part: str, value: object, why: str) -> None:
    document = saved(Seed())
    document["state"][part] = value
    with pytest.raises(IncompatibleStateError) as raised:
        check_state(document)
    assert why in raised.value.message


def test_a_file_of_a_newer_format_is_said_to_need_a_newer_trainpoint() -> None:
    with pytest.raises(NewerFormatError, match=r"x.json: the state has format 2"):
        parse(json.dumps({**saved(Seed()), "formatVersion": 2}), "x.json")


def test_a_part_of_an_app_is_no_app() -> None:
    app = Seed()
    app.f = Seed()
    with pytest.raises(ComponentError, match=r"root.f is a part of an app"):
        capture(app.f)


def test_a_work_may_change_its_attributes_while_the_state_is_captured() -> None:
    """Where the app allows that (``consistent = False``): the values may be from different moments, but it is saved."""
    app = Seed()
    app.w = Count()
    app.w.table = {}
    app.w.rows = []
    enough = threading.Event()

    def work() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            app.w.table[str(number)] = [number]  # type: ignore[attr-defined]
            app.w.rows.append({"n": number})  # type: ignore[attr-defined]
            setattr(app.w, f"late_{number % 50}", number)
            if number % 50 == 0:
                app.w.table.clear()  # type: ignore[attr-defined]
                app.w.rows.clear()  # type: ignore[attr-defined]
                for late in range(50):
                    delattr(app.w, f"late_{late}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        texts = {capture(app).text() for _ in range(300)}
    finally:
        enough.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert len(texts) > 1, "nothing has changed meanwhile"
    for text in texts:
        check_state(json.loads(text))


class Says(Flow):
    """Says itself what its state is, and takes it."""

    def __init__(self, told: object = None) -> None:
        super().__init__()
        self.v, self._told = 1, told

    def state_dict(self) -> Any:
        return {"custom": self.v} if self._told is None else self._told

    def load_state_dict(self, flow_state: Any, children_states: Any, strict: bool = True) -> None:
        self.v = flow_state["custom"]


class Holds(Flow):
    def __init__(self, inner: Says) -> None:
        super().__init__()
        self.inner = inner


def test_a_flow_beneath_another_may_say_its_state_in_its_own_words() -> None:
    app, again = Holds(Says()), Holds(Says())
    app.inner.v = 7
    restore(again, saved(app))
    assert again.inner.v == 7


@pytest.mark.parametrize("told", [[], 5], ids=repr)
def test_what_a_flow_says_of_its_state_is_a_dict(told: object) -> None:
    app = Holds(Says(told))
    with pytest.raises(UnsupportedStateError, match=r"state_dict\(\) of root.inner has returned .*, not a dict"):
        capture(app)


# --- the seed's class -------------------------------------------------------------------------------------------------


def test_a_component_that_the_code_does_not_create_stops_the_start_with_the_sentence_of_the_page() -> None:
    app = Seed()
    app.run()
    fresh = Seed()
    before = everything(fresh)
    with pytest.raises(ValueError, match="The component w wasn't instantiated for the component root") as raised:
        restore(fresh, saved(app))
    assert isinstance(raised.value, IncompatibleStateError)
    assert str(raised.value).splitlines()[0] == "The component w wasn't instantiated for the component root"
    assert raised.value.message.splitlines()[0] == "The component w wasn't instantiated for the component root"
    assert "load_state_dict" in str(raised.value)
    assert "[TP155]" in str(raised.value)
    assert raised.value.exit_code == 86
    assert everything(fresh) == before


def test_recreating_it_in_load_state_dict_restores_and_migrates_it() -> None:
    app = Seed()
    app.run()
    app.w.run("again")
    again = Migrating()
    report = restore(again, saved(app))
    assert again.w.counter == 4
    assert report == Report(changed=("root.w.counter",))
    again.run()
    assert again.w.counter == 4, "this call was finished before the save"
    again.w.run("and again")
    assert again.w.counter == 5


def test_not_strict_starts_and_reports_what_was_dropped() -> None:
    app = Seed()
    app.run()
    app.d = Dict(x=Seed())
    app.d["x"].run()  # type: ignore[attr-defined]
    fresh = Seed()
    report = restore(fresh, saved(app), strict=False)
    assert not hasattr(fresh, "w")
    assert report.dropped == ("root.w", "root.w.counter", "root.d", "root.d.x", "root.d.x.w", "root.d.x.w.counter")


# --- three levels -----------------------------------------------------------------------------------------------------


class Level3(Work):
    def __init__(self, required: str) -> None:
        super().__init__()
        self.text = ""
        self.required = required

    def run(self) -> None:
        self.text = "work 3"


class OldLevel3(Work):
    """Before its constructor had an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def run(self) -> None:
        self.text = "work 3"


class Level(Flow):
    work_level_3: OldLevel3 | Level3

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.d = Dict[Component]()
        self.l = List[Component]()


def dynamic_app() -> Level:
    """As it is after some iterations: everything beneath the root was made in ``run``."""
    root, one, two = Level(), Level(), Level()
    root.text, one.text, two.text = "root", "one", "two"
    root.flow_level_1, one.flow_level_2, two.work_level_3 = one, two, OldLevel3()
    two.work_level_3.run()
    two.d["w"] = Count()
    two.d["w"].run()  # type: ignore[attr-defined]
    two.l.append(Level())
    two.l[0].text = "in a list"
    two.l.append(Dict(deep=Count()))
    return root


class NewLevel2(Level):
    work_level_3: Level3

    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        assert children_states["work_level_3"]["vars"]["text"] == "work 3"
        children_states["work_level_3"]["vars"]["text"] = "work 3, updated"
        self.work_level_3 = Level3(required="new argument")
        self.d["w"] = Count()
        self.l.append(Level())
        self.l.append(Dict(deep=Count()))
        super().load_state_dict(flow_state, children_states, strict)


class NewLevel1(Level):
    flow_level_2: NewLevel2

    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        self.flow_level_2 = NewLevel2()
        super().load_state_dict(flow_state, children_states, strict=strict)


class NewRoot(Level):
    flow_level_1: NewLevel1

    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        self.flow_level_1 = NewLevel1()
        super().load_state_dict(flow_state, children_states, strict)


def test_three_levels_of_dynamic_components_and_structures_are_restored_and_migrated() -> None:
    root = NewRoot()
    report = restore(root, saved(dynamic_app()))
    two = root.flow_level_1.flow_level_2
    assert (root.text, root.flow_level_1.text, two.text) == ("root", "one", "two")
    assert two.work_level_3.text == "work 3, updated"
    assert two.work_level_3.required == "new argument"
    assert two.d["w"].counter == 1  # type: ignore[attr-defined]
    assert two.l[0].text == "in a list"  # type: ignore[attr-defined]
    assert report.kept_default == ("root.flow_level_1.flow_level_2.work_level_3.required",)
    two.work_level_3.run()
    assert two.work_level_3.text == "work 3, updated", "it had finished before"


@pytest.mark.parametrize(
    ("cls", "first_line", "differences_listed"),
    [
        (Level, "The component flow_level_1 wasn't instantiated for the component root", 1),
        (NewRoot, "The component flow_level_2 wasn't instantiated for the component root.flow_level_1", 1),
        (
            NewLevel1,
            "The component work_level_3 wasn't instantiated for the component root.flow_level_1.flow_level_2",
            4,
        ),
    ],
    ids=["first level", "second level", "third level"],
)
def test_the_sentence_names_the_parent_by_its_dotted_name(
    cls: type[Level], first_line: str, differences_listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cls is NewRoot:
        monkeypatch.delattr(NewLevel1, "load_state_dict")
    if cls is NewLevel1:
        monkeypatch.delattr(NewLevel2, "load_state_dict")
    root = NewRoot() if cls is not Level else Level()
    before = everything(root)
    with pytest.raises(IncompatibleStateError) as raised:
        restore(root, saved(dynamic_app()))
    lines = raised.value.message.splitlines()
    assert lines[0] == first_line
    assert sum(line.startswith("    - ") for line in lines) == differences_listed
    assert everything(root) == before


def test_items_of_structures_that_need_creating_are_listed() -> None:
    class Main(Flow):
        def __init__(self, keys: str, length: int) -> None:
            super().__init__()
            self.d = Dict({key: Count() for key in keys})
            self.l = List(Count() for _ in range(length))

    with pytest.raises(IncompatibleStateError) as raised:
        restore(Main("bc", 1), saved(Main("abd", 3)))
    assert raised.value.message.splitlines() == [
        "The component a wasn't instantiated for the component root.d",
        "    - root.d.a: a Work of the state that the code does not create",
        "    - root.d.d: a Work of the state that the code does not create",
        "    - root.l.1: a Work of the state that the code does not create",
        "    - root.l.2: a Work of the state that the code does not create",
        "    new in the code, which is no reason to refuse: root.d.c",
    ]
    report = restore(Main("abcd", 4), saved(Main("abd", 3)))
    assert report.kept_default == ("root.d.c", "root.l.3")


def test_a_dict_is_gone_through_in_the_order_in_which_it_was_saved() -> None:
    class Main(Flow):
        def __init__(self, keys: str) -> None:
            super().__init__()
            self.d = Dict({key: Count() for key in keys})

    again = Main("xabc")
    restore(again, saved(Main("cab")))
    assert list(again.d) == ["c", "a", "b", "x"]


# --- variables --------------------------------------------------------------------------------------------------------


class Before(Flow):
    best: float

    def __init__(self) -> None:
        super().__init__()
        self.old_name = 7
        self.same = [1]
        self.w = Count()
        self.gone = Count()


class After(Flow):
    limit = 10

    def __init__(self) -> None:
        super().__init__()
        self.new_name = 0
        self.same = [0]
        self.w = List[Count]()
        self._private = {"kept": [1]}


def test_one_error_lists_everything_that_does_not_fit_and_nothing_has_changed() -> None:
    after = After()
    before = everything(after)
    with pytest.raises(IncompatibleStateError) as raised:
        restore(after, saved(Before()))
    assert raised.value.message.splitlines() == [
        "The component gone wasn't instantiated for the component root",
        "    - root.gone: a Work of the state that the code does not create",
        "    - root.w: a Work in the state and a List in the code",
        "    - root.old_name: a variable of the state that the code does not set",
        "    new in the code, which is no reason to refuse: root.new_name",
    ]
    assert "load_state_dict" in raised.value.remedy
    assert 'flow_state["vars"]' in raised.value.remedy
    assert "@migration" in raised.value.remedy
    assert everything(after) == before


def test_not_strict_takes_what_fits_and_reports_the_rest() -> None:
    after = After()
    report = restore(after, saved(Before()), strict=False)
    assert after.same == [1]
    assert after.new_name == 0
    assert report == Report(
        dropped=("root.old_name", "root.gone", "root.gone.counter", "root.w", "root.w.counter"),
        kept_default=("root.new_name",),
        changed=("root.same",),
    )


def test_without_a_missing_component_the_error_says_which_component_does_not_fit() -> None:
    class Less(Before):
        def __init__(self) -> None:
            super().__init__()
            del self.old_name

    with pytest.raises(IncompatibleStateError) as raised:
        restore(Less(), saved(Before()))
    assert raised.value.message.splitlines()[0] == "The state does not fit the code of the component root"
    assert "root.old_name" in raised.value.message


def test_a_variable_of_a_work_is_looked_at_too() -> None:
    app = Before()
    app.w.__dict__["counted"] = 1  # as if the constructor had set it
    document = saved(app)
    del document["state"]["works"]["w"]["later"]
    with pytest.raises(IncompatibleStateError, match=r"root.w.counted: a variable of the state"):
        restore(Before(), document)


def test_a_class_attribute_is_a_variable_that_the_code_has() -> None:
    app = After()
    app.limit = 20
    again = After()
    restore(again, saved(app))
    assert (again.limit, After.limit) == (20, 10)


def test_a_variable_first_set_while_the_app_ran_is_restored_by_the_same_code() -> None:
    app = Before()
    app.best = 0.5
    again = Before()
    assert restore(again, saved(app)).changed == ("root.best",)
    assert again.best == 0.5
    assert capture(again).text() == capture(app).text()


@pytest.mark.parametrize(
    ("name", "why"),
    [("_hidden", "private"), ("run", "the name of a method"), ("consistent", "a setting"), ("w", "a Work in the code")],
)
def test_a_state_cannot_set_what_is_no_variable(name: str, why: str) -> None:
    document = saved(Before())
    document["state"]["vars"][name] = 3
    again = Before()
    before = everything(again)
    with pytest.raises(IncompatibleStateError, match=f"root.{name}: a variable .*{why}"):
        restore(again, document)
    assert everything(again) == before
    assert restore(again, document, strict=False).dropped == (f"root.{name}",)
    assert isinstance(again.w, Count)
    assert callable(again.run)


def test_a_component_that_the_app_had_taken_away_is_taken_away_again() -> None:
    app = Before()
    app.gone = None  # type: ignore[assignment]
    again = Before()
    gone = again.gone
    assert restore(again, saved(app)).changed == ("root.gone",)
    assert again.gone is None
    again.back = gone  # it is free


def test_a_restored_list_is_the_apps_own() -> None:
    document = saved(Before())
    one, two = Before(), Before()
    restore(one, document)
    restore(two, document)
    one.same.append(2)
    assert two.same == [1]
    assert document["state"]["vars"]["same"] == [1]


# --- the app's own load_state_dict ------------------------------------------------------------------------------------


class Meddles(After):
    """Changes things before the parent finds that the state does not fit."""

    error: Exception | None = None

    def __init__(self) -> None:
        super().__init__()
        self.nested = {"a": [1, {"b": 2}]}
        self.child = Before()
        self._spare = Count()
        self._seen = {1, 2}
        self._pair = ([1], 2)

    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        self.same.append(99)
        self.nested["a"][1]["b"] = 3  # type: ignore[index]
        self.new_name = "other"  # type: ignore[assignment]
        self._private["kept"].append(2)
        self._seen.clear()
        self._pair[0].append(5)
        self.spare = self._spare
        self._spare.counter = 12
        self.child.w.counter = 5
        self.child.extra = Count()
        self.child.gone = None  # type: ignore[assignment]
        self.w.append(Count())
        self.added = Dict(x=Count())
        del self._private
        super().load_state_dict(flow_state, children_states, strict)
        if self.error:
            raise self.error


def test_what_the_apps_own_code_has_changed_is_taken_back_too() -> None:
    app = Meddles()
    before = everything(app)
    spare = app._spare
    with pytest.raises(IncompatibleStateError):
        restore(app, saved(Before()))
    assert everything(app) == before
    assert spare._tp_parent is None
    assert spare.counter == 0
    assert app.same == [0]
    assert app.nested == {"a": [1, {"b": 2}]}
    app.spare = spare


def test_a_component_from_elsewhere_is_free_again_after_a_refusal() -> None:
    elsewhere = [Count()]

    class Takes(After):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            self.taken = elsewhere[0]
            super().load_state_dict(flow_state, children_states, strict)

    with pytest.raises(IncompatibleStateError):
        restore(Takes(), saved(Before()))
    Takes().taken = elsewhere[0]


@pytest.mark.parametrize("error", [KeyError("mine"), OSError("mine"), KeyboardInterrupt("mine")], ids=repr)
def test_an_error_of_the_apps_own_code_takes_everything_back(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Meddles()
    before = everything(app)
    monkeypatch.setattr(Meddles, "error", error)
    with pytest.raises(BaseException, match="mine") as raised:
        restore(app, saved(After()))
    assert everything(app) == before
    if isinstance(error, KeyError):  # a mistake in the code, which the next start would meet again
        assert isinstance(raised.value, IncompatibleStateError)
        assert re.fullmatch(
            r"load_state_dict has failed in line [0-9]+ of test_state.py: KeyError: 'mine'", raised.value.message
        )
        assert raised.value.__cause__ is error
    else:
        assert raised.value is error


def test_a_method_that_does_not_call_its_parents_is_told_of() -> None:
    class Forgets(After):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            self.new_name = flow_state["vars"]["new_name"] + 1

    class Outer(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Forgets()

    assert restore(Forgets(), saved(After())).by_hand == ("root",)
    assert restore(Outer(), saved(Outer())).by_hand == ("root.inner",)
    assert restore(After(), saved(After())).by_hand == ()
    lines = list(differences(Outer(), saved(Outer())).lines())
    assert "   ├─ - load_state_dict does not call super()'s: restored is what it sets itself" in lines


def test_where_it_stumbles_over_what_could_not_be_restored_the_differences_are_told() -> None:
    class Hasty(Seed):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            super().load_state_dict(flow_state, children_states, strict)
            self.w.counter += 1

    app = Seed()
    app.run()
    with pytest.raises(IncompatibleStateError, match="The component w wasn't instantiated") as raised:
        restore(Hasty(), saved(app))
    assert isinstance(raised.value.__cause__, AttributeError)


def test_it_may_rename_drop_and_add_before_it_calls_the_parent() -> None:
    class Renames(After):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            flow_state["vars"]["new_name"] = flow_state["vars"].pop("old_name")
            children_states.pop("gone")
            children_states["w"] = {"kind": "List", "items": [{"kind": "Work", **children_states.pop("w")}]}
            self.w.append(Count())
            super().load_state_dict(flow_state, children_states, strict)

    old = Before()
    old.w.run()
    app = Renames()
    report = restore(app, saved(old))
    assert app.new_name == 7
    assert app.w[0].counter == 1
    assert report.dropped == ()
    assert report.changed == ("root.same", "root.new_name", "root.w.0.counter")


def test_a_state_made_by_hand_needs_no_more_than_variables() -> None:
    class Adds(Before):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            self.more, self.work = After(), Count()
            children_states["more"] = {"vars": {"new_name": 3}}
            children_states["work"] = {"vars": {"counter": 4}}
            super().load_state_dict(flow_state, children_states, strict)

    app = Adds()
    restore(app, saved(Before()))
    assert (app.more.new_name, app.work.counter) == (3, 4)


@pytest.mark.parametrize("broken", [{"vars": 3}, 3, None, {"items": 3}, {"calls": []}])
def test_a_state_that_it_has_broken_is_an_error_that_names_the_component(broken: object) -> None:
    class Breaks(Before):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            children_states["w"] = broken
            self.same.append(4)
            super().load_state_dict(flow_state, children_states, strict)

    app = Breaks()
    with pytest.raises(IncompatibleStateError, match=r"root\.w"):
        restore(app, saved(Before()))
    assert app.same == [1]


def test_what_is_of_another_kind_now_does_not_fit_even_without_variables() -> None:
    class Main(Flow):
        def __init__(self, child: Flow | Work) -> None:
            super().__init__()
            self.child = child

    for old, new in ((Work(), Seed()), (Seed(), Work())):
        with pytest.raises(IncompatibleStateError, match=r"root\.child: a \w+ in the state and a \w+ in the code"):
            restore(Main(new), saved(Main(old)))


def test_it_may_let_a_part_of_the_tree_be_less_strict() -> None:
    class Lenient(After):
        def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
            super().load_state_dict(flow_state, children_states, strict=False)

    app = Lenient()
    report = restore(app, saved(Before()))
    assert "root.gone" in report.dropped
    assert differences(app, saved(Before())).compatible


def test_called_by_itself_it_raises_itself_and_takes_back_what_it_did() -> None:
    state = saved(Before())["state"]
    app = After()
    before = everything(app)
    with pytest.raises(IncompatibleStateError, match="The component gone wasn't instantiated for the component root"):
        app.load_state_dict(state, {**state["works"]})
    assert everything(app) == before
    app.load_state_dict(state, {**state["works"]}, strict=False)
    assert app.same == [1]
    twin = Before()
    old = Before()
    old.w.run()
    twin.load_state_dict(old.state_dict(), old.state_dict()["works"])
    assert twin.w.counter == 1


def test_it_may_add_something_to_the_state_that_it_reads_later() -> None:
    class Extends(Before):
        def state_dict(self) -> State:
            state = super().state_dict()
            state["vars"]["same"] = [*state["vars"]["same"], "marked"]
            return state

    again = Extends()
    restore(again, saved(Extends()))
    assert again.same == [1, "marked"]

    class Bad(Before):
        def state_dict(self) -> State:
            state = super().state_dict()
            state["vars"]["same"] = (1,)
            return state

    with pytest.raises(UnsupportedStateError, match=r"root.same cannot be saved: it is a tuple"):
        capture(Bad())


# --- dry run ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_differences_as_a_tree_and_changes_nothing() -> None:
    class Main(Flow):
        def __init__(self, inner: Flow) -> None:
            super().__init__()
            self.inner = inner
            self.n = 0

    old = Main(Before())
    old.n = 4
    app = Main(After())
    before = everything(app)
    found = differences(app, saved(old))
    assert everything(app) == before
    assert not found.compatible
    assert list(found.lines()) == [
        "root (Flow)",
        "├─ ~ n: restored",
        "└─ inner (Flow)",
        "   ├─ ! old_name: a variable of the state that the code does not set",
        "   ├─ ! w: a Work in the state and a List in the code",
        "   ├─ + new_name: a new variable of the code, keeps its default",
        "   ├─ ~ same: restored",
        "   ├─ w (List)",
        "   └─ gone (Work)",
        "      └─ ! in the state, but the code does not create it",
    ]


def test_a_dry_run_of_what_fits_says_so_and_changes_nothing() -> None:
    app = Seed()
    app.run()
    again = Migrating()
    found = differences(again, saved(app))
    assert found.compatible
    assert list(found.lines()) == ["root (Flow)", "└─ w (Work)", "   └─ ~ counter: restored"]
    assert not hasattr(again, "w")
    restore(again, saved(app))


def test_a_wide_app_is_captured_and_restored_without_going_through_all_items_for_each() -> None:
    class Wide(Flow):
        def __init__(self) -> None:
            super().__init__()
            self.l = List(Count() for _ in range(10_000))

    app = Wide()
    for item in app.l:
        item.counter = 3
    again = Wide()
    report = restore(again, saved(app))  # this would take far longer otherwise
    assert len(report.changed) == 10_000
