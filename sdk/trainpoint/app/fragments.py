"""The state of a component as text, made anew only where something has changed.

A loop takes the state of a whole tree each time its hook says so, mostly to find one number changed. So each component
keeps what was captured last. A value that cannot change in place is the same as long as the same object is there, which
is asked for all variables of a component in one pass; a list or a dict is compared item by item, in the same way. It is
``__dict__`` that is looked at, so that nothing can pass by unseen: ``vars(self)["x"] = 1``, ``del self.x``.

Nothing of what is kept is ever changed; there is new one instead. No component and no private attribute is kept alive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import add, is_, itemgetter
from typing import Any, Final, NamedTuple, cast

from trainpoint.app.calls import call_to_save, calls_without
from trainpoint.app.children import SECTIONS
from trainpoint.app.component import (
    PLAIN,
    ROOT,
    Component,
    children_in,
    dotted,
    gone_since_born,
    later_than_born,
    variables_in,
)
from trainpoint.app.parts import decoded, encoded, encoded_call
from trainpoint.app.structures import Dict, List, changes_of_dict, changes_of_list
from trainpoint.app.tree import Flow, Work
from trainpoint.app.values import encode, quoted, text_of
from trainpoint.app.watch import Watch, watch
from trainpoint.errors import UnsupportedStateError
from trainpoint.format.digest import JsonObject

Place = tuple["Place | None", str]
"""Where a component is, from below: the place of its parent and its own name. Spelled out for errors only."""
_SECTIONS: Final = ("flows", "works", "structures")
_STATE_DICT: Final = Flow.state_dict


def text_of_component(root: Flow) -> str:
    """What ``root.state_dict()`` is in the checkpoint file.

    Raises:
        UnsupportedStateError: an attribute has a value that JSON cannot hold; the message names it.
    """
    return _flow_text(root, (None, ROOT), False)


def _flow_text(component: Component, place: Place, is_item: bool) -> str:
    flow = cast(Flow, component)
    if type(flow).state_dict is _STATE_DICT:
        return _node_text(flow, place, is_item)
    kind: JsonObject = {"kind": flow._tp_kind} if is_item else {}  # one of its own: only that knows what has changed
    told = flow.state_dict()
    if not isinstance(told, dict):
        raise UnsupportedStateError(
            f"state_dict() of {'.'.join(_path(place))} has returned {told!r}, not a dict", remedy="return the state"
        )
    return text_of(encoded({**kind, **told}, _path(place)))


# --- flows and works --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """Which names of a component's ``__dict__`` are what; the same until a name comes or goes, or changes its kind."""

    cls: type[Component]
    born: frozenset[str]
    is_item: bool
    names: list[str]
    """all of them, in their order"""
    variables: tuple[str, ...]
    """in alphabetical order, as in the file"""
    values: Callable[[Mapping[str, object]], tuple[object, ...]]
    """of the variables"""
    heads: tuple[str, ...]
    """``"name": `` of each variable"""
    later: str
    """and what is gone: both with the comma before them"""
    children: tuple[str, ...]
    """flows, works, structures; each in alphabetical order"""
    kinds: list[type]
    """of the children"""
    components: Callable[[Mapping[str, object]], tuple[Component, ...]]
    """the children"""
    starts: tuple[str, ...]
    """``"name": `` of each child"""
    ends: tuple[int, int]
    """how many children are flows; how many are flows or works"""

    def found_in(self, component: Component, is_item: bool) -> tuple[tuple[object, ...], tuple[Component, ...]] | None:
        """The values of the variables, and the children; None: this is not its layout any more."""
        held = component.__dict__
        try:
            # Each of these is one step for the interpreter: where works run meanwhile, they may change it.
            values, children = self.values(held), self.components(held)
        except KeyError:
            return None
        fits = (
            self.names == list(held)
            and self.cls is type(component)
            and self.born is component._tp_born
            and self.is_item is is_item
            and (not children or self.kinds == list(map(type, children)))
        )
        return (values, children) if fits else None


class Node(NamedTuple):
    """What was captured last of a flow or a work. (A tuple, since one is made for each component that changes.)"""

    layout: Layout
    values: tuple[object, ...]
    texts: list[str]
    """of the variables, with their names"""
    watched: dict[int, Watch]
    """those of the values that can change in place, by their positions"""
    calls: list[JsonObject]
    """a call's entry is never changed: another one takes its place"""
    call_texts: list[str]
    own: str
    """of variables and calls together"""
    beneath: list[str]
    """of the children"""
    text: str


