"""Runs and their tasks, as their readers see them. Everything here only reads, and asks anew each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog, RunSummary
from trainpoint.claim.protocol import read_board
from trainpoint.errors import InvalidArgumentError, RunNotFoundError
from trainpoint.format.layout import TaskPath
from trainpoint.format.records import RunEndRecord
from trainpoint.handle.artifacts import Artifact, published, read_artifact
from trainpoint.handle.latest import latest_of
from trainpoint.handle.listing import CheckpointList, listed
from trainpoint.handle.load import best
from trainpoint.handle.scope import attempt_number
from trainpoint.identity import IndexArgument, index_text

Mode = Literal["min", "max"]
"""Which end of a metric is better."""
LATEST_ARTIFACT = "latest_checkpoint"
"""The name under which every task has an artifact: what was published, else its latest checkpoint."""


@dataclass(frozen=True, slots=True, repr=False)
class RunTask:
    """One task of a run, and one index of it: what ``list(task=…)`` takes.

    ``task["name"]`` is a value it has published; ``"name" in task`` says whether there is one.

    >>> task = Workflow("digits")["digits-1"]["main"].task
    >>> task.attempts, task.latest.step, task.artifacts, "accuracy" in task
    (1, 200, ('accuracy', 'best'), True)
    """

    _catalog: BucketCatalog = field(compare=False)
    path: TaskPath
    """workflow, run, task, index and namespace"""

    @property
    def name(self) -> str:
        return self.path.task

    @property
    def index(self) -> str:
        """``"2"``, ``"2.1"``; empty for a task without an index."""
        return self.path.index

    @property
    def pathspec(self) -> str:
        """``workflow/run/task`` or ``workflow/run/task/index``."""
        return str(self.path)

    @property
    def attempts(self) -> int:
        """How often it has been started so far."""
        return len(read_board(self._catalog.store.list(self.path.attempts)).winners)

    @property
    def latest(self) -> CheckpointInfo | None:
        """Its newest checkpoint that may be chosen; what it loaded, where it has only loaded; None without either."""
        return latest_of(self._catalog, self.path)

    def best(self, metric: str, mode: Mode) -> CheckpointInfo | None:
        """Its checkpoint with the lowest or highest ``metric``; NaN is never best, ties go to the newer.

        >>> Workflow("digits")["digits-1"]["main"].task.best("accuracy", "max").step
        200
        """
        return best(self._catalog, self.path, metric, mode)

    def checkpoints(
        self, *, name: str | None = None, attempt: int | str | None = None, all: bool = False
    ) -> CheckpointList:
        """Its checkpoints, newest first; arguments as for :meth:`trainpoint.Checkpoint.list`.

        >>> task = Workflow("digits")["digits-1"]["main"].task
        >>> [info.step for info in task.checkpoints(attempt=0)]
        [200, 100]
        """
        number = attempt_number(attempt)
        return listed(self._catalog, [self.path], series=name, attempt=number, everything=all)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Names of the values it has published."""
        return tuple(published(self._catalog, self.path))

    def __getitem__(self, name: str) -> Artifact:
        """A published value. ``latest_checkpoint`` is there too where nothing of that name was published: see latest.

        Raises:
            RunNotFoundError: it has published nothing of that name; a KeyError too.

        >>> task = Workflow("digits")["digits-1"]["main"].task
        >>> task["accuracy"].data, ckpt.load(task["best"]).step
        (0.9, 200)
        """
        found = read_artifact(self._catalog, self.path, name) or self._latest_artifact(name)
        if found is None:
            there = ", ".join(self.artifacts) or "none"
            raise RunNotFoundError(
                f"{self.path} has published no artifact {name!r} (published: {there})",
                remedy=f"publish it while it runs: ckpt.publish({name!r}, value)",
            )
        return found

    def _latest_artifact(self, name: str) -> Artifact | None:
        latest = self.latest if name == LATEST_ARTIFACT else None
        if latest is None:
            return None
        return Artifact(self.path, name, latest.ref.to_json(), latest.attempt, f"{latest.time:%Y-%m-%dT%H:%M:%S.%fZ}")

    def __contains__(self, name: object) -> bool:
        return name in published(self._catalog, self.path) or (name == LATEST_ARTIFACT and self.latest is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.artifacts)

    def __repr__(self) -> str:
        return f"<task {self.path}>"


