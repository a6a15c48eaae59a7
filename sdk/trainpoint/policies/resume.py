"""What an attempt that started now would load, as the records tell it. Pure.

The attempt itself looks at the store (``trainpoint.handle.resume``), by the same order of search; this is the forecast
that a run's status shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainpoint.api import reasons
from trainpoint.policies.load import LoadPolicy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint of the run's own task that is good to start from."""

    name: str
    step: int | None
    verified: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be loaded, and why."""

    checkpoint: str
    """its name; empty for nothing"""
    step: int | None
    reason: str
    message: str


def forecast(
    policy: LoadPolicy, own: Sequence[Candidate], *, first: Candidate | None, decided: bool = True, newer_bad: int = 0
) -> Forecast:
    """Which checkpoint the next attempt would load.

    Args:
        own: newest first.
        first: what attempt 0 started from, where that was a checkpoint; eager repeats it while there is no own one.
        decided: whether an attempt of the run has started from something, or from nothing; until then eager looks at
            earlier runs.
        newer_bad: how many newer checkpoints of the task are passed over, since they are corrupt or came too late.
    """
    if policy == "none":
        return Forecast("", None, reasons.PROGRAM_CHOOSES, "the program chooses what to load")
    if own:
        newest = own[0]
        what = "verified" if newest.verified else "not verified yet"
        passed = f"; {newer_bad} newer passed over" if newer_bad else ""
        return Forecast(newest.name, newest.step, reasons.NEWEST, f"newest of this task, {what}{passed}")
    if policy == "eager" and first is not None:
        message = "nothing of its own is saved yet, so it repeats what attempt 0 loaded"
        return Forecast(first.name, first.step, reasons.SAME_AS_FIRST_ATTEMPT, message)
    if policy == "eager" and not decided:
        message = "the newest checkpoint of an earlier run of the same owner, if there is one when it starts"
        return Forecast("", None, reasons.NEWEST_OF_EARLIER_RUN, message)
    passed = f" ({newer_bad} passed over)" if newer_bad else ""
    return Forecast("", None, reasons.NOTHING_FOUND, f"nothing to load: this task has no good checkpoint{passed}")
