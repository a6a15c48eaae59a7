"""May this process start an attempt now? Pure: what is known of other claims and of the run in, a verdict out.

The claim asks before each try (``trainpoint.claim.store``), and again whenever something may have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from trainpoint.api import reasons

Liveness = Literal["Alive", "Dead", "Unknown", "Self"]
"""Of the process behind a claim, seen from here: it runs; it is certainly gone; it is elsewhere, so that only its last
sign of life tells; it is this very process, and that claim is still open."""

QUIET_SECONDS: Final = 120.0
"""A process elsewhere counts as dead when its newest object is older, by the server's clock."""
YOUNG_SECONDS: Final = 30.0
"""A takeover passes over an intent only when it is older, by the server's clock: a younger one is a claim in progress,
perhaps by another takeover."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another claim of the same task and index that may still be at work."""

    attempt: int
    uid: str
    """of the claim"""
    won: bool
    """False: only an intent, neither won nor given up"""
    liveness: Liveness
    quiet_seconds: float
    """since its newest object, by the server's clock; 0 where that was not asked"""
    who: str
    """its process in words"""
    since: str
    """when it began, by the server's clock, in words"""


@dataclass(frozen=True, slots=True)
class Allow:
    """Start."""

    overtaken: tuple[Rival, ...] = ()
    """claims passed over without proof that their process is gone; such a process may wake up and write on"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in a moment."""

    reason: str
    message: str
    rival: Rival


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another process has the task, and waiting longer is no use. Another start may succeed."""

    reason: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No start of this run will be allowed, until a person changes something."""

    reason: str
    message: str
    remedy: str = ""


Verdict = Allow | Wait | Conflict | Refuse


@dataclass(frozen=True, slots=True)
class StartInput:
    """All that the decision rests on, already fetched."""

    task: str
    """in words"""
    rivals: Sequence[Rival] = ()
    waited_seconds: float = 0.0
    """since the rival that is in the way now was first seen in the way"""
    wait_limit_seconds: float = 60.0
    takeover: frozenset[str] = field(default=frozenset())
    """uids of the claims that a person said to pass over"""
    refusal: Refuse | None = None
    """what the run's own record says against another attempt (``policies.retry``), computed before"""


def is_in_the_way(rival: Rival, takeover: frozenset[str] = frozenset()) -> bool:
    """Must this claim be waited for?

    A process that is provably gone is passed over at once, even if it left an intent a moment ago. That is safe
    although its last request may still arrive on S3: its intent was seen, so every later claim has a higher number, and
    a record or fence that turns up under the lower one neither counts as the newest claim nor supersedes anything that
    was reported as committed (``claim.protocol`` says why, the model in the tests plays it). A process elsewhere is
    given ``QUIET_SECONDS`` since its last sign of life, whether it holds the task or only wants to.
    """
    match rival.liveness:
        case "Dead":
            return False
        case "Self":
            return True
    if rival.uid in takeover:
        return not rival.won and rival.quiet_seconds < YOUNG_SECONDS
    return rival.liveness == "Alive" or rival.quiet_seconds < QUIET_SECONDS


# --- the checks, in the order in which they are asked -----------------------------------------------------------------


def open_in_this_process(i: StartInput) -> Conflict | None:
    """A second claim by the same process would wait for itself."""
    if not any(r.liveness == "Self" for r in i.rivals):
        return None
    return Conflict(
        reasons.OPEN_IN_THIS_PROCESS,
        f"{i.task} is already open in this process",
        "use the handle that is open, or close it first; give another program part a task or index of its own",
    )


def live_holder(i: StartInput) -> Wait | Conflict | None:
    """One writer at a time: whoever holds the task is waited for."""
    for rival in i.rivals:
        if rival.won and is_in_the_way(rival, i.takeover):
            what = f"{i.task} is being written by {rival.who}, attempt {rival.attempt}, since {rival.since}"
            return _wait_or_give_up(i, rival, reasons.HOLDER_ALIVE, what)
    return None


def unresolved_intent(i: StartInput) -> Wait | Conflict | None:
    """Another process has announced a claim and may be about to win it; starting now could make two winners."""
    for rival in i.rivals:
        if not rival.won and is_in_the_way(rival, i.takeover):
            what = f"{i.task} is being claimed by {rival.who}, as attempt {rival.attempt}, since {rival.since}"
            return _wait_or_give_up(i, rival, reasons.UNRESOLVED_INTENT, what)
    return None


def refused_by_ledger(i: StartInput) -> Refuse | None:
    """The run's own record: its retry budget, its progress."""
    return i.refusal


def _wait_or_give_up(i: StartInput, rival: Rival, reason: str, what: str) -> Wait | Conflict:
    if i.waited_seconds < i.wait_limit_seconds:
        return Wait(reason, what, rival)
    return Conflict(
        reason,
        f"{what}; waited {i.waited_seconds:.0f} s for it",
        "two processes share one run: give this one a run, task or index of its own, or stop the other;\n"
        "if the other is certainly gone: trainpoint run --takeover, or TRAINPOINT_TAKEOVER=1",
    )


MAY_START: Final[tuple[Callable[[StartInput], Verdict | None], ...]] = (
    open_in_this_process,
    live_holder,
    unresolved_intent,
    refused_by_ledger,
)


def may_start(i: StartInput) -> Verdict:
    """First verdict of the chain, in the order above; Allow if none objects."""
    for check in MAY_START:
        verdict = check(i)
        if verdict is not None:
            return verdict
    return Allow(overtaken=tuple(r for r in i.rivals if r.liveness != "Dead"))
