"""The catalog of a bucket or directory: what is recorded there, and recording more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Literal

from trainpoint.catalog.entries import Entry, entries, entries_of
from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptRecordError,
    ObjectNotFoundError,
    StoreError,
)
from trainpoint.format.layout import (
    NO_INDEX,
    STORE_MARKER,
    SnapshotId,
    TaskPath,
    all_runs_prefix,
    beside,
    log_key,
    manifest_key,
    manifests_from,
    run_key,
    runs_prefix,
    snapshot_data,
    tasks_prefix,
)
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import (
    RunEndRecord,
    RunRecord,
    StoreMarker,
    archived_mark,
    corrupt_mark,
    log_entry,
    tombstone,
)
from trainpoint.format.reference import (
    CheckpointRef,
    ParsedName,
    object_part,
    parse_checkpoint_name,
    run_object_name,
)
from trainpoint.store.base import Store

__all__ = ["BucketCatalog", "Entry", "RunSummary", "entries", "manifest"]


def manifest(store: Store, task: TaskPath, snapshot: SnapshotId) -> Manifest:
    """Read and check one manifest.

    Raises:
        ObjectNotFoundError: there is none.
        CorruptRecordError, UnsafePathError, NewerFormatError: see :meth:`Manifest.from_bytes`; also where it is the
            intact manifest of another checkpoint.
    """
    key = manifest_key(task, snapshot)
    found = Manifest.from_bytes(store.get(key), key=key)
    if found.snapshot.task != task or found.snapshot.id != snapshot:
        raise CorruptRecordError(
            f"{key} is the manifest of another checkpoint: {found.snapshot.task} {found.snapshot.id}"
        )
    return found


def _snapshot_id(name: str) -> SnapshotId | None:
    try:
        return SnapshotId.parse(name)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a workflow."""

    namespace: str
    workflow: str
    run: str
    begun: datetime
    """by the server's clock"""
    ended: bool


