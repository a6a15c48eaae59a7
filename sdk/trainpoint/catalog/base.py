"""The record of one checkpoint, as people and programs see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from trainpoint.catalog.entries import Entry
from trainpoint.clock import parse_rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef

Status = Literal["Saving", "Committed", "Verified", "Corrupt", "Failed", "Superseded", "Quarantined", "Deleting"]
"""``status.state`` of the kind Checkpoint. A store alone tells Committed, Corrupt, Superseded and Deleting."""
GOOD: Final[frozenset[Status]] = frozenset({"Committed", "Verified"})
"""What one may load; the second is a cluster's alone"""


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What is known of one checkpoint without its bytes.

    >>> info = ckpt.latest()
    >>> info.step, info.metrics["loss"], info.size, info.files, info.status
    (200, 0.25, 17, 2, 'Committed')
    """

    ref: CheckpointRef
    """what ``load`` takes"""
    step: int | None
    """completed training steps, where the program gave them"""
    epoch: int | None
    series: str
    """the ``name`` it was saved under; empty for none"""
    metrics: Mapping[str, float]
    """saved with it, and, as ``list``, ``latest`` and ``best`` find them, recorded later"""
    metadata: JsonObject
    """as they were saved: plain JSON, at most 2 KiB"""
    owner: str
    """who launched the run; empty: unknown"""
    parents: tuple[str, ...]
    """names of the checkpoints its task had loaded"""
    time: datetime
    """when it was committed, by the writer's clock (UTC)"""
    size: int
    """bytes of all files"""
    files: int
    """how many"""
    status: Status
    """``Committed`` is good; of a store alone, the others are Corrupt, Superseded and Deleting"""
    latest: bool = True
    """False: never chosen as latest"""
    created_by: Mapping[str, str] = field(default_factory=dict)
    """host, process, Python and user; on a cluster also pod, node, service account and image"""
    pinned: str = ""
    """why it has to stay, where somebody has pinned it; empty where nobody has"""

    @property
    def name(self) -> str:
        """Of the checkpoint: :attr:`CheckpointRef.name`."""
        return self.ref.name

    @property
    def workflow(self) -> str:
        return self.ref.task.workflow

    @property
    def run(self) -> str:
        return self.ref.task.run

    @property
    def task(self) -> str:
        return self.ref.task.task

    @property
    def index(self) -> str:
        return self.ref.task.index

    @property
    def attempt(self) -> int:
        return self.ref.id.attempt

    @property
    def sequence(self) -> int:
        return self.ref.id.sequence


def status_of(entry: Entry) -> Status:
    """What a listing's names say of a checkpoint."""
    if entry.deleted:
        return "Deleting"
    if "corrupt" in entry.markers:
        return "Corrupt"
    return "Superseded" if entry.superseded else "Committed"


def info_of(
    manifest: Manifest, status: Status = "Committed", *, late: Mapping[str, str] | None = None, pinned: str = ""
) -> CheckpointInfo:
    """The record that a manifest makes, with what was said of it later; its own metrics win."""
    s = manifest.snapshot
    return CheckpointInfo(
        ref=CheckpointRef(s.task, s.id),
        step=s.step,
        epoch=s.epoch,
        series=s.series,
        metrics={name: float(text) for name, text in {**(late or {}), **s.metrics}.items()},
        metadata=s.metadata,
        owner=s.owner,
        parents=s.parents,
        time=parse_rfc3339(manifest.time),
        size=manifest.size,
        files=len(manifest.files),
        status=status,
        latest=s.latest,
        created_by=s.created_by,
        pinned=pinned,
    )
