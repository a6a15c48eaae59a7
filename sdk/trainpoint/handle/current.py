"""``current.checkpoint``: the handle that code deep inside a training program means.

Entering a ``with`` block or a decorated function puts its handle on a stack that belongs to the context (thread or
asyncio task); leaving takes it off. Threads do not inherit that stack, so that where it is empty, and exactly one
handle is open in the process, that one is meant.
"""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, NoReturn

from trainpoint.errors import NoCurrentCheckpointError

if TYPE_CHECKING:
    from trainpoint.handle.checkpoint import Checkpoint


_stack: ContextVar[tuple[Checkpoint, ...]] = ContextVar("trainpoint-current", default=())
_open: dict[int, Checkpoint] = {}
"""all open handles of this process by identity, in the order in which they opened"""
_lock = threading.Lock()


def opened(handle: Checkpoint) -> None:
    """A handle can be used from now on."""
    with _lock:
        _open[id(handle)] = handle


def closed(handle: Checkpoint) -> None:
    """It cannot any more. Safe to repeat."""
    with _lock:
        _open.pop(id(handle), None)


def entered(handle: Checkpoint) -> None:
    """Its block begins in this context."""
    _stack.set((*_stack.get(), handle))


def left(handle: Checkpoint) -> None:
    """Its block ends. No token is kept: a block may be left in another context than it was entered in."""
    _stack.set(tuple(other for other in _stack.get() if other is not handle))


def innermost() -> Checkpoint:
    """The handle that is meant here. Raises NoCurrentCheckpointError."""
    for handle in reversed(_stack.get()):
        if handle.is_open:
            return handle
    with _lock:
        there = [handle for handle in _open.values() if handle.is_open]
    if len(there) == 1:
        return there[0]
    if there:
        names = ", ".join(str(handle) for handle in there)
        raise NoCurrentCheckpointError(
            f"{len(there)} Checkpoints are open in this process ({names}), and this thread is in the block of none",
            remedy="pass the handle to the code of this thread, or run it by contextvars.copy_context().run(…)",
        )
    raise NoCurrentCheckpointError(
        "no Checkpoint is open in this process",
        remedy="decorate the function that trains with @checkpoint, or open one: with Checkpoint() as ckpt",
    )


class Current:
    """Where this code runs. Use the one instance: ``from trainpoint import current``.

    >>> from trainpoint import checkpoint, current
    >>> @checkpoint(load_policy="eager")
    ... def main(steps):
    ...     return list(range(current.checkpoint.step, steps))
    >>> main(203)
    [200, 201, 202]
    """

    __slots__ = ()

    @property
    def checkpoint(self) -> Checkpoint:
        """The handle of the innermost decorated call or ``with`` block; elsewhere, the only one that is open.

        Raises:
            NoCurrentCheckpointError: none is open, or several are and this thread is in the block of none.
        """
        return innermost()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"current has no attribute {name!r}; it has: checkpoint", name=name, obj=self)

    def __dir__(self) -> list[str]:
        return ["checkpoint"]

    def __repr__(self) -> str:
        return "<trainpoint.current: checkpoint>"


current = Current()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it
    _open.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
