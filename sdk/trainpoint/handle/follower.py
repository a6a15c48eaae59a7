"""Every rank but 0 of a task of several: it loads what rank 0 loads, and its saves are rank 0's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trainpoint.api import reasons
from trainpoint.catalog.bucket import manifest
from trainpoint.claim.history import read_won
from trainpoint.claim.protocol import read_board
from trainpoint.claim.ranks import Begin, Hold, Load, Seen, Standing, follow, lost_in_order
from trainpoint.claim.won import check_superseded
from trainpoint.context import Context
from trainpoint.errors import (
    CorruptCheckpointError,
    CorruptRecordError,
    ObjectNotFoundError,
    SaveFailedError,
    StoreError,
    TrainpointError,
    UnsafePathError,
)
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import (
    SnapshotId,
    TaskPath,
    attempt_key,
    manifest_key,
    parse_manifest_key,
    vote_key,
)
from trainpoint.format.manifest import Manifest
from trainpoint.format.ranks import GoRecord, VoteRecord, Word, derived_uid
from trainpoint.format.records import LoadedRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle import narrate, ranks
from trainpoint.handle.ranks import Waiting, empty
from trainpoint.handle.rhythm import Rhythm
from trainpoint.handle.save import Source
from trainpoint.handle.writer import Describe
from trainpoint.identity import Identity
from trainpoint.policies.settings import SaveSettings
from trainpoint.store.base import Store
from trainpoint.transfer.download import download

WAIT_SECONDS: Final = 3600.0
"""How long ``wait`` waits for rank 0 to commit one more checkpoint, while nothing says that it will not."""


class FollowedRef(CheckpointRef):
    """A reference to a checkpoint that rank 0 saves."""

    __slots__ = ("_known", "_store")

    def __init__(self, store: Store, task: TaskPath, id: SnapshotId) -> None:
        super().__init__(task, id)
        object.__setattr__(self, "_store", store)
        object.__setattr__(self, "_known", False)

    @property
    def committed(self) -> bool:
        """Whether the checkpoint exists by now: asks the store until it does. Raises StoreError."""
        known: bool = object.__getattribute__(self, "_known")
        if known:
            return True
        store: Store = object.__getattribute__(self, "_store")
        try:
            store.read(manifest_key(self.task, self.id), 0, 1)
        except ObjectNotFoundError:
            return False
        object.__setattr__(self, "_known", True)
        return True

    def __reduce__(self) -> tuple[type[CheckpointRef], tuple[TaskPath, SnapshotId]]:
        return CheckpointRef, (self.task, self.id)  # elsewhere it is a reference like any other


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What this rank has in its directory, and for which of rank 0's choices."""

    record: LoadedRecord
    manifest: Manifest | None


