"""Requests to save now: each is passed on once, and only what was asked of this attempt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest

from trainpoint.claim.won import Claim
from trainpoint.errors import StoreUnreachableError, TrainpointError
from trainpoint.handle.asked import SaveRequests
from trainpoint.handle.rhythm import Rhythm
from trainpoint.handle.together import Answer
from trainpoint.policies.settings import SaveSettings
from trainpoint.testing import FakeChance, FakeClock

RARELY = SaveSettings(every_steps=10**9)
BOTH = SaveSettings(every_steps=10**9, every_seconds=10**9)


class Told:
    """A claim that says one after the other, and then the last one again."""

    def __init__(self, *said: str | TrainpointError, before: str = "") -> None:
        self.asked_before = before
        self._said = list(said)

    def save_request(self) -> str:
        said = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        if isinstance(said, TrainpointError):
            raise said
        return said


def looking(rhythm: Rhythm, *said: str | TrainpointError, before: str = "") -> SaveRequests:
    return SaveRequests(cast(Claim, Told(*said, before=before)), rhythm, FakeChance())


def steps(rhythm: Rhythm, numbers: Sequence[int]) -> list[int]:
    """At which steps a loop that does as it is told has saved."""
    saved = []
    for step in numbers:
        if rhythm.should_save(step):
            rhythm.saved(step)
            saved.append(step)
    return saved


def test_a_request_is_a_save_at_the_next_step_and_no_more() -> None:
    rhythm = Rhythm(RARELY, FakeClock())
    requests = looking(rhythm, "", "a", "a", "b")
    requests.look()
    assert steps(rhythm, [1]) == []
    requests.look()
    assert steps(rhythm, [2, 3]) == [2]
    requests.look()
    assert steps(rhythm, [4]) == []
    requests.look()
    assert steps(rhythm, [4, 5]) == [4], "another request"


def test_should_save_goes_on_to_say_so_until_something_is_saved() -> None:
    rhythm = Rhythm(RARELY, FakeClock())
    looking(rhythm, "a").look()
    assert [rhythm.should_save(step) for step in (1, 2)] == [True, True]
    rhythm.saved(2)
    assert not rhythm.should_save(3)


def test_what_was_asked_before_this_attempt_began_is_left_alone() -> None:
    rhythm = Rhythm(RARELY, FakeClock())
    looking(rhythm, "old", before="old").look()
    assert steps(rhythm, [1]) == []


def test_a_look_that_fails_is_made_up_for_by_the_next() -> None:
    rhythm = Rhythm(RARELY, FakeClock())
    requests = looking(rhythm, StoreUnreachableError("it is away"), "a")
    requests.look()
    assert steps(rhythm, [1]) == []
    requests.look()
    assert steps(rhythm, [2]) == [2]


def ranks(settings: SaveSettings) -> Rhythm:
    """Rank 0 of two, who talk as rank 0 says."""

    def ask(mine: Answer) -> Answer:
        return mine

    return Rhythm(settings, FakeClock(), world_size=2, find_together=lambda size: ask)


def test_ranks_that_talk_save_together() -> None:
    rhythm = ranks(BOTH)
    looking(rhythm, "a").look()
    assert steps(rhythm, [1, 2]) == [1]


def test_ranks_that_do_not_talk_say_that_they_cannot(caplog: pytest.LogCaptureFixture) -> None:
    rhythm: Any = ranks(RARELY)
    with caplog.at_level(logging.WARNING, "trainpoint"):
        looking(rhythm, "a").look()
    assert steps(rhythm, [1]) == []
    assert "ranks that save by steps alone cannot agree" in caplog.text
