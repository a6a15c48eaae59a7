"""What is captured with the help of what was captured last is what would be captured from scratch. Always."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.app.test_properties import AnyFlow, AnyWork, Spec, flow, specs, texts, values
from trainpoint.app import Dict, Flow, List, Work
from trainpoint.app.component import ROOT, Component, variables, walk
from trainpoint.app.parts import encoded
from trainpoint.app.state import FORMAT_VERSION, KIND, capture, differences, parse, restore
from trainpoint.app.tree import execute
from trainpoint.app.values import copied, text_of
from trainpoint.errors import ComponentError, IncompatibleStateError, UnsupportedStateError


def from_scratch(root: Flow) -> str:
    return text_of(
        {
            "formatVersion": FORMAT_VERSION,
            "kind": KIND,
            "app": {"name": type(root).__name__, "version": root.app_version},
            "state": encoded(root.state_dict(), (ROOT,)),
        }
    )


def outcome(take: Callable[[], str]) -> str:
    try:
        return take()
    except UnsupportedStateError as error:
        return f"error: {error.message}"


def assert_exact(root: Flow) -> None:
    assert outcome(lambda: capture(root).object_text) == outcome(lambda: from_scratch(root))


# --- anything that can happen to an app -------------------------------------------------------------------------------


class Telling(AnyFlow):
    """Has a state_dict of its own."""

    def state_dict(self) -> Any:
        return {**super().state_dict(), "told": len(self.__dict__)}


class Other(AnyFlow):
    held = 3


class Known(AnyWork):
    @property
    def n(self) -> int:
        return 1


UNSUPPORTED = st.sampled_from([(1, 2), {3}, {1: 2}, [[{"a": object()}]], float, "\ud800", 10**5000])
ALIKE = st.sampled_from([0, 0.0, -0.0, False, 1, 1.0, True, "1", None, "", [], {}, [0], [False], {"a": 1}, {"a": True}])
anything = st.one_of(values, values, ALIKE, ALIKE, UNSUPPORTED).map(copied)
names = st.sampled_from(["n", "loss", "table", "state", "best", "run", "w", "f", "d", "_private", "größe"])
components: st.SearchStrategy[Callable[[], Component]] = st.sampled_from(
    [
        lambda: AnyWork(Spec("Work", made={"n": 1})),
        lambda: Known(Spec("Work", made={"loss": 1})),
        lambda: Flow(),
        lambda: Telling(Spec("Flow", made={"n": []})),
        lambda: Dict(x=AnyFlow(Spec("Flow"))),
        lambda: List(AnyWork(Spec("Work")), Dict()),
    ]
)


def set_variable(data: st.DataObject, component: Component) -> None:
    setattr(component, data.draw(names), data.draw(anything))


def set_past_setattr(data: st.DataObject, component: Component) -> None:
    vars(component)[data.draw(names)] = data.draw(anything)


def update(data: st.DataObject, component: Component) -> None:
    component.__dict__.update(data.draw(st.dictionaries(names, anything, max_size=3)))


def replace_all(data: st.DataObject, component: Component) -> None:
    component.__dict__ = {**component.__dict__, **data.draw(st.dictionaries(names, anything, max_size=2))}


def delete(data: st.DataObject, component: Component) -> None:
    held = sorted(name for name in component.__dict__ if name != "run")
    if held:
        delattr(component, data.draw(st.sampled_from(held)))


def reorder(data: st.DataObject, component: Component) -> None:
    held = sorted(component.__dict__)
    if held:
        name = data.draw(st.sampled_from(held))
        component.__dict__[name] = component.__dict__.pop(name)


def rename(data: st.DataObject, component: Component) -> None:
    """As many names as before."""
    held = sorted({*component.__dict__} - {"run"})
    new = data.draw(names)
    if held and new not in component.__dict__:
        component.__dict__[new] = component.__dict__.pop(data.draw(st.sampled_from(held)))


def change_in_place(data: st.DataObject, component: Component) -> None:
    """A list or a dict, at any depth."""
    waiting, found = list(variables(component).values()), list[Any]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | dict):
            found.append(value)
            waiting += value if isinstance(value, list) else value.values()
    if not found:
        return
    chosen, new = data.draw(st.sampled_from(found)), data.draw(anything)
    if isinstance(chosen, list):
        how = data.draw(st.sampled_from(["append", "clear", "reverse", "set"]))
        if how == "append":
            chosen.append(new)
        elif how == "set" and chosen:
            chosen[data.draw(st.integers(0, len(chosen) - 1))] = new
        elif how != "set":
            getattr(chosen, how)()
    else:
        keys = list(chosen)
        how = data.draw(st.sampled_from(["set", "pop", "rename", "clear"]))
        if how == "set" or not keys:
            chosen[data.draw(texts)] = new
        elif how == "clear":
            chosen.clear()
        else:
            key = data.draw(st.sampled_from(keys))
            value = chosen.pop(key)
            if how == "rename":
                chosen[data.draw(texts)] = value


def add_component(data: st.DataObject, component: Component) -> None:
    made = data.draw(components)()
    if isinstance(component, Dict):
        component[data.draw(names)] = made
    elif isinstance(component, List):
        component.insert(data.draw(st.integers(0, len(component))), made)
    else:
        setattr(component, data.draw(names), made)


def take_away(data: st.DataObject, component: Component) -> None:
    children = [name for name, _ in component._tp_children()]
    if children:
        name = data.draw(st.sampled_from(children))
        if isinstance(component, Dict):
            del component[name]
        elif isinstance(component, List):
            del component[int(name)]
        else:
            setattr(component, name, data.draw(st.none() | st.integers()))


def turn_round(data: st.DataObject, component: Component) -> None:
    if isinstance(component, Dict | List):
        items = list(component._tp_items.items()) if isinstance(component, Dict) else list(component._tp_items)
        component._tp_items = dict(items[::-1]) if isinstance(component, Dict) else items[::-1]


def exchange(data: st.DataObject, component: Component) -> None:
    """Two children of a flow change places: their names stay."""
    children = component._tp_children()
    if isinstance(component, Flow) and len(children) > 1:
        (one, first), (two, second) = children[0], children[-1]
        vars(component).update({one: second, two: first})


def call(data: st.DataObject, component: Component) -> None:
    if isinstance(component, Work):
        component.run(data.draw(values))


def begin_a_call(data: st.DataObject, component: Component) -> None:
    """A state is taken while a work runs, once or twice; then the work may fail."""
    if isinstance(component, Work) and "run" in component.__dict__:
        argument = data.draw(values)

        class Middle(type(component)):  # type: ignore[misc]
            def run(self, *args: object) -> None:
                top = component
                while top._tp_parent is not None:
                    top = top._tp_parent
                if isinstance(top, Flow):
                    assert_exact(top)
                if data.draw(st.booleans()):
                    raise RuntimeError("failed")

        before = type(component)
        component.__class__ = Middle
        try:
            execute(component, (argument,), {})
        except RuntimeError:
            pass
        finally:
            component.__class__ = before


def become_another(data: st.DataObject, component: Component) -> None:
    if isinstance(component, AnyFlow):
        component.__class__ = data.draw(st.sampled_from([AnyFlow, Other, Telling]))


def be_born(data: st.DataObject, component: Component) -> None:
    component._tp_born = frozenset(data.draw(st.sets(names)))


def restore_earlier(data: st.DataObject, component: Component) -> None:
    if isinstance(component, Flow) and component._tp_parent is None:
        try:
            document = parse(capture(component).text(), "test")
        except UnsupportedStateError:
            return
        change_in_place(data, component)
        set_variable(data, component)
        differences(component, document)
        assert_exact(component)
        restore(component, document, strict=False)


CHANGES = [
    set_variable, set_past_setattr, update, replace_all, delete, reorder, rename, change_in_place, change_in_place,
    add_component, take_away, turn_round, exchange, call, begin_a_call, become_another, be_born, restore_earlier,
]  # fmt: skip


@settings(max_examples=60)
@given(st.data())
def test_after_any_changes_the_state_is_what_it_would_be_from_scratch(data: st.DataObject) -> None:
    root = flow(data.draw(specs()))
    assert_exact(root)
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=8)):
        event(change.__name__)
        component = data.draw(st.sampled_from([component for _, component in walk(root)]))
        try:
            change(data, component)
        except (ComponentError, UnsupportedStateError, IncompatibleStateError):
            event("refused")
        if data.draw(st.booleans()):
            assert_exact(root)
    assert_exact(root)
    assert_exact(copy.deepcopy(root))


# --- what is easily overlooked ----------------------------------------------------------------------------------------


class Main(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.one = 1
        self.zero = 0.0
        self.flag = True
        self.listed: list[Any] = [1, [0, "x"], {"a": [1]}]
        self.named: dict[str, Any] = {"a": 1, "b": {"c": 0}}
        self._hidden: object = None
        self.w = AnyWork(Spec("Work", made={"n": 1}))
        self.v = AnyWork(Spec("Work", made={"n": 2}))
        self.inner = AnyFlow(Spec("Flow", made={"n": 3}))
        self.dict: Dict[Any] = Dict(x=AnyWork(Spec("Work")), y=Dict())
        self.list: List[Any] = List(AnyWork(Spec("Work", made={"n": 4})), List())


def rename_private(app: Main) -> None:
    del app._hidden
    vars(app)["shown"] = 1


def swap_works(app: Main) -> None:
    vars(app).update(w=app.v, v=app.w)


def move_item(app: Main) -> None:
    moved = app.dict.pop("x")
    app.x = moved


def move_into_list(app: Main) -> None:
    moved, app.w = app.w, None  # type: ignore[assignment]
    app.list.append(moved)


def other_name(app: Main) -> None:
    app.dict._tp_items = {"z" if name == "x" else name: item for name, item in app.dict._tp_items.items()}


def exchange_items(app: Main) -> None:
    app.list._tp_items.reverse()


def other_list(app: Main) -> None:
    app.listed = [1, [0, "x"], {"a": [2]}]


def then_in_place(app: Main) -> None:
    other_list(app)
    capture(app)
    app.listed[2]["a"].append(3)


def number_then_list(app: Main) -> None:
    app.listed = 7  # type: ignore[assignment]
    capture(app)
    app.listed = [7]


CHANGED: dict[str, Callable[[Main], object]] = {
    "one is True": lambda app: setattr(app, "one", True),
    "one is 1.0": lambda app: setattr(app, "one", 1.0),
    "zero is -0.0": lambda app: setattr(app, "zero", -0.0),
    "zero is NaN": lambda app: setattr(app, "zero", float("nan")),
    "flag is 1": lambda app: setattr(app, "flag", 1),
    "an alike item": lambda app: app.listed.__setitem__(0, True),
    "an alike item within": lambda app: app.listed[1].__setitem__(0, False),
    "an item deep within": lambda app: app.listed[2]["a"].append(2),
    "an alike value": lambda app: app.named.update(a=True),
    "an alike value within": lambda app: app.named["b"].update(c=0.0),
    "another key for the same value": lambda app: app.named["b"].update(d=app.named["b"].pop("c")),
    "another order": lambda app: app.named.update(a=app.named.pop("a")),
    "another list": other_list,
    "another list, then in place": then_in_place,
    "a number, then a list": number_then_list,
    "a private name becomes a public one": rename_private,
    "a variable becomes a component": lambda app: setattr(app, "one", Dict()),
    "past __setattr__": lambda app: vars(app).update(one=AnyWork(Spec("Work"))),
    "a component becomes a variable": lambda app: setattr(app, "w", None),
    "a work becomes a flow": lambda app: setattr(app, "w", AnyFlow(Spec("Flow"))),
    "works change places": swap_works,
    "a work leaves a structure": move_item,
    "a work goes into a structure": move_into_list,
    "an item has another name": other_name,
    "items change places": exchange_items,
    "a call": lambda app: app.w.run(1),
    "a call of a work in a structure": lambda app: app.dict["x"].run(),
    "a variable of an item": lambda app: setattr(app.list[0], "n", 5),
    "a class with another idea of it": lambda app: setattr(app.inner, "__class__", Telling),
    "a work whose n is a property": lambda app: setattr(app.w, "__class__", Known),
    "what counts as born": lambda app: setattr(app, "_tp_born", frozenset()),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_every_kind_of_change_is_seen(change: Callable[[Main], object]) -> None:
    app = Main()
    before = capture(app).text()
    assert capture(app).text() == before
    change(app)
    assert_exact(app)
    assert capture(app).text() != before
    assert_exact(app)


def test_a_call_that_runs_and_ends_is_seen() -> None:
    app = Main()
    seen = list[str]()

    class Looking(AnyWork):
        def run(self, *args: object) -> None:
            seen.append(capture(app).text())
            assert_exact(app)

    app.v = Looking(Spec("Work"))
    capture(app)
    app.v.run(1)
    assert_exact(app)
    assert '"status": "pending"' in seen[0]
    assert '"status": "succeeded"' in capture(app).text()


def test_what_was_refused_once_is_refused_again_and_saved_once_it_is_mended() -> None:
    app = Main()
    capture(app)
    app.listed[2]["a"].append((1,))
    for _ in range(2):
        with pytest.raises(
            UnsupportedStateError, match=r"root\.listed\[2\]\['a'\]\[1\] cannot be saved: it is a tuple"
        ):
            capture(app)
    app.listed[2]["a"].pop()
    assert_exact(app)


def test_nothing_that_an_app_lets_go_is_kept_alive() -> None:
    class Model:
        pass

    class Holding(AnyWork):
        def __init__(self) -> None:
            super().__init__(Spec("Work"))
            self._model: Model | None = Model()

    app = Main()
    app.w = holding = Holding()
    app.list.append(Holding())
    own = Model()
    app._hidden = own
    capture(app)
    gone = [
        weakref.ref(held)
        for held in (own, holding, holding._model, app.list[2], app.list[2]._model)
        if held is not None
    ]
    app._hidden, app.w = None, None  # type: ignore[assignment]
    del own, holding, app.list[2]
    gc.collect()
    assert [look() for look in gone] == [None] * 5
    assert_exact(app)
