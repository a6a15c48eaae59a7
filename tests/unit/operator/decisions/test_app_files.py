"""Which checkpoints of an app the operator lets go, and which somebody needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import LAUNCH, checkpoint, run_object
from trainpoint.format.digest import JsonObject
from trainpoint.policies.app_files import file_name, series_name, timestamp_of
from trainpoint.policies.settings import AppFileSettings
from trainpoint_operator.decisions.app_files import by_rule, is_needed, needed, was_superfluous
from trainpoint_operator.views import CheckpointView, JobView

RULE = AppFileSettings()
KEPT_NEWEST = RULE.keep_latest
HOUR_SECONDS = 3600
BEGUN = 1_665_500_400
"""a full hour"""


def saved(number: int, *, at: int | None = None, **more: Any) -> CheckpointView:
    """The checkpoint of so many seconds after the hour."""
    return checkpoint(0, number, series=series_name(BEGUN + number if at is None else at), **more)


def numbers(found: list[CheckpointView]) -> list[int]:
    return [one.ref.id.sequence for one in found]


def test_the_last_twenty_stay_and_the_rest_of_the_hour_goes_oldest_first() -> None:
    assert numbers(by_rule((saved(n) for n in range(1, 26)), RULE)) == [1, 2, 3, 4, 5]
    assert by_rule((saved(n) for n in range(1, 21)), RULE) == []


def test_of_each_hour_the_last_stays() -> None:
    earlier = [saved(n, at=BEGUN - HOUR_SECONDS + n) for n in range(1, 4)]
    assert numbers(by_rule([*earlier, *(saved(n) for n in range(10, 31))], RULE)) == [1, 2, 10]


@pytest.mark.parametrize(
    "other",
    [
        {"state": "Corrupt"},
        {"state": "Superseded"},
        {"state": "Committed"},
        {"state": "Saving", "saved": None},
        {"deleted": 70.0},
        {"latest": False},
    ],
    ids=str,
)
def test_what_is_not_known_to_be_good_takes_nothings_place_and_does_not_go(other: dict[str, Any]) -> None:
    twenty = [saved(n) for n in range(10, 10 + KEPT_NEWEST)]
    assert by_rule([*twenty, saved(50, **other)], RULE) == []
    assert by_rule([*twenty, saved(1, **other)], RULE) == []


def test_a_checkpoint_of_a_training_program_is_no_file_of_an_app() -> None:
    found = [checkpoint(0, n, series=series) for n in range(1, 40) for series in ("", "epoch")]
    assert by_rule(found, RULE) == []


def test_what_is_pinned_or_to_be_retained_stays() -> None:
    kept = [saved(n) for n in range(10, 30)]
    assert by_rule([*kept, replace(saved(1), pin={"reason": "table 2"})], RULE) == []
    assert by_rule([*kept, replace(saved(1), retain=True)], RULE) == []
    assert numbers(by_rule([*kept, saved(1)], RULE)) == [1]


def job(result: str = "", **template: Any) -> JobView:
    conditions = [{"type": result, "status": "True"}] if result else []
    meta = {"namespace": "team-a", "name": "app", "uid": LAUNCH}
    return JobView.of({"metadata": meta, "spec": {"template": template}, "status": {"conditions": conditions}})


def annotated(text: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {"trainpoint.dev/checkpoint": text}}}


def arguments(*words: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"command": ["trainpoint"]}, {"args": [*words, "--other", "1"]}]}}


OLD = saved(1)
NEEDS: list[tuple[str, JsonObject, list[JobView]]] = [
    ("an attempt has loaded it", {"status": {"claim": {"loaded": {"checkpoint": OLD.name}}}}, []),
    ("an earlier attempt has", {"status": {"attempts": [{"loaded": OLD.name}, {}]}}, []),
    ("the next attempt would load it", {"status": {"resume": {"checkpoint": OLD.name}}}, []),
    ("a run shows it as its latest", {"status": {"latest": {"checkpoint": OLD.name}}}, []),
    ("a run shows it as its best", {"status": {"best": {"checkpoint": OLD.name}}}, []),
    ("a person asks a run to start from it", {"resumeFrom": f" {OLD.name} "}, []),
    ("an attempt was asked to", {"status": {"claim": {"loaded": {"request": OLD.name}}}}, []),
    ("a Job's pods will ask for its name", {}, [job(**annotated(OLD.series))]),
    ("a Job's pods will ask for its file", {}, [job(**annotated(file_name(BEGUN + 1)))]),
    (
        "they will ask in their environment",
        {},
        [job(spec={"containers": [{"env": [{"name": "TRAINPOINT_CHECKPOINT", "value": OLD.series}]}]})],
    ),
    ("they will ask by an argument", {}, [job(**arguments("--checkpoint", OLD.series))]),
    ("they will ask by an option with the file", {}, [job(**arguments(f"--checkpoint={file_name(BEGUN + 1)}"))]),
    ("an init container loads it", {}, [job(spec={"initContainers": [{"args": ["load", OLD.name]}]})]),
    (
        "a variable that the arguments use",
        {},
        [job(spec={"containers": [{"args": ["$(START)"], "env": [{"name": "START", "value": OLD.series}]}]})],
    ),
    ("a line for a shell names it", {}, [job(**arguments("-c", f"app run --checkpoint '{OLD.name}'; sync"))]),
]


@pytest.mark.parametrize(("run", "jobs"), [case[1:] for case in NEEDS], ids=[case[0] for case in NEEDS])
def test_what_somebody_means_is_needed(run: JsonObject, jobs: list[JobView]) -> None:
    names = needed([run_object(), run_object(**run)], jobs)
    assert is_needed(OLD, names)
    assert not is_needed(saved(2), names)


def test_what_a_job_that_is_over_was_to_start_from_is_not_needed() -> None:
    assert needed([run_object()], [job("Complete", **annotated(OLD.series))]) == frozenset()
    assert needed([run_object(status={"latest": None, "best": None})], [job()]) == frozenset()


@given(
    st.lists(st.tuples(st.integers(0, 5 * HOUR_SECONDS), st.sampled_from(["Verified", "Committed", "Corrupt"]))),
    st.sets(st.integers(0, 60)),
)
def test_whatever_goes_the_newest_good_ones_stay(saves: list[tuple[int, str]], pinned: set[int]) -> None:
    stamps = sorted(dict(saves).items())
    views = [saved(n, at=BEGUN + at, state=state) for n, (at, state) in enumerate(stamps, 1)]
    views = [replace(v, pin={"reason": "r"}) if v.ref.id.sequence in pinned else v for v in views]
    gone = {one.name for one in by_rule(views, RULE)}
    good = [one for one in views if one.state == "Verified"]
    left = [one for one in good if one.name not in gone]
    assert gone <= {one.name for one in good if one.pin is None}
    assert good[-KEPT_NEWEST:] == left[-len(good[-KEPT_NEWEST:]) :] if good else not gone
    hours = {(timestamp_of(one.series) or 0) // HOUR_SECONDS for one in good}
    assert {(timestamp_of(one.series) or 0) // HOUR_SECONDS for one in left} == hours
    assert len([one for one in left if one.pin is None]) <= KEPT_NEWEST + len(hours)
    assert by_rule(left, RULE) == [], "once applied it lets nothing more go"
    there = [one for one in views if one.name not in gone]
    assert all(was_superfluous(one, there, RULE) for one in views if one.name in gone)
