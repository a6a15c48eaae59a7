"""May the bytes of a Checkpoint that is being deleted go? Pure.

A deletionTimestamp is a person's word, unless a namespace or the kind itself is being deleted: then the objects go and
the bytes stay. Both are read afresh, two seconds after the deletion was seen, since their own timestamps may come a
moment later than the object's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trainpoint.api import reasons

SETTLING: Final = timedelta(seconds=2)
CUT: Final = timedelta(seconds=1)
"""Times in a status are cut to seconds: what was seen at 15.9 is said to have been seen at 15."""


@dataclass(frozen=True, slots=True)
class DeletionInput:
    """All that the decision rests on."""

    seen: datetime | None
    """when the operator wrote down that it saw the deletion; None: not yet"""
    now: datetime
    retain: bool
    store: str
    """name of the CheckpointStore; empty for none"""
    store_exists: bool
    namespace_terminating: bool
    kind_terminating: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Bytes first, then the object."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The object goes, the bytes stay."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """Neither can go until something changes."""

    reason: str
    message: str


Verdict = Delete | Keep | Wait | Blocked


def namespace_goes(i: DeletionInput) -> Verdict | None:
    if i.namespace_terminating:
        return Keep(reasons.NAMESPACE_TERMINATING, "its namespace is being deleted; the bytes stay in the store")
    return None


def kind_goes(i: DeletionInput) -> Verdict | None:
    if i.kind_terminating:
        return Keep(reasons.KIND_TERMINATING, "the kind Checkpoint is being deleted; the bytes stay in the store")
    return None


def to_be_retained(i: DeletionInput) -> Verdict | None:
    return Keep(reasons.RETAINED, "deletionPolicy is Retain; the bytes stay in the store") if i.retain else None


def no_store(i: DeletionInput) -> Verdict | None:
    if i.store:
        return None
    return Keep(reasons.NO_STORE_REF, "its program named a store by its address; the bytes stay there")


def just_seen(i: DeletionInput) -> Verdict | None:
    if i.seen is None:
        return Wait(SETTLING.total_seconds())
    left = (i.seen + CUT + SETTLING - i.now).total_seconds()
    return Wait(left) if left > 0 else None


def store_gone(i: DeletionInput) -> Verdict | None:
    if i.store_exists:
        return None
    return Blocked(
        reasons.STORE_NOT_FOUND,
        f"CheckpointStore {i.store} does not exist, so the bytes cannot be reached; create it again, or let the "
        "object go without them: set deletionPolicy: Retain",
    )


CHAIN: Final[tuple[Callable[[DeletionInput], Verdict | None], ...]] = (
    namespace_goes,
    kind_goes,
    to_be_retained,
    no_store,
    just_seen,
    store_gone,
)


def may_delete(i: DeletionInput) -> Verdict:
    """First verdict of the chain, in the order above; Delete if none objects."""
    return next((verdict for rule in CHAIN if (verdict := rule(i)) is not None), Delete())
