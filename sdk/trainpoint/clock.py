"""Time and randomness, passed in wherever a decision depends on them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What code may know of time. ``trainpoint.testing.FakeClock`` is the double."""

    def now(self) -> datetime:
        """The wall clock, always aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; for measuring and for deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Chance(Protocol):
    """What code may know of randomness. ``trainpoint.testing.FakeChance`` is the double."""

    def uid(self) -> str:
        """16 hexadecimal digits that nobody else has drawn."""
        ...

    def fraction(self) -> float:
        """Uniform in [0, 1); for jitter."""
        ...


class SystemChance:
    """The machine's own randomness; safe to use after a fork."""

    def uid(self) -> str:
        return os.urandom(8).hex()  # what `secrets` does, without the modules it loads

    def fraction(self) -> float:
        return int.from_bytes(os.urandom(7), "big") / 2**56


def rfc3339(moment: datetime) -> str:
    """``2026-11-22T01:02:03.456789Z``: the one spelling of a time in records and output."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> datetime:
    """The inverse of :func:`rfc3339`; raises ValueError for anything without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
