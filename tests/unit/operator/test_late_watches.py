"""Whatever order the news come in, and whatever fails meanwhile: in the end just what the rule says is there.

Each case is one seed: how late each of the six watches is (from nothing to two minutes), how slow the API server and
the store are, what fails. Nothing else wakes the operator: what it forgets stays forgotten, and the case fails.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.support.late_world import LateWorld, Trouble
from tests.support.operator_world import NAMESPACE
from tests.support.runs import TASK, claim, end, run_object
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.clock import rfc3339
from trainpoint.format.layout import SnapshotId, attempt_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import AttemptRecord, Holder
from trainpoint.format.reference import CheckpointRef
from trainpoint.policies.app_files import series_name
from trainpoint.policies.settings import AppFileSettings
from trainpoint_operator.engine.resources import CHECKPOINTS, CRDS, NAMESPACES, POLICIES, RUNS, STORES

BEGUN = 1_665_500_400
NONCE = "ab" * 8
PATIENCE_SECONDS = 2000.0
KEPT = AppFileSettings().keep_latest


class Story:
    """An app that saves six times and ends; twenty later files; then a policy that keeps three."""

    def __init__(self, world: LateWorld) -> None:
        self.world = world
        self.loaded = self.name(1)

    def id(self, number: int) -> SnapshotId:
        return SnapshotId(1, number, f"{number:016x}")

    def name(self, number: int) -> str:
        return CheckpointRef(TASK, self.id(number)).name

    def put(self, resource: Any, name: str, spec: dict[str, Any], namespace: str = NAMESPACE) -> None:
        meta = {"name": name} | ({"namespace": namespace} if namespace else {})
        self.world.kube.put(resource, {"metadata": meta, "spec": spec})

    def begin(self) -> None:
        world = self.world
        self.put(NAMESPACES, NAMESPACE, {}, "")
        self.put(CRDS, f"{CHECKPOINTS.plural}.{CHECKPOINTS.group}", {}, "")
        self.put(STORES, "main", {})
        self.put(POLICIES, "default", {"default": True})
        holder = Holder("host", 7, "1", "boot", "cd" * 8)
        record = AttemptRecord(TASK, 1, NONCE, holder, rfc3339(world.clock.now()), {}, 1)
        world.catalog.store.put(attempt_key(TASK, 1, NONCE), record.to_bytes())
        loaded = {"reason": "Newest", "message": "newest", "checkpoint": self.loaded, "policy": "Fresh"}
        claimed = {**claim(1, pod=""), "nonce": NONCE, "policy": "default", "loaded": loaded}
        world.kube.put(RUNS, run_object(status={"claim": claimed}, policyRef={"name": "default"}))

    def save(self, number: int, *, committed: bool) -> None:
        """``committed``: its object says so; else the operator finds out."""
        snapshot = Snapshot(TASK, self.id(number), series=series_name(BEGUN + number))
        manifest = Manifest(snapshot, rfc3339(self.world.clock.now()), (), ())
        self.world.catalog.record(manifest)
        body = checkpoint_body(snapshot, store_ref="main", policy="default", finalizer=DATA_FINALIZER)
        body["metadata"] |= {
            "namespace": NAMESPACE,
            "creationTimestamp": f"{self.world.clock.now():%Y-%m-%dT%H:%M:%SZ}",
        }
        if (CHECKPOINTS.plural, NAMESPACE, self.name(number)) not in self.world.kube.objects:
            status = {"commit": commit_of(manifest)} if committed else {}
            self.world.kube.put(CHECKPOINTS, {**body, "status": status})

    def run(self) -> dict[str, Any]:
        (found,) = [value for key, value in self.world.kube.objects.items() if key[0] == RUNS.plural]
        return found

    def complete(self) -> None:
        status = self.run()["status"]
        over = {**status, "claim": {**status["claim"], "end": end("Completed", 0)}}
        self.world.kube.put(RUNS, {**self.run(), "status": over})

    def succeeded(self) -> bool:
        return bool(self.run()["status"].get("state") == "Succeeded")

    def objects(self) -> set[str]:
        return {name for plural, _, name in self.world.kube.objects if plural == CHECKPOINTS.plural}

    def bytes(self) -> set[str]:
        entries = self.world.catalog.entries(TASK)
        return {CheckpointRef(TASK, e.id).name for e in entries if e.committed and not e.deleted}


async def tell(story: Story) -> None:
    world = story.world
    story.begin()
    for number in range(1, 7):
        story.save(number, committed=True)
        await asyncio.sleep(world.random.uniform(0, 1))
    story.complete()
    assert await world.until(story.succeeded, PATIENCE_SECONDS)
    newer = range(100, 100 + KEPT)
    for number in newer:
        story.save(number, committed=False)
        await asyncio.sleep(world.random.uniform(0, 0.5))
    left = {story.loaded, *map(story.name, newer)}
    assert await world.until(lambda: story.objects() == left, PATIENCE_SECONDS), sorted(story.objects() ^ left)
    story.put(POLICIES, "default", {"default": True, "appFiles": {"keepLatest": 3, "keepOneEvery": "0s"}})
    left = {story.loaded, *map(story.name, newer[-3:])}
    assert await world.until(lambda: story.objects() == left, PATIENCE_SECONDS), sorted(story.objects() ^ left)
    await asyncio.sleep(700)
    assert story.objects() == story.bytes() == left, "and nothing comes back"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(),
        Trouble(flicker=0.05, over=2000),
        Trouble(faults=0.03, flicker=0.05),
        Trouble(faults=0.03, relists=True),
    ],
    ids=["late", "late, and the Lease too", "late, with faults", "late, with faults and new lists"],
)
def test_older_files_go_and_nothing_else(
    trouble: Trouble, seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="trainpoint_operator")
    world = LateWorld(seed, trouble)
    monkeypatch.setattr(asyncio, "to_thread", world.in_thread)
    story = Story(world)
    world.run(lambda: tell(story))
