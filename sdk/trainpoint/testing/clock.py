"""Time and randomness that a test commands."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A :class:`~trainpoint.clock.Clock` that moves only when told to; sleeping moves it and returns at once.

    >>> clock = FakeClock()
    >>> clock.sleep(90)
    >>> clock.now().isoformat()
    '2026-01-01T00:01:30+00:00'
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []
        """Seconds of each sleep so far."""

    def now(self) -> datetime:
        """The start and what has passed since, in UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds that have passed since the start."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass, and write them down in :attr:`slept`."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; ValueError below zero."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        with self._lock:
            self._elapsed += seconds


class FakeChance:
    """A :class:`~trainpoint.clock.Chance` that draws the same uids and fractions for the same seed.

    >>> FakeChance(7).uid() == FakeChance(7).uid()
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def uid(self) -> str:
        """16 hexadecimal digits."""
        with self._lock:
            return f"{self._random.getrandbits(64):016x}"

    def fraction(self) -> float:
        """In [0, 1)."""
        with self._lock:
            return self._random.random()
