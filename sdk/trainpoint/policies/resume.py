"""What an attempt that started now would load, as the records tell it. Pure.

The attempt itself looks at the store (``trainpoint.handle.resume``), by the same order of search; this is the forecast
that a run's status shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainpoint.api import reasons
from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.request import Request


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint of the run's own task that is good to start from."""

    name: str
    step: int | None
    verified: bool
    attempt: int = 0
    """that saved it"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be loaded, and why."""

    checkpoint: str
    """its name; empty for nothing"""
    step: int | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """The last resume request that an attempt has followed, as the newest attempt tells of it."""

    request: str
    """in its one spelling; empty where it was taken away since"""
    since: int
    """the attempt that followed it first"""
    chosen: Candidate | None
    """what it came to; None: nothing, or a file, or that is not known any more"""
    is_file: bool = False
    """it came to a file that an app was told to begin from, which is no checkpoint"""


def forecast(
    policy: LoadPolicy,
    own: Sequence[Candidate],
    *,
    first: Candidate | None,
    decided: bool = True,
    newer_bad: int = 0,
    request: Request | None = None,
    rollback: Rollback | None = None,
) -> Forecast:
    """Which checkpoint the next attempt would load.

    Args:
        own: newest first.
        first: what attempt 0 started from, where that was a checkpoint; eager repeats it while there is no own one.
        decided: whether an attempt of the run has started from something, or from nothing; until then eager looks at
            earlier runs.
        newer_bad: how many newer checkpoints of the task are passed over, since they are corrupt or came too late.
        request: the resume request in force, as far as it is known.
        rollback: the last one that was followed; None: none was.
    """
    if request is not None and (rollback is None or rollback.request != request.text):
        return _requested(request, own)
    if policy == "none" and request is None:
        return Forecast("", None, reasons.PROGRAM_CHOOSES, "the program chooses what to load")
    passed = f" ({newer_bad} passed over)" if newer_bad else ""
    if rollback is not None:
        return _after(rollback, own, newer_bad)
    if own:
        return _own(own[0], reasons.NEWEST, "newest of this task", newer_bad)
    if policy == "eager" and first is not None:
        message = "nothing of its own is saved yet, so it repeats what attempt 0 loaded"
        return Forecast(first.name, first.step, reasons.SAME_AS_FIRST_ATTEMPT, message)
    if policy == "eager" and not decided:
        message = "the newest checkpoint of an earlier run of the same owner, if there is one when it starts"
        return Forecast("", None, reasons.NEWEST_OF_EARLIER_RUN, message)
    return Forecast("", None, reasons.NOTHING_FOUND, f"nothing to load: this task has no good checkpoint{passed}")


def _requested(request: Request, own: Sequence[Candidate]) -> Forecast:
    if request.kind == "Checkpoint":
        step = next((one.step for one in own if one.name == request.text), None)
        return Forecast(request.text, step, reasons.REQUESTED, f"as {request.source} says")
    if request.kind == "Latest" and own:
        return Forecast(own[0].name, own[0].step, reasons.REQUESTED, f"newest of this run, as {request.source} says")
    return Forecast("", None, reasons.REQUESTED, f"what {request.source} names is looked for when it starts")


def _after(rollback: Rollback, own: Sequence[Candidate], newer_bad: int) -> Forecast:
    newest = next((one for one in own if one.attempt >= rollback.since), None)
    if newest is not None:
        what = f"newest of this task since attempt {rollback.since} resumed as asked for"
        return _own(newest, reasons.SINCE_REQUEST, what, newer_bad)
    if rollback.chosen is not None:
        message = f"nothing is saved since attempt {rollback.since} resumed as asked for, so it loads the same again"
        return Forecast(rollback.chosen.name, rollback.chosen.step, reasons.SAME_AS_REQUESTED, message)
    if rollback.is_file:
        message = f"nothing is saved since attempt {rollback.since} began from {rollback.request}, so it does once more"
        return Forecast("", None, reasons.SAME_AS_REQUESTED, message)
    message = f"nothing to load that attempt {rollback.since} resumed from, or that was saved since"
    return Forecast("", None, reasons.NOTHING_FOUND, message)


def _own(newest: Candidate, reason: str, what: str, newer_bad: int) -> Forecast:
    verified = "verified" if newest.verified else "not verified yet"
    passed = f"; {newer_bad} newer passed over" if newer_bad else ""
    return Forecast(newest.name, newest.step, reason, f"{what}, {verified}{passed}")
