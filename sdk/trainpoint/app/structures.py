"""Dict and List: components by key or in order, where their number is known only while the app runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Generic, TypeVar, overload

from trainpoint.app.children import items_of, restore_children
from trainpoint.app.component import Component, dotted, path_in
from trainpoint.app.findings import Plan
from trainpoint.errors import ComponentError
from trainpoint.format.digest import JsonObject

C = TypeVar("C", bound=Component)
"""What a structure holds; ``Component`` for a mixture."""


class _Structure(Component, Generic[C]):
    """Holds components and no variables."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            raise ComponentError(
                f"{dotted(self)}.{name} cannot be set: a {self._tp_kind} holds nothing but its items",
                remedy="make it a variable of the flow",
            )
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def _tp_admit(self, name: str, item: C) -> C:
        if not isinstance(item, Component):
            raise ComponentError(
                f"{dotted(self)}.{name} cannot be of the type {type(item).__qualname__}: "
                f"a {self._tp_kind} holds flows, works and structures",
                remedy="put plain values into a variable of the flow",
            )
        self._tp_adopt(name, item)
        return item


def _item_state(item: Component) -> JsonObject:
    return {"kind": item._tp_kind, **item._tp_take()}


class Dict(_Structure[C], MutableMapping[str, C]):
    """Components by text: ``self.d = Dict()``, then ``self.d["a"] = MyWork()``, in any method."""

    __slots__ = ("_tp_items",)

    _tp_kind = "Dict"
    _tp_items: dict[str, C]

    def __init__(self, items: Mapping[str, C] | None = None, /, **more: C) -> None:
        super().__init__()
        self._tp_items = {}
        self.update({**(items or {}), **more})

    def __getitem__(self, key: str) -> C:
        return self._tp_items[key]

    def __setitem__(self, key: str, item: C) -> None:
        if type(key) is not str:
            raise ComponentError(f"{dotted(self)} has no place for the key {key!r}", remedy="a Dict's keys are text")
        current = self._tp_items.get(key)
        if current is item:
            return
        self._tp_admit(key, item)
        if current is not None:
            current._tp_parent = None
        self._tp_items[key] = item

    def __delitem__(self, key: str) -> None:
        self._tp_items.pop(key)._tp_parent = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tp_items)

    def __len__(self) -> int:
        return len(self._tp_items)

    def __repr__(self) -> str:
        return f"Dict({self._tp_items!r})"

    def _tp_children(self) -> list[tuple[str, Component]]:
        return list(self._tp_items.items())

    def _tp_take(self) -> JsonObject:
        return {"kind": "Dict", "items": {name: _item_state(item) for name, item in self._tp_children()}}

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        states = items_of(state, path_in(plan, self))
        restore_children(self, states, strict, plan)
        order = [*(name for name in states if name in self._tp_items), *self._tp_items]
        self._tp_items = {name: self._tp_items[name] for name in order}  # gone through as it was when it was saved

    def _tp_remember(self) -> Callable[[], None]:
        back, items = super()._tp_remember(), dict(self._tp_items)

        def all_back() -> None:
            back()
            self._tp_items = items

        return all_back


class List(_Structure[C], MutableSequence[C]):
    """Components in order: ``self.l = List()``, then ``self.l.append(MyWork())``, in any method."""

    __slots__ = ("_tp_items",)

    _tp_kind = "List"
    _tp_items: list[C]

    def __init__(self, *items: C | Iterable[C]) -> None:
        super().__init__()
        self._tp_items = []
        for item in items:
            self.extend([item] if isinstance(item, Component) or not isinstance(item, Iterable) else item)

    @overload
    def __getitem__(self, index: int) -> C: ...
    @overload
    def __getitem__(self, index: slice) -> list[C]: ...
    def __getitem__(self, index: int | slice) -> C | list[C]:
        return self._tp_items[index]

    @overload
    def __setitem__(self, index: int, item: C) -> None: ...
    @overload
    def __setitem__(self, index: slice, item: Iterable[C]) -> None: ...
    def __setitem__(self, index: int | slice, item: C | Iterable[C]) -> None:
        if isinstance(index, slice) or not isinstance(item, Component):
            raise ComponentError(
                f"{dotted(self)}[{index!r}] cannot be of the type {type(item).__qualname__}: one component, one place",
                remedy="set items one by one, or use append, insert and del",
            )
        current = self._tp_items[index]
        if current is not item:
            self._tp_admit(str(index), item)
            current._tp_parent = None
            self._tp_items[index] = item

    def __delitem__(self, index: int | slice) -> None:
        gone = self._tp_items[index]
        del self._tp_items[index]
        for item in gone if isinstance(gone, list) else [gone]:
            item._tp_parent = None

    def __len__(self) -> int:
        return len(self._tp_items)

    def insert(self, index: int, item: C) -> None:
        self._tp_items.insert(index, self._tp_admit(str(index), item))

    def __repr__(self) -> str:
        return f"List({self._tp_items!r})"

    def _tp_children(self) -> list[tuple[str, Component]]:
        return [(str(number), item) for number, item in enumerate(self._tp_items)]

    def _tp_take(self) -> JsonObject:
        return {"kind": "List", "items": [_item_state(item) for item in list(self._tp_items)]}

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        restore_children(self, items_of(state, path_in(plan, self)), strict, plan)

    def _tp_remember(self) -> Callable[[], None]:
        back, items = super()._tp_remember(), list(self._tp_items)

        def all_back() -> None:
            back()
            self._tp_items = items

        return all_back
