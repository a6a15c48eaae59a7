"""Lists and dicts as they were at one moment, and whether they are still the same."""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import Any

from trainpoint.app.values import MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Watch:
    """What one list or dict held, and what those within it held."""

    keys: list[object] | None
    """None: it is a list"""
    items: list[object]
    within: tuple[tuple[int, Watch], ...]
    """by their positions among the items"""

    def differs(self, value: object) -> bool:
        """Whether ``value`` holds other objects now than it did then; also where they are equal."""
        now, keys = _content(value)
        if len(now) != len(self.items) or not all(map(is_, now, self.items)):
            return True
        if keys is not self.keys and (keys is None or self.keys is None or not all(map(is_, keys, self.keys))):
            return True
        return any(watched.differs(now[at]) for at, watched in self.within)

    def value(self) -> list[object] | dict[Any, object]:
        """What it was, in lists and dicts of its own."""
        items = self.items.copy()
        for at, watched in self.within:
            items[at] = watched.value()
        return items if self.keys is None else dict(zip(self.keys, items, strict=True))


def watch(value: object, _depth: int = 0) -> Watch | None:
    """None for what cannot change in place, and for what no state can hold: too deep, or of another type."""
    if type(value) not in (list, dict) or _depth > MAX_DEPTH:
        return None
    items, keys = _content(value)
    found = ((at, watch(item, _depth + 1)) for at, item in enumerate(items) if type(item) in (list, dict))
    return Watch(keys, items, tuple((at, look) for at, look in found if look is not None))


def _content(value: object) -> tuple[list[object], list[object] | None]:
    """Items and keys of one moment: each copy is one step for the interpreter."""
    if type(value) is dict:
        held = value.copy()
        return list(held.values()), list(held)
    return (value.copy(), None) if type(value) is list else ([value], None)
