"""The half of a handle that needs no identity: finding checkpoints, and loading what is named."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from trainpoint.catalog.base import CheckpointInfo, info_of
from trainpoint.context import Context
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import FileEntry, Manifest
from trainpoint.handle import narrate
from trainpoint.handle.latest import latest_of
from trainpoint.handle.lineage import DEPTH, LineageEntry, lineage_of, lineage_of_task
from trainpoint.handle.listing import CheckpointList, listed
from trainpoint.handle.load import Reference, best, load_named, read_manifest, resolve
from trainpoint.handle.runs import RunTask
from trainpoint.handle.scope import attempt_number, find_tasks, tasks_meant
from trainpoint.handle.watching import Watch
from trainpoint.identity import IndexArgument, index_text
from trainpoint.transfer.download import select
from trainpoint.transfer.ranged import open_file

StrPath = str | Path
"""A path as a caller may write it."""


class Reading(ABC):
    """What every :class:`~trainpoint.Checkpoint` can do, a reader's too."""

    _context: Context

    @property
    @abstractmethod
    def path(self) -> Path:
        """The one directory of this handle, the same for its whole life: holds what was loaded, or is empty."""

    @property
    @abstractmethod
    def _marks(self) -> bool:
        """Whether what is found corrupt is marked so in the store."""

    @abstractmethod
    def _need_open(self) -> None:
        """Raise ClosedError where the handle is not open."""

    @abstractmethod
    def _note_loaded(self, found: Manifest, own: CheckpointInfo | None) -> None:
        """A checkpoint was loaded; ``own``: into the handle's own directory."""

    @property
    def _own_task(self) -> TaskPath | None:
        return self._context.identity.task if self._context.identity is not None else None

    def list(
        self,
        *,
        task: str | TaskPath | RunTask | None = None,
        name: str | None = None,
        attempt: int | str | None = None,
        index: IndexArgument | None = None,
        run: str | None = None,
        workflow: str | None = None,
        owner: str | None = None,
        namespace: str | None = None,
        all: bool = False,
    ) -> CheckpointList:
        """Checkpoints, newest first, of this task or the one named; always current, fetched as they are looked at.

        A task that has saved nothing gives an empty list. Several tasks come one after the other, those of the newest
        run first.

        Args:
            task: a task of a :class:`~trainpoint.Workflow`'s run, ``"workflow/run/task"``,
                ``"workflow/run/task/index"``, or the bare name of a task of this workflow, in all its runs.
            name: only this series.
            attempt: only this attempt; ``0`` and ``"0"`` are equal.
            index: only this index; alone, that one of this process's own task.
            run: only of this run.
            workflow: of this workflow; by default of this process's own. ``"*"`` for all workflows of the namespace,
                which may have none: then the list is empty.
            owner: only of runs of this owner, ``"*"`` for everyone's. By default one's own runs, unless the run is
                named: who names it means it.
            namespace: of Kubernetes, in the same store; one's own by default.
            all: with superseded and corrupt ones, which nothing loads by itself.
        Raises:
            RunNotFoundError: there is no such workflow, run, task or index.
            NotVisibleError: its runs are somebody else's; the message says whose.
            InvalidArgumentError: it is not said which task is meant, or an argument cannot be used.

        >>> [info.step for info in ckpt.list()]
        [200, 100]
        >>> ckpt.list(task="digits/digits-1/main")[0].metrics["loss"]
        0.25
        >>> ckpt.list(name="best")
        <no checkpoints>
        """
        self._need_open()
        number = attempt_number(attempt)
        tasks = find_tasks(
            self._context.catalog,
            self._own_task,
            namespace=namespace if namespace is not None else self._context.namespace,
            me=self._context.owner,
            task=task.path if isinstance(task, RunTask) else task,
            run=run,
            workflow=workflow,
            index=index_text(index) if index is not None else None,
            owner=owner,
        )
        return listed(self._context.catalog, tasks, series=name, attempt=number, everything=all)

    def watch(
        self,
        *,
        task: str | TaskPath | RunTask | None = None,
        name: str | None = None,
        existing: bool = False,
        timeout: float | None = None,
    ) -> Iterator[CheckpointInfo]:
        """Checkpoints as they are committed, each once, through retries; looks every few seconds.

        Args:
            task: as for :meth:`list`; by default this process's own. All indexes that it has now are watched.
            name: only this series.
            existing: first those that are there already, the oldest first.
            timeout: seconds after which it ends; by default it goes on until the loop is left.
        Raises:
            RunNotFoundError: there is no such task.
            InvalidArgumentError: it is not said which task is meant.

        >>> [info.step for info in ckpt.watch(existing=True, timeout=0)]
        [100, 200]
        """
        self._need_open()
        catalog, own = self._context.catalog, self._own_task
        if task is None and own is not None:
            tasks = [own]
        else:
            wanted = task.path if isinstance(task, RunTask) else task
            tasks = tasks_meant(catalog, own, namespace=self._context.namespace, task=wanted)
        found = Watch(catalog, tasks, existing=existing).until(timeout)
        return (info for info in found if name is None or info.series == name)

    def latest(self) -> CheckpointInfo | None:
        """The newest checkpoint of this task that a policy may choose; None if there is none.

        Of a run that has only loaded: what its newest attempt has loaded.

        >>> ckpt.latest().step
        200
        """
        self._need_open()
        own = self._own_task
        return latest_of(self._context.catalog, own) if own is not None else None

    def best(self, metric: str, mode: Literal["min", "max"]) -> CheckpointInfo | None:
        """The checkpoint of this task with the lowest or highest ``metric``; None if none has it.

        NaN is never best, ties go to the newer. Reads every manifest of the task. Raises InvalidArgumentError for
        another mode.

        >>> ckpt.best("loss", "min").metrics["loss"]
        0.25
        """
        self._need_open()
        own = self._own_task
        return best(self._context.catalog, own, metric, mode) if own is not None else None

    def load(
        self, ref: Reference, path: StrPath | None = None, *, include: Sequence[str] = (), merge: bool = False
    ) -> CheckpointInfo:
        """Fetch a checkpoint that is named, verified, into ``path``; into :attr:`directory` by default.

        The target is replaced whole once everything has arrived and is verified, and not touched otherwise.

        Args:
            ref: what ``save`` or ``list`` returned, its JSON as dict or text, an artifact that is one, a name,
                ``"latest"``, ``"latest:<series>"`` or ``"best:<metric>:<min|max>"``.
            include: only files that match one of these patterns, such as ``["model*"]``.
            merge: put the files among those that are there instead of replacing the directory.
        Raises:
            CheckpointNotFoundError, CheckpointDeletedError, CorruptCheckpointError, StorePermissionError.
            InvalidArgumentError: what is given names no checkpoint.
            NotMatchingError: its metadata are not those that ``match=`` asks for.

        >>> info = ckpt.load(ref, "there", include=["model*"])
        >>> [file.name for file in Path("there").iterdir()]
        ['model.txt']
        >>> ckpt.load("latest").step
        200
        """
        self._need_open()
        catalog, clock = self._context.catalog, self._context.clock
        began = clock.monotonic()
        found = load_named(
            catalog,
            resolve(catalog, ref, self._own_task, namespace=self._context.namespace),
            Path(path) if path is not None else self.path,
            include=include,
            merge=merge,
            mark=self._marks,
            match=self._context.match,
        )
        if path is None:
            size = sum(found.files[number].size for number in select(found, include).files)
            narrate.loaded(found, size, clock.monotonic() - began)
        info = info_of(found)
        self._note_loaded(found, info if path is None else None)
        return info

    def files(self, ref: Reference) -> Sequence[FileEntry]:
        """The files of a checkpoint, with sizes in bytes, modes and digests; their bytes are not read.

        Raises CheckpointNotFoundError, CheckpointDeletedError, CorruptCheckpointError.

        >>> [(file.path, file.size) for file in ckpt.files(ref)]
        [('log.txt', 10), ('model.txt', 7)]
        """
        self._need_open()
        catalog = self._context.catalog
        return read_manifest(catalog, resolve(catalog, ref, self._own_task, namespace=self._context.namespace)).files

    def open(self, ref: Reference, file: str) -> BinaryIO:
        """One file of a checkpoint as a seekable stream: reads what is asked for, verified.

        Args:
            file: its path in the checkpoint; a link is followed.
        Raises:
            InvalidArgumentError: there is no such file.
            CheckpointNotFoundError, CheckpointDeletedError.
            CorruptCheckpointError: also while reading, where bytes are not what was saved.

        >>> with ckpt.open(ref, "log.txt") as file:
        ...     file.read(4)
        b'loss'
        """
        self._need_open()
        catalog = self._context.catalog
        found = read_manifest(catalog, resolve(catalog, ref, self._own_task, namespace=self._context.namespace))
        return open_file(catalog.store, found, file)

    def lineage(self, ref: Reference, *, depth: int = DEPTH) -> Sequence[LineageEntry]:
        """Where a checkpoint comes from: itself, what its task had loaded, what led to that; nearest first.

        What was deleted meanwhile, or is damaged, is a gap with a name, and never an error. Each costs about three
        requests.

        Args:
            ref: a checkpoint; or ``"workflow/run/task"``: what the attempts of that task started from, the newest
                first, whether they saved anything or not.
            depth: loads that are followed back; 50 by default.
        Raises:
            CheckpointNotFoundError: there is no such checkpoint or task.

        >>> info = ckpt.load(ckpt.list(task="digits/digits-1/main")[0])
        >>> ref = ckpt.save(step=300)
        >>> [(entry.run, entry.step) for entry in ckpt.lineage(ref)]
        [('digits-2', 300), ('digits-1', 200)]
        """
        self._need_open()
        catalog, namespace = self._context.catalog, self._context.namespace
        if isinstance(ref, str) and "/" in ref and not ref.lstrip().startswith(("{", "best:", "latest:")):
            tasks = tasks_meant(catalog, self._own_task, namespace=namespace, task=ref)
            return [entry for task in tasks for entry in lineage_of_task(catalog, task, depth=depth)]
        return lineage_of(catalog, resolve(catalog, ref, self._own_task, namespace=namespace), depth=depth)
