"""Everything that a reconciler works with, in memory; time moves when a test says so."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

from tests.support.fakekube import Enqueued, FakeKube, FakeRecorder
from trainpoint.format.digest import JsonObject
from trainpoint.testing import FakeChance, FakeClock
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Context
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import CHECKPOINTS, NAMESPACES, POLICIES, RUNS, SECRETS, STORES
from trainpoint_operator.main import caches
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.pods import LastSights

NAMESPACE = "team-a"


class World:
    """A namespace of a cluster."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.caches = caches()
        for resource, cache in (
            (STORES, self.caches.stores),
            (POLICIES, self.caches.policies),
            (CHECKPOINTS, self.caches.checkpoints),
            (RUNS, self.caches.runs),
        ):
            self.kube.follow(resource, cache)
        self.clock = FakeClock()
        self.chance = FakeChance()
        self.events = FakeRecorder()
        self.enqueued = Enqueued()
        kube = cast(Kube, self.kube)
        self.ctx = Context(
            kube=kube,
            caches=self.caches,
            buckets=Buckets(kube, self.caches.stores, clock=self.clock, chance=self.chance, environ={}),
            events=cast(Recorder, self.events),
            enqueue=self.enqueued,
            sights=LastSights(),
            audits=set(),
            spared={},
            metrics=Metrics(),
            leads=lambda: True,
            clock=self.clock,
            chance=self.chance,
        )
        self.kube.put(NAMESPACES, {"metadata": {"name": NAMESPACE}})

    def secret(self, name: str = "operator-keys", **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.kube.put(SECRETS, {"metadata": {"name": name, "namespace": NAMESPACE}, "data": encoded})

    def keys(self, environ: Mapping[str, str]) -> None:
        """The Secret ``operator-keys`` with the keys of an environment."""
        self.secret(**{name: value for name, value in environ.items() if "KEY" in name})

    def store(self, name: str = "main", **spec: Any) -> JsonObject:
        """A CheckpointStore that names that Secret, unless told otherwise."""
        default = {"s3": {"bucket": "checkpoints"}, "credentials": {"secretRef": {"name": "operator-keys"}}}
        wanted = {key: value for key, value in {**default, **spec}.items() if value is not None}
        return self.kube.put(STORES, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": wanted})

    def policy(self, name: str, **spec: Any) -> JsonObject:
        return self.kube.put(POLICIES, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})

    def checkpoint(self, number: int, *, store: str = "main", stored: int = 0) -> str:
        """A committed Checkpoint object; its name."""
        uid = f"{number:016x}"
        name = f"r-0123abcd-0-{number}-{uid[:5]}"
        snapshot = {"workflow": "w", "run": "r", "task": "main", "attempt": 0, "sequence": number, "uid": uid}
        self.kube.put(
            CHECKPOINTS,
            {
                "metadata": {"name": name, "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"snapshot": {**snapshot, "storeRef": {"name": store}}},
                "status": {"commit": {"storedBytes": stored}},
            },
        )
        return name

    def read(self, resource: Any, name: str) -> JsonObject:
        return self.kube.objects[resource.plural, NAMESPACE, name]

    def condition(self, resource: Any, name: str, type: str = "Ready") -> JsonObject:
        """A condition of an object; empty where it is not there."""
        conditions = self.read(resource, name).get("status", {}).get("conditions", [])
        found: JsonObject = next((c for c in conditions if c["type"] == type), {})
        return found
