"""Lists of checkpoints that fetch what is looked at, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import overload

from trainpoint.catalog.base import CheckpointInfo, info_of, status_of
from trainpoint.catalog.bucket import BucketCatalog, manifest
from trainpoint.catalog.entries import Entry
from trainpoint.errors import CorruptRecordError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.layout import TaskPath

READ_AHEAD = 16
"""Manifests fetched at once when a list is walked; the first one is fetched alone, since ``[0]`` is what most want."""

Wanted = Callable[[CheckpointInfo], bool]


class CheckpointList(Sequence[CheckpointInfo]):
    """Checkpoints, newest first. ``[0]`` costs one page of a listing and one manifest; ``len`` reads them all."""

    def __init__(self, found: Iterator[CheckpointInfo]) -> None:
        self._found = found
        self._known: list[CheckpointInfo] = []

    def _reach(self, count: int | None) -> None:
        """Fetch until ``count`` are known; None: all."""
        missing = None if count is None else max(0, count - len(self._known))
        self._known.extend(islice(self._found, missing))

    @overload
    def __getitem__(self, index: int) -> CheckpointInfo: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CheckpointInfo]: ...
    def __getitem__(self, index: int | slice) -> CheckpointInfo | Sequence[CheckpointInfo]:
        if isinstance(index, slice):
            ends = (index.start, index.stop)
            bounded = index.stop is not None and all(end is None or end >= 0 for end in ends)
            self._reach(index.stop if bounded else None)
        else:
            self._reach(index + 1 if index >= 0 else None)
        return self._known[index]

    def __len__(self) -> int:
        self._reach(None)
        return len(self._known)

    def __bool__(self) -> bool:
        self._reach(1)
        return bool(self._known)

    def __iter__(self) -> Iterator[CheckpointInfo]:
        position = 0
        while True:
            self._reach(position + 1)
            if position >= len(self._known):
                return
            yield self._known[position]
            position += 1

    def __repr__(self) -> str:
        return f"<{len(self)} checkpoints>"


def checkpoints(
    catalog: BucketCatalog,
    tasks: Sequence[TaskPath],
    *,
    everything: bool = False,
    attempt: int | None = None,
    wanted: Wanted = lambda _: True,
) -> Iterator[CheckpointInfo]:
    """Checkpoints of ``tasks``, task by task, newest first. Lazy.

    Args:
        everything: with superseded, corrupt and half-deleted ones.
    """
    for task in tasks:
        chosen = (
            entry
            for entry in catalog.entries(task)
            if entry.committed and (everything or entry.eligible) and (attempt is None or entry.id.attempt == attempt)
        )
        yield from filter(wanted, _read(catalog, task, chosen))


def _read(catalog: BucketCatalog, task: TaskPath, chosen: Iterator[Entry]) -> Iterator[CheckpointInfo]:
    def read_one(entry: Entry) -> CheckpointInfo | None:
        try:
            return info_of(manifest(catalog.store, task, entry.id), status_of(entry))
        except (CorruptRecordError, UnsafePathError, ObjectNotFoundError):
            return None  # damaged, or deleted since it was listed: nothing that could be loaded

    for entry in islice(chosen, 1):
        if (info := read_one(entry)) is not None:
            yield info
    while batch := list(islice(chosen, READ_AHEAD)):
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            yield from (info for info in pool.map(read_one, batch) if info is not None)