class BucketCatalog:
    """Everything that a store's objects say, and the writes that change it. Safe to use from several threads."""

    def __init__(self, store: Store, *, clock: Clock, chance: Chance) -> None:
        self.store = store
        self.clock = clock
        self.chance = chance

    # --- the store itself ---------------------------------------------------------------------------------------------

    def check_marker(self, *, create: bool) -> StoreMarker | None:
        """Read the store's marker; refuse a newer format. Without one: write it if ``create``, else None."""
        try:
            return StoreMarker.from_bytes(self.store.get(STORE_MARKER), key=STORE_MARKER)
        except ObjectNotFoundError:
            if not create:
                return None
        marker = StoreMarker(store_id=self.chance.uid())
        self.store.put(STORE_MARKER, marker.to_bytes())
        return marker

    # --- runs and tasks -----------------------------------------------------------------------------------------------

    def runs(self, namespace: str, workflow: str) -> list[RunSummary]:
        """All runs of a workflow, newest first by the server's clock. One listing."""
        return self._runs_beneath(runs_prefix(namespace, workflow), namespace)

    def all_runs(self, namespace: str) -> list[RunSummary]:
        """The same of all workflows of a namespace, in one order. One listing too."""
        return self._runs_beneath(all_runs_prefix(namespace), namespace)

    def _runs_beneath(self, prefix: str, namespace: str) -> list[RunSummary]:
        begun: dict[tuple[str, str], datetime] = {}
        ended: set[tuple[str, str]] = set()
        for info in self.store.list(prefix):
            workflow, name = info.key.split("/")[-2:]
            if name.endswith(".end.json"):
                ended.add((workflow, name.removesuffix(".end.json")))
            elif name.endswith(".json"):
                begun[workflow, name.removesuffix(".json")] = info.modified
        found = [RunSummary(namespace, *run, at, run in ended) for run, at in begun.items()]
        return sorted(found, key=lambda r: (r.begun, r.run, r.workflow), reverse=True)

    def run_record(self, namespace: str, workflow: str, run: str) -> RunRecord | None:
        """What a run began with; None where there is no such run, or it was removed. Raises CorruptRecordError."""
        key = run_key(namespace, workflow, run)
        try:
            return RunRecord.from_bytes(self.store.get(key), key=key)
        except ObjectNotFoundError:
            return None

    def run_end(self, namespace: str, workflow: str, run: str) -> RunEndRecord | None:
        """How a run ended; None while it has not."""
        key = f"{runs_prefix(namespace, workflow)}{run}.end.json"
        try:
            return RunEndRecord.from_bytes(self.store.get(key), key=key)
        except ObjectNotFoundError:
            return None

    def workflows(self, namespace: str) -> list[str]:
        return list(self.store.children(tasks_prefix(namespace)))

    def tasks(
        self, namespace: str, workflow: str, run: str, *, task: str | None = None, index: str | None = None
    ) -> Iterator[TaskPath]:
        """Tasks and indexes of a run, in the order of their names; with ``task`` one listing, else one more for each.

        A task is there from its first claim on, also before it has saved anything.
        """
        root = f"{tasks_prefix(namespace)}{workflow}/{run}/"
        if task is not None and index is not None:
            if self.store.children(f"{root}{task}/{index or NO_INDEX}/"):
                yield TaskPath(workflow, run, task, index, namespace)
            return
        for name in [task] if task is not None else self.store.children(root):
            for part in self.store.children(f"{root}{name}/"):
                path = TaskPath(workflow, run, name, "" if part == NO_INDEX else part, namespace)
                if index in (None, path.index):
                    yield path

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def entries(self, task: TaskPath) -> Iterator[Entry]:
        return entries(self.store, task)

    def manifest(self, task: TaskPath, snapshot: SnapshotId) -> Manifest:
        """A checkpoint that was asked for by name.

        Raises:
            CheckpointDeletedError, CheckpointNotFoundError, CorruptRecordError.
        """
        try:
            return manifest(self.store, task, snapshot)
        except ObjectNotFoundError:
            pass
        ref = CheckpointRef(task, snapshot)
        if not self.is_deleted(task, snapshot):
            raise CheckpointNotFoundError(
                f"checkpoint {ref} is not in {self.store.url}",
                remedy=f"see what there is: trainpoint list {task}",
            )
        raise CheckpointDeletedError(
            f"checkpoint {ref} was deleted", remedy=f"see what is left: trainpoint list {task}"
        )

    def find(self, name: str, *, namespace: str, near: TaskPath | None = None) -> CheckpointRef:
        """The checkpoint of that name; looks into ``near`` first. Raises CheckpointNotFoundError."""
        parsed = parse_checkpoint_name(name)
        if parsed is not None:
            for task in self.tasks_named(parsed.run_object, namespace=namespace, near=near):
                found = self.find_in(task, parsed)
                if found is not None:
                    return found
        raise CheckpointNotFoundError(
            f"no checkpoint is named {name!r} in {self.store.url}", remedy="see what there is: trainpoint list"
        )

    def find_in(self, task: TaskPath, parsed: ParsedName) -> CheckpointRef | None:
        """The checkpoint of that name in a task, deleted or not; None if it never was there. One page."""
        begin = manifests_from(task, parsed.attempt, parsed.sequence)
        for entry in entries_of(row.key for row in self.store.list(task.manifests, after=begin)):
            if parsed.matches(entry.id):
                return CheckpointRef(task, entry.id)
            if (entry.id.attempt, entry.id.sequence) != (parsed.attempt, parsed.sequence):
                return None
        return None

    def tasks_named(self, run_object: str, *, namespace: str, near: TaskPath | None = None) -> Iterator[TaskPath]:
        """Tasks whose record has that name: one, as good as always. A request for each workflow, and more."""
        if near is not None and run_object_name(near) == run_object:
            yield near
            return
        run = run_object.rpartition("-")[0]
        for workflow in self.workflows(namespace):
            for candidate in self.store.children(f"{tasks_prefix(namespace)}{workflow}/"):
                if object_part(candidate) == run:
                    tasks = self.tasks(namespace, workflow, candidate)
                    yield from (t for t in tasks if run_object_name(t) == run_object)

    def record(self, new: Manifest) -> None:
        """Commit: log entry, then the manifest. The checkpoint exists from here on."""
        snapshot = new.snapshot
        body = new.to_bytes()
        self._log("Commit", snapshot.task, snapshot.id)
        self.store.put(manifest_key(snapshot.task, snapshot.id), body)

    def mark_corrupt(self, task: TaskPath, snapshot: SnapshotId, message: str) -> None:
        """Put a mark beside the manifest, so that no policy chooses that checkpoint again.

        Does nothing where it was deleted meanwhile: its data went away as it should.
        """
        if self.is_deleted(task, snapshot):
            return
        self.store.put(manifest_key(task, snapshot, "corrupt"), corrupt_mark(rfc3339(self.clock.now()), message))

    def archive(self, task: TaskPath, snapshot: SnapshotId, *, by: str) -> None:
        """Note that a checkpoint has no object on a cluster on purpose, so that none is made for it again."""
        self.store.put(manifest_key(task, snapshot, "archived"), archived_mark(rfc3339(self.clock.now()), by))

    def is_deleted(self, task: TaskPath, snapshot: SnapshotId) -> bool:
        """Whether a person or a rule deleted that checkpoint."""
        try:
            self.store.get(manifest_key(task, snapshot, "tombstone"))
        except ObjectNotFoundError:
            return False
        return True

    def delete(self, task: TaskPath, snapshot: SnapshotId, *, by: str) -> int:
        """Tombstone, then the data, then the manifest, then a log entry. Safe to repeat at any point.

        The tombstone stays, so that a reference to the checkpoint is told that it was deleted.

        Returns:
            How many data objects were removed now.
        """
        self.store.put(manifest_key(task, snapshot, "tombstone"), tombstone(rfc3339(self.clock.now()), by))
        doomed = [info.key for info in self.store.list(snapshot_data(task, snapshot))]
        for key in doomed:
            self.store.delete(key)
        for key in self._beside(task, snapshot):  # in this order: while the manifest is there, so are its marks
            self.store.delete(key)
        self._log("Delete", task, snapshot)
        return len(doomed)

    def _beside(self, task: TaskPath, snapshot: SnapshotId) -> list[str]:
        """Keys of a manifest and of its marks, but for the tombstone; the manifest last."""
        begin, manifest_at = beside(task, snapshot), manifest_key(task, snapshot)
        rows = takewhile(lambda row: row.key.startswith(begin), self.store.list(task.manifests, after=begin))
        tombstone_at = manifest_key(task, snapshot, "tombstone")
        found = [row.key for row in rows if row.key not in (tombstone_at, manifest_at)]
        return [*found, manifest_at]

    # --- what came to nothing -----------------------------------------------------------------------------------------

    def discard_data(self, task: TaskPath, snapshot: SnapshotId) -> None:
        """Remove the data of a save that failed, as far as the store lets us. It has no manifest: nobody misses it."""
        with suppress(StoreError):
            for info in list(self.store.list(snapshot_data(task, snapshot))):
                self.store.delete(info.key)

    def sweep_orphans(self, task: TaskPath, *, attempt: int) -> int:
        """Remove data that earlier attempts, killed in mid-save, left without a manifest. Call after the claim.

        The data is listed first and the manifests afterwards, so that whatever was committed before the claim is seen.
        What an overtaken writer commits later is superseded anyway, and it is told so.

        Returns:
            How many saves were removed.
        """
        with_data = [parsed for name in self.store.children(task.data) if (parsed := _snapshot_id(name)) is not None]
        committed = {entry.id for entry in self.entries(task) if entry.committed}
        orphans = [found for found in with_data if found.attempt < attempt and found not in committed]
        for orphan in orphans:
            self.discard_data(task, orphan)
        return len(orphans)

    def _log(self, action: Literal["Commit", "Delete"], task: TaskPath, snapshot: SnapshotId) -> None:
        now = self.clock.now()
        entry = log_entry(action, task, snapshot, rfc3339(now))
        self.store.put(log_key(task.namespace, now, self.chance.uid()), entry)
