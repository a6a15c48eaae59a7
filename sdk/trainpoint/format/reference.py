"""References and names: how one checkpoint is spoken of, in JSON, in text and as the name of an object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainpoint.errors import InvalidArgumentError, TrainpointError
from trainpoint.format.digest import JsonObject, digest_of
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import task_from_json, task_to_json

REFERENCE_VERSION = 1
_NAME = re.compile(r"(?P<run>.+-[0-9a-f]{8})-(?P<attempt>\d+)-(?P<sequence>\d+)-(?P<uid>[0-9a-f]{5})")


def run_object_name(task: TaskPath) -> str:
    """``<run>-<8 hex of BLAKE3(workflow, run, task, index)>``: the name of a task's record, also as a CheckpointRun."""
    digest = digest_of("\0".join([task.workflow, task.run, task.task, task.index]).encode())
    return f"{object_part(task.run)}-{digest[:8]}"


def object_part(run: str) -> str:
    """A run's name as the beginning of an object's: lower case, ``-`` for all but letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")


def checkpoint_name(task: TaskPath, snapshot: SnapshotId) -> str:
    """``<run object>-<attempt>-<sequence>-<first 5 of the uid>``: the name of a checkpoint, also as an object."""
    return f"{run_object_name(task)}-{snapshot.attempt}-{snapshot.sequence}-{snapshot.uid[:5]}"


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a checkpoint's name says."""

    run_object: str
    attempt: int
    sequence: int
    uid: str
    """its first five digits"""

    def matches(self, snapshot: SnapshotId) -> bool:
        return (
            self.attempt == snapshot.attempt
            and self.sequence == snapshot.sequence
            and snapshot.uid.startswith(self.uid)
        )


def parse_checkpoint_name(name: str) -> ParsedName | None:
    """The parts of a checkpoint's name; None if it is not one."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ParsedName(match["run"], int(match["attempt"]), int(match["sequence"]), match["uid"])


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointRef:
    """A pointer to one checkpoint: small JSON, stable across versions, valid wherever the store can be reached.

    >>> ref.task.run, ref.id.attempt, ref.id.sequence, ref.committed
    ('digits-2', 0, 2, True)
    """

    task: TaskPath
    id: SnapshotId
    """which of the task's checkpoints: attempt, sequence and uid"""

    def __eq__(self, other: object) -> bool:
        # Also between this class and what save() returns, which knows in addition whether it is committed.
        return isinstance(other, CheckpointRef) and (self.task, self.id) == (other.task, other.id)

    def __hash__(self) -> int:
        return hash((self.task, self.id))

    @property
    def committed(self) -> bool:
        """False while the process that made this reference is still saving, or has failed to; else True."""
        return True

    @property
    def name(self) -> str:
        """Text that names it, as ``list`` and ``kubectl`` show it; ``load`` takes it."""
        return checkpoint_name(self.task, self.id)

    def __str__(self) -> str:
        return self.name

    def to_json(self) -> JsonObject:
        """A dict of plain values; :meth:`from_json` reads it back.

        >>> sorted(ref.to_json())
        ['attempt', 'index', 'namespace', 'run', 'sequence', 'task', 'trainpointRef', 'uid', 'workflow']
        """
        return {
            "trainpointRef": REFERENCE_VERSION,
            **task_to_json(self.task),
            "attempt": self.id.attempt,
            "sequence": self.id.sequence,
            "uid": self.id.uid,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> CheckpointRef:
        """The reference that :meth:`to_json` wrote, in this or an earlier version; unknown fields are ignored.

        Raises InvalidArgumentError for anything that is not a reference.

        >>> CheckpointRef.from_json(ref.to_json()) == ref
        True
        """
        try:
            version = value["trainpointRef"]
            if not isinstance(version, int) or version > REFERENCE_VERSION:
                raise ValueError(f"version {version!r}")
            attempt, sequence = int(str(value["attempt"])), int(str(value["sequence"]))
            snapshot = SnapshotId.parse(f"{attempt}-{sequence}-{value['uid']}")
            return cls(task_from_json(dict(value)), snapshot)
        except (KeyError, ValueError, TrainpointError) as error:
            raise InvalidArgumentError(
                f"this is not a checkpoint reference: {error}", remedy="pass what save() or list() returned"
            ) from None