@dataclass(frozen=True, slots=True, repr=False)
class RunStep:
    """A task of a run with all its indexes.

    >>> step = Workflow("digits")["digits-1"]["main"]
    >>> [task.latest.step for task in step.tasks]
    [200]
    """

    run: str
    name: str
    tasks: tuple[RunTask, ...]
    """by index; at least one"""

    @property
    def task(self) -> RunTask:
        """The one task: the one without an index, or the only one there is.

        Raises:
            InvalidArgumentError: there are several indexes; the message names them.

        >>> Workflow("digits")["digits-1"]["main"].task.latest.step
        200
        """
        if len(self.tasks) == 1:
            return self.tasks[0]
        for task in self.tasks:
            if not task.index:
                return task
        there = ", ".join(task.index for task in self.tasks[:12]) + (", …" if len(self.tasks) > 12 else "")
        raise InvalidArgumentError(
            f"task {self.name} of {self.run} has {len(self.tasks)} indexes: {there}",
            remedy=f'say which: run["{self.name}"][{self.tasks[0].index.split(".")[0]}], or take all: .tasks',
        )

    def __getitem__(self, index: IndexArgument) -> RunTask:
        """The task of that index: ``2``, ``"2.1"``, ``(2, 1)``. RunNotFoundError (a KeyError) where there is none.

        >>> with Checkpoint(run="digits-3", task="fit", index=2) as ckpt:
        ...     ref = ckpt.save(step=7)
        >>> Workflow("digits")["digits-3"]["fit"][2].latest.step
        7
        """
        text = index_text(index)
        for task in self.tasks:
            if task.index == text:
                return task
        there = ", ".join(task.index or "one without an index" for task in self.tasks[:12])
        raise RunNotFoundError(f"task {self.name} of {self.run} has no index {text} (there: {there})")

    def __iter__(self) -> Iterator[RunTask]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __repr__(self) -> str:
        return f"<task {self.run}/{self.name}, {len(self.tasks)} of it>"


@dataclass(frozen=True, slots=True, repr=False)
class WorkflowRun:
    """One run of a workflow. ``run["task"]`` is a task of it; iterating gives all of them.

    >>> run = Workflow("digits")["digits-1"]
    >>> run.pathspec, run.owner, run.finished, [task.name for task in run.tasks]
    ('digits/digits-1', 'ada', True, ['main'])
    """

    _catalog: BucketCatalog = field(compare=False)
    _summary: RunSummary

    @property
    def name(self) -> str:
        return self._summary.run

    @property
    def workflow(self) -> str:
        return self._summary.workflow

    @property
    def namespace(self) -> str:
        """Of Kubernetes; ``_`` without a cluster."""
        return self._summary.namespace

    @property
    def pathspec(self) -> str:
        """``workflow/run``."""
        return f"{self.workflow}/{self.name}"

    @property
    def begun(self) -> datetime:
        """When it was begun, by the server's clock (UTC)."""
        return self._summary.begun

    @property
    def owner(self) -> str:
        """Who launched it; empty: unknown."""
        record = self._catalog.run_record(self.namespace, self.workflow, self.name)
        return record.owner if record is not None else ""

    @property
    def end(self) -> RunEndRecord | None:
        """How it ended: outcome, message and time; None while it goes on, or where nobody could write it down."""
        return self._catalog.run_end(self.namespace, self.workflow, self.name)

    @property
    def outcome(self) -> Literal["Succeeded", "Failed", "Stopped"] | None:
        """How it ended, in a word; None while it goes on."""
        end = self.end
        return end.outcome if end is not None else None

    @property
    def finished(self) -> bool:
        """Whether its end was written down."""
        return self.end is not None

    @property
    def successful(self) -> bool:
        """Whether it has succeeded."""
        return self.outcome == "Succeeded"

    @property
    def tasks(self) -> tuple[RunTask, ...]:
        """All its tasks, with all their indexes, by name and index; those that have saved nothing too."""
        return self._tasks(None)

    def best(self, metric: str, mode: Mode) -> CheckpointInfo | None:
        """Of all its tasks and indexes, the checkpoint with the lowest or highest ``metric``; None if none has it.

        NaN is never best. Ties go to the newer, between tasks by the time of the commit. Reads every manifest.

        >>> Workflow("digits")["digits-1"].best("loss", "min").step
        200
        """
        found = [info for task in self.tasks if (info := task.best(metric, mode)) is not None]
        sign = 1.0 if mode == "min" else -1.0
        return min(found, key=lambda info: (sign * info.metrics[metric], -info.time.timestamp()), default=None)

    def __getitem__(self, task: str) -> RunStep:
        """The task of that name. RunNotFoundError (a KeyError) where there is none; the message says which are.

        >>> Workflow("digits")["digits-1"]["main"].task.pathspec
        'digits/digits-1/main'
        """
        tasks = self._tasks(task)
        if not tasks:
            there = ", ".join(sorted({t.name for t in self.tasks})) or "none yet"
            raise RunNotFoundError(f"run {self.pathspec} has no task {task!r} (there: {there})")
        return RunStep(self.pathspec, task, tasks)

    def __contains__(self, task: object) -> bool:
        return isinstance(task, str) and bool(self._tasks(task))

    def __iter__(self) -> Iterator[RunStep]:
        tasks = self.tasks
        for name in dict.fromkeys(task.name for task in tasks):
            yield RunStep(self.pathspec, name, tuple(task for task in tasks if task.name == name))

    def __repr__(self) -> str:
        return f"<run {self.pathspec}, begun {self.begun:%Y-%m-%d %H:%M:%S} UTC>"

    def _tasks(self, name: str | None) -> tuple[RunTask, ...]:
        paths = self._catalog.tasks(self.namespace, self.workflow, self.name, task=name)
        return tuple(RunTask(self._catalog, path) for path in sorted(paths, key=_by_index))


def _by_index(path: TaskPath) -> tuple[str, tuple[int, ...]]:
    return path.task, tuple(int(part) for part in path.index.split(".") if part)
