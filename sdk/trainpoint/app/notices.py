"""What people should know of a state that is saved: what it leaves out, and what no start could give back."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from trainpoint.app.component import Component, ancestors, walk
from trainpoint.app.tree import Flow
from trainpoint.errors import EXIT_REFUSED
from trainpoint.handle.narrate import logger

NAMES_TOLD: Final = 10


LOOK_SECONDS: Final = 1.0
"""A look goes through the whole tree, and a loop may ask for one a thousand times a second."""


class Notices:
    """Tells each of these things once, when it is seen first; of a list that grows, of its first item."""

    def __init__(self, root: Flow) -> None:
        """``root``: as its constructor made it."""
        self._root = root
        self._made = {path: type(component) for path, component in walk(root)}
        self._told: set[Hashable] = set()
        self._again_at = float("-inf")

    def look(self, now: float) -> None:
        """Look through the tree, if the last look was a second ago; ``now`` is in monotonic seconds."""
        if now < self._again_at:
            return
        self._again_at = now + LOOK_SECONDS
        if found := self._new(left_out(self._root)):
            logger.info("not saved: %s", listed(found, "; "))
        if found := self._new(created_later(self._root, self._made)):
            logger.warning(
                "created as the app runs: %s; a start from its checkpoints ends with exit code %d, unless a "
                "load_state_dict of its flow creates it",
                listed(found),
                EXIT_REFUSED,
            )

    def _new(self, found: Iterable[tuple[Hashable, str]]) -> list[str]:
        new = []
        for what, text in found:
            if what not in self._told:
                self._told.add(what)
                new.append(text)
        return new


def left_out(root: Flow) -> Iterator[tuple[Hashable, str]]:
    """What is not saved: of which class; by dotted name, and why."""
    for path, component in walk(root):
        for name in sorted(component.__dict__):
            if name.startswith("_") and not name.startswith("__"):  # not __orig_class__ of Dict[Work](), say
                yield (type(component), name), f"{'.'.join(path)}.{name}: its name begins with _"


def created_later(root: Flow, made: Mapping[tuple[str, ...], type]) -> Iterator[tuple[Hashable, str]]:
    """Components that a new process of the same code would not have when it restores the state: where; by dotted name.

    Args:
        made: classes, by their paths, of those that the constructor makes.
    """
    for path, component in walk(root):
        if made.get(path) is type(component) or path[:-1] not in made or any(map(_creates, ancestors(component))):
            continue
        yield path if isinstance(component._tp_parent, Flow) else path[:-1], ".".join(path)


def _creates(component: Component) -> bool:
    return isinstance(component, Flow) and type(component).load_state_dict is not Flow.load_state_dict


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first ten, and how many more there are."""
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return separator.join(names[:NAMES_TOLD]) + more
