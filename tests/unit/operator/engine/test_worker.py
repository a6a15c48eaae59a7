"""Workers: whatever a reconciler does, the next key is taken."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.support.apidouble import eventually
from trainpoint.clock import SystemClock
from trainpoint.errors import ClusterUnreachableError, ObjectChangedError, StoreUnreachableError
from trainpoint.testing import FakeChance
from trainpoint_operator.engine.answers import RuleObjectsError
from trainpoint_operator.engine.kube import ThrottledError
from trainpoint_operator.engine.lease import NotLeadingError
from trainpoint_operator.engine.queue import Queue
from trainpoint_operator.engine.resources import Key
from trainpoint_operator.engine.worker import work

A, B = Key("CheckpointRun", "team", "a"), Key("CheckpointRun", "team", "b")


@dataclass
class World:
    queue: Queue = field(default_factory=lambda: Queue(SystemClock(), FakeChance()))
    calls: list[Key] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)
    leading: bool = True

    async def ended(self, *results: str) -> None:
        def lacking() -> str:
            found = [r for _, r in self.results]
            return "" if found[: len(results)] == list(results) else str(found)

        await eventually(lacking, what=f"results {results}")


def run(
    scenario: Callable[[World], Awaitable[None]],
    reconcile: Callable[[World, Key], Awaitable[float | None]],
    *,
    workers: int = 1,
    longest: float = 30.0,
) -> None:
    async def whole() -> None:
        world = World()

        async def one(key: Key) -> float | None:
            world.calls.append(key)
            return await reconcile(world, key)

        working = asyncio.create_task(
            work(
                world.queue,
                {A.kind: one},
                workers=workers,
                leads=lambda: world.leading,
                observe=lambda kind, result, seconds: world.results.append((kind, result)),
                longest_seconds=longest,
            )
        )
        try:
            await asyncio.wait_for(scenario(world), 30)
            assert not working.done(), "the workers have ended"
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    asyncio.run(whole())


async def fine(world: World, key: Key) -> float | None:
    return None


def failing(*errors: BaseException) -> Callable[[World, Key], Awaitable[float | None]]:
    """Raises these in turn, then does nothing."""
    left = list(errors)

    async def reconcile(world: World, key: Key) -> float | None:
        if left:
            raise left.pop(0)
        return None

    return reconcile


def test_a_key_is_reconciled_and_done() -> None:
    async def scenario(world: World) -> None:
        world.queue.add(A)
        world.queue.add(B)
        await world.ended("ok", "ok")
        assert world.calls == [A, B]
        assert (world.queue.in_flight(), world.queue.delayed()) == (0, 0)

    run(scenario, fine)


def test_the_next_look_is_when_the_reconciler_says() -> None:
    async def reconcile(world: World, key: Key) -> float | None:
        return 0.05 if len(world.calls) < 3 else None

    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended("ok", "ok", "ok")
        assert world.queue.delayed() == 0

    run(scenario, reconcile)


@pytest.mark.parametrize(
    ("error", "result", "level", "text"),
    [
        (
            StoreUnreachableError("the store is away", remedy="wait"),
            "error",
            logging.WARNING,
            "error=the store is away",
        ),
        (ClusterUnreachableError("no answer"), "error", logging.WARNING, "error=no answer"),
        (aiohttp.ClientPayloadError("cut"), "error", logging.WARNING, "ClientPayloadError"),
        (TimeoutError(), "error", logging.WARNING, "TimeoutError"),
        (ZeroDivisionError("oh"), "bug", logging.ERROR, "event=failed"),
        (asyncio.CancelledError(), "bug", logging.ERROR, "error=cancelled"),
    ],
)
def test_a_key_that_fails_is_told_in_one_line_and_comes_again(
    error: BaseException, result: str, level: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended(result, "ok")
        assert world.calls == [A, A]

    run(scenario, failing(error))
    (line,) = [r for r in caplog.records if r.name.startswith("trainpoint_operator")]
    assert line.levelno == level
    assert line.message.startswith("key=checkpointrun/team/a ")
    assert text in line.message
    assert bool(line.exc_info) == isinstance(error, ZeroDivisionError)  # a bug of ours has its stack trace


def test_a_changed_object_is_tried_again_quietly_until_that_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    changed = [ObjectChangedError("the object has been modified") for _ in range(4)]

    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended("conflict", "conflict", "conflict")
        assert not caplog.records
        await world.ended("conflict", "conflict", "conflict", "conflict", "ok")
        assert [r.message.split()[1] for r in caplog.records] == ["event=conflict"]

    run(scenario, failing(*changed))


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [(ObjectChangedError("changed"), 0.0, 10.0), (RuleObjectsError("a rule objects"), 60.0, 300.0)],
    ids=["a conflict passes", "a rule may stay"],
)
def test_how_long_what_changed_waits_at_most(
    error: ObjectChangedError, least: float, most: float, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        for _ in range(12):
            world.queue.add(A)
            world.queue.take()
            world.queue.failed(A)
        world.queue.add(A)
        await world.ended("conflict")

    async def reconcile(world: World, key: Key) -> float | None:
        raise error

    run(scenario, reconcile)
    (said,) = re.findall(r" again=([0-9.]+)s ", caplog.text)
    assert least <= float(said) <= most


def test_a_throttled_key_waits_as_long_as_the_server_asks() -> None:
    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended("error")
        until = world.queue.until_due()
        assert until is not None
        assert until > 50

    run(scenario, failing(ThrottledError("busy", seconds=60)))


def test_a_reconciler_that_hangs_is_cut_off_and_its_key_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    async def reconcile(world: World, key: Key) -> float | None:
        if len(world.calls) == 1:
            await asyncio.sleep(60)
        return None

    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended("error", "ok")

    run(scenario, reconcile, longest=0.05)
    assert "event=cut-off" in caplog.text


def test_a_kind_that_nobody_reconciles_is_told_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        world.queue.add(Key("Sonnet", "team", "18"))
        world.queue.add(A)
        await world.ended("bug", "ok")
        assert world.queue.in_flight() == 0

    run(scenario, fine)
    assert "key=sonnet/team/18 event=no-reconciler" in caplog.text


def test_nothing_is_taken_from_the_queue_by_a_replica_that_does_not_lead() -> None:
    async def scenario(world: World) -> None:
        await asyncio.sleep(0)  # the worker waits for a key
        world.leading = False
        world.queue.add(A)
        world.queue.add(B)
        await asyncio.sleep(0.4)
        assert (world.calls, world.queue.depth()) == ([], 2)
        world.leading = True
        await world.ended("ok", "ok")

    run(scenario, fine)


def test_what_was_not_done_since_the_lease_was_late_is_looked_at_again_once_it_is_renewed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reconcile(world: World, key: Key) -> float | None:
        if len(world.calls) == 1:
            world.leading = False
            raise NotLeadingError("late")
        return None

    async def scenario(world: World) -> None:
        world.queue.add(A)
        await world.ended("conflict")
        await asyncio.sleep(0.4)
        assert (world.calls, world.queue.depth()) == ([A], 1)
        world.leading = True
        await world.ended("conflict", "ok")
        assert (world.calls, world.queue.failures(A)) == ([A, A], 0)

    run(scenario, reconcile)
    assert "event=left-alone" in caplog.text


def test_keys_are_worked_on_at_the_same_time_but_never_one_key_twice() -> None:
    running: set[Key] = set()
    most: list[int] = []

    async def reconcile(world: World, key: Key) -> float | None:
        assert key not in running
        running.add(key)
        most.append(len(running))
        world.queue.add(key) if len(world.calls) < 6 else None
        await asyncio.sleep(0.01)
        running.remove(key)
        return None

    async def scenario(world: World) -> None:
        world.queue.add(A)
        world.queue.add(B)
        await eventually(lambda: "" if len(world.results) >= 6 else str(world.results), what="six results")
        assert max(most) == 2
        assert {r for _, r in world.results} == {"ok"}

    run(scenario, reconcile, workers=4)


def test_a_key_in_work_is_given_back_when_the_workers_are_stopped() -> None:
    async def scenario() -> None:
        queue = Queue(SystemClock(), FakeChance())
        started = asyncio.Event()

        async def hang(key: Key) -> float | None:
            started.set()
            await asyncio.sleep(60)
            return None

        queue.add(A)
        working = asyncio.create_task(work(queue, {A.kind: hang}, workers=1, leads=lambda: True))
        await started.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert (queue.depth(), queue.in_flight()) == (1, 0)

    asyncio.run(asyncio.wait_for(scenario(), 10))
