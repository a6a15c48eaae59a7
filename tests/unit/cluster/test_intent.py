"""Pins and deletions on a cluster: fields and verbs of an object, with the rights of whoever asks."""

from __future__ import annotations

import copy
import secrets
from dataclasses import replace
from typing import Any, cast

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointRef,
    ClusterPermissionError,
    PinnedError,
)
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog import intent, marks
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.kube import Kube
from trainpoint.catalog.marks import read_pin
from trainpoint.cluster import Cluster
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.pod import Pod
from trainpoint.policies.settings import PolicySettings
from trainpoint.testing import FakeChance, FakeClock, MemoryStore

TASK = TaskPath("w", "r", "main", namespace="team-a")
REF = CheckpointRef(TASK, SnapshotId(0, 1, "ab" * 8))


class Objects:
    """Checkpoint objects of one namespace, and who asks: with roles as the charts grant them."""

    def __init__(self, namespace: str = "team-a", *, may: str = "patch delete unpin") -> None:
        self.namespace = namespace
        self.may = may
        meta = {"name": REF.name, "finalizers": [DATA_FINALIZER]}
        self.there: dict[str, dict[str, Any]] = {REF.name: {"metadata": meta, "spec": {"snapshot": {}}}}

    def in_namespace(self, name: str) -> Objects:
        return self if name == self.namespace else Objects(name, may="")

    def get(self, plural: str, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.there.get(name))

    def patch(self, plural: str, name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._check("patch", name, guarded="change or remove the pin")
        found: dict[str, Any] | None = self.there.get(name)
        if found is not None:
            merged = {**found["spec"], **body["spec"]}
            found["spec"] = {key: value for key, value in merged.items() if value is not None}
        return found

    def delete(self, plural: str, name: str) -> bool:
        self._check("delete", name, guarded="delete it")
        return self.there.pop(name, None) is not None

    def _check(self, verb: str, name: str, *, guarded: str) -> None:
        if verb not in self.may:
            raise ClusterPermissionError(f"cannot {verb} checkpoints/{name}: forbidden", remedy="bind the role")
        if "pin" in self.there.get(name, {}).get("spec", {}) and "unpin" not in self.may:
            raise ClusterPermissionError(f"checkpoint {name} is pinned (table 2, by ada); to {guarded} you need ...")

    @property
    def pin(self) -> dict[str, str] | None:
        spec: dict[str, Any] = self.there[REF.name]["spec"]
        return spec.get("pin")


def kube(objects: Objects) -> Kube:
    return cast(Kube, objects)


def test_a_pin_is_a_field_of_the_object(url: str) -> None:
    objects = Objects()
    assert intent.pin(kube(objects), REF.name, reason="table 2", by="ada")
    assert objects.pin == {"reason": "table 2", "by": "ada"}
    assert intent.pin(kube(objects), REF.name, reason="table 2", by="bob"), "the same reason again is fine"
    with pytest.raises(PinnedError, match="pinned already \\(table 2, by ada\\)"):
        intent.pin(kube(objects), REF.name, reason="mine", by="bob")
    assert intent.unpin(kube(objects), REF.name)
    assert objects.pin is None
    assert not intent.pin(kube(objects), "nothing", reason="x", by="y")


def test_who_may_not_is_told_what_it_takes() -> None:
    pod = Objects(may="")
    with pytest.raises(ClusterPermissionError, match="is not deleted") as caught:
        intent.delete(kube(pod), REF.name)
    assert "a training pod may not, on purpose" in caught.value.remedy
    assert "trainpoint-edit" in caught.value.remedy
    with pytest.raises(ClusterPermissionError, match="is not pinned") as caught:
        intent.pin(kube(pod), REF.name, reason="x", by="y")
    assert "trainpoint-edit" in caught.value.remedy
    editor = Objects(may="patch delete")
    intent.pin(kube(editor), REF.name, reason="table 2", by="ada")
    for verb in (intent.unpin, intent.delete):
        with pytest.raises(PinnedError, match="is pinned \\(table 2, by ada\\)") as pinned:
            verb(kube(editor), REF.name)
        assert "trainpoint-admin" in pinned.value.remedy


# --- the handle -------------------------------------------------------------------------------------------------------


@pytest.fixture
def url() -> str:
    return f"memory://{secrets.token_hex(6)}"


def reader(url: str, objects: Objects) -> Checkpoint:
    """A handle of a pod of the namespace team-a, in which REF was saved."""
    store = MemoryStore.named(url.removeprefix("memory://"))
    catalog = BucketCatalog(store, clock=FakeClock(), chance=FakeChance())
    catalog.record(Manifest(Snapshot(TASK, REF.id, step=1), "2026-01-01T00:00:00Z", (), ()))
    handle = Checkpoint(store=url)
    cluster = Cluster(kube(objects), Pod("team-a", "p", "u"), "", PolicySettings(), "main", url, {}, "a test")
    handle._context = replace(handle._context, cluster=cluster, catalog=catalog)
    return handle


def test_delete_asks_for_the_object_and_leaves_the_bytes_to_the_operator(url: str) -> None:
    objects = Objects()
    with reader(url, objects) as ckpt:
        ckpt.delete(REF)
        assert not objects.there
        assert ckpt.load(REF).step == 1, "the operator has not deleted the bytes yet"
        ckpt.delete(REF)  # no object any more, or never one: its bytes
        assert ckpt._context.catalog.is_deleted(TASK, REF.id)


def test_a_pod_that_may_not_deletes_nothing(url: str) -> None:
    with reader(url, Objects(may="")) as ckpt:
        with pytest.raises(ClusterPermissionError):
            ckpt.delete(REF)
        with pytest.raises(ClusterPermissionError):
            ckpt.pin(REF, reason="mine")
        assert ckpt.load(REF).step == 1
        assert read_pin(ckpt._context.catalog.store, TASK, REF.id) is None


def test_a_pin_is_asked_of_the_object_and_copied_into_the_bucket(url: str) -> None:
    objects = Objects()
    with reader(url, objects) as ckpt:
        ckpt.pin(REF, reason="table 2")
        assert (objects.pin or {})["reason"] == "table 2"
        there = read_pin(ckpt._context.catalog.store, TASK, REF.id)
        assert there is not None
        assert (there.reason, there.of_object) == ("table 2", True)
        ckpt.unpin(REF)
        assert objects.pin is None
        assert read_pin(ckpt._context.catalog.store, TASK, REF.id) is None


def test_a_pin_in_the_bucket_alone_goes_with_unpin_as_well(url: str) -> None:
    with reader(url, Objects()) as ckpt:
        catalog = ckpt._context.catalog
        marks.pin(catalog, REF, reason="mine", by="bob")
        ckpt.unpin(REF)
        assert read_pin(catalog.store, TASK, REF.id) is None


def test_who_knows_no_cluster_does_not_take_away_the_pin_of_an_object(url: str) -> None:
    with reader(url, Objects()) as ckpt:
        ckpt.pin(REF, reason="table 2")
        catalog = ckpt._context.catalog
        with pytest.raises(PinnedError, match=r"pinned by its object on a cluster \(table 2") as caught:
            marks.unpin(catalog, REF)
        assert f"kubectl trainpoint unpin {REF}" in caught.value.remedy
        marks.unpin(catalog, REF, copies=True)
        assert read_pin(catalog.store, TASK, REF.id) is None


@pytest.mark.parametrize(
    ("change", "said", "bytes_stay"),
    [
        ({}, "Asked", True),
        ({"spec": {"deletionPolicy": "Retain"}}, "Retained", True),
        ({"metadata": {}}, "OnlyObject", False),
    ],
    ids=["an operator looks after it", "its bytes are to stay", "no operator"],
)
def test_who_deletes_the_bytes(url: str, change: dict[str, Any], said: str, bytes_stay: bool) -> None:
    objects = Objects()
    objects.there[REF.name] |= change
    assert intent.delete(kube(copy.deepcopy(objects)), REF.name) == said
    with reader(url, objects) as ckpt:
        ckpt.delete(REF)
        assert not objects.there
        assert ckpt._context.catalog.is_deleted(TASK, REF.id) is not bytes_stay
