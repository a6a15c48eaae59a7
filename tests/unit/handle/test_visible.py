"""Whose runs are looked at, in which order, and what that costs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from trainpoint import Checkpoint, InvalidArgumentError, NotVisibleError, RunNotFoundError, Workflow
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import run_key
from trainpoint.format.records import RunRecord
from trainpoint.handle.visible import READ_AHEAD, runs_of
from trainpoint.testing import FakeClock, MemoryStore


def save(url: str, run: str, step: int, *, owner: str, **more: str) -> None:
    with Checkpoint(workflow="w", run=run, owner=owner, store=url, load_policy=None, **more) as ckpt:  # type: ignore[arg-type]
        ckpt.save(step=step)


def begin(store: MemoryStore, run: str, owner: str) -> None:
    store.put(run_key("_", "w", run), RunRecord("_", "w", run, owner, "2026-01-01T00:00:00.000000Z").to_bytes())


def test_eager_finds_the_own_run_behind_many_newer_ones_of_others(url: str, store: MemoryStore) -> None:
    save(url, "ada-1", 7, owner="ada")
    for number in range(50):
        begin(store, f"bob-{number}", "bob")
    with Checkpoint(workflow="w", run="ada-2", owner="ada", store=url, load_policy="eager") as ckpt:
        assert ckpt.step == 7


def test_eager_takes_the_run_that_began_last_within_one_second_of_the_server() -> None:
    store = MemoryStore.named("eager-same-second", clock=FakeClock())  # stands still
    for run, step in (("b", 1), ("c", 2), ("a", 3)):
        save(store.url, run, step, owner="ada")
    with Checkpoint(workflow="w", run="next", owner="ada", store=store.url, load_policy="eager") as ckpt:
        assert ckpt.info is not None
        assert ckpt.info.run == "a"


def test_what_is_read_is_what_is_looked_at_and_a_little_more(store: MemoryStore) -> None:
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    for number in range(200):
        begin(store, f"r-{number:03}", "ada")
    found = runs_of(catalog, "_", "w", "ada")
    store.requests.clear()
    assert next(found).run == "r-199"
    assert dict(store.requests) == {"list": 1, "get": 1}
    assert [next(found).run for _ in range(3)] == ["r-198", "r-197", "r-196"]
    assert store.requests["get"] <= 7
    assert len(list(found)) == 196
    assert store.requests == {"list": 1, "get": 200}
    assert READ_AHEAD < 200
    store.requests.clear()
    assert len(list(runs_of(catalog, "_", "w", "*"))) == 200
    assert store.requests == {"list": 1}, "whose they are does not matter"


def test_all_workflows_are_one_listing_and_what_is_looked_at(url: str, store: MemoryStore) -> None:
    for number in range(60):
        for workflow in ("v", "w"):
            key = run_key("_", workflow, f"r-{number:02}")
            store.put(key, RunRecord("_", workflow, f"r-{number:02}", "ada", "2026-01-01T00:00:00Z").to_bytes())
    save(url, "last", 7, owner="ada")
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    found = runs_of(catalog, "_", "*", "ada")
    store.requests.clear()
    assert [(run.workflow, run.run) for run in islice(found, 3)] == [("w", "last"), ("w", "r-59"), ("v", "r-59")]
    assert store.requests["list"] == 1
    assert store.requests["get"] <= 3
    assert len(list(found)) == 118
    with Checkpoint(owner="ada", store=url) as reader:
        store.requests.clear()
        assert reader.list(workflow="*")[0].step == 7
        assert sum(store.requests.values()) <= 8, "whatever the number of runs"


def test_runs_of_the_same_name_and_second_in_several_workflows_keep_their_own_times() -> None:
    store = MemoryStore.named("all-same-second", clock=FakeClock())  # stands still
    for number, workflow in enumerate(["c", "a", "b"]):
        record = RunRecord("_", workflow, "r", "ada", f"2026-01-01T00:00:00.{number:06}Z")
        store.put(run_key("_", workflow, "r"), record.to_bytes())
    catalog = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())
    assert [run.workflow for run in runs_of(catalog, "_", "*", "*")] == ["b", "a", "c"]


def test_of_all_workflows_only_what_is_named_besides_can_be_missing(url: str) -> None:
    with Checkpoint(owner="ada", store=url) as reader:
        assert reader.list(workflow="*")[:] == [], "an empty namespace"
        save(url, "bob-1", 2, owner="bob", task="eval")
        with pytest.raises(NotVisibleError, match=r"has 1 run, none of ada; owners: bob \(1\)"):
            reader.list(workflow="*")
        assert [info.step for info in reader.list(workflow="*", owner="*", task="eval")] == [2]
        assert [info.step for info in reader.list(workflow="*", run="bob-1")] == [2], "who names a run means it"
        with pytest.raises(RunNotFoundError, match=r"no task \*/\*/main"):
            reader.list(workflow="*", owner="*", task="main")
        with pytest.raises(InvalidArgumentError):
            reader.list(workflow="w*")


def test_a_list_looks_at_the_own_runs_unless_a_run_or_an_owner_is_named(url: str) -> None:
    save(url, "ada-1", 1, owner="ada")
    save(url, "bob-1", 2, owner="bob")
    save(url, "bob-2", 3, owner="bob", task="eval")
    with Checkpoint(owner="ada", store=url) as reader:
        assert [info.step for info in reader.list(workflow="w")] == [1]
        assert [info.step for info in reader.list(task="w")] == [1]
        assert [info.step for info in reader.list(task="w/bob-1/main")] == [2]
        assert [info.step for info in reader.list(task="w/bob-1")] == [2]
        assert [info.step for info in reader.list(workflow="w", run="bob-2")] == [3]
        assert [info.step for info in reader.list(workflow="w", owner="*")] == [3, 2, 1]
        assert [info.step for info in reader.list(workflow="w", task="main", owner="bob")] == [2]
        with pytest.raises(NotVisibleError):
            reader.list(task="w/bob-1/main", owner="eve")
        with pytest.raises(RunNotFoundError, match="no task w/bob-1/main"):
            reader.list(task="w/bob-1/main", owner="ada")
        with pytest.raises(RunNotFoundError):
            reader.list(workflow="w", task="eval")  # there is one, of bob
        with pytest.raises(RunNotFoundError):
            reader.list(workflow="w", namespace="team-b", owner="*")
        for wrong in ({"namespace": "a/b"}, {"index": True}, {"task": "w//main"}, {"task": "a/b/c/d/e"}, {"task": ""}):
            with pytest.raises((InvalidArgumentError, ValueError)):
                reader.list(**{"workflow": "w", **wrong})  # type: ignore[arg-type]
    with Checkpoint(workflow="w", run="ada-9", owner="ada", store=url, load_policy=None) as ckpt:
        assert [info.step for info in ckpt.list(task="main")] == [1]
        assert [info.step for info in ckpt.list(task="main", owner="*")] == [2, 1]
        assert len(ckpt.list()) == 0
        assert ckpt.latest() is None


def test_a_list_over_many_runs_asks_only_for_those_it_comes_to(url: str, store: MemoryStore) -> None:
    for number in range(30):
        save(url, f"r-{number:02}", number, owner="ada")
    with Checkpoint(owner="ada", store=url) as reader:
        store.requests.clear()
        assert reader.list(workflow="w")[0].step == 29
        assert sum(store.requests.values()) <= 6
        assert [info.step for info in reader.list(workflow="w")] == list(range(29, -1, -1))


def test_lists_show_themselves_as_tables(url: str, tmp_path: Path) -> None:
    with Checkpoint(workflow="w", run="r", owner="a<b", store=url, load_policy=None) as ckpt:
        assert repr(ckpt.list()) == "<no checkpoints>"
        assert ckpt.list()._repr_html_() == "<p>no checkpoints</p>"
        for step in range(12):
            ckpt.save(step=step, metrics={"val/loss": 0.123456, "acc": step})
        lines = repr(ckpt.list()).splitlines()
        assert lines[0].split() == ["NAME", "STEP", "METRICS", "SIZE", "STATUS", "SAVED"]
        assert lines[1].split()[:6] == [ckpt.list()[0].name, "11", "acc=11", "val/loss=0.1235", "0", "B"]
        assert len(lines) == 12
        assert lines[-1] == "… and more"
        html = ckpt.list()._repr_html_()
        assert html.count("<tr>") == 11
        assert "<td>acc=11 val/loss=0.1235</td>" in html
        runs = Workflow("w", owner="a<b", store=url).runs()
        assert repr(runs).splitlines()[1].split()[:2] == ["r", "a<b"]
        assert "<td>a&lt;b</td>" in runs._repr_html_()
