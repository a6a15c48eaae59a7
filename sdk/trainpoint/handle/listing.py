"""Lists of checkpoints, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.entries import Entry
from trainpoint.catalog.marks import read_info
from trainpoint.errors import CorruptRecordError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.layout import TaskPath
from trainpoint.handle.lazy import LazySequence
from trainpoint.handle.narrate import size_text

READ_AHEAD = 16
"""Manifests fetched at once when a list is walked; the first one is fetched alone, since ``[0]`` is what most want."""

Wanted = Callable[[CheckpointInfo], bool]


class CheckpointList(LazySequence[CheckpointInfo]):
    """Checkpoints, newest first. ``[0]`` costs one page of a listing and one manifest; ``len`` reads them all.

    >>> found = ckpt.list()
    >>> len(found), found[0].step, [info.step for info in found[:1]]
    (2, 200, [200])
    """

    COLUMNS = ("NAME", "STEP", "METRICS", "SIZE", "STATUS", "SAVED")
    NOUN = "checkpoints"

    def _row(self, item: CheckpointInfo) -> tuple[str, ...]:
        metrics = " ".join(f"{name}={value:.4g}" for name, value in sorted(item.metrics.items()))
        step = "" if item.step is None else str(item.step)
        return item.name, step, metrics, size_text(item.size), item.status, f"{item.time:%Y-%m-%d %H:%M:%S}"


def listed(
    catalog: BucketCatalog,
    tasks: Iterable[TaskPath],
    *,
    series: str | None,
    attempt: int | None,
    everything: bool,
) -> CheckpointList:
    """Checkpoints of ``tasks`` as people list them: of one series, of one attempt, or all."""
    found = checkpoints(
        catalog,
        tasks,
        everything=everything,
        attempt=attempt,
        wanted=lambda info: series is None or info.series == series,
    )
    return CheckpointList(found)


def checkpoints(
    catalog: BucketCatalog,
    tasks: Iterable[TaskPath],
    *,
    everything: bool = False,
    attempt: int | None = None,
    wanted: Wanted = lambda _: True,
) -> Iterator[CheckpointInfo]:
    """Checkpoints of ``tasks``, task by task, newest first. Lazy: a task is asked for when the one before is done.

    Args:
        everything: with superseded, corrupt and half-deleted ones.
    """
    for task in tasks:
        chosen = (
            entry
            for entry in catalog.entries(task)
            if entry.committed and (everything or entry.eligible) and (attempt is None or entry.id.attempt == attempt)
        )
        yield from filter(wanted, read_entries(catalog, task, chosen))


def read_entries(catalog: BucketCatalog, task: TaskPath, chosen: Iterator[Entry]) -> Iterator[CheckpointInfo]:
    """What the manifests of these entries say, in their order; those that are gone or damaged are left out. Lazy."""

    def read_one(entry: Entry) -> CheckpointInfo | None:
        try:
            return read_info(catalog.store, task, entry)[0]
        except (CorruptRecordError, UnsafePathError, ObjectNotFoundError):
            return None  # damaged, or deleted since it was listed: nothing that could be loaded

    for entry in islice(chosen, 1):
        if (info := read_one(entry)) is not None:
            yield info
    while batch := list(islice(chosen, READ_AHEAD)):
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            yield from (info for info in pool.map(read_one, batch) if info is not None)
