"""A task is watched while it saves, in a directory and on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.command_line import invoke
from tests.support.counted import CountingStore
from tests.support.place import Place
from trainpoint import Checkpoint, RunNotFoundError
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import TaskPath
from trainpoint.handle.watching import Watch

TASK = "llm/r/main"
PATH = TaskPath("llm", "r", "main")


def save(url: str, *steps: int, name: str | None = None) -> None:
    """An attempt that saves so often."""
    with Checkpoint(workflow="llm", run="r", store=url) as ckpt:
        for step in steps:
            ckpt.save(step=step, name=name)


def told(found: Iterator[CheckpointInfo]) -> list[tuple[int, int | None]]:
    return [(info.attempt, info.step) for info in found]


def test_each_checkpoint_is_told_once_through_a_retry(url: str, place: Place) -> None:
    save(url, 1, 2)
    catalog = place.catalog()
    watch = Watch(catalog, [PATH], existing=False)
    assert told(watch.look()) == []
    save(url, 3)
    assert told(watch.look()) == [(1, 3)]
    save(url, 4, 5)
    save(url, 6)
    assert told(watch.look()) == [(2, 4), (2, 5), (3, 6)]
    assert told(watch.look()) == []
    assert told(Watch(catalog, [PATH], existing=True).look()) == [
        (0, 1), (0, 2), (1, 3), (2, 4), (2, 5), (3, 6)
    ]  # fmt: skip


def test_a_look_costs_one_listing_and_what_is_new(url: str, place: Place) -> None:
    save(url, *range(1, 31))
    store = CountingStore(place.store())
    watch = Watch(BucketCatalog(store, clock=SystemClock(), chance=SystemChance()), [PATH], existing=False)
    store.requests.clear()
    assert told(watch.look()) == []
    assert store.requests == {"LIST": 1}
    save(url, 31)
    assert told(watch.look()) == [(1, 31)]
    assert store.requests == {"LIST": 2, "GET": 1}


def test_a_handle_watches_a_task_that_goes_on(url: str) -> None:
    save(url, 1)
    with Checkpoint(store=url) as reader:
        new = reader.watch(task=TASK, timeout=120)  # what is there is known from here on
        save(url, 2, name="best")
        info = next(new)
        assert (info.attempt, info.step) == (1, 2)
        assert told(reader.watch(task=TASK, existing=True, timeout=0)) == [(0, 1), (1, 2)]
        assert told(reader.watch(task=TASK, existing=True, name="best", timeout=0)) == [(1, 2)]
        with pytest.raises(RunNotFoundError):
            reader.watch(task="llm/never/main")


def test_the_command_prints_a_line_for_each(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save(url, 1, 2)
    monkeypatch.setattr(Watch, "until", lambda self, seconds: self.look())  # it would go on for ever
    lines = invoke("list", "llm", "--watch", "--store", url).stdout.splitlines()
    assert [line.split("  ")[1:4] for line in lines] == [
        ["main", "attempt 0", "step 1"],
        ["main", "attempt 0", "step 2"],
    ]
    rows = [json.loads(line) for line in invoke("list", "-w", "-o", "json", "--store", url).stdout.splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
