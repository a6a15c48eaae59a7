"""Is it time to save? One pure function over what has happened since the last save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons
from trainpoint.policies.settings import DEFAULT_SAVE_EVERY_SECONDS, SaveSettings


@dataclass(frozen=True, slots=True)
class SaveInput:
    """All that the decision rests on."""

    settings: SaveSettings
    step: int
    """completed steps"""
    last_step: int
    """completed steps at the last save of this attempt; before the first, those it began with"""
    seconds_since_save: float
    """since the last save, or since the attempt began"""
    requested: bool = False
    """somebody asked for a save since the last one"""
    preempted: bool = False
    """this process was asked to end"""
    final_save_due: bool = True
    """no save was yet said to be due since then"""


@dataclass(frozen=True, slots=True)
class Due:
    """Save now."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotDue:
    """Go on training."""


def final_save(i: SaveInput) -> Due | NotDue | None:
    # Once: a loop that goes on after its final save must not spend the grace period on saving the same again.
    if i.preempted:
        return Due(reasons.PREEMPTED) if i.final_save_due else NotDue()
    return None


def nothing_new(i: SaveInput) -> Due | NotDue | None:
    return NotDue() if i.step == i.last_step else None


def asked_for(i: SaveInput) -> Due | NotDue | None:
    return Due(reasons.SAVE_REQUESTED) if i.requested else None


def steps_passed(i: SaveInput) -> Due | NotDue | None:
    every = i.settings.every_steps
    return Due(reasons.STEPS_PASSED) if every is not None and i.step - i.last_step >= every else None


def time_passed(i: SaveInput) -> Due | NotDue | None:
    every = i.settings.every_seconds
    if every is None and i.settings.every_steps is None:
        every = DEFAULT_SAVE_EVERY_SECONDS
    return Due(reasons.TIME_PASSED) if every is not None and i.seconds_since_save >= every else None


IS_DUE: Final[tuple[Callable[[SaveInput], Due | NotDue | None], ...]] = (
    final_save,
    nothing_new,
    asked_for,
    steps_passed,
    time_passed,
)


def is_due(i: SaveInput) -> Due | NotDue:
    """First verdict of the chain, in the order above; not due if none has one."""
    return next((verdict for rule in IS_DUE if (verdict := rule(i)) is not None), NotDue())
