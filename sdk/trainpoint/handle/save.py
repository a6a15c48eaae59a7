"""Saving: upload, check that nobody has taken over, commit. At once, or one after the other behind training."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.record import Recorder
from trainpoint.claim.store import Claim
from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.errors import (
    SaveFailedError,
    StoreTimeoutError,
    StoreUnreachableError,
    SupersededError,
    TrainpointError,
)
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.reference import CheckpointRef
from trainpoint.transfer.tree import scan
from trainpoint.transfer.upload import upload

QUEUE_LENGTH = 1
"""Saves that may wait behind the one in flight; the next ``stage`` then waits too, so that disk use stays bounded."""


class SavedRef(CheckpointRef):
    """A reference to a checkpoint that this process saves."""

    __slots__ = ("_done",)

    def __init__(self, task: TaskPath, id: SnapshotId) -> None:
        super().__init__(task, id)
        object.__setattr__(self, "_done", threading.Event())

    @property
    def committed(self) -> bool:
        """Whether the checkpoint exists by now; stays False if its save failed."""
        done: threading.Event = object.__getattribute__(self, "_done")
        return done.is_set()

    def _commit(self) -> None:
        done: threading.Event = object.__getattribute__(self, "_done")
        done.set()

    def __reduce__(self) -> tuple[type[CheckpointRef], tuple[TaskPath, SnapshotId]]:
        return CheckpointRef, (self.task, self.id)  # elsewhere, on another rank too, a reference like any other


@dataclass(frozen=True, slots=True)
class Source:
    """What a call wants saved. A rank that uploads nothing never takes it, and only releases it."""

    take: Callable[[], Path]
    """makes it ready: a directory or file that nobody changes until it is released. Raises what is wrong with it"""
    release: Callable[[Path | None], None]
    """gets what ``take`` returned; None: it was not called"""


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """One save: what, from where, and what to do with the folder afterwards."""

    ref: SavedRef
    snapshot: Snapshot
    source: Path
    """a directory or a file that nobody changes until ``release`` is called"""
    release: Callable[[], None]
    """called when the source is no longer needed, whatever came of the save"""


class Saver:
    """Commits one save at a time, in the order in which they were asked for."""

    def __init__(
        self,
        *,
        catalog: BucketCatalog,
        claim: Claim,
        clock: Clock,
        chance: Chance,
        deadline_seconds: float,
        on_saved: Callable[[Manifest, float], None],
        recorder: Recorder | None = None,
    ) -> None:
        self._catalog = catalog
        self._claim = claim
        self._clock = clock
        self._chance = chance
        self._deadline_seconds = deadline_seconds
        self._on_saved = on_saved
        self._recorder = recorder
        self._changed = threading.Condition()
        self._queue: deque[SaveRequest] = deque()
        self._busy = False
        self._worker: threading.Thread | None = None
        self._error: BaseException | None = None
        self._superseded: SupersededError | None = None

    # --- called by the handle -----------------------------------------------------------------------------------------

    def submit(self, request: SaveRequest) -> None:
        """Commit in the background; waits while another one is in flight and one is queued."""
        with self._changed:
            while len(self._queue) >= QUEUE_LENGTH and self._busy:
                self._changed.wait()
            self._queue.append(request)
            if not self._busy:
                self._busy = True
                # Not a daemon: a script that ends without closing its handle still gets its last save.
                self._worker = threading.Thread(target=self._work, name="trainpoint-save")
                self._worker.start()

    def run(self, request: SaveRequest) -> None:
        """Commit now, behind what is in flight."""
        self.flush()
        try:
            self.raise_deferred()
            self._save(request)
        finally:
            request.release()

    def flush(self) -> None:
        """Wait until nothing is in flight."""
        with self._changed:
            while self._busy:
                self._changed.wait()

    def raise_deferred(self) -> None:
        """Raise what failed in the background since the last call: once, but being superseded for ever."""
        with self._changed:
            error, self._error = self._error, None
            superseded = self._superseded
        if superseded is not None:
            raise superseded
        if error is None:
            return
        what = error.message if isinstance(error, TrainpointError) else f"{type(error).__name__}: {error}"
        remedy = error.remedy if isinstance(error, TrainpointError) else ""
        raise SaveFailedError(f"a save in the background failed: {what}", remedy=remedy) from error

    # --- the work -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._queue:
                    self._busy = False
                    self._changed.notify_all()
                    return
                request = self._queue.popleft()
                self._changed.notify_all()
            try:
                if self._superseded is None:
                    self._save(request)
            except BaseException as error:
                with self._changed:
                    self._error = self._error or error
            finally:
                request.release()

    def close(self, seconds: float) -> int:
        """Nothing more comes. Returns how many saves the API server has no record of after so long."""
        return self._recorder.close(seconds) if self._recorder is not None else 0

    def _save(self, request: SaveRequest) -> None:
        """Save, and have it recorded, whatever comes of it."""
        if self._recorder is None:
            self._commit(request)
            return
        self._recorder.begin(request.snapshot)
        try:
            self._recorder.commit(self._commit(request))
        except BaseException:
            self._recorder.fail(request.snapshot)
            raise

    def _commit(self, request: SaveRequest) -> Manifest:
        begun = self._clock.monotonic()
        task, snapshot = request.snapshot.task, request.snapshot.id
        try:
            uploaded = upload(
                self._catalog.store,
                task,
                snapshot,
                scan(request.source),
                deadline_seconds=self._deadline_seconds,
                clock=self._clock,
                chance=self._chance,
            )
        except (StoreUnreachableError, StoreTimeoutError):
            raise  # who is away cannot delete either; the next attempt sweeps
        except BaseException:
            self._catalog.discard_data(task, snapshot)  # a full disk, above all, must not stay full of halves
            raise
        manifest = Manifest(
            snapshot=request.snapshot,
            time=rfc3339(self._clock.now()),
            objects=uploaded.objects,
            files=uploaded.files,
            directories=uploaded.directories,
            links=uploaded.links,
        )
        try:
            # Before, so that an overtaken writer adds nothing; after, since a successor may have listed in between:
            # then its fence shows now, and this save must not be reported as good.
            self._claim.check_superseded()
            self._catalog.record(manifest)
            self._claim.check_superseded()
        except SupersededError as error:
            self._superseded = error
            raise
        request.ref._commit()
        self._on_saved(manifest, self._clock.monotonic() - begun)
        return manifest
