"""The reconcilers of stores and policies on a real API server, with the operator's own rights, and a real S3 server."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from tests.api.conftest import Team
from tests.support.fakekube import Enqueued
from tests.support.objects import checkpoint, new_task, path
from tools.s3server import ADMIN, DEFAULT_BUCKET, S3Server
from trainpoint.api import reasons
from trainpoint.cluster import chosen_policy
from trainpoint.errors import NotConfiguredError
from trainpoint.testing import FakeChance, FakeClock
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Context
from trainpoint_operator.engine.connection import Connection, Token
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import CHECKPOINTS, POLICIES, STORES, Key
from trainpoint_operator.main import caches
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.pods import LastSights
from trainpoint_operator.reconcile.policy import reconcile_policy
from trainpoint_operator.reconcile.store import reconcile_store

CONFIG_MAP = "configmaps/trainpoint"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


class Reconciled:
    """Looks at objects as the operator would; its caches are filled before each look."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.namespace = team.namespace
        self.clock = FakeClock()

    def _run(self, look: Callable[[Context], Awaitable[float | None]]) -> float | None:
        async def run() -> float | None:
            api = self.team.operator
            tls = ssl.create_default_context(cafile=str(api.authority))
            async with Kube(Connection(api.url, tls, Token(self.clock, value=api.token))) as kube:
                kept = caches()
                for resource, cache in (
                    (STORES, kept.stores),
                    (POLICIES, kept.policies),
                    (CHECKPOINTS, kept.checkpoints),
                ):
                    cast(Any, cache).replace((await kube.list(resource, self.namespace)).items, self.namespace)
                chance = FakeChance()
                buckets = Buckets(kube, kept.stores, clock=self.clock, chance=chance, environ={})
                context = Context(
                    kube=kube,
                    caches=kept,
                    buckets=buckets,
                    events=Recorder(kube, self.clock, instance="the-test"),
                    enqueue=Enqueued(),
                    sights=LastSights(),
                    audits=set(),
                    spared={},
                    metrics=Metrics(),
                    leads=lambda: True,
                    clock=self.clock,
                    chance=chance,
                )
                return await look(context)

        return asyncio.run(run())

    def store(self, name: str) -> float | None:
        return self._run(lambda ctx: reconcile_store(Key(STORES.kind, self.namespace, name), ctx))

    def policies(self) -> float | None:
        return self._run(lambda ctx: reconcile_policy(Key(POLICIES.kind, self.namespace, ""), ctx))

    # --- what is there ------------------------------------------------------------------------------------------------

    def make(self, kind: str, name: str, **spec: Any) -> None:
        body = {"apiVersion": "trainpoint.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.team.root.post(path(self.namespace, f"checkpoint{_plural(kind)}"), body).expect(201)

    def change(self, plural: str, name: str, **spec: Any) -> None:
        self.team.root.patch(path(self.namespace, plural, name), {"spec": spec}).expect(200)

    def secret(self, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        at = f"/api/v1/namespaces/{self.namespace}/secrets"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": encoded}
        if self.team.root.post(at, body).status == 409:
            self.team.root.patch(f"{at}/keys", {"data": encoded}).expect(200)

    def ready(self, plural: str, name: str) -> dict[str, Any]:
        conditions = self.read(plural, name)["status"]["conditions"]
        found: dict[str, Any] = next(c for c in conditions if c["type"] == "Ready")
        return found

    def read(self, plural: str, name: str) -> dict[str, Any]:
        return self.team.root.get(path(self.namespace, plural, name)).expect(200)

    def told_to_a_pod(self, wanted: str = "") -> tuple[str, dict[str, Any]]:
        """What a training pod makes of the ConfigMap, read with its own rights."""
        found = self.team.pod.api.get(f"/api/v1/namespaces/{self.namespace}/{CONFIG_MAP}").expect(200)
        return chosen_policy(found.get("data") or {}, wanted, namespace=self.namespace)


def _plural(kind: str) -> str:
    return {"CheckpointStore": "stores", "CheckpointPolicy": "policies"}[kind]


def test_a_store_and_its_policies_from_a_missing_secret_to_a_job_that_reads_them(team: Team, s3: S3Server) -> None:
    r = Reconciled(team)
    place = {"bucket": DEFAULT_BUCKET, "endpoint": s3.endpoint}
    r.make("CheckpointStore", "main", s3=place, prefix="llm", credentials={"secretRef": {"name": "keys"}})
    r.make("CheckpointPolicy", "llm", default=True, storeRef={"name": "main"})
    stores, policies = "checkpointstores", "checkpointpolicies"

    r.store("main")
    assert r.ready(stores, "main")["reason"] == reasons.SECRET_NOT_FOUND
    r.policies()
    ready = r.ready(policies, "llm")
    assert (ready["status"], ready["reason"]) == ("False", reasons.STORE_NOT_READY)
    assert r.ready(stores, "main")["message"] in ready["message"]
    assert r.told_to_a_pod()[1]["store"]["url"] == f"s3://{DEFAULT_BUCKET}/llm", "compiled all the same"

    r.secret(AWS_ACCESS_KEY_ID=ADMIN.access_key)
    r.store("main")
    assert r.ready(stores, "main")["reason"] == reasons.SECRET_INCOMPLETE

    r.secret(AWS_ACCESS_KEY_ID=ADMIN.access_key, AWS_SECRET_ACCESS_KEY=ADMIN.secret_key)
    assert r.store("main") is not None
    store = r.read(stores, "main")
    assert r.ready(stores, "main")["status"] == "True"
    assert store["metadata"]["finalizers"] == ["trainpoint.dev/store"]
    assert store["status"]["server"].startswith("SeaweedFS")
    assert store["status"]["capabilities"] == {"conditionalWrites": True, "versioning": False, "objectLock": False}
    assert store["status"]["display"] == {"stored": "0"}
    r.policies()
    assert r.ready(policies, "llm")["status"] == "True"
    name, entry = r.told_to_a_pod()
    assert (name, entry["store"]["endpoint"]) == ("llm", s3.endpoint)

    events = team.root.get(f"/apis/events.k8s.io/v1/namespaces/{r.namespace}/events").expect(200)["items"]
    told = {e["reason"]: e for e in events if e["regarding"]["name"] == "main"}
    assert set(told) == {"StoreNotReady", "StoreReady"}
    assert told["StoreNotReady"]["type"] == "Warning"

    versions = [r.read(stores, "main"), r.read(policies, "llm")]
    r.store("main")
    r.policies()
    assert [r.read(stores, "main"), r.read(policies, "llm")] == versions, "nothing changed, nothing is written"


def test_what_takes_several_objects_to_see_is_one_sentence_on_the_object_and_for_the_job(team: Team) -> None:
    r = Reconciled(team)
    r.make("CheckpointPolicy", "second", default=True)
    r.make("CheckpointPolicy", "lost", storeRef={"name": "nowhere"})
    try:
        r.policies()
        for wanted, name, reason in (
            ("", "second", reasons.MORE_THAN_ONE_DEFAULT),
            ("lost", "lost", reasons.STORE_NOT_FOUND),
        ):
            ready = r.ready("checkpointpolicies", name)
            assert (ready["status"], ready["reason"]) == ("False", reason)
            with pytest.raises(NotConfiguredError) as caught:
                r.told_to_a_pod(wanted)
            assert f"{caught.value.message}; {caught.value.remedy}" == ready["message"]
        assert r.ready("checkpointpolicies", "llm")["reason"] == reasons.MORE_THAN_ONE_DEFAULT
    finally:
        for name in ("second", "lost"):
            team.root.delete(path(r.namespace, "checkpointpolicies", name)).expect(200)
    r.policies()
    assert r.told_to_a_pod()[0] == "llm"
    assert r.ready("checkpointpolicies", "llm")["status"] == "True"


def test_a_secret_that_no_role_names_may_not_be_read_and_that_is_told(team: Team) -> None:
    r = Reconciled(team)
    r.make("CheckpointStore", "closed", s3={"bucket": "bucket"}, credentials={"secretRef": {"name": "others"}})
    r.store("closed")
    ready = r.ready("checkpointstores", "closed")
    assert ready["reason"] == reasons.SECRET_FORBIDDEN
    assert "rbac.allSecrets" in ready["message"]
    team.root.delete(path(r.namespace, "checkpointstores", "closed")).expect(200)
    assert r.store("closed") is None
    assert team.root.get(path(r.namespace, "checkpointstores", "closed")).status == 404


def test_a_store_goes_when_the_last_checkpoint_that_names_it_has_gone(team: Team) -> None:
    r = Reconciled(team)
    body = checkpoint(new_task(), team.pod)
    team.pod.api.post(path(r.namespace, "checkpoints"), body).expect(201)
    team.root.delete(path(r.namespace, "checkpointstores", "main")).expect(200)
    assert r.store("main") is not None
    store = r.read("checkpointstores", "main")
    assert store["status"]["checkpoints"] == 1
    blocked = {c["type"]: c["status"] for c in store["status"]["conditions"]}
    assert blocked == {"Ready": "True", "DeletionBlocked": "True"}
    team.root.delete(path(r.namespace, "checkpoints", body["metadata"]["name"])).expect(200)
    assert r.store("main") is None
    assert team.root.get(path(r.namespace, "checkpointstores", "main")).status == 404
