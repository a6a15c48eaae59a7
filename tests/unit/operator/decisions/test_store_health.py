"""When a store is well, and when it is looked at again."""

from __future__ import annotations

import pytest

from trainpoint.api import reasons
from trainpoint_operator.decisions.store_health import (
    PATIENCE,
    THOROUGH_SECONDS,
    Health,
    Seen,
    Trouble,
    Watched,
    after,
    pause_seconds,
    probe_due,
    thoroughly,
)

WELL = Health(True, reasons.PROBED, "fine")
AWAY = Trouble(reasons.UNREACHABLE, "cannot reach http://s3", "see whether it runs", passing=True)
REFUSED = Trouble(reasons.ACCESS_DENIED, "AccessDenied", "check the keys")
WHERE = "s3://b/p at http://s3"


def test_a_store_that_was_well_is_given_a_few_tries_and_says_nothing_meanwhile() -> None:
    health = WELL
    for failures in range(1, PATIENCE):
        health = after(health, AWAY, WHERE)
        assert (health.ready, health.message, health.failures) == (True, "fine", failures)
    health = after(health, AWAY, WHERE)
    assert (health.ready, health.reason) == (False, reasons.UNREACHABLE)
    assert health.message == "3 probes in a row failed: cannot reach http://s3; see whether it runs"
    assert after(health, AWAY, WHERE).message == health.message, "no status patch for every further probe"


def test_a_success_counts_at_once_and_the_tries_begin_anew() -> None:
    ill = after(after(after(WELL, AWAY, WHERE), AWAY, WHERE), AWAY, WHERE)
    again = after(ill, Seen("id", thorough=True), WHERE)
    assert (again.ready, again.reason, again.failures) == (True, reasons.PROBED, 0)
    assert WHERE in again.message
    assert after(after(again, AWAY, WHERE), AWAY, WHERE).ready
    shaky = after(after(WELL, AWAY, WHERE), Seen("id"), WHERE)
    assert after(after(shaky, AWAY, WHERE), AWAY, WHERE).ready


def test_a_refusal_counts_at_once() -> None:
    health = after(WELL, REFUSED, WHERE)
    assert health == Health(False, reasons.ACCESS_DENIED, "AccessDenied; check the keys", 1)


def test_a_store_that_was_never_well_is_not_ready_at_the_first_failure() -> None:
    health = after(Health(False, "", ""), AWAY, WHERE)
    assert (health.ready, health.message) == (False, AWAY.sentence)


def test_a_look_at_the_mark_alone_says_what_the_thorough_one_said() -> None:
    full = after(WELL, Seen("id", thorough=True), WHERE)
    assert after(full, Seen("id"), WHERE) == full


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, ""), (29, ""), (200, "3 min ahead of"), (-125, "2 min behind")],
)
def test_a_clock_that_is_off_by_minutes_is_told(seconds: float, says: str) -> None:
    message = after(WELL, Seen("id", thorough=True, clock_ahead_seconds=seconds), WHERE).message
    assert says in message if says else "clock" not in message


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(0, 54, 66), (1, 3.75, 5), (2, 7.5, 10), (3, 15, 20), (5, 45, 60), (1000, 45, 60)],
)
def test_pauses_grow_while_it_is_ill_and_are_spread(failures: int, least: float, most: float) -> None:
    health = Health(failures == 0, "", "", failures)
    assert pause_seconds(health, 0.0) == pytest.approx(least)
    assert pause_seconds(health, 1.0) == pytest.approx(most)


def test_a_store_is_probed_when_it_is_time_and_when_its_object_has_changed() -> None:
    watched = Watched("u", 3, "9", WELL, due=100.0)
    assert probe_due(None, "u", 3, 0.0)
    assert not probe_due(watched, "u", 3, 99.0)
    assert probe_due(watched, "u", 3, 100.0)
    assert probe_due(watched, "u", 4, 50.0)
    assert probe_due(watched, "another", 3, 50.0)


@pytest.mark.parametrize(
    ("watched", "version", "now", "expected"),
    [
        (None, ("u", 3, "9"), 0.0, True),
        (Watched("u", 3, "9", WELL, 0.0), ("u", 3, "9"), 0.0, True),
        (Watched("u", 3, "9", WELL, 0.0, thorough_at=0.0), ("u", 3, "9"), 60.0, False),
        (Watched("u", 3, "9", WELL, 0.0, thorough_at=0.0), ("u", 3, "9"), THOROUGH_SECONDS, True),
        (Watched("u", 3, "9", WELL, 0.0, thorough_at=0.0), ("u", 4, "9"), 60.0, True),
        (Watched("u", 3, "9", WELL, 0.0, thorough_at=0.0), ("u", 3, "10"), 60.0, True),
        (Watched("u", 3, "9", Health(True, "", "", 1), 0.0, thorough_at=0.0), ("u", 3, "9"), 60.0, True),
        (Watched("u", 3, "9", Health(False, "", ""), 0.0, thorough_at=0.0), ("u", 3, "9"), 60.0, True),
    ],
)
def test_it_is_written_to_seldom_while_nothing_has_changed(
    watched: Watched | None, version: tuple[str, int, str], now: float, expected: bool
) -> None:
    assert thoroughly(watched, version, now) is expected
