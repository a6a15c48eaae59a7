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
        if found := self._new(of_another_class(self._root, self._made)):
            logger.warning(
                "of another class than the constructor makes: %s; a start from its checkpoints gives the state to what "
                "that makes, unless a load_state_dict of its flow creates it",
                listed(found),
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


def created_later(root: Flow, made: Mapping[tuple[str, ...], type[Component]]) -> Iterator[tuple[Hashable, str]]:
    """Components that a new process of the same code would not have when it restores the state: where; by dotted name.

    Args:
        made: classes, by their paths, of those that the constructor makes.
    """
    for path, component in walk(root):
        if _is_made(made.get(path), component) or path[:-1] not in made or any(map(_creates, ancestors(component))):
            continue
        yield path if isinstance(component._tp_parent, Flow) else path[:-1], ".".join(path)


def of_another_class(root: Flow, made: Mapping[tuple[str, ...], type[Component]]) -> Iterator[tuple[Hashable, str]]:
    """Components in the place of one of the same kind that the constructor makes: where; what they are."""
    for path, component in walk(root):
        first = made.get(path)
        if first is None or first is type(component) or not _is_made(first, component):
            continue
        if not isinstance(component._tp_parent, Flow):
            continue  # items of a list change their places, and are known by their numbers
        if not any(map(_creates, ancestors(component))):
            name, told = type(component).__qualname__, first.__qualname__
            yield (path, type(component)), f"{'.'.join(path)} is a {name}, not a {told}"


def _is_made(made: type[Component] | None, component: Component) -> bool:
    """Whether a new process has something there that the state of ``component`` fits."""
    return made is not None and made._tp_kind == component._tp_kind


def _creates(component: Component) -> bool:
    return isinstance(component, Flow) and type(component).load_state_dict is not Flow.load_state_dict


def listed(names: Sequence[str], separator: str = ", ") -> str:
    """The first ten, and how many more there are."""
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return separator.join(names[:NAMES_TOLD]) + more
