"""Artifacts: small values that a task publishes by name, such as the reference of its best checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from trainpoint.format.layout import TaskPath, check_name
from trainpoint.format.manifest import task_from_json, task_to_json
from trainpoint.format.records import reading_record, write_record

ARTIFACT_LIMIT_BYTES: Final = 16 * 1024
"""The largest value of an artifact, as JSON text in UTF-8."""
_KEY = re.compile(r"(.+)\.(0|[1-9][0-9]{0,9})-([0-9a-f]{16})\.json")


def artifact_key(task: TaskPath, name: str, attempt: int, uid: str) -> str:
    """``artifacts/<name>.<attempt>-<uid>.json``, ``uid`` being the claim's.

    Each attempt has a key of its own, and the highest attempt counts: so a writer that was overtaken, and does not know
    it yet, cannot replace what its successor has published. Raises IdentityError for a name that cannot be used.
    """
    return f"{task.artifacts}{check_name('artifact', name)}.{attempt}-{uid}.json"


def parse_artifact_key(key: str) -> tuple[str, int, str] | None:
    """(name, attempt, uid of the claim); None for anything else that lies there."""
    match = _KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    return match[1], int(match[2]), match[3]


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """``artifacts/<name>.<attempt>-<uid>.json``: a value that an attempt has published."""

    task: TaskPath
    name: str
    value: Any
    """any JSON value; Any, since its reader knows what was published and a type checker cannot"""
    attempt: int
    uid: str
    """of the claim"""
    time: str

    @property
    def key(self) -> str:
        return artifact_key(self.task, self.name, self.attempt, self.uid)

    def to_bytes(self) -> bytes:
        return write_record(
            "Artifact",
            {
                "task": task_to_json(self.task),
                "name": self.name,
                "value": self.value,
                "attempt": self.attempt,
                "uid": self.uid,
                "time": self.time,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> ArtifactRecord:
        """Raises CorruptRecordError. Whether it is the record that belongs there: see :attr:`key`."""
        with reading_record("Artifact", data, key=key) as value:
            return cls(
                task=task_from_json(value["task"]),
                name=str(value["name"]),
                value=value["value"],
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                time=str(value["time"]),
            )
