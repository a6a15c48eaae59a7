"""One process is one launch: what it opens belongs to one run, and how that run ended is said once for all of it."""

from __future__ import annotations

import pytest

from trainpoint import Checkpoint
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import TaskPath
from trainpoint.handle.launch import Launch
from trainpoint.testing import MemoryStore

FIRST, SECOND = TaskPath("w", "r", "prepare"), TaskPath("w", "r", "train")


def catalog_of(store: MemoryStore) -> BucketCatalog:
    return BucketCatalog(store, clock=SystemClock(), chance=SystemChance())


def test_a_run_has_succeeded_once_all_of_its_tasks_have() -> None:
    launch = Launch()
    assert launch.begun(FIRST) is None
    assert launch.begun(SECOND) is None
    assert launch.ended(FIRST, failure=None) is None, "the other one is at work"
    assert launch.ended(SECOND, failure=None) == ""


def test_one_that_failed_makes_the_run_fail_until_it_is_tried_again() -> None:
    launch = Launch()
    launch.begun(FIRST)
    launch.begun(SECOND)
    launch.ended(FIRST, failure="ValueError: shapes")
    assert launch.ended(SECOND, failure=None) == "ValueError: shapes"
    launch.begun(FIRST)
    assert launch.ended(FIRST, failure=None) == ""


def test_a_task_that_begins_afterwards_takes_the_success_back() -> None:
    launch = Launch()
    launch.begun(FIRST)
    launch.ended(FIRST, failure=None)
    assert launch.begun(SECOND) == "w/r/train began and did not end"
    assert launch.ended(SECOND, failure=None) == ""


def test_what_a_process_opens_without_naming_a_run_is_one_run(url: str, store: MemoryStore) -> None:
    for task, index in (("prepare", None), ("train", 0), ("train", 1)):
        with Checkpoint(workflow="launch", task=task, index=index, store=url) as ckpt:
            ckpt.save(step=1)
    catalog = catalog_of(store)
    (run,) = catalog.runs("_", "launch")
    tasks = [(path.task, path.index) for path in catalog.tasks("_", "launch", run.run)]
    assert tasks == [("prepare", ""), ("train", "0"), ("train", "1")]


def test_how_such_a_run_ended_is_told_after_each_of_its_tasks(url: str, store: MemoryStore) -> None:
    catalog = catalog_of(store)

    def outcome() -> str:
        end = catalog.run_end("_", "told", catalog.runs("_", "told")[0].run)
        return end.outcome if end is not None else "none"

    with Checkpoint(workflow="told", task="prepare", store=url):
        assert outcome() == "none"
    assert outcome() == "Succeeded"
    with Checkpoint(workflow="told", task="train", store=url):
        assert outcome() == "Failed", "a kill in here must not leave a success behind"
    assert outcome() == "Succeeded"
    with pytest.raises(ValueError, match="shapes"), Checkpoint(workflow="told", task="train", store=url):
        raise ValueError("shapes")
    assert outcome() == "Failed"
