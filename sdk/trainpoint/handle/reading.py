"""The half of a handle that needs no identity: finding checkpoints, and loading what is named."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from trainpoint.catalog.base import CheckpointInfo, info_of
from trainpoint.context import Context
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import FileEntry, Manifest
from trainpoint.handle.listing import CheckpointList, checkpoints
from trainpoint.handle.load import Reference, best, load_named, newest, read_manifest, resolve
from trainpoint.handle.scope import attempt_number, tasks_meant
from trainpoint.transfer.ranged import open_file

StrPath = str | Path


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
        task: str | TaskPath | None = None,
        name: str | None = None,
        attempt: int | str | None = None,
        run: str | None = None,
        workflow: str | None = None,
        all: bool = False,
    ) -> CheckpointList:
        """Checkpoints, newest first, of this task or the one named; always current, fetched as they are looked at.

        Args:
            task: ``"workflow/run/task"``, ``"workflow/run/task/index"``, or the bare name of a task of this workflow.
            name: only this series.
            attempt: only this attempt.
            all: with superseded and corrupt ones, which nothing loads by itself.
        """
        self._need_open()
        number = attempt_number(attempt)
        tasks = tasks_meant(
            self._context.catalog,
            self._own_task,
            namespace=self._context.namespace,
            task=task,
            run=run,
            workflow=workflow,
        )
        return CheckpointList(
            checkpoints(
                self._context.catalog,
                tasks,
                everything=all,
                attempt=number,
                wanted=lambda info: name is None or info.series == name,
            )
        )

    def latest(self) -> CheckpointInfo | None:
        """The newest checkpoint of this task that a policy may choose; None if there is none."""
        self._need_open()
        own = self._own_task
        return newest(self._context.catalog, own) if own is not None else None

    def best(self, metric: str, mode: Literal["min", "max"]) -> CheckpointInfo | None:
        """The checkpoint of this task with the lowest or highest ``metric``; None if none has it."""
        self._need_open()
        own = self._own_task
        return best(self._context.catalog, own, metric, mode) if own is not None else None

    def load(
        self, ref: Reference, path: StrPath | None = None, *, include: Sequence[str] = (), merge: bool = False
    ) -> CheckpointInfo:
        """Fetch a checkpoint that is named, verified, into ``path``; into :attr:`directory` by default.

        The target is replaced whole once everything has arrived and is verified, and not touched otherwise.

        Args:
            ref: what ``save`` or ``list`` returned, its JSON, a name, ``"latest"``, ``"latest:<series>"`` or
                ``"best:<metric>:<min|max>"``.
            include: only files that match one of these patterns, such as ``["model*"]``.
            merge: put the files among those that are there instead of replacing the directory.
        Raises:
            CheckpointNotFoundError, CheckpointDeletedError, CorruptCheckpointError, StorePermissionError.
        """
        self._need_open()
        catalog = self._context.catalog
        found = load_named(
            catalog,
            resolve(catalog, ref, self._own_task, namespace=self._context.namespace),
            Path(path) if path is not None else self.path,
            include=include,
            merge=merge,
            mark=self._marks,
        )
        info = info_of(found)
        self._note_loaded(found, info if path is None else None)
        return info

    def files(self, ref: Reference) -> Sequence[FileEntry]:
        """The files of a checkpoint, with sizes, modes and digests; their bytes are not read."""
        self._need_open()
        catalog = self._context.catalog
        return read_manifest(catalog, resolve(catalog, ref, self._own_task, namespace=self._context.namespace)).files

    def open(self, ref: Reference, file: str) -> BinaryIO:
        """One file of a checkpoint as a seekable stream: reads what is asked for, verified."""
        self._need_open()
        catalog = self._context.catalog
        found = read_manifest(catalog, resolve(catalog, ref, self._own_task, namespace=self._context.namespace))
        return open_file(catalog.store, found, file)
