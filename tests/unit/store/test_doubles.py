from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trainpoint.clock import Chance, Clock
from trainpoint.testing import FakeChance, FakeClock


def test_a_fake_clock_moves_only_when_told_to() -> None:
    fake = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    clock: Clock = fake
    started = clock.monotonic()
    assert clock.now() == clock.now() == datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock.sleep(30)
    fake.advance(0.5)
    assert clock.now() - datetime(2026, 3, 1, 12, tzinfo=UTC) == timedelta(seconds=30.5)
    assert clock.monotonic() - started == 30.5
    assert fake.slept == [30]
    with pytest.raises(ValueError, match="back"):
        fake.advance(-1)


def test_fake_chance_draws_the_same_for_the_same_seed() -> None:
    chances: list[Chance] = [FakeChance(1), FakeChance(1), FakeChance(2)]
    drawn = [([chance.uid() for _ in range(50)], [chance.fraction() for _ in range(50)]) for chance in chances]
    assert drawn[0] == drawn[1] != drawn[2]
    uids, fractions = drawn[0]
    assert len(set(uids)) == 50
    assert all(len(uid) == 16 and int(uid, 16) >= 0 for uid in uids)
    assert all(0 <= fraction < 1 for fraction in fractions)
