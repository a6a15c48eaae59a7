"""What is said of a checkpoint after it was saved: later metrics and pins, as objects beside its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from trainpoint.catalog.base import CheckpointInfo, info_of, status_of
from trainpoint.catalog.bucket import BucketCatalog, manifest
from trainpoint.catalog.entries import Entry, entries_of
from trainpoint.clock import rfc3339
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptRecordError,
    InvalidArgumentError,
    MetricRecordedError,
    ObjectNotFoundError,
    PinnedError,
    StorePermissionError,
)
from trainpoint.format.layout import MetricMark, SnapshotId, TaskPath, beside, manifest_key, metric_key, snapshot_data
from trainpoint.format.manifest import Manifest
from trainpoint.format.marks import METRICS_LIMIT, REASON_LIMIT, LateMetricRecord, PinRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.store.base import Store


def entry_at(store: Store, ref: CheckpointRef) -> Entry | None:
    """A checkpoint as the listing shows it, without its fences: ``superseded`` is not known. One request."""
    begin = beside(ref.task, ref.id)
    rows = takewhile(lambda row: row.key.startswith(begin), store.list(ref.task.manifests, after=begin))
    return next(entries_of([row.key for row in rows]), None)


def read_info(store: Store, task: TaskPath, entry: Entry) -> tuple[CheckpointInfo, Manifest]:
    """A checkpoint's record and manifest. One request, and one for each mark that was made later.

    Raises:
        ObjectNotFoundError, CorruptRecordError, UnsafePathError: see :func:`trainpoint.catalog.bucket.manifest`.
    """
    found = manifest(store, task, entry.id)
    late = late_metrics(store, task, entry.id, entry.late) if entry.late else None
    pin = read_pin(store, task, entry.id) if "pin" in entry.markers else None
    return info_of(found, status_of(entry), late=late, pinned=pin.reason if pin else ""), found


# --- later metrics ----------------------------------------------------------------------------------------------------


def late_metrics(store: Store, task: TaskPath, snapshot: SnapshotId, marks: Sequence[MetricMark]) -> dict[str, str]:
    """Values by name, as text. One request for each mark; a damaged one counts as not there.

    Where two evaluators wrote different values at the same moment, all readers take the same one of them.
    """
    found: dict[str, str] = {}
    for mark in sorted(marks):
        key = metric_key(task, snapshot, mark)
        try:
            record = LateMetricRecord.from_bytes(store.get(key), key=key)
        except (ObjectNotFoundError, CorruptRecordError):
            continue
        if (record.task, record.snapshot, MetricMark.of(record.name, record.value)) == (task, snapshot, mark):
            found.setdefault(record.name, record.value)
    return found


def record_metrics(catalog: BucketCatalog, ref: CheckpointRef, metrics: Mapping[str, str], *, by: str) -> None:
    """Add metrics to a checkpoint: all of them or, where one is refused, none.

    Raises:
        CheckpointNotFoundError, CheckpointDeletedError, CorruptRecordError.
        MetricRecordedError: one is there with another value.
        InvalidArgumentError: there would be more than 32.
    """
    store, task, snapshot = catalog.store, ref.task, ref.id
    saved = catalog.manifest(task, snapshot).snapshot.metrics
    entry = entry_at(store, ref)
    if entry is None or entry.deleted:
        raise _deleted(ref)
    late = late_metrics(store, task, snapshot, entry.late)
    known = {**late, **saved}
    for name, value in metrics.items():
        if known.get(name, value) != value:
            raise _other_value(ref, name, value, known[name], "was saved" if name in saved else "was recorded")
    new = {name: value for name, value in metrics.items() if name not in known}
    if len(known) + len(new) > METRICS_LIMIT:
        raise InvalidArgumentError(
            f"checkpoint {ref} would have {len(known) + len(new)} metrics; a checkpoint takes {METRICS_LIMIT}",
            remedy="record those that choose between checkpoints; keep the rest elsewhere",
        )
    for name, value in new.items():
        record = LateMetricRecord(task, snapshot, name, value, by, rfc3339(catalog.clock.now()))
        store.put(metric_key(task, snapshot, MetricMark.of(name, value)), record.to_bytes())
    if new:
        _check_alone(catalog, ref, new)


def _check_alone(catalog: BucketCatalog, ref: CheckpointRef, new: Mapping[str, str]) -> None:
    """Nobody else was writing at the same moment? What two wrote stays, and whoever sees both is told."""
    entry = entry_at(catalog.store, ref)
    if entry is None or entry.deleted:
        raise _deleted(ref)
    own = {MetricMark.of(name, value).name: name for name, value in new.items()}
    written = {MetricMark.of(name, value) for name, value in new.items()}
    rivals = [mark for mark in entry.late if mark.name in own and mark not in written]
    for rival in rivals:
        name = own[rival.name]
        other = late_metrics(catalog.store, ref.task, ref.id, [rival]).get(name)
        if other is not None:
            raise _other_value(ref, name, new[name], other, "was recorded at the same moment")


def _other_value(ref: CheckpointRef, name: str, value: str, other: str, how: str) -> MetricRecordedError:
    return MetricRecordedError(
        f"metric {name!r} of checkpoint {ref} {how} as {other} and cannot become {value}",
        remedy=f"record a new measurement under a name of its own, such as {name + '/v2'!r}",
    )


# --- pins -------------------------------------------------------------------------------------------------------------


def read_pin(store: Store, task: TaskPath, snapshot: SnapshotId) -> PinRecord | None:
    """Who has pinned a checkpoint, and why; None where nobody has. One request.

    A pin that cannot be read still holds.
    """
    key = manifest_key(task, snapshot, "pin")
    try:
        return PinRecord.from_bytes(store.get(key), key=key)
    except ObjectNotFoundError:
        return None
    except CorruptRecordError:
        return PinRecord("unreadable", "unknown", "")


def check_reason(reason: str) -> str:
    """A reason that can stand in a pin, without the blanks around it. Raises InvalidArgumentError."""
    text = reason.strip()
    if not 0 < len(text) <= REASON_LIMIT:
        raise InvalidArgumentError(
            f"a pin's reason has 1 to {REASON_LIMIT} characters, this one {len(text)}",
            remedy='say for whom it has to stay, as in reason="table 2 of the paper"',
        )
    return text


def pin(catalog: BucketCatalog, ref: CheckpointRef, *, reason: str, by: str) -> None:
    """Keep a checkpoint from being deleted. The same reason again is fine.

    Raises:
        CheckpointNotFoundError, CheckpointDeletedError, CorruptRecordError.
        PinnedError: it is pinned for another reason.
    """
    catalog.manifest(ref.task, ref.id)
    there = read_pin(catalog.store, ref.task, ref.id)
    if there is not None and there.reason == reason:
        return
    if there is not None:
        raise PinnedError(
            f"checkpoint {ref} is pinned already ({there})", remedy=f"to replace that: trainpoint unpin {ref} first"
        )
    record = PinRecord(reason, by, rfc3339(catalog.clock.now()))
    catalog.store.put(manifest_key(ref.task, ref.id, "pin"), record.to_bytes())
    if catalog.is_deleted(ref.task, ref.id):  # at the same moment: whoever counts on it has to know
        raise _deleted(ref)


def mirror_pin(catalog: BucketCatalog, ref: CheckpointRef, pin: Mapping[str, str] | None) -> None:
    """Bring the mark to what ``spec.pin`` of its object says; None: nothing. A pin of the bucket's own stays.

    So whoever looks only into the bucket learns of it, too.
    """
    there = read_pin(catalog.store, ref.task, ref.id)
    key = manifest_key(ref.task, ref.id, "pin")
    if pin is None:
        if there is not None and there.of_object:
            catalog.store.delete(key)
        return
    reason, by = pin["reason"], pin.get("by") or "unknown"
    if there is None or (there.of_object and (there.reason, there.by) != (reason, by)):
        catalog.store.put(key, PinRecord(reason, by, rfc3339(catalog.clock.now()), of_object=True).to_bytes())


def adopt_pin(catalog: BucketCatalog, ref: CheckpointRef) -> None:
    """The object whose pin this was the copy of has vanished: the copy counts by itself from now on, until unpinned."""
    there = read_pin(catalog.store, ref.task, ref.id)
    if there is not None and there.of_object:
        record = PinRecord(there.reason, there.by, there.time)
        catalog.store.put(manifest_key(ref.task, ref.id, "pin"), record.to_bytes())


def unpin(catalog: BucketCatalog, ref: CheckpointRef, *, copies: bool = False) -> None:
    """Take a pin away; one that is not there is fine.

    Args:
        copies: also where it is the copy of an object's; for who has asked the API server, or knows that it is gone.

    Raises:
        PinnedError: it is the copy of an object's pin, and that counts.
        StorePermissionError: these credentials may not delete.
    """
    there = read_pin(catalog.store, ref.task, ref.id)
    if there is None:
        return
    if there.of_object and not copies:
        raise PinnedError(
            f"checkpoint {ref} is pinned by its object on a cluster ({there})",
            remedy=f"unpin that: kubectl trainpoint unpin {ref}; where the cluster is gone: trainpoint unpin --force",
        )
    try:
        catalog.store.delete(manifest_key(ref.task, ref.id, "pin"))
    except StorePermissionError as error:
        raise StorePermissionError(
            f"checkpoint {ref} stays pinned: {error.message}",
            remedy="unpin it with credentials that may delete; those of training pods may not, on purpose",
        ) from None


# --- deletion ---------------------------------------------------------------------------------------------------------


def delete(catalog: BucketCatalog, ref: CheckpointRef, *, by: str) -> int:
    """Delete a checkpoint that somebody names. Twice is fine, and finishes a deletion that was broken off.

    Returns:
        How many data objects were removed now.

    Raises:
        CheckpointNotFoundError: there is none, or it is still being saved.
        PinnedError: it is pinned.
        StorePermissionError: these credentials may not delete.
    """
    entry = entry_at(catalog.store, ref)
    if entry is None:
        raise CheckpointNotFoundError(
            f"checkpoint {ref} is not in {catalog.store.url}, or is still being saved",
            remedy=f"wait for the save, or see what there is: trainpoint list {ref.task}",
        )
    if entry.deleted and not entry.committed and not any(catalog.store.list(snapshot_data(ref.task, ref.id))):
        return 0
    if "pin" in entry.markers and not entry.deleted:
        there = read_pin(catalog.store, ref.task, ref.id)
        raise PinnedError(
            f"checkpoint {ref} is pinned ({there}) and is not deleted",
            remedy=f"where it is no longer needed: trainpoint unpin {ref}, then delete it",
        )
    try:
        return catalog.delete(ref.task, ref.id, by=by)
    except StorePermissionError as error:
        raise StorePermissionError(
            f"checkpoint {ref} is not deleted: {error.message}",
            remedy="delete it with credentials that may; those of training pods may not, on purpose",
        ) from None


def _deleted(ref: CheckpointRef) -> CheckpointDeletedError:
    return CheckpointDeletedError(
        f"checkpoint {ref} was deleted meanwhile", remedy=f"see what is left: trainpoint list {ref.task}"
    )
