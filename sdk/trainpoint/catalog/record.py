"""Recording what a pod saves as Checkpoint objects, behind the saves, so that an API server that is away stops nothing.

One thread does the requests in the order of the saves: create when a save begins, status.commit when it is committed.
What cannot be sent is tried again, with a growing pause; what is refused is told once and left to the operator, which
records from the bucket whatever is missing.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from trainpoint.api.names import API_VERSION, Plural
from trainpoint.catalog.labels import labels_of
from trainpoint.clock import Chance, Clock
from trainpoint.errors import ClusterUnreachableError, TrainpointError
from trainpoint.format.digest import JsonObject, digest_of
from trainpoint.format.manifest import Manifest, Snapshot, snapshot_to_json
from trainpoint.format.reference import CheckpointRef

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 15.0
CLOSING_PAUSE_SECONDS: Final = 1.0
REFUSALS: Final = 8
"""How often a refusal is tried again: an API server that has just started does not know every role and kind yet."""
CLOSE_SECONDS: Final = 60.0
"""How long the end of a program waits for what is not recorded yet; the operator does the rest."""
CLOSE_PREEMPTED_SECONDS: Final = 5.0
"""The same where SIGTERM has come: the grace period is for the last save."""
WAITING_LIMIT: Final = 10_000
"""Saves that may wait for the API server; beyond it the oldest are left to the operator."""


class Objects(Protocol):
    """What is needed of the API server (``catalog.kube.Kube``)."""

    def create(self, plural: Plural, body: Mapping[str, object]) -> JsonObject | None: ...
    def patch_status(self, plural: Plural, name: str, body: Mapping[str, object]) -> JsonObject: ...


@dataclass(slots=True)
class _Record:
    snapshot: Snapshot
    created: bool = False
    commit: JsonObject | None = None
    """what status.commit is to be; None while the save is under way"""
    refusals: int = 0
    settled: bool = False
    """committed or failed: nothing more will come"""


class Recorder:
    """The records of one attempt. ``begin`` and ``commit`` return at once."""

    def __init__(
        self,
        objects: Objects,
        *,
        store_ref: str,
        policy: str,
        finalizer: str = "",
        clock: Clock,
        chance: Chance,
        warn: Callable[[str], None],
    ) -> None:
        """``finalizer``: the operator's, where one runs, so that no object goes before its bytes do."""
        self._objects = objects
        self._store_ref = store_ref
        self._policy = policy
        self._finalizer = finalizer
        self._clock = clock
        self._chance = chance
        self._warn = warn
        self._changed = threading.Condition()
        self._waiting: deque[_Record] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="trainpoint-record", daemon=True)
        self._thread.start()

    def begin(self, snapshot: Snapshot) -> None:
        """A save has begun."""
        with self._changed:
            if len(self._waiting) >= WAITING_LIMIT:
                self._waiting.popleft()
            self._waiting.append(_Record(snapshot))
            self._changed.notify_all()

    def commit(self, manifest: Manifest) -> None:
        """Its manifest is in the bucket: the checkpoint exists."""
        self._settle(manifest.snapshot, commit_of(manifest))

    def fail(self, snapshot: Snapshot) -> None:
        """It came to nothing; its object stays without a commit, and the operator marks it Failed."""
        self._settle(snapshot, None)

    def _settle(self, snapshot: Snapshot, commit: JsonObject | None) -> None:
        with self._changed:
            for record in self._waiting:
                if record.snapshot.id == snapshot.id:
                    record.commit, record.settled = commit, True
            self._changed.notify_all()

    def close(self, seconds: float = CLOSE_SECONDS) -> int:
        """Wait until everything is recorded, but not for ever. Returns how many are not."""
        deadline = self._clock.monotonic() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._waiting and self._clock.monotonic() < deadline:
                self._changed.wait(max(0.0, min(0.5, deadline - self._clock.monotonic())))
            left = len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        return left

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        tries = 0
        while (record := self._next()) is not None:
            try:
                self._send(record)
                tries = 0
            except TrainpointError as error:
                if isinstance(error, ClusterUnreachableError) or record.refusals < REFUSALS:
                    record.refusals += not isinstance(error, ClusterUnreachableError)
                    self._pause(tries)
                    tries += 1
                    continue
                self._drop(record)
                self._warn(
                    f"{CheckpointRef(record.snapshot.task, record.snapshot.id)} is not recorded: {error.message}"
                )

    def _pause(self, tries: int) -> None:
        """Wait before the next try; not long when the program wants to end."""
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(tries, 10))
        with self._changed:
            pause = min(pause, CLOSING_PAUSE_SECONDS) if self._closing else pause
            self._changed.wait(pause * (0.5 + self._chance.fraction() / 2))

    def _next(self) -> _Record | None:
        """The first record with something to send; None when closing and nothing is left."""
        with self._changed:
            while True:
                for record in self._waiting:
                    if not record.created or record.settled:
                        return record
                if self._closing and not self._waiting:
                    return None
                self._changed.wait()

    def _send(self, record: _Record) -> None:
        if not record.created:
            body = checkpoint_body(
                record.snapshot, store_ref=self._store_ref, policy=self._policy, finalizer=self._finalizer
            )
            self._objects.create("checkpoints", body)
            record.created = True
        with self._changed:
            settled, commit = record.settled, record.commit
        if not settled:
            return
        if commit is not None:
            name = CheckpointRef(record.snapshot.task, record.snapshot.id).name
            self._objects.patch_status("checkpoints", name, {"status": {"commit": commit}})
        self._drop(record)

    def _drop(self, record: _Record) -> None:
        with self._changed:
            if record in self._waiting:
                self._waiting.remove(record)
            self._changed.notify_all()


def checkpoint_body(snapshot: Snapshot, *, store_ref: str, policy: str, finalizer: str = "") -> JsonObject:
    """A Checkpoint as it is created, by the pod that saves or by the operator that records for it."""
    metadata: JsonObject = {
        "name": CheckpointRef(snapshot.task, snapshot.id).name,
        "labels": labels_of(snapshot.task, policy),
    }
    if finalizer:
        metadata["finalizers"] = [finalizer]
    return {
        "apiVersion": API_VERSION,
        "kind": "Checkpoint",
        "metadata": metadata,
        "spec": {"snapshot": snapshot_spec(snapshot, store_ref)},
    }


def snapshot_spec(snapshot: Snapshot, store_ref: str) -> JsonObject:
    """``spec.snapshot``: what the manifest says, less what the object's own place says; empty members left out."""
    value = snapshot_to_json(snapshot)
    value.pop("namespace")
    value["metadata"] = {key: _metadata_text(item) for key, item in snapshot.metadata.items()}
    if store_ref:
        value["storeRef"] = {"name": store_ref}
    return {key: item for key, item in value.items() if item not in (None, "", [], {}) or key == "sequence"}


def commit_of(manifest: Manifest) -> JsonObject:
    """``status.commit``."""
    return {
        "manifestDigest": digest_of(manifest.to_bytes()),
        "sizeBytes": manifest.size,
        "storedBytes": sum(stored.size for stored in manifest.objects),
        "files": len(manifest.files),
        "shards": 1,
        "time": manifest.time,
    }


def _metadata_text(item: object) -> str:
    """A value as JSON; a text stands for itself unless it would be read back as something else."""
    if isinstance(item, str):
        try:
            json.loads(item)
        except ValueError:
            return item
    return json.dumps(item, ensure_ascii=False)