class Held:
    """A work as it was when a call of it began. Nothing is encoded before a capture meets it."""

    __slots__ = ("_looks", "_texts", "_values", "failed", "keys", "thread")

    def __init__(self, work: Work, key: str) -> None:
        self.keys = {key}
        self.failed = False
        self.thread = 0
        self._values = work.__dict__.copy()
        self._looks: dict[str, Watch] = {}
        self._texts: list[str] | None = None
        for name, value in self._values.items():
            self._look_at(name, value)

    def put(self, name: str, value: object) -> None:
        self._values[name] = value
        self._look_at(name, value)
        self._texts = None

    def drop(self, name: str) -> None:
        self._values.pop(name, None)
        self._looks.pop(name, None)
        self._texts = None

    def text(self, work: Component, place: Place, is_item: bool) -> str:
        """What is saved of it while the call runs: calls that were made since, variables of before."""
        layout = _layout(work, self._values, is_item)
        if self._texts is None:
            seen = {**self._values, **{name: look.value() for name, look in self._looks.items()}}
            self._texts = [
                head + _value(name, seen[name], 0, {}, place)
                for head, name in zip(layout.heads, layout.variables, strict=True)
            ]
        calls = calls_without(work._tp_calls.copy(), self.keys)
        return f"{{{_own(layout, self._texts, _call_texts(calls, None, place))}}}"

    def state(self, work: Component) -> JsonObject:
        return decoded(json.loads(self.text(work, (None, dotted(work)), False)))

    def _look_at(self, name: str, value: object) -> None:
        self._looks.pop(name, None)
        if (look := watch(value)) is not None:
            self._looks[name] = look


def hold(work: Work, key: str) -> None:
    """A call of ``work`` is about to begin: until it has succeeded, it is saved as it is now."""
    before = work._tp_before
    if before is not None and before.failed:  # the app is at its end: all that came after that is made again, too
        before.keys.add(key)
    else:
        work._tp_before = Held(work, key)


def _node_text(component: Component, place: Place, is_item: bool) -> str:
    if (before := component._tp_before) is not None:
        return cast(Held, before).text(component, place, is_item)
    seen = component._tp_seen
    found = seen.layout.found_in(component, is_item) if isinstance(seen, Node) else None
    if found is None or not isinstance(seen, Node):
        return _new_node(component, place, is_item)
    (values, children), layout, same = found, seen.layout, True
    texts, watched, calls, call_texts = seen.texts, seen.watched, seen.calls, seen.call_texts
    changed: list[int] = []
    if watched:
        changed = [at for at, look in watched.items() if values[at] is seen.values[at] and look.differs(values[at])]
    if not all(map(is_, values, seen.values)):
        changed += [at for at, value in enumerate(values) if value is not seen.values[at]]
    if changed:
        same, texts, watched = False, texts.copy(), watched.copy()
        for at in changed:
            if type(values[at]) not in PLAIN and isinstance(values[at], Component):
                return _new_node(component, place, is_item)
            watched.pop(at, None)
            texts[at] = layout.heads[at] + _value(layout.variables[at], values[at], at, watched, place)
    if component._tp_calls or calls:
        made = component._tp_calls.copy()
        calls = list(made.values())
        if len(calls) != len(seen.calls) or not all(map(is_, calls, seen.calls)):
            same, call_texts = False, _call_texts(made, seen, place)
    beneath = _beneath(layout, children, place) if children else []
    if same and beneath == seen.beneath:
        return seen.text
    own = seen.own if same else _own(layout, texts, call_texts)
    text = _whole(layout, own, beneath)
    component._tp_seen = Node(layout, values, texts, watched, calls, call_texts, own, beneath, text)
    return text


def _new_node(component: Component, place: Place, is_item: bool) -> str:
    held, calls = component.__dict__.copy(), component._tp_calls.copy()
    layout = _layout(component, held, is_item)
    values = layout.values(held)
    watched: dict[int, Watch] = {}
    texts = [
        layout.heads[at] + _value(layout.variables[at], value, at, watched, place) for at, value in enumerate(values)
    ]
    call_texts = _call_texts(calls, None, place)
    own = _own(layout, texts, call_texts)
    beneath = _beneath(layout, layout.components(held), place)
    text = _whole(layout, own, beneath)
    component._tp_seen = Node(layout, values, texts, watched, list(calls.values()), call_texts, own, beneath, text)
    return text


