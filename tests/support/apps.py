"""Apps to be run by tests in their own process, and what they have saved."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable

from trainpoint.app import Flow, Work, start
from trainpoint.app.begin import AppCheckpoint
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import read_info
from trainpoint.claim.history import read_attempts
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath

DEADLINE_SECONDS = 120.0


def states(catalog: BucketCatalog, workflow: str = "app") -> list[JsonObject]:
    """What was saved, oldest first."""
    there = reversed(list(start.committed(catalog, start.saved_by(catalog, "_", workflow))))
    return [json.loads(start.read_stored(catalog, one)) for one in there]


def info(catalog: BucketCatalog) -> CheckpointInfo:
    """Of the newest one."""
    newest = next(start.committed(catalog, start.saved_by(catalog, "_", "app")))
    entry = next(entry for entry in catalog.entries(newest.ref.task) if entry.id == newest.ref.id)
    return read_info(catalog.store, newest.ref.task, entry)[0]


def end_of(catalog: BucketCatalog, run: str = "r1") -> tuple[str, int | None, str]:
    """How the last attempt of a run ended: how, exit code, message."""
    end = read_attempts(catalog.store, TaskPath("app", run, "main"))[-1].end
    assert end is not None
    return end.how, end.exit_code, end.message


class Counts(Flow):
    """Counts its iterations; stops at ``until``; the hook says what ``hook`` says."""

    def __init__(self, until: int = 3, hook: Callable[[int], bool] = lambda _: True) -> None:
        super().__init__()
        self._until = until
        self._hook = hook
        self.n = 0

    def run(self) -> None:
        self.n += 1
        if self.n >= self._until:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return self._hook(self.n)


class Breaks(Counts):
    """Fails in its eighth iteration."""

    def run(self) -> None:
        super().run()
        if self.n == 8:
            raise RuntimeError("broken")


class Slow(Work):
    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self.done = 0

    def run(self) -> None:
        assert self._go.wait(DEADLINE_SECONDS)
        self.done += 1


class WithSlow(Flow):
    """Lets its work go after ``free`` iterations, and stops once it has ended."""

    consistent_seconds = 0.01

    def __init__(self, free: int) -> None:
        super().__init__()
        self._free = free
        self.n = 0
        self.w = Slow()

    def run(self) -> None:
        self.n += 1
        self.w.run()
        if self.n == self._free:
            self.w._go.set()
        if self.n >= self._free and self.w.has_succeeded:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return True


def saved_works(catalog: BucketCatalog) -> list[tuple[object, list[object]]]:
    """(what the work had done, the statuses of its calls) in each state."""
    works = [state["state"]["works"]["w"] for state in states(catalog)]
    return [(w["vars"]["done"], [call["status"] for call in w["calls"].values()]) for w in works]


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Preempted(Counts):
    """Is told to end in its third iteration."""

    def run(self) -> None:
        super().run()
        if self.n == 3:
            terminate()


def ask(handle: AppCheckpoint) -> None:
    """What ``trainpoint save`` does to a running app in the end."""
    writer = handle._writer
    assert writer is not None
    writer.rhythm.request()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Numbers(Work):
    """Notes what it was called with, once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self._go = threading.Event()
        self.done: list[int] = []

    def run(self, number: int) -> None:
        assert self._go.wait(DEADLINE_SECONDS)
        self.done.append(number)


class AllAtOnce(Flow):
    """Calls its work three times, once, in the first round, and stops."""

    consistent = False

    def __init__(self, *, free: bool) -> None:
        super().__init__()
        self.called = False
        self.w = Numbers()
        if free:
            self.w._go.set()

    def run(self) -> None:
        if not self.called:
            self.called = True
            for number in range(3):
                self.w.run(number)
        self.stop()

    def should_save_checkpoint(self) -> bool:
        return True


class Told(AllAtOnce):
    """Is told to end in its round, before it calls its work."""

    def run(self) -> None:
        terminate()
        super().run()
