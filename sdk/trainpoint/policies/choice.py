"""Which checkpoint a task starts from, and why others were passed over. Pure: looks at names and manifests only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from trainpoint.api import reasons
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Snapshot
from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.request import Request

NO_MATCH: Final[Mapping[str, object]] = MappingProxyType({})


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


def skip_snapshot(
    snapshot: Snapshot, series: str | None = None, *, match: Mapping[str, object] = NO_MATCH
) -> Skip | None:
    """What its manifest says against a checkpoint; None: nothing.

    Args:
        match: what its metadata must say; empty: nothing in particular.
    """
    if series is not None and snapshot.series != series:
        return Skip(reasons.NOT_LATEST, f"is of another series, {snapshot.series!r}", worth_telling=False)
    if series is None and not snapshot.latest:
        return Skip(reasons.NOT_LATEST, "was saved with latest=False", worth_telling=False)
    difference = mismatch(snapshot.metadata, match)
    return Skip(reasons.NOT_MATCHING, difference) if difference else None


def mismatch(metadata: Mapping[str, object], match: Mapping[str, object]) -> str:
    """In what a checkpoint's metadata differ from what ``match`` asks for, in words; empty where they agree."""
    for key, wanted in match.items():
        if key not in metadata:
            return f"does not say its {key}, which has to be {wanted!r}"
        if not _same(metadata[key], wanted):
            return f"has {key}={metadata[key]!r}, not {wanted!r}"
    return ""


def _same(one: object, other: object) -> bool:
    # JSON knows one kind of number, but True is not 1.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


@dataclass(frozen=True, slots=True)
class EarlierChoice:
    """What an earlier attempt of this run started from."""

    attempt: int
    task: TaskPath | None
    """where its checkpoint lies; None: it started from nothing"""
    snapshot: SnapshotId | None = None
    request: str = ""
    """the resume request that was in force, in its one spelling; empty: none"""
    is_file: bool = False
    """it was that of an app, and came to a file, which is no checkpoint"""


@dataclass(frozen=True, slots=True)
class Scope:
    """One place to look for a checkpoint, newest first."""

    own: bool
    """this run's own task"""
    since: int = 0
    """of the own ones, only what this attempt and later ones saved"""
    requested: Request | None = None
    """what that request names"""
    repeat: EarlierChoice | None = None
    """exactly what that attempt chose"""
    exact: bool = False
    """of ``repeat``: nothing older stands in for it"""
    earlier_runs: bool = False
    """the newest run of the same workflow, task, index, namespace and owner that has an eligible one"""


@dataclass(frozen=True, slots=True)
class Search:
    """Where a policy looks, in order, and what it says where it finds nothing."""

    scopes: tuple[Scope, ...]
    nothing: str
    """reason where no scope has anything"""
    message: str
    since: int = 0
    """the attempt of the last rollback; own checkpoints of earlier ones are not gone on from"""
    rollback: EarlierChoice | None = None
    """what that attempt chose; None where there was none, or it is this one"""


def last_rollback(earlier: Sequence[EarlierChoice]) -> EarlierChoice | None:
    """The attempt that followed the last resume request first: from there on the same one was only repeated.

    Args:
        earlier: oldest first.
    """
    found, before = None, ""
    for choice in earlier:
        if choice.request and choice.request != before:
            found = choice
        before = choice.request
    return found


def search_order(
    policy: LoadPolicy,
    *,
    attempt: int,
    owner: str,
    earlier: Sequence[EarlierChoice],
    request: Request | None = None,
) -> Search:
    """Where to look, by resume request and policy (design: load policies).

    A request goes before every policy. The first attempt with it loads what it names; later ones go on from what was
    saved since, else from exactly what that first one loaded, so that a rollback survives a process that dies before
    its first save. A request that was taken away is followed in the same way, as long as no other one comes.

    Args:
        earlier: what the earlier attempts of this task started from, oldest first; only those that recorded it.
        owner: empty where unknown; eager then stays in its own run.
        request: the one in force now; None: none.
    """
    rollback = last_rollback(earlier)
    if request is not None:
        # An app is told what to start from each time, or only the first; either way it goes on from there.
        if rollback is None or (rollback if request.of_app else earlier[-1]).request != request.text:
            return _new_rollback(policy, request, attempt=attempt, owner=owner)
        return _after_rollback(rollback, exact=request.exact, again=request if request.of_app else None)
    if policy == "none":
        since = rollback.attempt if rollback is not None else 0
        return Search((), reasons.PROGRAM_CHOOSES, "the program chooses what to load", since, rollback)
    if rollback is not None:
        return _after_rollback(rollback, exact=False)
    return _by_policy(policy, attempt=attempt, owner=owner, earlier=earlier)


def _new_rollback(policy: LoadPolicy, request: Request, *, attempt: int, owner: str) -> Search:
    scopes = [Scope(own=False, requested=request)]
    if policy == "eager" and owner and request.kind == "Run":
        scopes.append(Scope(own=False, earlier_runs=True))  # that run may have been interrupted before it saved
    return Search(tuple(scopes), reasons.NOTHING_FOUND, "nothing to load", since=attempt)


def _after_rollback(rollback: EarlierChoice, *, exact: bool, again: Request | None = None) -> Search:
    """
    Args:
        again: what it names is looked up once more where nothing else is left: an app may have begun from a file.
    """
    scopes = (Scope(own=True, since=rollback.attempt), Scope(own=False, repeat=rollback, exact=exact))
    return Search(
        scopes if again is None else (*scopes, Scope(own=False, requested=again)),
        reasons.NOTHING_FOUND,
        f"nothing to load (attempt {rollback.attempt} "
        + (
            f"began from {rollback.request}, which this start does not name, "
            if rollback.is_file
            else f"was to resume from {rollback.request} and found nothing there, "
        )
        + "and nothing was saved since)",
        since=rollback.attempt,
        rollback=rollback,
    )


def _by_policy(policy: LoadPolicy, *, attempt: int, owner: str, earlier: Sequence[EarlierChoice]) -> Search:
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
