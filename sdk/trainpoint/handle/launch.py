"""How a run ends that this process has launched itself, perhaps with several tasks, one after the other or at once.

Where a launcher names the run (``trainpoint run``, a Job), it says how the run ended. Here the process does, as well as
it can: with each handle that closes while no other one is open. It succeeded if the last attempt of every task did. A
task that begins after that takes it back, so that a process that is killed in its second task has not succeeded.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

from trainpoint.clock import rfc3339
from trainpoint.context import Context
from trainpoint.format.layout import TaskPath, run_end_key
from trainpoint.format.records import RunEndRecord


@dataclass(slots=True)
class Launch:
    """One run: which of its tasks are open, and how the others ended."""

    open: set[TaskPath] = field(default_factory=set)
    failed: dict[TaskPath, str] = field(default_factory=dict)
    told: bool = False
    """whether the store says that the run is over"""

    def begun(self, task: TaskPath) -> str | None:
        """What to say of the run now that a task begins; None: nothing."""
        self.open.add(task)
        return f"{task} began and did not end" if self.told else None

    def ended(self, task: TaskPath, *, failure: str | None) -> str | None:
        """What to say of the run now that a task has ended: why it failed, or the empty text; None: nothing yet."""
        self.open.discard(task)
        self.failed.pop(task, None)
        if failure is not None:
            self.failed[task] = failure
        if self.open:
            return None
        self.told = True
        return next(iter(self.failed.values()), "")


_launches: dict[tuple[int, str, TaskPath], Launch] = {}
"""by process, store and run"""
_lock = threading.Lock()


def begun(context: Context, task: TaskPath) -> None:
    """A task of a run that this process launched has been claimed. Raises a StoreError."""
    with _lock:
        said = _of(context, task).begun(task)
    if said is not None:
        tell(context, task, said)


def ended(context: Context, task: TaskPath, *, failure: str | None) -> str | None:
    """It has ended; ``failure``: why it failed, None if it did not. Returns what to tell of the run; None: nothing."""
    with _lock:
        return _of(context, task).ended(task, failure=failure)


def _of(context: Context, task: TaskPath) -> Launch:
    run = TaskPath(task.workflow, task.run, "main", namespace=task.namespace)
    return _launches.setdefault((os.getpid(), context.catalog.store.url, run), Launch())


def tell(context: Context, task: TaskPath, failure: str) -> None:
    """Write down how the run ended, with an empty text that it succeeded. Raises a StoreError."""
    record = RunEndRecord("Failed" if failure else "Succeeded", failure[:500], rfc3339(context.clock.now()))
    context.catalog.store.put(run_end_key(task.namespace, task.workflow, task.run), record.to_bytes())


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_after_fork_in_child)
