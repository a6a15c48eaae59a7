"""Dict and List: components by key or in order, where their number is known only while the app runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, Generic, TypeVar, overload

from trainpoint.app.children import items_of, restore_children
from trainpoint.app.component import Component, dotted, path_in, root_of
from trainpoint.app.findings import Finding, Plan, What
from trainpoint.app.values import is_whole
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


def changes_of_dict(structure: Component, items: Collection[str]) -> JsonObject:
    """Which of the items that the constructor makes the app has taken away, for the state; empty: none."""
    gone = sorted(structure._tp_made.difference(items))
    return {"gone": gone} if gone else {}


def changes_of_list(structure: List[Any], items: Sequence[Component]) -> JsonObject:
    """How many items the constructor makes, and which of them is where, for the state; empty: all, in their order."""
    count, numbers = structure._tp_count, [number_in(structure, item) for item in items]
    if numbers[:count] == list(range(count)) and not any(number is not None for number in numbers[count:]):
        return {}
    return {"made": count, "order": numbers}


def number_in(structure: Component, item: Component) -> int | None:
    """The number that the constructor of ``structure`` has given to ``item``; None: that has come otherwise."""
    made = item._tp_from
    return made[1] if made is not None and made[0] is structure else None


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
        if not is_whole(key):
            remedy = "it has half a character (a lone surrogate), which no file can hold; repair the text"
            raise ComponentError(f"{dotted(self)} has no place for the key {key!r}", remedy=remedy)
        current = self._tp_items.get(key)
        if current is item:
            return
        self._tp_admit(key, item)
        if current is not None:
            current._tp_parent = None
            item._tp_replace(current)
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
        items = {name: _item_state(item) for name, item in self._tp_children()}
        return {"kind": "Dict", **changes_of_dict(self, items), "items": items}

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        states = items_of(state, path_in(plan, self))
        for name in state.get("gone") or []:
            if name in self._tp_items and name not in states:
                del self[name]
                plan.changed.append((*path_in(plan, self), name))
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

    __slots__ = ("_tp_count", "_tp_items")

    _tp_kind = "List"
    _tp_items: list[C]
    _tp_count: int
    """items that the constructor has put into it"""

    def __init__(self, *items: C | Iterable[C]) -> None:
        super().__init__()
        self._tp_items = []
        self._tp_count = 0
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
            item._tp_replace(current)
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

    def _tp_replace(self, former: Component) -> None:
        if isinstance(former, List):
            same = former._tp_count == self._tp_count and root_of(self)._tp_plan is None
            self._tp_count = former._tp_count
            for item in self._tp_items if not same else ():  # else it is made once more, as it was
                item._tp_from = None
        super()._tp_replace(former)

    def _tp_as_made(self) -> dict[str, Component]:
        numbers = ((number_in(self, item), item) for item in self._tp_items)
        return {str(number): item for number, item in numbers if number is not None}  # wherever they are now

    def _tp_mark(self) -> None:
        self._tp_count = len(self._tp_items)
        for number, item in enumerate(self._tp_items):
            item._tp_from = (self, number)

    def _tp_take(self) -> JsonObject:
        items = list(self._tp_items)
        return {"kind": "List", **changes_of_list(self, items), "items": [_item_state(item) for item in items]}

    def _tp_restore(self, state: JsonObject, strict: bool, plan: Plan) -> None:
        states = items_of(state, path_in(plan, self))
        children, new, gone = self._tp_matched(state, len(states))
        for item in gone:
            item._tp_parent = None
            plan.changed.append(path_in(plan, self))
        restore_children(self, states, strict, plan, children)
        for number, item in enumerate(new, len(states)):
            plan.add(Finding(What.NEW_COMPONENT, (*path_in(plan, self), str(number)), item._tp_kind))
        self._tp_items = [*children.values(), *new]

    def _tp_matched(self, state: JsonObject, count: int) -> tuple[dict[str, C], list[C], list[C]]:
        """Items by the numbers of their states; those that have none; those that the app had taken away.

        They go by their places. Where the app had taken away or moved what the constructor makes, these go by their
        numbers there, and others fill up the places that are left.
        """
        items, order, made = list(self._tp_items), state.get("order"), state.get("made")
        by_place = {str(number): item for number, item in enumerate(items[:count])}
        if not isinstance(order, list) or not isinstance(made, int) or len(order) != count:
            return by_place, items[count:], []
        numbers = [number_in(self, item) for item in items]
        own = {number: item for number, item in zip(numbers, items, strict=True) if number is not None}
        others = [item for number, item in zip(numbers, items, strict=True) if number is None]
        if len(items) == count and not own.keys() >= {number for number in order if number is not None}:
            return by_place, [], []  # load_state_dict has made a list of its own
        named = {place: item for place, number in enumerate(order) if (item := own.pop(number, None)) is not None}
        # What has come in the place of something that the code makes is given to that, as long as there is any.
        spare = iter([*others, *(item for number, item in own.items() if number < made)])
        placed = ((str(place), named[place] if place in named else next(spare, None)) for place in range(count))
        found = {place: item for place, item in placed if item is not None}  # not "if item": an empty Dict is false
        left = set(map(id, spare))
        new = [*(item for number, item in own.items() if number >= made), *(one for one in others if id(one) in left)]
        return found, new, [item for number, item in own.items() if number < made and id(item) in left]

    def _tp_remember(self) -> Callable[[], None]:
        back, items, count = super()._tp_remember(), list(self._tp_items), self._tp_count

        def all_back() -> None:
            back()
            self._tp_items, self._tp_count = items, count

        return all_back
