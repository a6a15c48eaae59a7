"""Which checkpoints a task has, read from the names in one listing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from trainpoint.format.layout import MetricMark, SnapshotId, TaskPath, parse_manifest_key, parse_metric_key
from trainpoint.store.base import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One checkpoint as the listing shows it; its manifest is not read."""

    id: SnapshotId
    markers: frozenset[str]
    """of ``tombstone``, ``archived``, ``pin``, ``corrupt``"""
    superseded: bool
    """added by an earlier attempt after a later one had claimed the task, and without it knowing"""
    committed: bool = True
    """whether its manifest is there"""
    overtaken: bool = False
    """a later attempt than its own has claimed the task since"""
    late: tuple[MetricMark, ...] = ()
    """metrics that were recorded after it was saved"""

    @property
    def deleted(self) -> bool:
        return "tombstone" in self.markers

    @property
    def eligible(self) -> bool:
        """May a policy choose it, as far as names tell?"""
        return self.committed and not self.superseded and not self.markers & {"tombstone", "corrupt"}


def entries_of(keys: Iterable[str]) -> Iterator[Entry]:
    """Entries, newest first, from the keys beneath ``manifests/`` in ascending order. Lazy."""
    limit: int | None = None  # the lowest sequence that a fence met so far saw; fences rise with attempts
    claimed = -1  # the newest attempt that has put a fence
    named = (parsed for key in keys if (parsed := parse_manifest_key(key) or parse_metric_key(key)))
    for snapshot, group in groupby(named, key=lambda pair: pair[0]):
        marks = [mark for _, mark in group]
        suffixes = {mark for mark in marks if isinstance(mark, str)}
        if "fence" in suffixes:
            claimed = max(claimed, snapshot.attempt)
            limit = snapshot.sequence if limit is None else min(limit, snapshot.sequence)
            continue
        if suffixes & {"json", "tombstone"}:
            yield Entry(
                id=snapshot,
                markers=frozenset(suffixes - {"json"}),
                superseded=limit is not None and snapshot.sequence > limit,
                committed="json" in suffixes,
                overtaken=claimed > snapshot.attempt,
                late=tuple(mark for mark in marks if isinstance(mark, MetricMark)),
            )


def entries(store: Store, task: TaskPath) -> Iterator[Entry]:
    """All checkpoints of ``task``, newest first; one request per 1000 keys, fetched as they are consumed."""
    return entries_of(info.key for info in store.list(task.manifests))
