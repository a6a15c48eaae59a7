"""Records beside the checkpoints: the store's marker, runs, attempts, log entries. All are sealed JSON objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.errors import CorruptRecordError
from trainpoint.format.digest import JsonObject, seal, unseal
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import FORMAT_VERSION, check_format, task_from_json, task_to_json

MESSAGE_LIMIT: Final = 1000
"""Of a record's message; a run object takes 1024."""


def write_record(kind: str, value: Mapping[str, object]) -> bytes:
    """Bytes of a record of ``kind``, versioned and sealed."""
    return seal({"formatVersion": FORMAT_VERSION, "kind": kind, **value})


def read_record(kind: str, data: bytes, *, key: str) -> JsonObject:
    """Parse a record; CorruptRecordError unless it is intact and of that kind, NewerFormatError if too new."""
    value = unseal(data, key=key)
    check_format(value, key=key)
    if value.get("kind") != kind:
        raise CorruptRecordError(f"{key} is a record of kind {value.get('kind')!r}, not {kind!r}")
    return value


@contextmanager
def reading_record(kind: str, data: bytes, *, key: str) -> Iterator[JsonObject]:
    """As :func:`read_record`; what the block finds missing or without a meaning is a CorruptRecordError too."""
    value = read_record(kind, data, key=key)
    try:
        yield value
    except KeyError as error:
        raise CorruptRecordError(f"{key} has no field {error}, as a record of kind {kind!r} has") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise CorruptRecordError(f"{key} is not a record of kind {kind!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, described so that another one can tell whether it still lives."""

    host: str
    pid: int
    started: str
    """start time of the process as the system counts it; tells a reused pid from the same process"""
    boot: str
    """identity of this boot of the machine and its pid namespace; pids are comparable only within the same"""
    uid: str
    """of the process; drawn once per start"""
    user: str = ""

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, value: JsonObject) -> Holder:
        return cls(
            host=str(value["host"]),
            pid=int(value["pid"]),
            started=str(value["started"]),
            boot=str(value["boot"]),
            uid=str(value["uid"]),
            user=str(value["user"]),
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f" (user {self.user})" if self.user else "")


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """``attempts/<n>-<uid>.intent``: who wants that number, so that others can tell whether it lives."""

    task: TaskPath
    attempt: int
    uid: str
    """of the claim"""
    holder: Holder
    time: str

    def to_bytes(self) -> bytes:
        return write_record(
            "Intent",
            {
                "task": task_to_json(self.task),
                "attempt": self.attempt,
                "uid": self.uid,
                "holder": self.holder.to_json(),
                "time": self.time,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> IntentRecord:
        with reading_record("Intent", data, key=key) as value:
            return cls(
                task=task_from_json(value["task"]),
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                holder=Holder.from_json(value["holder"]),
                time=str(value["time"]),
            )


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """``attempts/<n>-<uid>.json``: a claim that was won."""

    task: TaskPath
    attempt: int
    uid: str
    """of the claim"""
    holder: Holder
    time: str
    seen: Mapping[int, int] = field(default_factory=dict)
    """highest sequence seen of every earlier attempt, superseded checkpoints left out; what an earlier attempt
    commits above it came too late"""
    first_sequence: int = 1
    """above every sequence that was seen at all, so that none is ever used twice"""

    def to_bytes(self) -> bytes:
        return write_record(
            "Attempt",
            {
                "task": task_to_json(self.task),
                "attempt": self.attempt,
                "uid": self.uid,
                "holder": self.holder.to_json(),
                "time": self.time,
                "seen": {str(a): s for a, s in self.seen.items()},
                "firstSequence": self.first_sequence,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> AttemptRecord:
        with reading_record("Attempt", data, key=key) as value:
            return cls(
                task=task_from_json(value["task"]),
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                holder=Holder.from_json(value["holder"]),
                time=str(value["time"]),
                seen={int(a): int(s) for a, s in value["seen"].items()},
                first_sequence=int(value["firstSequence"]),
            )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A checkpoint that a policy passed over, and why."""

    checkpoint: str
    """its name"""
    step: int | None
    reason: str
    """one of :mod:`trainpoint.api.reasons`"""
    message: str

    @classmethod
    def from_json(cls, value: JsonObject) -> Skipped:
        return cls(
            checkpoint=str(value["checkpoint"]),
            step=None if value["step"] is None else int(value["step"]),
            reason=str(value["reason"]),
            message=str(value["message"]),
        )


@dataclass(frozen=True, slots=True)
class LoadedRecord:
    """``attempts/<n>-<uid>.loaded``: what an attempt started from, and why."""

    attempt: int
    uid: str
    """of the claim"""
    policy: str
    """``fresh``, ``eager`` or ``none``"""
    source: str
    """who decided the policy, in words"""
    reason: str
    """one of :mod:`trainpoint.api.reasons`"""
    message: str
    checkpoint: str = ""
    """name of the checkpoint that was loaded; empty: none"""
    task: TaskPath | None = None
    """where that checkpoint lies"""
    snapshot: SnapshotId | None = None
    """which checkpoint of that task"""
    digest: str = ""
    """of its manifest"""
    step: int | None = None
    """completed training steps of what was loaded"""
    skipped: tuple[Skipped, ...] = ()
    """checkpoints that were passed over, newest first"""
    ranks: int = 1
    """how many processes have to load it before any of them begins"""
    round: int = 1
    """counts what those processes were asked to load; above 1 where one of them could not use what came before"""
    request: str = ""
    """the resume request in force, in its one spelling; empty: none"""
    request_by: str = ""
    """who made it: ``Argument``, ``Environment``, ``Annotation`` or ``Run``"""
    since: int = 0
    """the attempt of the last rollback: what was saved before it is not gone on from. 0 where there was none"""

    @property
    def is_file(self) -> bool:
        """An app has begun from a file, which is no checkpoint of the store; ``request`` names it."""
        return self.reason == reasons.REQUESTED and not self.checkpoint

    def to_bytes(self) -> bytes:
        return write_record(
            "Loaded",
            {
                "attempt": self.attempt,
                "uid": self.uid,
                "policy": self.policy,
                "source": self.source,
                "reason": self.reason,
                "message": self.message,
                "checkpoint": self.checkpoint,
                "task": task_to_json(self.task) if self.task else None,
                "snapshot": str(self.snapshot) if self.snapshot else None,
                "manifestDigest": self.digest,
                "step": self.step,
                "skipped": [asdict(s) for s in self.skipped],
                "ranks": self.ranks,
                "round": self.round,
                "request": self.request,
                "requestBy": self.request_by,
                "since": self.since,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> LoadedRecord:
        with reading_record("Loaded", data, key=key) as value:
            return cls(
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                policy=str(value["policy"]),
                source=str(value["source"]),
                reason=str(value["reason"]),
                message=str(value["message"]),
                checkpoint=str(value["checkpoint"]),
                task=task_from_json(value["task"]) if value["task"] else None,
                snapshot=SnapshotId.parse(value["snapshot"]) if value["snapshot"] else None,
                digest=str(value["manifestDigest"]),
                step=None if value["step"] is None else int(value["step"]),
                skipped=tuple(Skipped.from_json(s) for s in value["skipped"]),
                ranks=int(value.get("ranks", 1)),
                round=int(value.get("round", 1)),
                request=str(value.get("request", "")),
                request_by=str(value.get("requestBy", "")),
                since=int(value.get("since", 0)),
            )


@dataclass(frozen=True, slots=True)
class EndRecord:
    """``attempts/<n>-<uid>.end``: how an attempt ended; written by itself, or by what supervised it."""

    attempt: int
    uid: str
    how: Literal["Completed", "Failed", "Preempted", "Killed", "Refused"]
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    last_step: int | None = None
    """the last step that training is known to have completed"""
    time: str = ""

    def to_bytes(self) -> bytes:
        return write_record(
            "End",
            {
                "attempt": self.attempt,
                "uid": self.uid,
                "how": self.how,
                "exitCode": self.exit_code,
                "signal": self.signal,
                "message": self.message,
                "lastStep": self.last_step,
                "time": self.time,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> EndRecord:
        with reading_record("End", data, key=key) as value:
            return cls(
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                how=value["how"],
                exit_code=value["exitCode"],
                signal=value["signal"],
                message=str(value["message"]),
                last_step=value["lastStep"],
                time=str(value["time"]),
            )


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``runs/<workflow>/<run>.json``: a run was begun. Written once."""

    namespace: str
    workflow: str
    run: str
    owner: str
    time: str

    def to_bytes(self) -> bytes:
        return write_record("Run", asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> RunRecord:
        with reading_record("Run", data, key=key) as value:
            return cls(*(str(value[k]) for k in ("namespace", "workflow", "run", "owner", "time")))


@dataclass(frozen=True, slots=True)
class RunEndRecord:
    """``runs/<workflow>/<run>.end.json``: how a run ended; written by what launched it."""

    outcome: Literal["Succeeded", "Failed", "Stopped"]
    """how it ended, in a word"""
    message: str
    time: str
    """when, by the clock of what launched it: ``2026-11-22T09:12:05.000000Z``"""

    def to_bytes(self) -> bytes:
        return write_record("RunEnd", asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> RunEndRecord:
        with reading_record("RunEnd", data, key=key) as value:
            return cls(outcome=value["outcome"], message=str(value["message"]), time=str(value["time"]))


@dataclass(frozen=True, slots=True)
class StoreMarker:
    """``trainpoint.json``: this prefix is a trainpoint store."""

    store_id: str

    def to_bytes(self) -> bytes:
        return write_record("Store", {"storeId": self.store_id})

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> StoreMarker:
        with reading_record("Store", data, key=key) as value:
            return cls(store_id=str(value["storeId"]))


def log_entry(action: Literal["Commit", "Delete"], task: TaskPath, snapshot: SnapshotId, time: str) -> bytes:
    """``log/<time>-<uid>.json``: written before a commit or a deletion, so that an inventory costs only the changes."""
    return write_record("Log", {"action": action, "task": task_to_json(task), "snapshot": str(snapshot), "time": time})


def tombstone(time: str, by: str) -> bytes:
    """``manifests/<…>.tombstone``: a person or a rule deleted the checkpoint; its bytes are going or gone."""
    return write_record("Tombstone", {"time": time, "by": by})


def archived_mark(time: str, by: str) -> bytes:
    """``manifests/<…>.archived``: its object on a cluster is gone on purpose, and its bytes stay."""
    return write_record("Archived", {"time": time, "by": by})


def corrupt_mark(time: str, message: str) -> bytes:
    """``manifests/<…>.corrupt``: a reader found that the checkpoint is not what was saved."""
    return write_record("Corrupt", {"time": time, "message": message})


def claim_mark(kind: Literal["Lost", "Fence", "Beat"], *, attempt: int, uid: str, time: str) -> bytes:
    """Content of ``.lost``, ``.fence`` and ``.beat``: their keys say everything, this is for people who look."""
    return write_record(kind, {"attempt": attempt, "uid": uid, "time": time})
