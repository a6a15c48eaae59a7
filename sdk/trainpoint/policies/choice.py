"""Which checkpoint a task starts from, and why others were passed over. Pure: looks at names and manifests only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trainpoint.api import reasons
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Snapshot
from trainpoint.policies.load import LoadPolicy


class Listed(Protocol):
    """A checkpoint as a listing shows it (``catalog.entries.Entry`` is one)."""

    @property
    def committed(self) -> bool: ...
    @property
    def deleted(self) -> bool: ...
    @property
    def superseded(self) -> bool: ...
    @property
    def markers(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Skip:
    """Why a checkpoint is passed over."""

    reason: str
    message: str
    worth_telling: bool = True
    """False for what is no loss: deleted on purpose, or saved not to be chosen"""


def skip_listed(entry: Listed) -> Skip | None:
    """What the names alone say against a checkpoint; None: nothing."""
    if entry.deleted or not entry.committed:
        return Skip(reasons.DELETED, "was deleted", worth_telling=False)
    if "corrupt" in entry.markers:
        return Skip(reasons.CORRUPT, "was found corrupt before")
    if entry.superseded:
        return Skip(reasons.SUPERSEDED, "was added by an overtaken attempt, too late for its successor")
    return None


def skip_snapshot(snapshot: Snapshot, series: str | None = None) -> Skip | None:
    """What its manifest says against a checkpoint; None: nothing."""
    if series is not None and snapshot.series != series:
        return Skip(reasons.NOT_LATEST, f"is of another series, {snapshot.series!r}", worth_telling=False)
    if series is None and not snapshot.latest:
        return Skip(reasons.NOT_LATEST, "was saved with latest=False", worth_telling=False)
    return None


@dataclass(frozen=True, slots=True)
class EarlierChoice:
    """What an earlier attempt of this run started from."""

    attempt: int
    task: TaskPath | None
    """where its checkpoint lies; None: it started from nothing"""
    snapshot: SnapshotId | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """One place to look for a checkpoint, newest first."""

    own: bool
    """this run's own task"""
    repeat: EarlierChoice | None = None
    """exactly what that attempt chose"""
    earlier_runs: bool = False
    """the newest run of the same workflow, task, index, namespace and owner that has an eligible one"""


@dataclass(frozen=True, slots=True)
class Search:
    """Where a policy looks, in order, and what it says where it finds nothing."""

    scopes: tuple[Scope, ...]
    nothing: str
    """reason where no scope has anything"""
    message: str


def search_order(policy: LoadPolicy, *, attempt: int, owner: str, earlier: Sequence[EarlierChoice]) -> Search:
    """Where to look, by policy (design: load policies).

    Args:
        earlier: what the earlier attempts of this task started from, oldest first; only those that recorded it.
        owner: empty where unknown; eager then stays in its own run.
    """
    if policy == "none":
        return Search((), reasons.PROGRAM_CHOOSES, "the program chooses what to load")
    first = "first attempt of this run" if attempt == 0 else "no earlier attempt saved anything"
    if policy == "fresh":
        # Even attempt 0 may find something: a run record that was lost leaves its checkpoints behind.
        return Search((Scope(own=True),), reasons.NOTHING_FOUND, f"nothing to load ({first})")
    if earlier:
        return Search(
            (Scope(own=True), Scope(own=False, repeat=earlier[0])),
            reasons.NOTHING_FOUND,
            f"nothing to load (attempt {earlier[0].attempt} started from nothing, and nothing was saved since)",
        )
    if not owner:
        return Search(
            (Scope(own=True),),
            reasons.NOTHING_FOUND,
            "nothing to load (the owner is unknown, so eager stays within this run; set TRAINPOINT_OWNER)",
        )
    return Search(
        (Scope(own=True), Scope(own=False, earlier_runs=True)),
        reasons.NOTHING_FOUND,
        f"nothing to load (no earlier run of {owner} has a checkpoint of this task)",
    )
