"""What every reconciler works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trainpoint.clock import Chance, Clock
from trainpoint.format.digest import JsonObject
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.lease import NotLeadingError
from trainpoint_operator.engine.resources import Key
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.pods import LastSights
from trainpoint_operator.views import CheckpointView, JobView, PodView


@dataclass(frozen=True, slots=True)
class Caches:
    """What the API server has, as watches last told; read-only for reconcilers."""

    checkpoints: Cache[CheckpointView]
    runs: Cache[JsonObject]
    policies: Cache[JsonObject]
    stores: Cache[JsonObject]
    jobs: Cache[JobView]
    pods: Cache[PodView]


@dataclass(frozen=True, slots=True)
class Context:
    """Hands and eyes of the reconcilers; decisions are given what they need of it, never itself."""

    kube: Kube
    caches: Caches
    buckets: Buckets
    events: Recorder
    enqueue: Callable[[Key, float], None]
    """look at that object again, after so many seconds"""
    sights: LastSights
    audits: set[Key]
    """runs whose place in the bucket is to be compared with the objects there are"""
    spared: dict[str, float]
    """older files of apps that the rule cannot delete just now, by UID: until when they are not tried; monotonic"""
    metrics: Metrics
    leads: Callable[[], bool]
    """whether this replica still holds the Lease"""
    clock: Clock
    chance: Chance

    def must_lead(self) -> None:
        """Asked before each deletion. NotLeadingError: the Lease was not renewed in time; the worker keeps the key."""
        if not self.leads():
            raise NotLeadingError("the Lease was not renewed in time")
