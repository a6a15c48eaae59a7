"""Names of apps' checkpoint files, and which of them are kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.errors import InvalidArgumentError
from trainpoint.policies.app_files import KEPT_NEWEST, file_name, next_timestamp, series_name, superfluous, timestamp_of

HOUR = 3600
BEGUN = 1_665_500_400
"""a full hour"""


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_name_has_ten_digits_and_its_timestamp_comes_back() -> None:
    assert series_name(1_665_501_626) == "lightningapp_checkpoint_1665501626"
    assert file_name(5) == "lightningapp_checkpoint_0000000005.json"
    assert timestamp_of("lightningapp_checkpoint_1665501626.json") == 1_665_501_626
    assert timestamp_of("lightningapp_checkpoint_1665501626") == 1_665_501_626


@pytest.mark.parametrize(
    "name",
    [
        "lightningapp_checkpoint_166550162.json",
        "lightningapp_checkpoint_16655016260.json",
        "xlightningapp_checkpoint_1665501626.json",
        "lightningapp_checkpoint_1665501626xjson",
        "lightningapp_checkpoint_1665501626.json.bak",
        "lightningapp",
        "latest",
        "",
    ],
)
def test_what_only_looks_like_a_name_is_none(name: str) -> None:
    assert timestamp_of(name) is None


@pytest.mark.parametrize(
    ("now", "last", "expected"),
    [
        (100.9, None, 100),
        (100.9, 50, 100),
        (100.0, 100, 101),
        (100.0, 5000, 5001),
    ],
    ids=["first", "later", "in the same second", "the clock went back"],
)
def test_timestamps_strictly_increase(now: float, last: int | None, expected: int) -> None:
    assert next_timestamp(at(now), last) == expected


def test_no_name_gets_an_eleventh_digit() -> None:
    with pytest.raises(InvalidArgumentError, match="ten digits"):
        next_timestamp(at(0), 9_999_999_999)


def test_the_newest_twenty_stay_and_of_each_hour_the_newest() -> None:
    first_hour = [BEGUN + n for n in range(100)]
    second_hour = [BEGUN + HOUR + n for n in range(30)]
    gone = superfluous([*second_hour, *first_hour])
    assert gone == [*first_hour[:-1], *second_hour[:10]]


def test_twenty_or_fewer_all_stay() -> None:
    assert superfluous(range(BEGUN, BEGUN + KEPT_NEWEST)) == []
    assert superfluous([]) == []


@given(st.lists(st.integers(0, 40 * HOUR), max_size=200))
def test_what_stays_is_bounded_and_covers_every_hour(stamps: list[int]) -> None:
    gone = superfluous(stamps)
    kept = set(stamps) - set(gone)
    hours = {stamp // HOUR for stamp in stamps}
    assert {stamp // HOUR for stamp in kept} == hours
    assert len(kept) <= KEPT_NEWEST + len(hours)
    assert set(sorted(set(stamps))[-KEPT_NEWEST:]) <= kept
    assert superfluous(kept) == [], "applied after each save, it never goes back on what it kept"
