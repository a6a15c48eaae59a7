"""The operator's process: caches, queue, Lease, kopf, health; started together, ended together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from trainpoint.clock import SystemChance, SystemClock
from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint_operator import shell
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Caches, Context
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.connection import find_connection
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.informer import Informer
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.lease import Elector
from trainpoint_operator.engine.queue import Queue
from trainpoint_operator.engine.resources import CHECKPOINTS, JOBS, PODS, POLICIES, RUNS, STORES, Key
from trainpoint_operator.engine.worker import Reconcile, work
from trainpoint_operator.health import Health
from trainpoint_operator.logs import configure
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.options import Options
from trainpoint_operator.pods import LastSights
from trainpoint_operator.reconcile.checkpoint import reconcile_checkpoint
from trainpoint_operator.reconcile.policy import reconcile_policy
from trainpoint_operator.reconcile.run import reconcile_run
from trainpoint_operator.reconcile.store import reconcile_store
from trainpoint_operator.routes import Routes
from trainpoint_operator.views import JOB_NAME, CheckpointView, JobView, PodView

logger = logging.getLogger("trainpoint_operator")

RECONCILERS: Final[Mapping[str, Callable[[Key, Context], Awaitable[float | None]]]] = {
    CHECKPOINTS.kind: reconcile_checkpoint,
    RUNS.kind: reconcile_run,
    POLICIES.kind: reconcile_policy,
    STORES.kind: reconcile_store,
}


class LeaseLostError(RuntimeError):
    """Another replica may work now; all of this one ends, and begins anew as a standby."""


def caches() -> Caches:
    """Empty, with the indexes that the reconcilers ask."""
    return Caches(
        checkpoints=Cache(
            CheckpointView.of,
            indexes={
                "run": lambda c: (f"{c.namespace}/{c.run_object}",),
                "store": lambda c: (f"{c.namespace}/{c.store}",) if c.store else (),
            },
        ),
        runs=Cache(_slim, indexes={"job": _job_of_run}),
        policies=Cache(_slim),
        stores=Cache(_slim),
        jobs=Cache(JobView.of),
        pods=Cache(PodView.of, indexes={"job": lambda p: (f"{p.namespace}/{p.job}",), "uid": lambda p: (p.uid,)}),
    )


def _slim(value: JsonObject) -> JsonObject:
    meta = {name: item for name, item in value["metadata"].items() if name != "managedFields"}
    return {**value, "metadata": meta}


def _job_of_run(run: JsonObject) -> Sequence[str]:
    job = run.get("status", {}).get("claim", {}).get("job", "")
    return (f"{run['metadata']['namespace']}/{job}",) if job else ()


async def operate(options: Options, environ: Mapping[str, str], ended: threading.Event) -> None:
    """Until a signal comes, which sets ``ended``; LeaseLostError where another replica took over."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        ended.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):  # until the loop is closed: also while its threads are waited for
        loop.add_signal_handler(number, end)
    clock, chance = SystemClock(), SystemChance()
    metrics = Metrics()
    # One for each worker, and for probes that were given up and still wait for a store that is away.
    threads = ThreadPoolExecutor(options.workers * 4, thread_name_prefix="store")
    loop.set_default_executor(threads)
    async with Kube(find_connection(environ, clock), observe=metrics.requested) as kube:
        queue = Queue(clock, chance, taken=metrics.taken, retried=metrics.retried)
        kept = caches()
        sights, audits = LastSights(), set[Key]()
        identity = f"{options.pod}-{chance.uid()}"
        lost = asyncio.Event()
        elector = Elector(
            kube,
            options.namespace,
            identity,
            clock=clock,
            chance=chance,
            duration=options.lease_seconds,
            deadline=options.lease_seconds * 2 / 3,
            renew=options.lease_seconds / 3,
            retry=options.lease_seconds / 8,
            lost=lost.set,
        )
        context = Context(
            kube=kube,
            caches=kept,
            buckets=Buckets(kube, kept.stores, clock=clock, chance=chance),
            events=Recorder(kube, clock, instance=options.pod),
            enqueue=queue.add,
            sights=sights,
            audits=audits,
            spared={},
            metrics=metrics,
            leads=elector.leads,
            clock=clock,
            chance=chance,
        )
        Routes(kept, sights, audits, queue.add)
        kept.checkpoints.listeners.append(metrics.checkpoint_changed)
        informers = _informers(kube, kept, options, clock, chance)
        metrics.read(
            depth=queue.depth,
            leads=elector.leads,
            informers=lambda: {i.name: (len(i.cache), i.silence()) for i in informers},
        )
        health = Health(clock=clock, informers=informers, leads=elector.leads, leader=elector.leader, metrics=metrics)
        reconcilers: dict[str, Reconcile] = {
            kind: _bound(reconcile, context) for kind, reconcile in RECONCILERS.items()
        }
        logger.info("event=started identity=%s namespaces=%s", identity, ",".join(options.watch) or "all")
        background: list[Coroutine[Any, Any, None]] = [
            *(informer.run() for informer in informers),
            health.serve(options.host, options.port),
            _lead_and_work(elector, queue, reconcilers, informers, options, metrics),
            _end_when(lost, stop),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one) for one in background]
                await _synced(informers, stop)
                await shell.run(queue.add, options.watch, stop)
                for task in tasks:
                    task.cancel()
        finally:
            await elector.release()
        if lost.is_set():
            raise LeaseLostError("the Lease was lost")
        logger.info("event=stopped identity=%s", identity)


