"""Random trees: what is saved is restored exactly; into other code it is restored wholly or refused wholly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from trainpoint.app import Dict, Flow, List, Work
from trainpoint.app.component import Component, walk
from trainpoint.app.state import capture, differences, parse, restore
from trainpoint.app.values import copied, encode, text_of
from trainpoint.errors import IncompatibleStateError

Kind = Literal["Flow", "Work", "Dict", "List"]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """A component as the code makes it, and the values that it has when it is saved."""

    kind: Kind
    made: dict[str, object] = field(default_factory=dict)
    now: dict[str, object] = field(default_factory=dict)
    """also variables that the constructor does not set"""
    calls: tuple[tuple[object, ...], ...] = ()
    children: dict[str, Spec] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    """variables and children that the app takes away"""
    renewed: frozenset[str] = frozenset()
    """children in whose places the app puts new ones"""
    turned: bool = False
    """a list whose items it turns round"""


class AnyFlow(Flow):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        fill(self, spec)


class AnyWork(Work):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        fill(self, spec)

    def run(self, *args: object) -> None:
        pass


class Meddling(AnyFlow):
    """Its own code changes what it can before the parent looks at the state."""

    def load_state_dict(self, flow_state: Any, children_states: Any, strict: bool = True) -> None:
        for name, value in list(self.__dict__.items()):
            if isinstance(value, list):
                value.append("meddled")
            elif isinstance(value, dict):
                value.clear()
            elif isinstance(value, Dict):
                value["meddled"] = AnyFlow(Spec("Flow"))
            elif isinstance(value, Flow):
                setattr(self, name, None)
                setattr(self, name, value)
        self._meddled = AnyWork(Spec("Work"))
        self.meddled = Dict(x=self._meddled)
        super().load_state_dict(flow_state, children_states, strict)


def fill(component: Component, spec: Spec) -> None:
    for name, value in spec.made.items():
        setattr(component, name, copied(value))
    for name, child in spec.children.items():
        setattr(component, name, built(child))


def built(spec: Spec, root: type[AnyFlow] = AnyFlow) -> Component:
    match spec.kind:
        case "Flow":
            return root(spec)
        case "Work":
            return AnyWork(spec)
        case "Dict":
            return Dict({name: built(child) for name, child in spec.children.items()})
        case "List":
            return List(*(built(child) for child in spec.children.values()))


def flow(spec: Spec, root: type[AnyFlow] = AnyFlow) -> Flow:
    component = built(spec, root)
    assert isinstance(component, Flow)
    return component


def live(component: Component, spec: Spec) -> None:
    """Some iterations later."""
    for name, value in spec.now.items():
        setattr(component, name, copied(value))
    if isinstance(component, Work):
        for args in spec.calls:
            component.run(*args)
    for child, child_spec in zip((c for _, c in component._tp_children()), spec.children.values(), strict=True):
        live(child, child_spec)
    for name in sorted(spec.renewed):
        new = built(spec.children[name])
        if isinstance(component, Dict):
            component[name] = new
        elif isinstance(component, List):
            component[int(name)] = new
        else:
            setattr(component, name, new)
        live(new, spec.children[name])
    for name in sorted(spec.removed, reverse=True):
        if isinstance(component, Dict):
            del component[name]
        elif isinstance(component, List):
            del component[int(name)]
        else:
            delattr(component, name)
    if isinstance(component, List) and spec.turned:
        items = list(component)
        component.clear()
        component.extend(reversed(items))


# --- random ones ------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("__float__"), inner, max_size=2),
    max_leaves=4,
)
variable_names = st.sampled_from(["n", "loss", "größe", "table", "state", "items", "kind", "vars"])
child_names = st.sampled_from(["w", "f", "d", "inner", "name"])
keys = texts | child_names


@st.composite
def variables_of(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, object] = draw(st.dictionaries(variable_names, values, max_size=3))
    now = {name: draw(values) for name in made if draw(st.booleans())}
    return {
        "made": made,
        "now": {**now, **draw(st.dictionaries(st.sampled_from(["best", "late"]), values, max_size=1))},
    }


@st.composite
def specs(draw: st.DrawFn, kind: Kind = "Flow", depth: int = 3, takes_away: bool = False) -> Spec:
    """``takes_away``: the app takes away some of what its code makes."""
    if kind == "Work":
        calls = draw(st.lists(st.tuples(values), max_size=2))
        work = Spec(kind, **draw(variables_of()), calls=tuple(calls))
        return replace(work, removed=draw(some_of(work.made)) if takes_away else frozenset())
    wanted = draw(st.lists(child_names if kind == "Flow" else keys, max_size=3 if depth else 0, unique=True))
    if kind == "List":
        wanted = [str(number) for number in range(len(wanted))]
    kinds: st.SearchStrategy[Kind] = st.sampled_from(["Flow", "Work", "Dict", "List"])
    children = {name: draw(specs(draw(kinds), depth - 1, takes_away)) for name in wanted}
    made = Spec(kind, **(draw(variables_of()) if kind == "Flow" else {}), children=children)
    if not takes_away:
        return made
    removed, renewed = draw(some_of([*made.made, *children])), draw(some_of(children))
    return replace(made, removed=removed, renewed=renewed, turned=draw(st.booleans()))


def some_of(names: Iterable[str]) -> st.SearchStrategy[frozenset[str]]:
    there = sorted(names)
    return st.frozensets(st.sampled_from(there), max_size=2) if there else st.just(frozenset())


def paths(spec: Spec, path: Path = ()) -> Iterator[tuple[Path, Spec]]:
    yield path, spec
    for name, child in spec.children.items():
        yield from paths(child, (*path, name))


def changed(spec: Spec, path: Path, new: Spec) -> Spec:
    if not path:
        return new
    return replace(spec, children={**spec.children, path[0]: changed(spec.children[path[0]], path[1:], new)})


def without(names: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in names.items() if k != name}


MUTATIONS = (
    "drop variable",
    "rename variable",
    "add variable",
    "drop child",
    "rename child",
    "add child",
    "other kind",
)


@st.composite
def mutations(draw: st.DrawFn, spec: Spec) -> tuple[Spec, bool]:
    """Other code: the tree with a random difference, and whether a strict start has to refuse it."""
    path, at = draw(st.sampled_from(list(paths(spec))))
    name = draw(st.sampled_from(MUTATIONS))
    event(name)
    if "variable" in name:
        assume(at.kind in ("Flow", "Work"))
        if name == "add variable":
            return changed(spec, path, replace(at, made={**at.made, "added": draw(values)})), False
        assume(at.made)
        gone = draw(st.sampled_from(sorted(at.made)))
        made = without(at.made, gone)
        if name == "rename variable":
            made["renamed"] = draw(values)
        return changed(spec, path, replace(at, made=made)), True
    assume(at.kind != "Work")
    if name == "add child":
        own = str(len(at.children)) if at.kind == "List" else "added"
        return changed(spec, path, replace(at, children={**at.children, own: draw(specs("Work"))})), False
    assume(at.children)
    gone = max(at.children, key=int) if at.kind == "List" else draw(st.sampled_from(sorted(at.children)))
    child = at.children[gone]
    if name == "other kind":
        kind: Kind = draw(st.sampled_from(["Flow", "Work", "Dict", "List"]))
        assume(kind != child.kind)
        return changed(spec, path, replace(at, children={**at.children, gone: Spec(kind)})), True
    children = without(at.children, gone)
    if name == "rename child":
        assume(at.kind != "List")
        children["renamed"] = child
    return changed(spec, path, replace(at, children=children)), True


def fingerprint(root: Component) -> list[object]:
    """Every attribute with its identity and content, every place, every call."""
    return [
        (
            path,
            id(component),
            id(component._tp_parent),
            [(name, id(value), seen(value)) for name, value in component.__dict__.items()],
            text_of(encode(component._tp_calls, "")),
        )
        for path, component in walk(root)
    ]


def seen(value: object) -> str:
    return "" if isinstance(value, Component) or callable(value) else text_of(encode(value, ""))


RENEWED_AFTER_IT_WAS_TURNED = Spec(
    "Flow",
    children={
        "w": Spec("List", children={"0": Spec("Dict"), "1": Spec("Dict", children={"": Spec("Flow")})}, turned=True)
    },
    renewed=frozenset(["w"]),
)


@given(specs() | specs(takes_away=True))
@example(RENEWED_AFTER_IT_WAS_TURNED)
def test_what_is_saved_is_restored_exactly(spec: Spec) -> None:
    app = flow(spec)
    live(app, spec)
    text = capture(app).text()
    again = flow(spec)
    report = restore(again, parse(text, "test"))
    assert capture(again).text() == text
    assert [path for path, _ in walk(again)] == [path for path, _ in walk(app)]
    assert report.dropped == ()
    assert report.kept_default == ()
    assert differences(again, parse(text, "test")).compatible
    assert capture(again).text() == text


@given(specs() | specs(takes_away=True))
def test_restoring_twice_is_restoring_once(spec: Spec) -> None:
    app = flow(spec)
    live(app, spec)
    document = parse(capture(app).text(), "test")
    again = flow(spec)
    restore(again, document)
    assert restore(again, document).changed == ()


@settings(max_examples=150)
@given(st.data(), st.sampled_from([AnyFlow, Meddling]))
def test_other_code_is_given_the_whole_state_or_is_left_as_its_constructor_made_it(
    data: st.DataObject, root: type[AnyFlow]
) -> None:
    spec = data.draw(specs())
    app = flow(spec)
    live(app, spec)
    document = parse(capture(app).text(), "test")
    other_spec, must_refuse = data.draw(mutations(spec))
    other = flow(other_spec, root)
    before = fingerprint(other)

    found = differences(other, document)
    assert fingerprint(other) == before, "a dry run has changed something"
    assert found.compatible is not must_refuse

    if must_refuse:
        try:
            restore(other, document)
        except IncompatibleStateError:
            assert fingerprint(other) == before, "something is left of a state that was refused"
        else:
            raise AssertionError("a state that does not fit was restored")
        dropped = restore(other, document, strict=False).dropped
        assert dropped
    else:
        restore(other, document)
        dropped = ()
    held = {".".join(path): component for path, component in walk(other)}
    for path, component in walk(app):
        name = ".".join(path)
        if name in dropped:
            continue
        for variable, value in component.__dict__.items():
            if variable != "run" and not isinstance(value, Component) and f"{name}.{variable}" not in dropped:
                assert seen(held[name].__dict__[variable]) == seen(value)
