"""The newest checkpoint of a task, as the next attempt would have it: after a rollback, none from before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.entries import Entry
from trainpoint.catalog.marks import entry_at, read_info
from trainpoint.claim.protocol import read_board
from trainpoint.errors import CorruptRecordError, ObjectNotFoundError, UnsafePathError
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key
from trainpoint.format.records import LoadedRecord
from trainpoint.format.reference import CheckpointRef, parse_checkpoint_name
from trainpoint.handle.listing import checkpoints, read_entries


def newest(catalog: BucketCatalog, task: TaskPath, *, series: str | None = None) -> CheckpointInfo | None:
    """The newest checkpoint of a task that may be chosen; of one series if it is given. One page and one manifest."""

    def wanted(info: CheckpointInfo) -> bool:
        return info.latest if series is None else info.series == series

    return next(checkpoints(catalog, [task], wanted=wanted), None)


def latest_of(catalog: BucketCatalog, task: TaskPath) -> CheckpointInfo | None:
    """The newest checkpoint of a task that may be chosen, of those since its last rollback; else what was loaded then.

    Of a task that has only loaded, it is what its newest attempt loaded. One page of a listing and one manifest; while
    the newest attempt has saved nothing, one listing and two objects more.
    """
    overtaken: set[SnapshotId] = set()

    def eligible() -> Iterator[Entry]:
        for entry in catalog.entries(task):
            if entry.eligible:
                if entry.overtaken:
                    overtaken.add(entry.id)
                yield entry

    found = next((info for info in read_entries(catalog, task, eligible()) if info.latest), None)
    if found is not None and found.ref.id not in overtaken:
        return found
    record = last_loaded(catalog, task)
    if record is None or (found is not None and found.attempt >= record.since):
        return found  # no later attempt has gone back behind it
    return _loaded(catalog, record)


def last_loaded(catalog: BucketCatalog, task: TaskPath) -> LoadedRecord | None:
    """What the newest attempt started from that has got so far as to say so; None where there is none."""
    for mark in reversed(read_board(catalog.store.list(task.attempts)).winners):
        if "loaded" in mark.suffixes:
            key = attempt_key(task, mark.attempt, mark.uid, "loaded")
            return LoadedRecord.from_bytes(catalog.store.get(key), key=key)
    return None


def _loaded(catalog: BucketCatalog, record: LoadedRecord) -> CheckpointInfo | None:
    """What an attempt started from; where that is gone, the next older one that a repetition would take."""
    task, snapshot = record.task, record.snapshot
    if task is None or snapshot is None:
        return None
    entry = entry_at(catalog.store, CheckpointRef(task, snapshot))
    if entry is not None and entry.eligible:
        with suppress(ObjectNotFoundError, CorruptRecordError, UnsafePathError):
            return read_info(catalog.store, task, entry)[0]
    if parse_checkpoint_name(record.request) is not None or record.request.startswith("best"):
        return None  # that very one was asked for: nothing stands in for it
    older = (entry for entry in catalog.entries(task) if entry.eligible and entry.id < snapshot)
    return next((info for info in read_entries(catalog, task, older) if info.latest), None)
