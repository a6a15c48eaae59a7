"""Pins and late metrics of an object, copied into the bucket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.operator_world import NAMESPACE, World
from tests.support.saves import TASK, Saves
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.marks import delete, entry_at, late_metrics, pin, read_pin, unpin
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.errors import PinnedError, StoreError, StoreUnreachableError
from trainpoint.format.reference import CheckpointRef
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.deletion import SETTLING
from trainpoint_operator.engine.resources import CHECKPOINTS, CRDS, Key
from trainpoint_operator.reconcile.checkpoint import reconcile_checkpoint
from trainpoint_operator.reconcile.deletion import BLOCKED_SECONDS


class OneBucket:
    """Every store is this one."""

    def __init__(self, saves: Saves) -> None:
        self.saves = saves
        self.trouble: StoreError | None = None

    async def of(self, namespace: str, store: str) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return self.saves.catalog


class Scene:
    """A committed checkpoint, its object, and the operator."""

    def __init__(self, folder: Path) -> None:
        self.saves, self.world = Saves(folder), World()
        self.manifest = self.saves.save(0, 1)
        self.ref = CheckpointRef(TASK, self.manifest.snapshot.id)
        self.bucket = OneBucket(self.saves)
        self.ctx: Context = replace(self.world.ctx, buckets=cast(Buckets, self.bucket))
        body = checkpoint_body(self.manifest.snapshot, store_ref="main", policy="default")
        body["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"}
        body["metadata"]["finalizers"] = [DATA_FINALIZER]
        self.world.store()
        self.world.kube.put(CRDS, {"metadata": {"name": f"{CHECKPOINTS.plural}.{CHECKPOINTS.group}"}})
        self.world.kube.put(CHECKPOINTS, {**body, "status": {"commit": commit_of(self.manifest)}})

    def want(self, **spec: Any) -> float | None:
        """A person changes the spec, and the operator looks; when it will look again."""
        before = self.world.read(CHECKPOINTS, self.ref.name)
        changed = {key: value for key, value in {**before["spec"], **spec}.items() if value is not None}
        self.world.kube.put(CHECKPOINTS, {**before, "spec": changed})
        return self.look()

    def look(self) -> float | None:
        return asyncio.run(reconcile_checkpoint(Key(CHECKPOINTS.kind, NAMESPACE, self.ref.name), self.ctx))

    def delete(self) -> None:
        """Somebody who is allowed to deletes the object, and the operator looks until it has had time to settle."""
        self.world.kube.remove(CHECKPOINTS, NAMESPACE, self.ref.name)
        self.look()
        self.world.clock.advance(SETTLING.total_seconds() + 2)
        self.look()

    @property
    def gone(self) -> bool:
        return (CHECKPOINTS.plural, NAMESPACE, self.ref.name) not in self.world.kube.objects

    @property
    def observed(self) -> int:
        return int(self.world.read(CHECKPOINTS, self.ref.name)["status"].get("observedGeneration", 0))

    @property
    def late(self) -> dict[str, str]:
        entry = entry_at(self.saves.store, self.ref)
        assert entry is not None
        return late_metrics(self.saves.store, TASK, self.ref.id, entry.late)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.look()
    return scene


def test_a_pin_of_the_object_holds_in_the_bucket_and_goes_with_it(scene: Scene) -> None:
    scene.want(pin={"reason": "table 2", "by": "ada"})
    there = read_pin(scene.saves.store, TASK, scene.ref.id)
    assert there is not None
    assert (there.reason, there.by, there.of_object) == ("table 2", "ada", True)
    with pytest.raises(PinnedError, match="table 2, by ada"):
        delete(scene.saves.catalog, scene.ref, by="me")
    scene.want(pin={"reason": "table 3"})
    there = read_pin(scene.saves.store, TASK, scene.ref.id)
    assert there is not None
    assert (there.reason, there.by) == ("table 3", "unknown")
    scene.want(pin=None)
    assert read_pin(scene.saves.store, TASK, scene.ref.id) is None


def test_a_pin_that_was_set_in_the_bucket_stays_when_the_object_changes(scene: Scene) -> None:
    pin(scene.saves.catalog, scene.ref, reason="mine", by="bob")
    scene.want(deletionPolicy="Retain")
    scene.want(pin={"reason": "table 2"})
    scene.want(pin=None)
    there = read_pin(scene.saves.store, TASK, scene.ref.id)
    assert there is not None
    assert there.reason == "mine"
    unpin(scene.saves.catalog, scene.ref)
    assert read_pin(scene.saves.store, TASK, scene.ref.id) is None


def test_late_metrics_of_the_object_count_in_the_bucket(scene: Scene) -> None:
    scene.want(lateMetrics={"accuracy": "0.910"})
    scene.want(lateMetrics={"accuracy": "0.910", "bleu": "31"})
    assert scene.late == {"accuracy": "0.91", "bleu": "31.0"}


def test_an_object_that_nobody_changed_costs_the_store_nothing(scene: Scene) -> None:
    scene.want(pin={"reason": "table 2"})
    before = scene.saves.store.requests.total()
    assert scene.look() is None
    assert scene.saves.store.requests.total() == before


def test_what_the_store_did_not_take_is_tried_again(scene: Scene) -> None:
    scene.bucket.trouble = StoreUnreachableError("the store is away")
    assert scene.want(pin={"reason": "table 2"}) is not None, "it looks again"
    assert scene.observed < 2, "this change is not dealt with yet"
    scene.bucket.trouble = None
    assert scene.look() is None
    assert read_pin(scene.saves.store, TASK, scene.ref.id) is not None
    assert scene.observed == 2


def test_a_metric_that_is_there_with_another_value_is_not_tried_for_ever(scene: Scene) -> None:
    scene.want(lateMetrics={"accuracy": "0.5"})
    assert scene.want(lateMetrics={"accuracy": "0.6"}) is None
    assert scene.late == {"accuracy": "0.5"}


def test_a_deletion_stops_at_a_pin_in_the_bucket_until_somebody_unpins_it(scene: Scene) -> None:
    pin(scene.saves.catalog, scene.ref, reason="mine", by="bob")
    scene.delete()
    blocked = scene.world.condition(CHECKPOINTS, scene.ref.name, "DeletionBlocked")
    assert (blocked["status"], blocked["reason"]) == ("True", "PinnedInStore")
    assert "mine, by bob" in blocked["message"]
    assert scene.saves.catalog.manifest(TASK, scene.ref.id) == scene.manifest
    unpin(scene.saves.catalog, scene.ref)
    scene.world.clock.advance(BLOCKED_SECONDS)
    scene.look()
    assert scene.gone
    assert scene.saves.catalog.is_deleted(TASK, scene.ref.id)


def test_the_copy_of_a_pin_does_not_outlive_the_object_that_an_administrator_deletes(scene: Scene) -> None:
    scene.want(pin={"reason": "table 2"})
    scene.delete()
    assert scene.gone
    assert read_pin(scene.saves.store, TASK, scene.ref.id) is None
