"""Children's states: which kind each is of, and how they find the components that the code has made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trainpoint.app.component import Component, path_in, section
from trainpoint.app.findings import Finding, Plan, What
from trainpoint.errors import IncompatibleStateError
from trainpoint.format.digest import JsonObject

SECTIONS: Final = {"Flow": "flows", "Work": "works", "Dict": "structures", "List": "structures"}
"""Kind of a component: the part of its flow's state in which it lies."""


def kind_of(state: JsonObject) -> str:
    """``Flow``, ``Work``, ``Dict`` or ``List``; within a structure it is written down, elsewhere it can be seen."""
    kind = state.get("kind")
    if kind in SECTIONS:
        return str(kind)
    if "items" in state:
        return "List" if isinstance(state["items"], list) else "Dict"
    return "Flow" if any(name in state for name in ("flows", "works", "structures")) else "Work"


def children_of(state: JsonObject, path: tuple[str, ...]) -> JsonObject:
    """The states of a flow's children by name, of all kinds together: what ``load_state_dict`` is given."""
    return {**section(state, "flows", path), **section(state, "works", path), **section(state, "structures", path)}


def items_of(state: JsonObject, path: tuple[str, ...]) -> dict[str, JsonObject]:
    """The states of a structure's items by name; the names of a list's are their numbers."""
    items = state.get("items", {})
    if isinstance(items, list):
        return {str(number): item for number, item in enumerate(items)}
    return section(state, "items", path)


def restore_children(
    parent: Component,
    states: Mapping[str, JsonObject],
    strict: bool,
    plan: Plan,
    children: Mapping[str, Component] | None = None,
) -> None:
    """Give each child its state. A state without its child is a finding, and so is a child without a state.

    Args:
        children: by the names of their states; by their own names by default.
    """
    path = path_in(plan, parent)
    children = dict(parent._tp_children()) if children is None else children
    for name, state in states.items():
        own = (*path, name)
        if not isinstance(state, dict):
            raise IncompatibleStateError(
                f"The state of the component {'.'.join(own)} is no object",
                remedy="look at what load_state_dict or a migration has put there",
            )
        child, kind = children.get(name), kind_of(state)
        if child is None:
            plan.add(Finding(What.MISSING_COMPONENT, own, kind, refused=strict, inside=tuple(_inside(state, own))))
        elif child._tp_kind != kind and not (kind == "Work" and child._tp_kind == "Flow" and "calls" not in state):
            # (What a flow's own state_dict says, or a hand has written, may have no part that shows what it is of.)
            detail = f"a {kind} in the state and a {child._tp_kind} in the code"
            plan.add(Finding(What.OTHER_KIND, own, detail, refused=strict, inside=tuple(_inside(state, own))))
        else:
            plan.paths[id(child)] = own
            child._tp_restore(state, strict, plan)
    for name in children:
        if name not in states:
            plan.add(Finding(What.NEW_COMPONENT, (*path, name), children[name]._tp_kind))


def _inside(state: JsonObject, path: tuple[str, ...]) -> list[str]:
    """Dotted names of all that is lost with a component."""
    names = [".".join((*path, name)) for name in section(state, "vars", path)]
    for name, child in {**children_of(state, path), **items_of(state, path)}.items():
        if isinstance(child, dict):
            names += [".".join((*path, name)), *_inside(child, (*path, name))]
    return names
