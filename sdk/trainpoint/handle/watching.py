"""Checkpoints as they are committed: a list that goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.entries import Entry
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.handle.listing import read_entries

LOOK_SECONDS: Final = 5.0
"""A commit is seen after this time at most. A look is one page of a listing for each task, and what is new."""


class Watch:
    """Says of each checkpoint of some tasks once that it is there, in the order of their commits, and of attempts.

    What an overtaken attempt still commits is Superseded, which nothing loads; it is left out, as in a list.
    """

    def __init__(self, catalog: BucketCatalog, tasks: Sequence[TaskPath], *, existing: bool) -> None:
        """``existing``: also those that are there already."""
        self._catalog = catalog
        self._seen: dict[TaskPath, SnapshotId | None] = dict.fromkeys(tasks)
        if not existing:
            for task in tasks:
                self._seen[task] = next((entry.id for entry in catalog.entries(task) if entry.committed), None)

    def look(self) -> Iterator[CheckpointInfo]:
        """What has come since the last look, the oldest first."""
        for task, last in self._seen.items():
            new = [entry for entry in self._above(task, last) if entry.committed and entry.eligible][::-1]
            if new:
                self._seen[task] = new[-1].id
                yield from read_entries(self._catalog, task, iter(new))

    def _above(self, task: TaskPath, last: SnapshotId | None) -> Iterator[Entry]:
        """Newest first, so that no more is listed than is new."""
        return takewhile(lambda entry: last is None or entry.id > last, self._catalog.entries(task))

    def until(self, seconds: float | None) -> Iterator[CheckpointInfo]:
        """Look again and again, for so long; None: until the caller leaves. The last look is at the very end."""
        clock, chance = self._catalog.clock, self._catalog.chance
        deadline = clock.monotonic() + seconds if seconds is not None else None
        while True:
            left = deadline - clock.monotonic() if deadline is not None else LOOK_SECONDS
            yield from self.look()
            if left <= 0:
                return
            clock.sleep(min(left, LOOK_SECONDS * (0.5 + chance.fraction() / 2)))