class Follower:
    """A rank that claims nothing and uploads nothing. It writes its votes at the start, and nothing else."""

    def __init__(self, context: Context, identity: Identity, settings: SaveSettings) -> None:
        self.identity = identity
        self.rhythm = Rhythm(settings, context.clock, rank=identity.rank, world_size=identity.world_size)
        self.why: LoadedRecord | None = None
        self._context = context
        self._store = context.catalog.store
        self._nonce = context.chance.uid()
        self._who = f"rank {identity.rank} of {identity.world_size}"
        self._attempt: int | None = None
        self._claim_uid = ""
        self._sequence = 1
        self._pending: list[SnapshotId] = []

    # --- the start ----------------------------------------------------------------------------------------------------

    @property
    def attempt(self) -> int | None:
        """Rank 0's; None until it has said go."""
        return self._attempt

    def resume(self, target: Path) -> Manifest | None:
        """Load what rank 0 has loaded, and return when it has said that all ranks have it.

        Raises:
            RanksError: rank 0 did not claim the task, or did not decide, for ten minutes.
            StoreError, LocalFileError: this rank could not load it; rank 0 is told.
        """
        identity = self.identity
        waiting = Waiting(
            self._context.clock,
            self._context.chance,
            who=self._who,
            seconds=ranks.DEADLINE_SECONDS,
            stop=lambda: self.rhythm.preempted,
            remedy="look at the log of rank 0: it has to open the Checkpoint too, with the same store, run, task and "
            "index, and without collective=False",
        )
        me = Standing(identity.rank, identity.world_size, self._nonce)
        mine: _Loaded | None = None
        while True:
            seen = self._look()
            match follow(me, seen):
                case Load(mark=mark, loaded=record):
                    mine = self._load_and_vote(record, target)
                    me = replace(me, claim_uid=mark.uid, round=record.round)
                    waiting.sign((mark.uid, record.round))
                case Begin(mark=mark) if mine is not None:
                    first = read_won(self._store, identity.task, mark)
                    self._attempt, self._claim_uid, self._sequence = mark.attempt, mark.uid, first.first_sequence
                    self.why = mine.record
                    if mine.manifest is not None:
                        self.note_loaded(mine.manifest, own=True)
                    self.rhythm.begun()
                    narrate.logger.debug("%s: attempt %d  %s", self._who, mark.attempt, mine.record.message)
                    return mine.manifest
                case Hold(message=message, alive=alive):
                    newest = seen.newest
                    if newest is not None:
                        waiting.sign((newest.uid, newest.suffixes - {"beat"}), newest.last if alive else None)
                    waiting.pause(message)

    def _look(self) -> Seen:
        task = self.identity.task
        winners = read_board(self._store.list(task.attempts)).winners
        if not winners:
            return Seen(None)
        mark = winners[-1]
        if "go" in mark.suffixes:
            key = attempt_key(task, mark.attempt, mark.uid, "go")
            return Seen(mark, go=GoRecord.from_bytes(self._store.get(key), key=key))
        if "loaded" in mark.suffixes and not mark.ended:
            key = attempt_key(task, mark.attempt, mark.uid, "loaded")
            return Seen(mark, LoadedRecord.from_bytes(self._store.get(key), key=key))
        return Seen(mark)

    def _load_and_vote(self, record: LoadedRecord, target: Path) -> _Loaded:
        """Exactly what the record names. That it cannot be used is said to rank 0, which decides what comes next."""
        try:
            empty(target)
            found = self._fetch(record, target)
        except ObjectNotFoundError as error:
            self._vote(record, "Unusable", f"it is gone: {error.message}", reasons.DELETED)
        except (CorruptRecordError, UnsafePathError) as error:
            self._vote(record, "Unusable", error.message, reasons.UNREADABLE)
        except CorruptCheckpointError as error:
            self._vote(record, "Unusable", error.message, reasons.CORRUPT)
        except Exception as error:
            # Says nothing about the checkpoint: no older one is tried for it. Rank 0 need not wait to learn of it.
            self._vote_failed(record, error)
            raise
        else:
            self._vote(record, "Loaded")
            return _Loaded(record, found)
        return _Loaded(record, None)  # rank 0 will not say go for it

    def _fetch(self, record: LoadedRecord, target: Path) -> Manifest | None:
        if record.task is None or record.snapshot is None:
            return None
        try:
            found = manifest(self._store, record.task, record.snapshot)
        except CorruptRecordError:
            found = manifest(self._store, record.task, record.snapshot)  # once more: the network may have done it
        if digest_of(found.to_bytes()) != record.digest:
            raise CorruptRecordError(f"the manifest of {record.checkpoint} is another than rank 0 has read")
        download(self._store, found, target, clock=self._context.clock, chance=self._context.chance)
        return found

    def _vote(self, record: LoadedRecord, word: Word, message: str = "", reason: str = "") -> None:
        rank = self.identity.rank
        vote = VoteRecord(rank, self._nonce, record.round, word, message[:500], reason)
        self._store.put(vote_key(self.identity.task, record.attempt, record.uid, rank), vote.to_bytes())

    def _vote_failed(self, record: LoadedRecord, error: Exception) -> None:
        message = error.message if isinstance(error, TrainpointError) else f"{type(error).__name__}: {error}"
        try:
            self._vote(record, "Failed", message)
        except StoreError as second:
            narrate.logger.warning("%s: rank 0 could not be told: %s", self._who, second)

    def note_loaded(self, found: Manifest, *, own: bool) -> None:
        self.rhythm.loaded(found.snapshot.step)

    # --- saves, which are rank 0's ------------------------------------------------------------------------------------

    def skip(self) -> None:
        self._sequence += 1

    def raise_deferred(self) -> None:
        """Nothing of this rank's can fail in the background."""

    def save(self, what: Describe, source: Source, *, wait: bool) -> CheckpointRef:
        """The reference that rank 0's same call returns; nothing is uploaded, and nothing waited for.

        Raises:
            SupersededError: a later attempt has claimed the task.
        """
        sequence = self._sequence
        self._sequence += 1
        self.rhythm.saved(what.step)
        source.release(None)
        task, attempt = self.identity.task, self._attempt or 0
        check_superseded(self._store, task, attempt)
        snapshot = SnapshotId(attempt, sequence, derived_uid(self._claim_uid, sequence))
        self._pending.append(snapshot)
        return FollowedRef(self._store, task, snapshot)

    def publish(self, name: str, value: object) -> None:
        """Rank 0 does."""

    def wait(self) -> None:
        """Return when rank 0 has committed every save so far.

        Raises:
            SaveFailedError: it has ended without, or has passed one over.
            SupersededError: a later attempt has claimed the task.
            RanksError: an hour passed without one more commit.
        """
        task, attempt = self.identity.task, self._attempt or 0
        waiting = Waiting(
            self._context.clock,
            self._context.chance,
            who=self._who,
            seconds=WAIT_SECONDS,
            stop=lambda: False,
            remedy="look at the log of rank 0",
        )
        while self._pending:
            ended = self._first_has_ended()  # asked before, so that what it had committed by then is seen
            committed = self._committed()
            self._pending = [snapshot for snapshot in self._pending if snapshot not in committed]
            if not self._pending:
                return
            check_superseded(self._store, task, attempt)
            lost = lost_in_order([s.sequence for s in self._pending], [s.sequence for s in committed])
            if lost or ended:
                failed = [s for s in self._pending if ended or s.sequence in lost]
                self._pending = [s for s in self._pending if s not in failed]
                names = ", ".join(CheckpointRef(task, s).name for s in failed)
                raise SaveFailedError(
                    f"rank 0 did not commit {names}" + (": it has ended" if ended else ""),
                    remedy="look at the log of rank 0",
                )
            waiting.sign(len(self._pending))
            waiting.pause(f"rank 0 has not committed {len(self._pending)} of the saves")

    def _first_has_ended(self) -> bool:
        try:
            self._store.read(attempt_key(self.identity.task, self._attempt or 0, self._claim_uid, "end"), 0, 1)
        except ObjectNotFoundError:
            return False
        return True

    def _committed(self) -> set[SnapshotId]:
        """What of this attempt is committed, as far back as anything is waited for."""
        oldest = min(self._pending)
        found = set()
        for row in self._store.list(self.identity.task.manifests):
            parsed = parse_manifest_key(row.key)
            if parsed is None:
                continue
            snapshot, suffix = parsed
            if (snapshot.attempt, snapshot.sequence) < (oldest.attempt, oldest.sequence):
                break
            if snapshot.attempt == oldest.attempt and suffix in ("json", "tombstone"):
                found.add(snapshot)
        return found

    def flush(self) -> None:
        """Nothing is in flight."""

    # --- the end, of which only rank 0 keeps a record -----------------------------------------------------------------

    def close_records(self) -> None:
        """There are none."""

    def end(self, how: str, message: str, exit_code: int) -> None:
        self.rhythm.close()

    def abandon(self) -> None:
        self.rhythm.abandon()
