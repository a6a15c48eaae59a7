"""Records beside a manifest that people make later: pins, and metrics of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import task_from_json, task_to_json
from trainpoint.format.records import reading_record, write_record

METRICS_LIMIT: Final = 32
"""Metrics of one checkpoint, those that it was saved with and later ones together."""
REASON_LIMIT: Final = 256
"""Characters of a pin's reason, as in the kind Checkpoint."""


def number_text(number: float) -> str:
    """A metric's value as decimal text that reads back as the same float; ``NaN``, ``Infinity``, ``-Infinity`` too."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number)


@dataclass(frozen=True, slots=True)
class PinRecord:
    """``manifests/<…>.pin``: the checkpoint stays until somebody takes this away."""

    reason: str
    by: str
    time: str
    of_object: bool = False
    """a copy of ``spec.pin`` of its Checkpoint object, which counts on a cluster; goes when that goes"""

    def __str__(self) -> str:
        return f"{self.reason}, by {self.by}"

    def to_bytes(self) -> bytes:
        value = {"reason": self.reason, "by": self.by, "time": self.time, "ofObject": self.of_object}
        return write_record("Pin", value)

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> PinRecord:
        with reading_record("Pin", data, key=key) as value:
            return cls(str(value["reason"]), str(value["by"]), str(value["time"]), bool(value["ofObject"]))


@dataclass(frozen=True, slots=True)
class SaveRequestRecord:
    """``requests/<n>-<uid>.save``: attempt n is asked to save at its next step."""

    uid: str
    """of this request; the next one has another"""
    by: str
    time: str

    def to_bytes(self) -> bytes:
        return write_record("SaveRequest", {"uid": self.uid, "by": self.by, "time": self.time})

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> SaveRequestRecord:
        with reading_record("SaveRequest", data, key=key) as value:
            return cls(str(value["uid"]), str(value["by"]), str(value["time"]))


@dataclass(frozen=True, slots=True)
class LateMetricRecord:
    """``manifests/<…>.metric-<name>-<value>``: one metric, found after the checkpoint was saved."""

    task: TaskPath
    snapshot: SnapshotId
    name: str
    value: str
    """decimal text, as in a manifest"""
    by: str
    time: str

    def to_bytes(self) -> bytes:
        return write_record(
            "Metric",
            {
                "task": task_to_json(self.task),
                "snapshot": str(self.snapshot),
                "name": self.name,
                "value": self.value,
                "by": self.by,
                "time": self.time,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> LateMetricRecord:
        with reading_record("Metric", data, key=key) as value:
            return cls(
                task=task_from_json(value["task"]),
                snapshot=SnapshotId.parse(value["snapshot"]),
                name=str(value["name"]),
                value=str(value["value"]),
                by=str(value["by"]),
                time=str(value["time"]),
            )
