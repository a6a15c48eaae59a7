"""Which tasks of a run may be what this one was called before."""

from __future__ import annotations

import pytest

from trainpoint.format.layout import TaskPath
from trainpoint.policies.siblings import advice, former_selves


def path(text: str, run: str = "r") -> TaskPath:
    task, _, index = text.partition("/")
    return TaskPath("w", run, task, index)


@pytest.mark.parametrize(
    ("own", "there", "expected"),
    [
        ("train", ["train"], []),
        ("train", ["train", "main"], ["main"]),
        ("main/0", ["main/0", "main"], ["main"]),
        ("main", ["main", "main/0", "main/1"], ["main/0", "main/1"]),
        ("main/2.1", ["main/2.1", "main/2"], ["main/2"]),
        ("main/1", ["main/0", "main/1", "main/2"], []),
        ("train/1", ["train/1", "main/0", "main/1"], ["main/1"]),
        ("train", ["train", "main", "train/0"], ["train/0", "main"]),
    ],
)
def test_the_own_run_shows_reshaped_indexes_then_other_tasks(own: str, there: list[str], expected: list[str]) -> None:
    assert former_selves(path(own), [path(text) for text in there]) == [path(text) for text in expected]


@pytest.mark.parametrize(
    ("there", "expected"),
    [(["main"], ["main"]), (["main", "train"], []), (["main", "train/0"], [])],
    ids=["the run knows no task of this name", "it does", "it does, with another index"],
)
def test_an_earlier_run_that_knows_the_name_has_no_former_self_of_another(
    there: list[str], expected: list[str]
) -> None:
    found = former_selves(path("train"), [path(text, "earlier") for text in there])
    assert [p.task for p in found if p.task != "train"] == expected


def test_the_advice_says_what_to_write() -> None:
    assert 'task="main", or TRAINPOINT_TASK=main' in advice(path("train"), path("main"))
    assert 'index="0", or TRAINPOINT_INDEX=0' in advice(path("main"), path("main/0"))
    assert "without an index" in advice(path("main/0"), path("main"))
