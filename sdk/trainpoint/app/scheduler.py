"""Works beside the flow: each call runs once, in a thread of this process; those of one work, one after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from trainpoint.app.component import dotted
from trainpoint.app.fragments import hold
from trainpoint.app.tree import Work, cancel, execute
from trainpoint.handle.narrate import logger

AT_ONCE: Final = 32
"""Calls that run at the same time; more of them wait for their turn."""
GLANCE_SECONDS: Final = 0.1
"""How long a wait lasts at most before it looks again whether this process is to end."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a work's ``run``."""

    work: Work
    args: tuple[object, ...]
    kwargs: dict[str, object]

    @property
    def name(self) -> str:
        return dotted(self.work)

    def __str__(self) -> str:
        words = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        text = f"{self.name}.run({', '.join(words)})"
        return text if len(text) <= 200 else f"{text[:197]}…"


class Scheduler:
    """Threads for works. All but the works themselves is called by the thread of the loop."""

    def __init__(
        self, *, ending: Callable[[], bool] = lambda: False, consistent: Callable[[], bool] = lambda: True
    ) -> None:
        """
        Args:
            ending: whether this process is to end; from then on no call begins.
            consistent: whether a work that runs is to be saved as it was before its call.
        """
        self._ending = ending
        self._consistent = consistent
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[Call] = deque()
        """of works that do nothing else"""
        self._behind: dict[int, deque[Call]] = {}
        """further calls of a work that is in the queue or at work, by its id: its class may say when two are equal"""
        self._running: set[Call] = set()
        self._failed: deque[tuple[Call, BaseException]] = deque()
        self._held = False
        self._stuck: frozenset[Call] = frozenset()
        self.changes = 0
        """calls that were taken on or have ended, so far"""

    def submit(self, work: Work, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Take on a call; it begins at once, or when the one of the same work has ended, or one of 32 others."""
        with self._changed:
            if id(work) in self._behind:
                self._behind[id(work)].append(Call(work, args, kwargs))
            else:
                self._behind[id(work)] = deque()
                self._queue.append(Call(work, args, kwargs))
            self.changes += 1
            self._begin()

    @property
    def busy(self) -> bool:
        """Whether any call has not ended."""
        with self._lock:  # a condition takes three times as long for it, and this is asked in each iteration
            return bool(self._running or self._queue)

    def raise_failed(self) -> None:
        """Raise what a work has raised, with a note that names the work; once for each."""
        with self._changed:
            failed = self._failed.popleft() if self._failed else None
        if failed is not None:
            call, error = failed
            logger.error("work %s failed: %s: %s", call.name, type(error).__name__, error)
            if not isinstance(error, Exception):  # its end is not that of the app
                raise RuntimeError(f"the work {call} has ended itself by {type(error).__name__}: {error}") from error
            error.add_note(f"raised by the work {call}")
            raise error

    def wait(self, *, since: int, seconds: float) -> None:
        """Return when a call was taken on or has ended since ``changes`` was ``since``; after ``seconds`` anyway."""
        with self._changed:
            if self.changes == since:
                self._changed.wait(seconds)

    @contextmanager
    def still(self, left_seconds: Callable[[], float], *, anew: bool = False) -> Iterator[tuple[str, ...]]:
        """While the block is entered, no work runs; yields the names of those that run all the same.

        Waits for running calls to end and lets none begin. It gives up once ``left_seconds``, which is asked again and
        again, says that nothing is left; the next time it does so at once, while one of these calls still runs: a work
        that never ends must not stop the loop each time. (``anew``: it waits all the same.)
        """
        with self._changed:
            self._held = True
            self._stuck = frozenset() if anew else self._stuck
            try:
                while self._running and not self._running & self._stuck:
                    left = left_seconds()
                    if left <= 0:
                        self._stuck = frozenset(self._running)
                        break
                    self._changed.wait(min(left, GLANCE_SECONDS))
                names = tuple(sorted(call.name for call in self._running))
            except BaseException:
                self._release()
                raise
        try:
            yield names
        finally:
            with self._changed:
                self._release()

    def close(self) -> None:
        """No call begins any more; those that wait stay pending. Running ones end with this process."""
        with self._changed:
            self._held = True
            waiting = [*self._queue, *(call for calls in self._behind.values() for call in calls)]
            self._queue.clear()
            self._behind.clear()
        for call in waiting:
            cancel(call.work, call.args, call.kwargs)

    # --- within -------------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        self._held = False
        self._begin()

    def _begin(self) -> None:
        while self._queue and not self._held and len(self._running) < AT_ONCE and not self._ending():
            call = self._queue.popleft()
            try:
                if self._consistent():
                    hold(call.work, call.work._tp_key(call.args, call.kwargs))
                else:
                    call.work._tp_before = None
                # A daemon: nobody can end a thread, and a process that was told to end must not wait for one.
                name = f"trainpoint-work-{call.name}"
                threading.Thread(target=self._run, args=(call,), name=name, daemon=True).start()
            except Exception as error:  # no memory, no thread
                self._failed.append((call, error))
                self.changes += 1
                self._changed.notify_all()
            else:
                self._running.add(call)

    def _run(self, call: Call) -> None:
        error: BaseException | None = None
        try:
            execute(call.work, call.args, call.kwargs)
        except BaseException as raised:
            error = raised
        with self._changed:
            if error is not None:
                self._failed.append((call, error))
            self._running.discard(call)
            if behind := self._behind.get(id(call.work)):
                self._queue.append(behind.popleft())
            else:
                self._behind.pop(id(call.work), None)
            self.changes += 1
            self._begin()
            self._changed.notify_all()
