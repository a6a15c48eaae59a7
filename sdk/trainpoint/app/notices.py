"""What people should know of a state that is saved: what it leaves out, and what no start could give back."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final

from trainpoint.app.component import Component, ancestors, walk
from trainpoint.app.saver import INTERVAL_SECONDS
from trainpoint.app.tree import Flow
from trainpoint.errors import EXIT_REFUSED
from trainpoint.handle.narrate import logger

NAMES_TOLD: Final = 10


class Notices:
    """Tells each of these things once, when it is seen first."""

    def __init__(self, root: Flow) -> None:
        """``root``: as its constructor made it."""
        self._root = root
        self._made = frozenset(path for path, _ in walk(root))
        self._told: set[str] = set()
        self._again_at = float("-inf")

    def look(self, now: float) -> None:
        """Look through the tree, if the last look was a second ago; ``now`` is in monotonic seconds."""
        if now < self._again_at:
            return
        self._again_at = now + INTERVAL_SECONDS
        if found := self._new(left_out(self._root)):
            logger.info("not saved: %s", listed(found, "; "))
        if found := self._new(created_later(self._root, self._made)):
            logger.warning(
                "created as the app runs: %s; a start from its checkpoints ends with exit code %d, unless a "
                "load_state_dict of its flow creates it",
                listed(found),
                EXIT_REFUSED,
            )

    def _new(self, found: Sequence[str]) -> list[str]:
        new = [text for text in found if text not in self._told]
        self._told.update(new)
        return new


def left_out(root: Flow) -> list[str]:
    """What is not saved, by dotted name, and why."""
    return [
        f"{'.'.join(path)}.{name}: its name begins with _"
        for path, component in walk(root)
        for name in sorted(component.__dict__)
        if name.startswith("_") and not name.startswith("__")  # Python's own, such as __orig_class__ of Dict[Work]()
    ]


def created_later(root: Flow, made: Set[tuple[str, ...]]) -> list[str]:
    """Components, by dotted name, that a new process of the same code would not have when it restores the state.

    Args:
        made: paths of those that the constructor makes.
    """
    return [
        ".".join(path)
        for path, component in walk(root)
        if path not in made and path[:-1] in made and not any(map(_creates, ancestors(component)))
    ]


def _creates(component: Component) -> bool:
    return isinstance(component, Flow) and type(component).load_state_dict is not Flow.load_state_dict


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first ten, and how many more there are."""
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return separator.join(names[:NAMES_TOLD]) + more