def _layout(component: Component, held: Mapping[str, object], is_item: bool) -> Layout:
    variables = tuple(variables_in(component, held))
    later, gone = later_than_born(component, variables), gone_since_born(component, held)
    found: list[tuple[int, str]] = []
    if isinstance(component, Flow):
        found = sorted((_SECTIONS.index(SECTIONS[child._tp_kind]), name) for name, child in children_in(held))
    children = tuple(name for _, name in found)
    components = cast("Callable[[Mapping[str, object]], tuple[Component, ...]]", _picker(children))
    sections = [section for section, _ in found]
    return Layout(
        cls=type(component),
        born=component._tp_born,
        is_item=is_item,
        names=list(held),
        variables=variables,
        values=_picker(variables),
        heads=tuple(f"{quoted(name)}: " for name in variables),
        later="".join(f', "{what}": {text_of(names)}' for what, names in (("later", later), ("gone", gone)) if names),
        children=children,
        kinds=[type(child) for child in components(held)],
        components=components,
        starts=tuple(f"{quoted(name)}: " for name in children),
        ends=(sections.count(0), sections.count(0) + sections.count(1)),
    )


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """A function that takes the values of these names out of a dict, all in one step."""
    if len(names) > 1:
        return cast("Callable[[Mapping[str, object]], tuple[object, ...]]", itemgetter(*names))
    if names:
        (only,) = names
        return lambda held: (held[only],)
    return lambda held: ()


def _value(name: str, value: object, at: int, watched: dict[int, Watch], place: Place) -> str:
    """One variable, also noted under ``watched`` if it can change in place."""
    if type(value) in (list, dict) and (look := watch(value)) is not None:
        watched[at] = look
        value = look.value()  # what is compared later is what is saved now, even if a work changes it at this moment
    try:
        return text_of(encode(value, ""))
    except UnsupportedStateError:
        return text_of(encode(value, ".".join((*_path(place), name))))


def _call_texts(calls: Mapping[str, JsonObject], seen: Node | None, place: Place) -> list[str]:
    known = dict(zip(map(id, seen.calls), seen.call_texts, strict=True)) if seen is not None else {}
    return [
        known.get(id(call))
        or f"{quoted(key)}: {text_of(encoded_call(call_to_save(call), '.'.join((*_path(place), 'run'))))}"
        for key, call in calls.items()
    ]


def _own(layout: Layout, texts: list[str], call_texts: list[str]) -> str:
    kind = f'"kind": "{layout.cls._tp_kind}", ' if layout.is_item else ""
    return f'{kind}"vars": {{{", ".join(texts)}}}{layout.later}, "calls": {{{", ".join(call_texts)}}}'


def _beneath(layout: Layout, children: tuple[Component, ...], place: Place) -> list[str]:
    items = layout.ends[1]
    return [
        _TEXTS[child._tp_kind](child, (place, layout.children[at]), at >= items) for at, child in enumerate(children)
    ]


def _whole(layout: Layout, own: str, beneath: list[str]) -> str:
    if not issubclass(layout.cls, Flow):
        return f"{{{own}}}"
    pairs = list(map(add, layout.starts, beneath))
    one, two = layout.ends
    flows, works, structures = ", ".join(pairs[:one]), ", ".join(pairs[one:two]), ", ".join(pairs[two:])
    return f'{{{own}, "flows": {{{flows}}}, "works": {{{works}}}, "structures": {{{structures}}}}}'


# --- structures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelf:
    """What was captured last of a Dict or a List."""

    names: list[str] | None
    """of a Dict"""
    changes: JsonObject
    """since its constructor"""
    items: list[str]
    text: str


def _structure_text(component: Component, place: Place, _: bool) -> str:
    structure = cast("Dict[Any] | List[Any]", component)
    seen, held = structure._tp_seen, structure._tp_items.copy()
    names = list(held) if isinstance(held, dict) else None
    named = held.items() if isinstance(held, dict) else zip(map(str, range(len(held))), held, strict=True)
    items = [_TEXTS[item._tp_kind](item, (place, name), True) for name, item in named]
    if isinstance(held, dict):
        changes = changes_of_dict(structure, held)
    else:
        changes = changes_of_list(cast("List[Any]", structure), held)
    if isinstance(seen, Shelf) and seen.items == items and seen.names == names and seen.changes == changes:
        return seen.text
    said = "".join(f'"{what}": {text_of(value)}, ' for what, value in changes.items())
    if names is None:
        text = f'{{"kind": "List", {said}"items": [{", ".join(items)}]}}'
    else:
        pairs = (f"{quoted(name)}: {item}" for name, item in zip(names, items, strict=True))
        text = f'{{"kind": "Dict", {said}"items": {{{", ".join(pairs)}}}}}'
    structure._tp_seen = Shelf(names, changes, items, text)
    return text


_TEXTS: Final[Mapping[str, Callable[[Component, Place, bool], str]]] = {
    "Flow": _flow_text,
    "Work": _node_text,
    "Dict": _structure_text,
    "List": _structure_text,
}
"""By the kind of a component, which is quicker to ask for than isinstance; the last argument: it is within a structure,
where a component says its kind."""


def _path(place: Place) -> tuple[str, ...]:
    above, name = place
    return (*(_path(above) if above is not None else ()), name)
