"""An app that saves every second on a cluster: its older files go, object and bytes, and what is needed stays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.operator_world import NAMESPACE, World
from tests.support.runs import TASK, ZERO, claim, end, run_object
from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.marks import pin, read_pin
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.clock import rfc3339
from trainpoint.errors import ClusterPermissionError, ObjectChangedError, StoreUnreachableError, TrainpointError
from trainpoint.format.layout import SnapshotId, attempt_key
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import AttemptRecord, Holder
from trainpoint.format.reference import CheckpointRef
from trainpoint.policies.app_files import series_name
from trainpoint.policies.settings import AppFileSettings
from trainpoint.testing import MemoryStore
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.deletion import SETTLING
from trainpoint_operator.engine.answers import RuleObjectsError
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.lease import NotLeadingError
from trainpoint_operator.engine.resources import CHECKPOINTS, CRDS, JOBS, RUNS, Key
from trainpoint_operator.reconcile.app_files import MOST, SPARED_SECONDS, STORE_AWAY_SECONDS
from trainpoint_operator.reconcile.checkpoint import reconcile_checkpoint
from trainpoint_operator.reconcile.run import reconcile_run

KEPT_NEWEST = AppFileSettings().keep_latest
BEGUN = 1_665_500_400
RUN = run_object()["metadata"]["name"]
DELETES = "delete checkpoints"


class Scene:
    """A run of an app, what it has saved, and the operator."""

    def __init__(self) -> None:
        self.world = World()
        self.world.clock.advance((ZERO - self.world.clock.now()).total_seconds())
        self.catalog = BucketCatalog(MemoryStore(), clock=self.world.clock, chance=self.world.chance)
        self.away = False
        self.leads: Callable[[], bool] = lambda: True
        self.world.store()
        self.world.kube.put(CRDS, {"metadata": {"name": f"{CHECKPOINTS.plural}.{CHECKPOINTS.group}"}})
        self.world.kube.put(RUNS, run_object())

    @property
    def ctx(self) -> Context:
        return replace(self.world.ctx, buckets=cast(Buckets, self), leads=self.leads)

    async def of(self, namespace: str, store: str) -> BucketCatalog:
        """As Buckets.of."""
        if self.away:
            raise StoreUnreachableError("away")
        return self.catalog

    def ref(self, number: int) -> CheckpointRef:
        return CheckpointRef(TASK, SnapshotId(0, number, f"{number:016x}"))

    def begun(self) -> str:
        """The attempt is on record in the bucket; the nonce that vouches for what it saves."""
        nonce = "ab" * 8
        begun = AttemptRecord(TASK, 0, nonce, Holder("host", 7, "1", "boot", "cd" * 8), "2026-11-22T09:12:05Z", {}, 1)
        self.catalog.store.put(attempt_key(TASK, 0, nonce), begun.to_bytes())
        return nonce

    def save(self, *numbers: int, recorded: bool = True, **spec: Any) -> None:
        """``recorded``: whether the API server was there to be told."""
        for number in numbers:
            id = self.ref(number).id
            snapshot = Snapshot(TASK, id, step=number, series=series_name(BEGUN + number))
            manifest = Manifest(snapshot, rfc3339(self.world.clock.now()), (), ())
            self.catalog.record(manifest)
            if not recorded:
                continue
            body = checkpoint_body(snapshot, store_ref="main", policy="default")
            body["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"}
            body["metadata"]["finalizers"] = [DATA_FINALIZER]
            status = {"commit": commit_of(manifest), "state": "Verified"}
            self.world.kube.put(CHECKPOINTS, {**body, "spec": {**body["spec"], **spec}, "status": status})

    def verify(self) -> None:
        """The operator looks at what was recorded."""
        for one in self.world.ctx.caches.checkpoints.all(NAMESPACE):
            asyncio.run(reconcile_checkpoint(Key(CHECKPOINTS.kind, NAMESPACE, one.name), self.ctx))

    def end(self, **more: Any) -> None:
        ended = {**claim(pod=""), "end": end("Completed", 0), **more}
        before = self.world.read(RUNS, RUN)
        self.world.kube.put(RUNS, {**before, "status": {**before["status"], "claim": ended}})

    def look(self) -> float | None:
        return asyncio.run(reconcile_run(Key(RUNS.kind, NAMESPACE, RUN), self.ctx))

    def settle(self) -> None:
        """The operator looks at what is being deleted until that is done."""
        for _ in range(2):
            self.settle_once()

    def settle_once(self) -> None:
        """It looks at what is being deleted, and time goes on."""
        for one in self.world.ctx.caches.checkpoints.all(NAMESPACE):
            if one.deletion is not None:
                asyncio.run(reconcile_checkpoint(Key(CHECKPOINTS.kind, NAMESPACE, one.name), self.ctx))
        self.world.clock.advance(SETTLING.total_seconds() + 2)

    def objects(self, *, going: bool = False) -> list[int]:
        found = self.world.ctx.caches.checkpoints.all(NAMESPACE)
        return sorted(one.ref.id.sequence for one in found if (one.deletion is not None) == going)

    def files(self) -> list[int]:
        """What the bucket has."""
        return sorted(e.id.sequence for e in self.catalog.entries(TASK) if e.committed and not e.deleted)

    def told(self, reason: str) -> list[str]:
        return [message for about, message, _ in self.world.events.told if about == reason]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_running_app_keeps_its_last_twenty_and_a_few_more_and_an_ended_one_just_those(scene: Scene) -> None:
    for number in range(1, 100):
        scene.save(number)
        scene.look()
        scene.settle()
        assert len(scene.files()) < KEPT_NEWEST + 10
        assert scene.files()[-KEPT_NEWEST:] == list(range(max(1, number - KEPT_NEWEST + 1), number + 1))
    assert scene.world.kube.requests[DELETES] == 70
    scene.end()
    scene.look()
    scene.settle()
    assert scene.files() == scene.objects() == list(range(80, 100))
    assert set(scene.told(reasons.OLDER_FILES_DELETED)) == {
        "older checkpoints of the app were deleted; there stay the last 20, and of every 1 h the last, "
        "and what is pinned or needed"
    }
    assert scene.told(reasons.CHECKPOINT_DELETED) == []


def test_what_is_needed_or_pinned_stays_object_and_bytes(scene: Scene) -> None:
    scene.save(1, pin={"reason": "table 2"})
    scene.save(2, deletionPolicy="Retain")
    scene.save(*range(3, 41))
    pin(scene.catalog, scene.ref(3), reason="from a laptop", by="ada")
    loads = run_object(replace(TASK, run="other"), status={"claim": {"loaded": {"checkpoint": scene.ref(4).name}}})
    asks = run_object(replace(TASK, run="third"), resumeFrom=scene.ref(5).name)
    for run in (loads, asks):
        scene.world.kube.put(RUNS, run)
    template = {"metadata": {"annotations": {"trainpoint.dev/checkpoint": series_name(BEGUN + 6)}}}
    meta = {"namespace": NAMESPACE, "name": "next", "uid": "job-9"}
    scene.world.caches.jobs.apply("ADDED", {"metadata": meta, "spec": {"suspend": True, "template": template}})
    scene.end()
    scene.look()
    assert scene.objects(going=True) == list(range(7, 21))
    scene.settle()
    assert scene.files() == scene.objects() == [*range(1, 7), *range(21, 41)]


def test_what_was_saved_while_the_api_server_was_away_is_recorded_and_goes_too(scene: Scene) -> None:
    scene.save(*range(1, 301), recorded=False)
    nonce = scene.begun()
    scene.end(nonce=nonce)
    looks = 0
    while scene.files() != list(range(281, 301)):
        scene.world.ctx.audits.add(Key(RUNS.kind, NAMESPACE, RUN))  # as each deletion has it
        scene.look()
        scene.verify()
        scene.look()
        scene.settle()
        looks += 1
        assert looks < 20, scene.files()
    assert scene.objects() == scene.files()


def test_the_rest_has_its_turn_after_others(scene: Scene) -> None:
    scene.save(*range(1, KEPT_NEWEST + MOST + 8))
    scene.end()
    assert scene.look() == 1.0
    assert len(scene.objects(going=True)) == MOST
    scene.look()
    assert len(scene.objects()) == KEPT_NEWEST


def test_a_deletion_that_was_begun_is_finished_by_the_next_operator(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.look()
    assert scene.objects(going=True) == list(range(1, 11))
    assert scene.files() == list(range(1, 31)), "the word is given, nothing is gone yet"
    again = Scene()
    again.world, again.catalog = scene.world, scene.catalog
    again.settle()
    assert again.files() == again.objects() == list(range(11, 31))


def test_a_policy_says_how_many(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.world.policy("default", default=True, appFiles={"keepLatest": 3, "keepOneEvery": "0s"})
    scene.look()
    scene.settle()
    assert scene.files() == scene.objects() == [28, 29, 30]
    assert scene.told(reasons.OLDER_FILES_DELETED)[-1].endswith("there stay the last 3, and what is pinned or needed")


@pytest.mark.parametrize(
    ("named", "policies", "why"),
    [
        ("gone", {"other": {}}, "CheckpointPolicy gone does not exist"),
        ("gone", {"other": {"default": True, "appFiles": {"keepLatest": 3}}}, "CheckpointPolicy gone does not exist"),
        ("", {"one": {"default": True}, "two": {"default": True}}, "the namespace has 2 default CheckpointPolicies"),
        ("wrong", {"wrong": {"appFiles": {"keepOneEvery": "soon"}}}, "CheckpointPolicy wrong cannot be used: appFiles"),
        ("wrong", {"wrong": {"appFiles": {"keepLatest": 1}}}, "CheckpointPolicy wrong cannot be used: appFiles"),
        (
            "",
            {"wrong": {"default": True, "appFiles": {"keepOneEvery": "soon"}}},
            "CheckpointPolicy wrong cannot be used: appFiles",
        ),
    ],
    ids=[
        "it is gone",
        "it is gone and there is a default",
        "two defaults",
        "unreadable",
        "too few",
        "the default is unreadable",
    ],
)
def test_where_it_is_not_known_what_the_policy_says_all_stay_and_that_is_told(
    named: str, policies: dict[str, dict[str, Any]], why: str, scene: Scene
) -> None:
    scene.save(*range(1, 31))
    for name, spec in policies.items():
        scene.world.policy(name, **spec)
    if named:
        scene.world.kube.put(RUNS, run_object(policyRef={"name": named}))
    scene.end()
    scene.look()
    assert scene.objects() == list(range(1, 31))
    assert DELETES not in scene.world.kube.requests
    (told,) = scene.told(reasons.OLDER_FILES_STAY)
    assert told.startswith(f"older checkpoints of the app stay: {why}")


def test_of_a_run_that_goes_on_under_another_policy_that_one_counts(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.world.policy("few", default=True, appFiles={"keepLatest": 3, "keepOneEvery": "0s"})
    scene.world.policy("more", appFiles={"keepLatest": 25, "keepOneEvery": "0s"})
    scene.world.kube.put(RUNS, run_object(policyRef={"name": "few"}))
    scene.end(policy="more")
    scene.look()
    scene.settle()
    assert scene.files() == list(range(6, 31))


@pytest.mark.parametrize("refusal", [ClusterPermissionError("no"), RuleObjectsError("no")], ids=repr)
def test_where_it_may_not_or_cannot_everything_stays_and_the_run_goes_on(
    refusal: TrainpointError, scene: Scene
) -> None:
    scene.save(*range(1, 31))
    scene.away = True
    assert scene.look() == STORE_AWAY_SECONDS
    scene.away = False
    scene.world.kube.refuse[DELETES] = refusal
    for _ in range(3):
        assert scene.look() is None
    assert scene.world.kube.requests[DELETES] == 10, "it does not ask again at each save"
    assert scene.objects() == list(range(1, 31))
    del scene.world.kube.refuse[DELETES]
    scene.world.clock.advance(SPARED_SECONDS)
    scene.look()
    assert scene.objects() == list(range(11, 31))


def test_what_a_watch_has_not_told_yet_is_asked_of_the_api_server(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.end()
    scene.world.kube.follow(RUNS, Cache(lambda value: value))  # not the one that is looked into
    asks = run_object(replace(TASK, run="other"), resumeFrom=scene.ref(4).name)
    scene.world.kube.put(RUNS, asks)
    template = {"metadata": {"annotations": {"trainpoint.dev/checkpoint": series_name(BEGUN + 6)}}}
    meta = {"namespace": NAMESPACE, "name": "next", "uid": "job-9"}
    scene.world.kube.put(JOBS, {"metadata": meta, "spec": {"template": template}})
    scene.look()
    assert sorted({*range(1, 11)} - {*scene.objects(going=True)}) == [4, 6]


def test_one_that_changed_meanwhile_is_looked_at_again_soon(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.world.kube.refuse[DELETES] = ObjectChangedError("the object has been modified")
    with pytest.raises(ObjectChangedError):  # for which the queue has a delay
        scene.look()
    assert scene.world.kube.requests[DELETES] == 10, "the others may go"
    del scene.world.kube.refuse[DELETES]
    scene.look()
    assert scene.objects() == list(range(11, 31))


def test_those_that_are_pinned_in_the_bucket_keep_no_others(scene: Scene) -> None:
    scene.save(*range(1, KEPT_NEWEST + MOST + 9))
    for number in range(1, MOST + 1):
        pin(scene.catalog, scene.ref(number), reason="from a laptop", by="ada")
    scene.end()
    assert scene.look() == 1.0
    scene.look()
    assert scene.objects(going=True) == list(range(MOST + 1, MOST + 9))


def test_what_the_run_needed_until_this_very_look_goes(scene: Scene) -> None:
    """The cache tells a moment later what has just been written to its status."""
    scene.save(*range(1, 31))
    scene.end()
    run = scene.world.read(RUNS, RUN)
    pointer = {"checkpoint": scene.ref(5).name}
    scene.world.kube.put(RUNS, {**run, "status": {**run["status"], "latest": pointer, "resume": pointer}})
    scene.world.kube.follow(RUNS, Cache(lambda value: value))  # not the one that is looked into
    scene.look()
    assert scene.objects(going=True) == list(range(1, 11))


def test_while_the_lease_is_late_nothing_goes_and_nothing_is_forgotten(scene: Scene) -> None:
    scene.save(*range(1, 31))
    scene.leads = lambda: False
    with pytest.raises(NotLeadingError):  # which keeps the key in the queue
        scene.look()
    assert DELETES not in scene.world.kube.requests
    scene.leads = lambda: True
    scene.look()
    scene.settle_once()
    scene.leads = lambda: False
    going = [scene.ref(number) for number in range(1, 11)]
    for ref in going:
        with pytest.raises(NotLeadingError):
            asyncio.run(reconcile_checkpoint(Key(CHECKPOINTS.kind, NAMESPACE, ref.name), scene.ctx))
    assert scene.files() == list(range(1, 31))
    scene.leads = lambda: True
    scene.settle_once()
    assert scene.files() == scene.objects() == list(range(11, 31))


def test_without_our_finalizer_it_stays_since_its_bytes_would(scene: Scene) -> None:
    scene.save(*range(1, 31))
    bare = scene.world.read(CHECKPOINTS, scene.ref(1).name)
    bare["metadata"]["finalizers"] = []
    scene.world.kube.put(CHECKPOINTS, bare)
    scene.end()
    scene.look()
    assert scene.objects() == [1, *range(11, 31)]


def test_what_was_pinned_stays_pinned_when_its_object_has_vanished_and_is_made_anew(scene: Scene) -> None:
    nonce = scene.begun()
    scene.save(1)
    name, ref = scene.ref(1).name, scene.ref(1)
    one = scene.world.read(CHECKPOINTS, name)
    scene.world.kube.put(CHECKPOINTS, {**one, "spec": {**one["spec"], "pin": {"reason": "paper"}}})
    scene.verify()
    there = read_pin(scene.catalog.store, TASK, ref.id)
    assert there is not None
    assert there.of_object
    bare = scene.world.read(CHECKPOINTS, name)
    scene.world.kube.put(CHECKPOINTS, {**bare, "metadata": {**bare["metadata"], "finalizers": []}})
    scene.world.kube.remove(CHECKPOINTS, NAMESPACE, name)
    scene.end(nonce=nonce)
    scene.world.ctx.audits.add(Key(RUNS.kind, NAMESPACE, RUN))
    scene.look()
    again = scene.world.read(CHECKPOINTS, name)
    scene.world.kube.put(CHECKPOINTS, {**again, "spec": {**again["spec"], "lateMetrics": {"loss": "1"}}})
    scene.verify()
    there = read_pin(scene.catalog.store, TASK, ref.id)
    assert there is not None
    assert (there.reason, there.of_object) == ("paper", False)
    scene.world.kube.remove(CHECKPOINTS, NAMESPACE, name)
    scene.settle()
    assert scene.files() == [1], "and nobody deletes it before it is unpinned"


def test_what_was_retained_in_the_last_moment_keeps_its_bytes(scene: Scene) -> None:
    scene.save(1)
    name = scene.ref(1).name
    scene.world.kube.remove(CHECKPOINTS, NAMESPACE, name)
    scene.settle_once()
    following = scene.world.ctx.caches.checkpoints
    scene.world.kube.follow(CHECKPOINTS, Cache(lambda value: value))  # a watch that is late
    one = scene.world.read(CHECKPOINTS, name)
    retained = scene.world.kube.put(CHECKPOINTS, {**one, "spec": {**one["spec"], "deletionPolicy": "Retain"}})
    key = Key(CHECKPOINTS.kind, NAMESPACE, name)
    with pytest.raises(ObjectChangedError, match="has changed since its deletion began"):
        asyncio.run(reconcile_checkpoint(key, scene.ctx))
    following.apply("MODIFIED", retained)
    asyncio.run(reconcile_checkpoint(key, scene.ctx))
    assert (CHECKPOINTS.plural, NAMESPACE, name) not in scene.world.kube.objects
    assert scene.files() == [1]


def test_one_that_a_person_deletes_is_told_by_its_name(scene: Scene) -> None:
    scene.save(*range(1, 21))
    scene.world.kube.remove(CHECKPOINTS, NAMESPACE, scene.ref(20).name)
    scene.settle()
    assert scene.told(reasons.CHECKPOINT_DELETED) == [f"{scene.ref(20).name} (step 20) was deleted, with its bytes"]
