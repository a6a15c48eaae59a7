"""Doubles for tests of programs that use trainpoint: a store in memory, a clock and chance that a test commands."""

from trainpoint.store.memory import MemoryStore
from trainpoint.testing.clock import FakeChance, FakeClock

__all__ = ["FakeChance", "FakeClock", "MemoryStore"]
