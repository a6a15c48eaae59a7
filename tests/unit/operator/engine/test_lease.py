"""The Lease, step by step, by clocks that the test commands; each replica has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from tests.support.apidouble import ApiDouble, status
from trainpoint.format.digest import JsonObject
from trainpoint.testing import FakeChance, FakeClock
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.lease import NAME, Elector
from trainpoint_operator.engine.resources import LEASES


@dataclass
class World:
    api: ApiDouble
    kube: Kube

    def replica(self, identity: str, clock: FakeClock, **settings: Any) -> Elector:
        return Elector(self.kube, "system", identity, clock=clock, chance=FakeChance(), **settings)

    @property
    def record(self) -> JsonObject:
        spec: JsonObject = self.api.objects[LEASES.path("system", NAME)]["spec"]
        return spec


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with ApiDouble() as api, api.kube() as kube:
            await asyncio.wait_for(scenario(World(api, kube)), 30)

    asyncio.run(whole())


async def unavailable(request: web.Request) -> web.StreamResponse:
    return status(500, "InternalError", "etcd is away")


def test_the_first_one_creates_the_record_and_leads() -> None:
    async def scenario(world: World) -> None:
        one = world.replica("one", FakeClock())
        assert not one.leads()
        assert await one.attempt()
        assert one.leads()
        assert world.record == {
            "holderIdentity": "one",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": "2026-01-01T00:00:00.000000Z",
            "leaseTransitions": 0,
        }

    run(scenario)


def test_another_one_takes_over_only_after_the_record_has_not_changed_for_the_duration() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        one, two = world.replica("one", clock), world.replica("two", clock)
        await one.attempt()
        for _ in range(7):  # renewed all the while
            assert not await two.attempt()
            clock.advance(5)
            assert await one.attempt()
        assert two.leader() == "one"
        assert not await two.attempt()
        clock.advance(14.9)
        assert not await two.attempt()
        assert not one.leads()  # for 5 seconds already
        clock.advance(0.1)
        assert await two.attempt()
        assert (two.leads(), two.leader()) == (True, "two")
        assert (world.record["holderIdentity"], world.record["leaseTransitions"]) == ("two", 1)

    run(scenario)


@pytest.mark.parametrize("year", [1999, 2077])
def test_the_wall_clocks_of_the_machines_do_not_matter(year: int) -> None:
    async def scenario(world: World) -> None:
        mine, theirs = FakeClock(), FakeClock(datetime(year, 1, 1, tzinfo=UTC))
        one, two = world.replica("one", mine), world.replica("two", theirs)
        await one.attempt()
        assert not await two.attempt()
        theirs.advance(14)
        assert not await two.attempt()
        mine.advance(9)
        await one.attempt()
        theirs.advance(14)
        assert not await two.attempt()  # it has changed meanwhile
        theirs.advance(15)
        assert await two.attempt()

    run(scenario)


def test_a_new_replica_waits_for_the_duration_also_when_the_record_is_old() -> None:
    async def scenario(world: World) -> None:
        await world.replica("one", FakeClock()).attempt()
        late = FakeClock(datetime(2027, 1, 1, tzinfo=UTC))
        two = world.replica("two", late)
        assert not await two.attempt()
        late.advance(15)
        assert await two.attempt()

    run(scenario)


def test_leading_ends_by_itself_when_nothing_runs_any_more() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        one = world.replica("one", clock)
        await one.attempt()
        clock.advance(9.9)
        assert one.leads()
        clock.advance(0.1)
        assert not one.leads()  # and no code of its own has run since

    run(scenario)


def test_what_counts_is_when_the_renewal_was_asked_for() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        one = world.replica("one", clock)
        await one.attempt()

        async def slow(request: web.Request) -> web.StreamResponse | None:
            clock.advance(3)
            return None

        world.api.fault = slow
        assert await one.attempt()
        clock.advance(7)
        assert not one.leads()

    run(scenario)


def test_a_holder_that_cannot_renew_leads_until_its_deadline_and_may_come_back_before() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        one = world.replica("one", clock)
        await one.attempt()
        world.api.fault = unavailable
        clock.advance(6)
        assert not await one.attempt()
        assert one.leads()
        world.api.fault = None
        clock.advance(2)
        assert await one.attempt()
        clock.advance(9)
        assert one.leads()

    run(scenario)


def test_a_holder_whose_record_was_taken_or_removed_stops_at_once() -> None:
    async def scenario(world: World) -> None:
        path = LEASES.path("system", NAME)
        one = world.replica("one", FakeClock())
        await one.attempt()
        world.api.put(LEASES, "system", NAME, spec={"holderIdentity": "two", "leaseDurationSeconds": 15})
        assert not await one.attempt()  # the conflict
        assert not await one.attempt()  # and why
        assert (one.leads(), one.leader()) == (False, "two")

        del world.api.objects[path]
        three = world.replica("three", FakeClock())
        assert await three.attempt()
        del world.api.objects[path]
        assert not await three.attempt()
        assert not three.leads()

    run(scenario)


def test_renewing_takes_one_request() -> None:
    async def scenario(world: World) -> None:
        one = world.replica("one", FakeClock())
        await one.attempt()
        world.api.log.clear()
        for _ in range(3):
            assert await one.attempt()
        assert [a.method for a in world.api.log] == ["PATCH"] * 3

    run(scenario)


def test_a_released_lease_is_taken_over_at_once() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        one, two = world.replica("one", clock), world.replica("two", clock)
        await one.attempt()
        assert not await two.attempt()
        await one.release()
        assert (one.leads(), world.record["holderIdentity"]) == (False, "")
        assert await two.attempt()
        await one.release()  # again, by one that holds nothing: no harm
        assert world.record["holderIdentity"] == "two"

    run(scenario)


def test_a_release_does_not_touch_what_another_one_holds_by_now() -> None:
    async def scenario(world: World) -> None:
        mine, theirs = FakeClock(), FakeClock()
        one, two = world.replica("one", mine), world.replica("two", theirs)
        await one.attempt()
        await two.attempt()
        theirs.advance(15)
        assert await two.attempt()
        await one.release()
        assert world.record["holderIdentity"] == "two"

    run(scenario)


def test_of_two_that_try_in_the_same_moment_one_wins() -> None:
    async def scenario(world: World) -> None:
        for number in range(10):
            world.api.put(LEASES, "system", NAME, spec={"holderIdentity": ""})
            both = [world.replica(f"{name}-{number}", FakeClock()) for name in ("one", "two")]
            won = await asyncio.gather(*(replica.attempt() for replica in both))
            assert sorted(won) == [False, True]
            assert [replica.leads() for replica in both] == won

    run(scenario)


def test_losing_it_is_told_once_and_ends_the_run() -> None:
    async def scenario(world: World) -> None:
        clock = FakeClock()
        told: list[str] = []
        short = {"duration": 4, "deadline": 0.3, "renew": 0.05, "retry": 0.05}
        one = world.replica("one", clock, lost=lambda: told.append("lost"), **short)
        running = asyncio.create_task(one.run())
        await one.acquired.wait()
        world.api.fault = unavailable
        clock.advance(1)
        await running
        assert (told, one.leads()) == (["lost"], False)

    run(scenario)


@pytest.mark.parametrize(
    "wrong", [{"retry": 0}, {"retry": 6}, {"renew": 10}, {"deadline": 15}, {"deadline": 16}, {"duration": 10}]
)
def test_times_that_would_let_two_lead_are_refused(wrong: dict[str, float]) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(ValueError, match="deadline"):
            world.replica("one", FakeClock(), **wrong)

    run(scenario)
