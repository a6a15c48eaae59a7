"""Later metrics, pins and deletion: races, damage, rights, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointDeletedError,
    CheckpointRef,
    MetricRecordedError,
    PinnedError,
    StorePermissionError,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import record_metrics
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.layout import MetricMark, manifest_key, metric_key, snapshot_data
from trainpoint.format.marks import LateMetricRecord
from trainpoint.testing import MemoryStore

T = "2026-01-01T00:00:00Z"


def saved(url: str, count: int = 1) -> list[CheckpointRef]:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        (ckpt.path / "x").write_text("x")
        return [CheckpointRef.from_json(ckpt.save(step=n + 1).to_json()) for n in range(count)]


def metrics_of(url: str) -> dict[str, float]:
    with Checkpoint(store=url) as reader:
        return dict(reader.list(task="w/r/main")[0].metrics)


def test_two_evaluators_that_disagree_at_the_same_moment_are_told_and_readers_agree(
    url: str, store: MemoryStore
) -> None:
    (ref,) = saved(url)
    rival = BucketCatalog(store, clock=SystemClock(), chance=SystemChance())

    def interfere(verb: str, key: str) -> None:
        if verb == "put" and ".metric-" in key:
            store.before = None
            record_metrics(rival, ref, {"accuracy": "0.5"}, by="bob")  # after the look of the other, before its put

    store.before = interfere
    with Checkpoint(store=url) as reader, pytest.raises(MetricRecordedError, match=r"at the same moment as 0\.5"):
        reader.record_metrics(ref, {"accuracy": 0.6})
    with Checkpoint(store=url) as reader, pytest.raises(MetricRecordedError):
        reader.record_metrics(ref, {"accuracy": 0.7})
    first = min((0.5, 0.6), key=lambda value: MetricMark.of("accuracy", str(value)))
    assert metrics_of(url)["accuracy"] == first


def test_a_metric_recorded_while_the_checkpoint_is_deleted_is_told(url: str, store: MemoryStore) -> None:
    (ref,) = saved(url)

    def interfere(verb: str, key: str) -> None:
        if verb == "put" and ".metric-" in key:
            store.before = None
            BucketCatalog(store, clock=SystemClock(), chance=SystemChance()).delete(ref.task, ref.id, by="bob")

    store.before = interfere
    with Checkpoint(store=url) as reader, pytest.raises(CheckpointDeletedError, match="deleted meanwhile"):
        reader.record_metrics(ref, {"accuracy": 0.6})


def test_a_damaged_metric_counts_as_not_there(url: str, store: MemoryStore) -> None:
    (ref,) = saved(url)
    good = LateMetricRecord(ref.task, ref.id, "b", "2.0", "me", T).to_bytes()
    store.put(metric_key(ref.task, ref.id, MetricMark.of("a", "1.0")), b"{}")
    store.put(metric_key(ref.task, ref.id, MetricMark.of("b", "2.0")), good)
    store.put(metric_key(ref.task, ref.id, MetricMark.of("c", "2.0")), good)  # copied to where it does not belong
    assert metrics_of(url) == {"b": 2.0}


def test_lists_cost_one_read_more_for_each_later_metric_and_none_without(url: str, store: MemoryStore) -> None:
    refs = saved(url, 40)

    def cost() -> dict[str, int]:
        with Checkpoint(store=url) as reader:
            before = dict(store.requests)
            assert len(reader.list(task="w/r/main")) == 40
        return {verb: n - before.get(verb, 0) for verb, n in store.requests.items() if n > before.get(verb, 0)}

    plain = cost()
    assert (plain["list"], plain["get"]) == (1, 40)
    with Checkpoint(store=url) as reader:
        reader.record_metrics(refs[3], {"a": 1, "b": 2})
        reader.pin(refs[5], reason="good")
    marked = cost()
    assert (marked["list"], marked["get"]) == (1, 43)


def test_a_pin_that_loses_against_a_deletion_is_told(url: str, store: MemoryStore) -> None:
    (ref,) = saved(url)

    def interfere(verb: str, key: str) -> None:
        if verb == "put" and key.endswith(".pin"):
            store.before = None
            BucketCatalog(store, clock=SystemClock(), chance=SystemChance()).delete(ref.task, ref.id, by="bob")

    store.before = interfere
    with Checkpoint(store=url) as reader, pytest.raises(CheckpointDeletedError, match="deleted meanwhile"):
        reader.pin(ref, reason="mine")


def test_a_damaged_pin_still_holds(url: str, store: MemoryStore) -> None:
    (ref,) = saved(url)
    store.put(manifest_key(ref.task, ref.id, "pin"), b"{}")
    with Checkpoint(store=url) as reader:
        assert reader.list(task="w/r/main")[0].pinned == "unreadable"
        with pytest.raises(PinnedError, match="unreadable"):
            reader.delete(ref)
        reader.unpin(ref)
        reader.delete(ref)


def test_credentials_that_may_not_delete_are_told_so_with_a_way_out(url: str, store: MemoryStore) -> None:
    (ref,) = saved(url)

    def deny(verb: str, key: str) -> None:
        if verb == "delete":
            raise StorePermissionError("the store refused the credentials (AccessDenied)")

    with Checkpoint(store=url) as reader:
        reader.pin(ref, reason="good")
        store.before = deny
        with pytest.raises(StorePermissionError, match="stays pinned") as caught:
            reader.unpin(ref)
        assert "may not, on purpose" in caught.value.remedy
        store.before = None
        reader.unpin(ref)
        store.before = deny
        with pytest.raises(StorePermissionError, match="is not deleted") as caught:
            reader.delete(ref)
        assert "may not, on purpose" in caught.value.remedy
        store.before = None


def test_a_deletion_that_was_broken_off_is_finished_by_the_next(url: str, store: MemoryStore, tmp_path: Path) -> None:
    (ref,) = saved(url)
    calls = 0

    def break_off(verb: str, key: str) -> None:
        nonlocal calls
        calls += verb == "delete"
        if verb == "delete" and calls == 2:
            raise StorePermissionError("went away")

    with Checkpoint(store=url) as reader:
        reader.record_metrics(ref, {"a": 1})
        store.before = break_off
        with pytest.raises(StorePermissionError):
            reader.delete(ref)
        store.before = None
        with pytest.raises(CheckpointDeletedError):
            reader.record_metrics(ref, {"b": 1})
        assert len(reader.list(task="w/r/main")) == 0
        reader.delete(ref)
        assert not list(store.list(snapshot_data(ref.task, ref.id)))
        left = [row.key for row in store.list(ref.task.manifests) if ref.id.uid in row.key]
        assert left == [manifest_key(ref.task, ref.id, "tombstone")]
        puts = store.requests["put"]
        reader.delete(ref)
        assert store.requests["put"] == puts, "nothing is left to do"