def _bound(reconcile: Callable[[Key, Context], Awaitable[float | None]], context: Context) -> Reconcile:
    return lambda key: reconcile(key, context)


def _informers(
    kube: Kube, kept: Caches, options: Options, clock: SystemClock, chance: SystemChance
) -> list[Informer[Any]]:
    namespaces = options.watch or ("",)

    def informer(resource: Any, cache: Cache[Any], labels: str = "") -> Informer[Any]:
        return Informer(kube, resource, cache, clock=clock, chance=chance, namespaces=namespaces, labels=labels)

    return [
        informer(STORES, kept.stores),
        informer(POLICIES, kept.policies),
        informer(JOBS, kept.jobs),
        informer(PODS, kept.pods, JOB_NAME),
        informer(RUNS, kept.runs),
        informer(CHECKPOINTS, kept.checkpoints),
    ]


async def _synced(informers: Sequence[Informer[Any]], stop: asyncio.Event) -> None:
    """Decisions rest on all caches; and kopf finds our kinds only if they are there when it starts."""

    async def everything() -> None:
        for informer in informers:
            await informer.cache.synced.wait()

    waiting = [asyncio.create_task(everything()), asyncio.create_task(_wait(stop))]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _lead_and_work(
    elector: Elector,
    queue: Queue,
    reconcilers: Mapping[str, Reconcile],
    informers: Sequence[Informer[Any]],
    options: Options,
    metrics: Metrics,
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(elector.run())
        await asyncio.gather(*(i.cache.synced.wait() for i in informers))
        await elector.acquired.wait()
        await work(queue, reconcilers, workers=options.workers, leads=elector.leads, observe=metrics.reconciled)


async def _end_when(lost: asyncio.Event, stop: asyncio.Event) -> None:
    await lost.wait()
    stop.set()


def main() -> int:
    """``python -m trainpoint_operator``."""
    try:
        options = Options.of(os.environ)
        configure(options.log_format, options.log_level)
        ended = threading.Event()
        while not ended.is_set():
            try:
                asyncio.run(operate(options, os.environ, ended))  # with its threads
            except LeaseLostError as error:
                # In this process: the kubelet would let a container that ends often wait for minutes.
                logger.warning("event=begins-anew reason=%s", error)
    except TrainpointError as error:
        sys.stderr.write(f"trainpoint operator: {error.message}; {error.remedy}\n")
        return 2
    return 0
