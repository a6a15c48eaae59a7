"""Is a store well? From probe to probe, so that one lost packet is no alarm. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from trainpoint.api import reasons

PATIENCE: Final = 3
"""Probes in a row that have to fail to reach a store that was well, before it counts as not ready."""
WELL_SECONDS: Final = 60.0
"""Between probes of a store that is well, give or take a tenth."""
THOROUGH_SECONDS: Final = 600.0
"""Between probes that also write."""
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
class Capabilities:
    """What a bucket was seen to do; None: that could not be found out."""

    conditional_writes: bool | None = None
    versioning: bool | None = None
    object_lock: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A probe that succeeded."""

    store_id: str
    thorough: bool = False
    """False: only the store's mark was read, and the members below are not known"""
    server: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    clock_ahead_seconds: float = 0.0
    created_bucket: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes so far come to."""

    ready: bool
    reason: str
    message: str
    failures: int = 0
    """probes in a row that failed"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What an operator that runs knows of a store from its probes."""

    uid: str
    generation: int
    secret: str
    """resourceVersion of the Secret that the last probe used; empty for none"""
    health: Health
    due: float
    """when the next probe is due, monotonic seconds"""
    thorough_at: float | None = None
    """when the store was last written to, monotonic seconds; None: not yet"""
    seen: Seen | None = None
    """by the last thorough probe that succeeded"""


def probe_due(watched: Watched | None, uid: str, generation: int, now: float) -> bool:
    """Is it time for a probe? A new object, or one whose spec has changed, is probed at once."""
    return watched is None or (watched.uid, watched.generation) != (uid, generation) or now >= watched.due


def thoroughly(watched: Watched | None, version: tuple[str, int, str], now: float) -> bool:
    """Should the probe write as well? Not every time: with versions or by the request, that is paid for."""
    if watched is None or watched.thorough_at is None:
        return True
    if (watched.uid, watched.generation, watched.secret) != version or watched.health.failures:
        return True
    return not watched.health.ready or now - watched.thorough_at >= THOROUGH_SECONDS


def after(before: Health, outcome: Seen | Trouble, where: str) -> Health:
    """What another probe makes of it.

    A success counts at once, and so does a refusal. A store that was well and is not reached has a few tries.

    Args:
        where: the store in a sentence, ``s3://bucket/prefix at https://…``.
    """
    if isinstance(outcome, Seen):
        if not outcome.thorough and before.ready:
            return Health(True, before.reason, before.message)
        return Health(True, reasons.PROBED, f"{where} can be written, read, listed and deleted{_clock(outcome)}")
    return _ill(before, outcome)


def _clock(seen: Seen) -> str:
    minutes = round(abs(seen.clock_ahead_seconds) / 60)
    if not minutes:
        return ""
    word = "ahead of" if seen.clock_ahead_seconds > 0 else "behind"
    return f"; its clock is {minutes} min {word} the operator's, and servers refuse requests from 15 min on"


def _ill(before: Health, trouble: Trouble) -> Health:
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
