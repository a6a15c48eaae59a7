"""What the operator counts and measures, for Prometheus. Names are API: ``docs/reference/metrics.md`` lists them.

Labels that people's names go into are bounded, so that no workload can grow the operator's memory.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from trainpoint_operator.engine.resources import Key, Resource
from trainpoint_operator.views import CheckpointView, moment

PAIRS: Final = 1000
"""Workflows, and stores, that have series of their own: those that were set last."""
UNSEEN: Final = "Saving"
"""The state of a checkpoint that nobody has looked at yet."""
_RECONCILE_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_WAIT_BUCKETS: Final = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """All metrics of one process, in a registry of their own. The methods are what others call or pass on."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._reconcile = Histogram(
            "trainpoint_reconcile_seconds",
            "Time to reconcile one object",
            ["kind", "result"],
            buckets=_RECONCILE_BUCKETS,
            registry=registry,
        )
        self._waited = Histogram(
            "trainpoint_queue_wait_seconds",
            "Time that a key was ready before a worker took it",
            ["kind"],
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self._retried = Counter(
            "trainpoint_queue_retries", "Reconciliations that failed and come again", ["kind"], registry=registry
        )
        self._requests = Counter(
            "trainpoint_api_requests", "Requests to the API server", ["verb", "resource", "code"], registry=registry
        )
        self.lag = Gauge(
            "trainpoint_event_loop_lag_seconds",
            "How much later than asked for the event loop woke, at its worst in the last minute",
            registry=registry,
        )
        self._deleted = Counter("trainpoint_deleted_bytes", "Bytes deleted from stores", registry=registry)
        self._corrupt = Counter(
            "trainpoint_verification_failures", "Checkpoints that were found corrupt", registry=registry
        )
        self._ended = Counter("trainpoint_attempts_ended", "Attempts that ended", ["result"], registry=registry)
        self._checkpoints = Gauge(
            "trainpoint_checkpoints", "Checkpoint objects", ["namespace", "state"], registry=registry
        )
        self._counts: Counts[tuple[str, str]] = Counts()
        self._stored = _Bounded(
            Gauge(
                "trainpoint_stored_bytes", "Bytes of a store's checkpoints", ["namespace", "store"], registry=registry
            )
        )
        self._commit = _Bounded(
            Gauge(
                "trainpoint_last_commit_timestamp_seconds",
                "When a checkpoint was last committed, as Unix time",
                ["namespace", "workflow"],
                registry=registry,
            )
        )

    # --- the engine's -------------------------------------------------------------------------------------------------

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """For :func:`~trainpoint_operator.engine.worker.work`."""
        self._reconcile.labels(kind, result).observe(seconds)

    def taken(self, key: Key, waited: float) -> None:
        """For :class:`~trainpoint_operator.engine.queue.Queue`."""
        self._waited.labels(key.kind).observe(waited)

    def retried(self, key: Key) -> None:
        """For :class:`~trainpoint_operator.engine.queue.Queue`."""
        self._retried.labels(key.kind).inc()

    def requested(self, verb: str, resource: Resource, code: str) -> None:
        """For :class:`~trainpoint_operator.engine.kube.Kube`."""
        self._requests.labels(verb, resource.plural, code).inc()

    def read(
        self,
        *,
        depth: Callable[[], float],
        leads: Callable[[], bool],
        informers: Callable[[], Mapping[str, tuple[int, float]]],
    ) -> None:
        """What is looked up when somebody asks: the queue, the Lease, and by resource an informer's objects and
        seconds of silence. Called once."""
        self.registry.register(_Looked(depth, leads, informers))

    # --- the reconcilers' ---------------------------------------------------------------------------------------------

    def checkpoint_changed(self, old: CheckpointView | None, new: CheckpointView | None) -> None:
        """A listener of the cache of Checkpoints: counts them by state, and notes when a workflow last saved."""
        if old is not None:
            self._count(old.namespace, old.state or UNSEEN, -1)
        if new is not None:
            self._count(new.namespace, new.state or UNSEEN, 1)
            time = moment(new.commit.get("time"))
            if time is not None and (old is None or not old.commit):
                self._commit.set((new.namespace, new.ref.task.workflow), time.timestamp(), at_least=True)

    def _count(self, namespace: str, state: str, more: int) -> None:
        self._counts[namespace, state] += more
        if self._counts[namespace, state] > 0:
            self._checkpoints.labels(namespace, state).set(self._counts[namespace, state])
        else:
            del self._counts[namespace, state]
            self._checkpoints.remove(namespace, state)

    def stored(self, namespace: str, store: str, size: int) -> None:
        """Bytes of the checkpoints of a store."""
        self._stored.set((namespace, store), size)

    def store_gone(self, namespace: str, store: str) -> None:
        """The store is no more."""
        self._stored.remove((namespace, store))

    def deleted(self, size: int) -> None:
        """So many bytes were deleted from a store."""
        self._deleted.inc(size)

    def found_corrupt(self) -> None:
        """A checkpoint failed its verification."""
        self._corrupt.inc()

    def attempt_ended(self, result: str) -> None:
        """An attempt ended; ``result`` is one of the few words of ``status.attempts[].result``."""
        self._ended.labels(result).inc()

    # --- out ----------------------------------------------------------------------------------------------------------

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Bounded:
    """A gauge whose labels are names of people's things: it keeps the series that were set last."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._values: OrderedDict[tuple[str, str], float] = OrderedDict()

    def set(self, labels: tuple[str, str], value: float, *, at_least: bool = False) -> None:
        if at_least:
            value = max(value, self._values.get(labels, value))
        self._values[labels] = value
        self._values.move_to_end(labels)
        self._gauge.labels(*labels).set(value)
        if len(self._values) > PAIRS:
            self.remove(next(iter(self._values)))

    def remove(self, labels: tuple[str, str]) -> None:
        if self._values.pop(labels, None) is not None:
            self._gauge.remove(*labels)


class _Looked(Collector):
    """Gauges that are computed when they are asked for."""

    def __init__(
        self,
        depth: Callable[[], float],
        leads: Callable[[], bool],
        informers: Callable[[], Mapping[str, tuple[int, float]]],
    ) -> None:
        self._depth = depth
        self._leads = leads
        self._informers = informers

    def collect(self) -> Iterable[GaugeMetricFamily]:
        yield GaugeMetricFamily("trainpoint_queue_depth", "Keys that wait for a worker", value=float(self._depth()))
        yield GaugeMetricFamily(
            "trainpoint_leader", "1 while this replica holds the Lease, else 0", value=float(self._leads())
        )
        objects = GaugeMetricFamily("trainpoint_informer_objects", "Objects in the cache", labels=["resource"])
        silence = GaugeMetricFamily(
            "trainpoint_informer_silence_seconds", "Time since the API server last said something", labels=["resource"]
        )
        for resource, (count, seconds) in self._informers().items():
            objects.add_metric([resource], count)
            silence.add_metric([resource], seconds)
        yield objects
        yield silence
