"""The operator whole but for its process, in virtual time: six watches that are late, each by its own; faults; a Lease
that is not always renewed in time. An hour of it takes a moment."""

from __future__ import annotations

import asyncio
import copy
import random
import selectors
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar, cast

from tests.support.fakekube import FakeKube, FakeRecorder
from tests.support.runs import ZERO
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import ClusterUnreachableError, StoreUnreachableError
from trainpoint.format.digest import JsonObject
from trainpoint.testing import FakeChance, MemoryStore
from trainpoint_operator.buckets import Buckets
from trainpoint_operator.context import Context
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.queue import Queue
from trainpoint_operator.engine.resources import CHECKPOINTS, JOBS, PODS, POLICIES, RUNS, STORES, Key, Resource
from trainpoint_operator.engine.worker import Reconcile, work
from trainpoint_operator.main import RECONCILERS, caches
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.pods import LastSights
from trainpoint_operator.routes import Routes

WORKERS: Final = 4
RELIST_SECONDS: Final = 600.0
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Trouble:
    """How bad it is."""

    faults: float = 0.0
    """of so many requests, the API server's and the store's, no answer comes; half of them were carried out"""
    flicker: float = 0.0
    """so often, when it is asked, the Lease has not been renewed in time"""
    over: float = 200.0
    """seconds after which there are neither faults nor flicker"""
    relists: bool = False
    """whether there is a new list every ten minutes, which mends what was missed"""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing is left that could happen")
        if not ready and timeout:
            self._jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing is to be done before the next timer, it is that late at once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self.seconds

    def _jump(self, seconds: float) -> None:
        self.seconds += seconds


class _LoopClock:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return ZERO + timedelta(seconds=self._loop.seconds)

    def monotonic(self) -> float:
        return self._loop.seconds

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a reconciler slept")


class _LateCache:
    """Hears of each change in order, but late."""

    def __init__(self, world: LateWorld, cache: Cache[Any]) -> None:
        self._world = world
        self._cache = cache
        self._lag = world.random.choice([0.01, 0.1, 1.0, 5.0, 20.0, 60.0])
        self._last = 0.0

    def apply(self, kind: str, obj: JsonObject) -> None:
        loop = self._world.loop
        self._last = max(self._last + 1e-6, loop.seconds + self._world.random.uniform(0, 2 * self._lag))
        loop.call_at(self._last, self._cache.apply, kind, copy.deepcopy(obj))


class _SlowKube(FakeKube):
    """Each request takes its time, and may come to nothing."""

    def __init__(self, world: LateWorld) -> None:
        super().__init__()
        self._world = world

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        return await self._world.asked(super().get, resource, namespace, name)

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> JsonObject | None:
        return await self._world.asked(super().create, resource, namespace, body)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any], *, subresource: str = ""
    ) -> JsonObject | None:
        return await self._world.asked(super().patch, resource, namespace, name, body, subresource=subresource)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str) -> bool:
        return await self._world.asked(super().delete, resource, namespace, name, uid=uid, version=version)


class LateWorld:
    """One namespace. :meth:`run` a scenario in it."""

    def __init__(self, seed: int, trouble: Trouble) -> None:
        self.random = random.Random(seed)
        self.loop = VirtualLoop()
        self.clock = _LoopClock(self.loop)
        self.catalog = BucketCatalog(MemoryStore(), clock=self.clock, chance=FakeChance(seed))
        self.caches = caches()
        self.kube = _SlowKube(self)
        self._followed = (
            (STORES, self.caches.stores), (POLICIES, self.caches.policies), (CHECKPOINTS, self.caches.checkpoints),
            (RUNS, self.caches.runs), (JOBS, self.caches.jobs), (PODS, self.caches.pods),
        )  # fmt: skip
        for resource, cache in self._followed:
            self.kube.follow(resource, cast(Cache[Any], _LateCache(self, cache)))
        self._latency = self.random.choice([0.005, 0.05, 0.5])
        self._trouble = trouble
        self._away_until = 0.0
        queue = Queue(self.clock, FakeChance(seed))
        self.context = Context(
            kube=cast(Kube, self.kube),
            caches=self.caches,
            buckets=cast(Buckets, self),
            events=cast(Recorder, FakeRecorder()),
            enqueue=queue.add,
            sights=LastSights(),
            audits=set(),
            spared={},
            metrics=Metrics(),
            leads=self._leads,
            clock=self.clock,
            chance=FakeChance(seed),
        )
        Routes(self.caches, self.context.sights, self.context.audits, queue.add)
        self._queue = queue

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """With the operator at work."""

        def bound(reconcile: Callable[[Key, Context], Awaitable[float | None]]) -> Reconcile:
            return lambda key: reconcile(key, self.context)

        async def nothing(key: Key) -> float | None:
            return None

        reconcilers = {kind: bound(one) for kind, one in RECONCILERS.items()} | {STORES.kind: nothing}

        async def whole() -> None:
            working = [asyncio.create_task(work(self._queue, reconcilers, workers=WORKERS, leads=self._leads))]
            if self._trouble.relists:
                working.append(asyncio.create_task(self._relist()))
            try:
                await scenario()
            finally:
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)

        try:
            self.loop.run_until_complete(whole())
        finally:
            self.loop.close()

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether it came to that."""
        end = self.loop.seconds + seconds
        while not holds() and self.loop.seconds < end:
            await asyncio.sleep(0.5)
        return holds()

    # --- what the reconcilers meet ------------------------------------------------------------------------------------

    async def of(self, namespace: str, store: str) -> BucketCatalog:
        """As Buckets.of."""
        return self.catalog

    async def in_thread(self, verb: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T:
        """As asyncio.to_thread, for what asks the store."""
        await asyncio.sleep(self._pause())
        if not self._fails():
            answer = verb(*args, **more)
            await asyncio.sleep(self._pause())
            return answer
        await asyncio.sleep(self.random.choice([0.1, 30.0, 60.0]))
        if self.random.random() < 0.5:
            verb(*args, **more)
        raise StoreUnreachableError("the store is away")

    async def asked(self, verb: Callable[_P, Awaitable[_T]], *args: _P.args, **more: _P.kwargs) -> _T:
        """A request to the API server."""
        await asyncio.sleep(self._pause())
        if not self._fails():
            answer = await verb(*args, **more)
            await asyncio.sleep(self._pause())
            return answer
        if self.random.random() < 0.5:
            await verb(*args, **more)
        await asyncio.sleep(self.random.choice([1.0, 30.0]))
        raise ClusterUnreachableError("the API server is away")

    def _pause(self) -> float:
        return self.random.expovariate(1 / self._latency)

    def _fails(self) -> bool:
        return self.loop.seconds < self._trouble.over and self.random.random() < self._trouble.faults

    def _leads(self) -> bool:
        now = self.loop.seconds
        if self._away_until <= now < self._trouble.over and self.random.random() < self._trouble.flicker:
            self._away_until = now + self.random.uniform(0.1, 3.0)
        return now >= self._away_until

    async def _relist(self) -> None:
        """As informers do; what a watch has not told yet is in the list."""
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            for resource, cache in self._followed:
                found = [copy.deepcopy(v) for k, v in self.kube.objects.items() if k[0] == resource.plural]
                cache.replace(found)
