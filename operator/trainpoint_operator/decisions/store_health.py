"""Is a store well? From probe to probe, so that one lost packet is no alarm. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons

PATIENCE: Final = 3
"""Probes in a row that have to fail to reach a store that was well, before it counts as not ready."""
WELL_SECONDS: Final = 60.0
"""Between probes of a store that is well, give or take a tenth."""
FIRST_PAUSE_SECONDS: Final = 5.0
LAST_PAUSE_SECONDS: Final = 60.0
"""Between probes of a store that is not."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a store cannot be used."""

    reason: str
    message: str
    """what failed, and where; no key and no signed address"""
    remedy: str
    """what to do"""
    passing: bool = False
    """it was not reached, or did not answer in time: that may be over in a moment"""

    @property
    def sentence(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes so far come to."""

    ready: bool
    reason: str
    message: str
    failures: int = 0
    """probes in a row that failed"""

    @classmethod
    def before(cls, ready: bool, reason: str, message: str) -> Health:
        """As the object's own condition has it, for an operator that has just started."""
        return cls(ready, reason, message)


def well(before: Health, message: str) -> Health:
    """After a probe that succeeded: ready at once."""
    return Health(True, reasons.PROBED, message)


def ill(before: Health, trouble: Trouble) -> Health:
    """After a probe that failed. A refusal counts at once; a store that was not reached has a few tries."""
    failures = before.failures + 1
    if not trouble.passing:
        return Health(False, trouble.reason, trouble.sentence, failures)
    if before.ready and failures < PATIENCE:
        return Health(True, before.reason, before.message, failures)
    counted = f"{PATIENCE} probes in a row failed: " if failures >= PATIENCE else ""
    return Health(False, trouble.reason, counted + trouble.sentence, failures)


def pause_seconds(health: Health, fraction: float) -> float:
    """Until the next probe. ``fraction``: a draw from [0, 1), so that stores are not all asked at once."""
    if not health.failures:
        return WELL_SECONDS * (0.9 + 0.2 * fraction)
    grown: float = FIRST_PAUSE_SECONDS * 2 ** min(health.failures - 1, 16)
    return min(LAST_PAUSE_SECONDS, grown) * (0.75 + 0.25 * fraction)
