"""A renamed task, and an index that changed its shape, are told where their checkpoints lie."""

from __future__ import annotations

import logging

import pytest

from trainpoint import Checkpoint
from trainpoint.identity import IndexArgument
from trainpoint.testing import MemoryStore


def start(url: str, task: str, index: IndexArgument | None = None, *, run: str = "r", fail: bool = True) -> None:
    """One attempt that saves twice; it fails, as one does that will be tried again."""
    try:
        with Checkpoint(workflow="w", run=run, task=task, index=index, store=url) as ckpt:
            ckpt.save(step=1)
            ckpt.save(step=2)
            if fail:
                raise ValueError("flaky")
    except ValueError:
        pass


def said(
    caplog: pytest.LogCaptureFixture,
    url: str,
    task: str,
    index: IndexArgument | None = None,
    *,
    run: str | None = "r",
    load_policy: str | None = "fresh",
) -> list[str]:
    """The warnings of a start."""
    caplog.clear()
    with (
        caplog.at_level(logging.INFO, logger="trainpoint"),
        Checkpoint(workflow="w", run=run, task=task, index=index, store=url, load_policy=load_policy),
    ):
        pass
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_a_renamed_task_is_told_what_it_was_called_before(url: str, caplog: pytest.LogCaptureFixture) -> None:
    start(url, "main")
    (line,) = said(caplog, url, "train")
    assert line == (
        "w/r/train has no checkpoint, and w/r/main has 2 checkpoints; "
        'if that is what this task was called before: task="main", or TRAINPOINT_TASK=main'
    )
    assert said(caplog, url, "train") == [], "only at the first attempt"


@pytest.mark.parametrize(("before", "after"), [(None, 0), (0, None), (2, (2, 1))])
def test_a_changed_shape_of_the_index_is_told(
    url: str, caplog: pytest.LogCaptureFixture, before: IndexArgument | None, after: IndexArgument | None
) -> None:
    start(url, "main", before)
    (line,) = said(caplog, url, "main", after)
    assert "has 2 checkpoints; if that is this task" in line


def test_siblings_of_a_sweep_and_steps_that_are_done_are_nobodys_former_self(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    start(url, "main", 0)
    assert said(caplog, url, "main", 1) == []
    start(url, "prepare", fail=False)
    assert said(caplog, url, "train") == []


def test_eager_looks_into_the_earlier_run_where_it_found_nothing(url: str, caplog: pytest.LogCaptureFixture) -> None:
    start(url, "main", run="earlier", fail=False)
    (line,) = said(caplog, url, "train", run="new", load_policy="eager")
    assert "w/earlier/main has 2 checkpoints" in line
    assert said(caplog, url, "train", run="other", load_policy="fresh") == []
    assert said(caplog, url, "train", run="third", load_policy=None) == []


def test_who_finds_what_it_looks_for_asks_for_nothing_more(
    url: str, store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    start(url, "main")
    start(url, "eval")
    assert said(caplog, url, "main") == []


def test_a_fresh_start_tells_of_ones_own_earlier_run_and_not_of_a_colleagues(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for run, owner, saves in (("mine", "ann", 1), ("theirs", "bob", 2)):
        with Checkpoint(workflow="w", run=run, owner=owner, store=url) as ckpt:
            for step in range(saves):
                ckpt.save(step=step + 1)
    caplog.clear()
    with (
        caplog.at_level(logging.INFO, logger="trainpoint"),
        Checkpoint(workflow="w", run="new", owner="ann", store=url),
    ):
        pass
    (line,) = [line for line in caplog.messages if "are not loaded" in line]
    assert "1 checkpoint of run mine" in line
    assert "theirs" not in caplog.text
