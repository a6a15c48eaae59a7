"""How a lineage is put together, from whatever can still be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from trainpoint import Checkpoint, InvalidArgumentError
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import SnapshotId, TaskPath, manifest_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.lineage import ENTRIES_LIMIT, Found, Loaded, assemble, is_cut, lineage_of
from trainpoint.testing import MemoryStore


def graph(edges: Mapping[str, str]) -> Callable[[Loaded], Found]:
    """A lookup: each checkpoint, and what its task had loaded, one letter each."""

    def look(loaded: Loaded) -> Found:
        if loaded.name not in edges:
            return Found("gone")
        return Found("there", parents=tuple(Loaded(name, f"by {loaded.name}") for name in edges[loaded.name]))

    return look


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        pytest.param({"a": "b", "b": "c", "c": ""}, "a0 b1 c2", id="a chain"),
        pytest.param({"a": "bc", "b": "d", "c": "d", "d": ""}, "a0 b1 c1 d2", id="a diamond, each once"),
        pytest.param({"a": "b", "b": "a"}, "a0 b1", id="a cycle ends"),
        pytest.param({"a": "a"}, "a0", id="its own parent"),
        pytest.param({"a": "b"}, "a0 b1", id="an end that is gone"),
    ],
)
def test_nearest_first_and_each_once(edges: Mapping[str, str], expected: str) -> None:
    found = assemble([Loaded("a")], graph(edges))
    assert " ".join(f"{entry.name}{entry.depth}" for entry in found) == expected
    assert not is_cut(found)


def test_the_reason_is_that_of_the_nearest_task_that_loaded_it() -> None:
    found = assemble([Loaded("a")], graph({"a": "bc", "b": "d", "c": "d", "d": ""}))
    assert [entry.why for entry in found] == ["", "by a", "by a", "by b"]


def test_depth_bounds_it_and_the_cut_can_be_seen() -> None:
    chain = {chr(97 + n): chr(98 + n) for n in range(10)}
    found = assemble([Loaded("a")], graph(chain), depth=3)
    assert [entry.name for entry in found] == list("abcd")
    assert is_cut(found)
    asked = 0

    def endless(loaded: Loaded) -> Found:
        nonlocal asked
        asked += 1
        return Found("there", parents=tuple(Loaded(f"{loaded.name}{n}") for n in range(8)))

    assert len(assemble([Loaded("x")], endless)) == ENTRIES_LIMIT == asked


# --- in a store -------------------------------------------------------------------------------------------------------


def chain_of(url: str, count: int) -> list[CheckpointRef]:
    refs = []
    for number in range(count):
        with Checkpoint(workflow="w", run=f"r{number}", store=url, load_policy="eager") as ckpt:
            refs.append(CheckpointRef.from_json(ckpt.save(step=number + 1).to_json()))
    return refs


def catalog_of(store: MemoryStore) -> BucketCatalog:
    return BucketCatalog(store, clock=SystemClock(), chance=SystemChance())


def test_requests_grow_with_the_chain_and_with_nothing_else(url: str, store: MemoryStore) -> None:
    refs = chain_of(url, 8)
    before = store.requests.total()
    assert len(lineage_of(catalog_of(store), refs[-1])) == 8
    assert store.requests.total() - before <= 3 * 8


def test_a_deleted_one_shows_what_its_attempt_had_loaded(url: str, store: MemoryStore) -> None:
    refs = chain_of(url, 3)
    catalog_of(store).delete(refs[1].task, refs[1].id, by="me")
    found = lineage_of(catalog_of(store), refs[2])
    assert [(entry.step, entry.state) for entry in found] == [(3, "there"), (2, "deleted"), (1, "there")]


def test_a_damaged_manifest_or_attempt_is_a_gap(url: str, store: MemoryStore) -> None:
    refs = chain_of(url, 3)
    store.put(manifest_key(refs[1].task, refs[1].id), b"{}")
    found = lineage_of(catalog_of(store), refs[2])
    assert [entry.state for entry in found] == ["there", "unreadable", "there"]
    for row in list(store.list(refs[1].task.attempts)):
        store.put(row.key, b"{}")
    assert [entry.state for entry in lineage_of(catalog_of(store), refs[2])] == ["there", "unreadable"]


def test_parents_are_found_by_name_alone_where_no_attempt_tells(store: MemoryStore) -> None:
    catalog = catalog_of(store)
    tasks = [TaskPath(workflow, "r", "main") for workflow in ("v", "w")]
    refs = [CheckpointRef(task, SnapshotId(0, 1, "ab" * 8)) for task in tasks]
    gone = f"{CheckpointRef(tasks[0], SnapshotId(0, 7, 'cd' * 8))}"
    for ref, parents in zip(refs, ((gone, "x-00000000-0-1-abcde", "no name at all"), (refs[0].name,)), strict=True):
        snapshot = Snapshot(ref.task, ref.id, step=1, parents=parents)
        catalog.record(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))
    found = lineage_of(catalog, refs[1])
    assert [(entry.name, entry.state) for entry in found] == [
        (refs[1].name, "there"),
        (refs[0].name, "there"),
        ("no name at all", "gone"),
        ("x-00000000-0-1-abcde", "gone"),
        (gone, "gone"),
    ]


def test_a_depth_below_nothing_is_a_mistake(url: str) -> None:
    (ref,) = chain_of(url, 1)
    with Checkpoint(store=url) as reader:
        with pytest.raises(InvalidArgumentError, match="depth=-1"):
            reader.lineage(ref, depth=-1)
        assert [entry.name for entry in reader.lineage(ref, depth=0)] == [ref.name]


def test_a_metric_with_a_slash_is_no_task(url: str) -> None:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        ref = ckpt.save(step=1, metrics={"val/loss": 1.0})
        assert ckpt.lineage("best:val/loss:min")[0].name == ref.name
