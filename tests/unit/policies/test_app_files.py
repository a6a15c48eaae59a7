"""Names of apps' checkpoint files, and which of them are kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.errors import InvalidArgumentError
from trainpoint.policies.app_files import file_name, next_timestamp, series_name, superfluous, timestamp_of, told
from trainpoint.policies.settings import AppFileSettings

HOUR = 3600
RULE = AppFileSettings()
KEPT_NEWEST = RULE.keep_latest
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
    gone = superfluous([*second_hour, *first_hour], RULE)
    assert gone == [*first_hour[:-1], *second_hour[:10]]


def test_twenty_or_fewer_all_stay() -> None:
    assert superfluous(range(BEGUN, BEGUN + KEPT_NEWEST), RULE) == []
    assert superfluous([], RULE) == []


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (AppFileSettings(2, 0), [0, 1, 2, 3]),
        (AppFileSettings(2, 60), [0, 2]),
        (AppFileSettings(3, 1), []),
        (AppFileSettings(6, 0), []),
        (AppFileSettings(1000, 3600), []),
    ],
    ids=["the newest alone", "one a minute", "all", "as many as there are", "more than there are"],
)
def test_a_policy_may_say_otherwise(rule: AppFileSettings, gone: list[int]) -> None:
    stamps = [BEGUN, BEGUN + 1, BEGUN + 60, BEGUN + 119, BEGUN + 120, BEGUN + 121]
    assert superfluous(stamps, rule) == [stamps[n] for n in gone]


def test_the_rule_is_told_in_a_few_words() -> None:
    assert told(RULE) == "the last 20, and of every 1 h the last"
    assert told(AppFileSettings(5, 0)) == "the last 5"


RULES = st.builds(AppFileSettings, st.integers(2, 40), st.sampled_from([0.0, 1.0, 60.0, 5400.0, 86400.0]))


@given(st.lists(st.integers(0, 40 * HOUR), max_size=200), RULES)
def test_what_stays_is_bounded_and_covers_every_hour(stamps: list[int], rule: AppFileSettings) -> None:
    kept = set(stamps) - set(superfluous(stamps, rule))
    span = rule.keep_one_every_seconds
    spans = {stamp // span for stamp in stamps} if span else set()
    assert {stamp // span for stamp in kept if span} == spans
    assert len(kept) <= rule.keep_latest + len(spans)
    assert set(sorted(set(stamps))[-rule.keep_latest :]) <= kept
    assert superfluous(kept, rule) == [], "applied after each save, it never goes back on what it kept"
