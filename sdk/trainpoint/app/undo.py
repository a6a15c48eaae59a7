"""The way back: a tree as it was before somebody else's code was let at it."""

from __future__ import annotations

from collections.abc import Callable

from trainpoint.app.component import Component, walk


def remember(top: Component) -> Callable[[], None]:
    """Everything beneath ``top`` as it is now; the function that is returned brings it back.

    Lists, dicts and sets keep their identity and get their content back. What other objects hold is theirs.
    """
    ways_back: list[Callable[[], None]] = []
    seen: dict[int, object] = {}
    waiting: list[object] = [top]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        if isinstance(value, Component):
            ways_back.append(value._tp_remember())
            waiting += [*value.__dict__.values(), *(child for _, child in value._tp_children())]
        elif type(value) is list or type(value) is dict or type(value) is set:
            ways_back.append(_content(value))
            waiting.extend(value.values() if type(value) is dict else value)
        elif type(value) is tuple:
            waiting.extend(value)
        else:
            continue
        seen[id(value)] = value  # held, so that no other object gets its id

    def undo() -> None:
        for _, component in list(walk(top)):
            if id(component) not in seen:
                component._tp_parent = None
        for way_back in ways_back:
            way_back()

    return undo


def _content(container: list[object] | dict[object, object] | set[object]) -> Callable[[], None]:
    if isinstance(container, list):
        listed = list(container)
        return lambda: container.__setitem__(slice(None), listed)
    copy = container.copy()

    def back() -> None:
        container.clear()
        container.update(copy)  # type: ignore[arg-type]

    return back
