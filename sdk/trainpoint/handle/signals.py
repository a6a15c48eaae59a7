"""SIGTERM is a flag: a save inside a handler would capture half-written files.

The handler only marks every open handle as preempted and calls whatever handler was there before. It is installed in
the main thread alone, once for all handles, and taken out when the last of them closes. A forked child gets the
previous handler back and its copies of the handles are closed, so that a data loader's worker dies of SIGTERM as it
should.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from types import FrameType
from typing import Protocol


class Preemptible(Protocol):
    """What a handle offers to this module."""

    def _on_preempted(self) -> None: ...
    def _on_forked(self) -> None: ...


class _Handles:
    """A set of handles that does not keep them alive.

    Each step is one operation of a dict: a signal handler may walk through it in the middle of anything that another
    thread, or its own, does with it. ``weakref.WeakSet`` fails there, with "changed size during iteration", and a lock
    could be held by the very code that the handler interrupts.
    """

    def __init__(self) -> None:
        self._refs: dict[int, weakref.ref[Preemptible]] = {}

    def add(self, handle: Preemptible) -> None:
        self._refs[id(handle)] = weakref.ref(handle)

    def discard(self, handle: Preemptible) -> None:
        self._refs.pop(id(handle), None)

    def alive(self) -> list[Preemptible]:
        return [handle for ref in list(self._refs.values()) if (handle := ref()) is not None]

    def __bool__(self) -> bool:
        return bool(self.alive())


class _Registry:
    """Open handles of this process, and the handler that was there before."""

    def __init__(self) -> None:
        self.handles = _Handles()
        self.listening = _Handles()
        self.previous: object = None
        self.installed = False


_registry = _Registry()


def register(handle: Preemptible, *, listen: bool) -> bool:
    """Take a handle in; with ``listen`` it is told of SIGTERM.

    Returns:
        Whether SIGTERM will reach it: False outside the main thread, where SIGTERM is ignored, or without ``listen``.
    """
    _registry.handles.add(handle)
    if not listen or not _install():
        return False
    _registry.listening.add(handle)
    return True


def unregister(handle: Preemptible) -> None:
    """Let a handle go; the last listening one takes the handler out again."""
    _registry.handles.discard(handle)
    _registry.listening.discard(handle)
    if _registry.installed and not _registry.listening and threading.current_thread() is threading.main_thread():
        _uninstall()


def _install() -> bool:
    if _registry.installed:
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    previous = signal.getsignal(signal.SIGTERM)
    if previous is signal.SIG_IGN or previous is None:
        return False  # somebody decided that SIGTERM means nothing here, or a handler that Python cannot call
    _registry.previous = previous
    signal.signal(signal.SIGTERM, _on_sigterm)
    _registry.installed = True
    return True


def _uninstall() -> None:
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:  # else somebody chained behind us; leave theirs
        signal.signal(signal.SIGTERM, _registry.previous)  # type: ignore[arg-type]
    _registry.installed = False
    _registry.previous = None


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    for handle in _registry.listening.alive():
        handle._on_preempted()
    previous = _registry.previous
    if callable(previous):
        previous(number, frame)
    elif not _registry.listening:  # every handle has closed but another thread still held the handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _after_fork_in_child() -> None:
    for handle in _registry.handles.alive():
        handle._on_forked()
    _registry.handles = _Handles()
    _registry.listening = _Handles()
    if _registry.installed:
        _uninstall()


os.register_at_fork(after_in_child=_after_fork_in_child)
