"""Informers against a server that forgets, breaks off, and refuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.support.apidouble import ApiDouble, eventually, status
from trainpoint.clock import SystemClock
from trainpoint.testing import FakeChance, FakeClock
from trainpoint_operator.engine import informer as informers
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.informer import Informer
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import RUNS


@dataclass
class World:
    api: ApiDouble
    kube: Kube
    cache: Cache[str] = field(default_factory=lambda: Cache(lambda obj: str(obj["metadata"]["name"])))
    gone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache.listeners.append(lambda old, new: self.gone.append(old) if old and new is None else None)

    def names(self) -> list[str]:
        return sorted(self.cache.all())

    async def has(self, *names: str) -> None:
        def lacking() -> str:
            return "" if self.names() == sorted(names) else str(self.names())

        await eventually(lacking, what=f"the cache to have {names}")

    async def watching(self, count: int = 1) -> None:
        def lacking() -> str:
            return "" if self.api.watching == count else f"{self.api.watching} watches"

        await eventually(lacking, what=f"{count} watches to be open")

    @property
    def lists(self) -> int:
        return len(self.api.asked("GET"))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backs off for hundredths of a second."""
    monkeypatch.setattr(informers, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(informers, "BACKOFF_LIMIT_SECONDS", 0.05)


def run(
    scenario: Callable[[World, Informer[str]], Awaitable[None]],
    *,
    before: Callable[[World], None] = lambda world: None,
    silence: float = 0.3,
    **settings: Any,
) -> None:
    async def whole() -> None:
        async with ApiDouble() as api, api.kube(silence_seconds=silence) as kube:
            world = World(api, kube)
            before(world)
            settings.setdefault("clock", SystemClock())
            informer = Informer(kube, RUNS, world.cache, chance=FakeChance(), **settings)
            running = asyncio.create_task(informer.run())
            try:
                await asyncio.wait_for(scenario(world, informer), 40)
                assert not running.done(), "the informer has ended"
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


def three(world: World) -> None:
    for name in "abc":
        world.api.put(RUNS, "team", name)


def test_it_lists_then_watches() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.has("a", "b", "c")
        await asyncio.wait_for(world.cache.synced.wait(), 20)
        world.api.put(RUNS, "team", "d")
        world.api.delete(RUNS, "team", "a")
        await world.has("b", "c", "d")
        assert (world.gone, informer.relists) == (["a"], 1)

    run(scenario, before=three, page=2)


def test_a_stream_that_is_cut_is_taken_up_where_it_broke() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.watching()
        world.api.put(RUNS, "team", "d")
        await world.has("a", "b", "c", "d")
        world.api.cut()
        world.api.delete(RUNS, "team", "b")
        await world.has("a", "c", "d")
        assert (world.gone, informer.relists) == (["b"], 1)

    run(scenario, before=three)


def test_a_stream_that_is_cut_before_it_told_anything_is_not_trusted() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.watching()
        world.api.cut()
        world.api.delete(RUNS, "team", "b")
        await world.has("a", "c")
        assert (world.gone, informer.relists) == (["b"], 2)

    run(scenario, before=three)


def test_a_deletion_that_the_server_has_forgotten_is_not_missed() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.watching()
        world.api.put(RUNS, "team", "d")
        await world.has("a", "b", "c", "d")
        world.api.cut()
        world.api.delete(RUNS, "team", "b")
        world.api.put(RUNS, "team", "e")
        world.api.compact()  # before it is back: its version is too old now
        await world.has("a", "c", "d", "e")
        assert (world.gone, informer.relists) == (["b"], 2)
        world.api.delete(RUNS, "team", "a")
        await world.has("c", "d", "e")

    run(scenario, before=three)


def test_a_stream_that_the_server_ends_goes_on_from_where_it_was() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.watching()
        world.api.put(RUNS, "team", "d")
        await world.has("a", "b", "c", "d")
        world.api.end()
        world.api.delete(RUNS, "team", "a")
        await world.has("b", "c", "d")
        assert informer.relists == 1
        assert not informer.trouble()

    run(scenario, before=three)


def test_a_silent_stream_is_listed_anew() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        # The double never ends a watch, and sends no bookmarks: after the time of silence the informer ends it.
        await eventually(lambda: "" if informer.relists >= 2 else f"{informer.relists} lists", what="a second list")

    run(scenario, before=three)


def test_everything_is_listed_anew_from_time_to_time() -> None:
    clock = FakeClock()

    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.has("a", "b", "c")
        world.api.objects.pop(RUNS.path("team", "b"))  # nobody is told of it
        world.api.put(RUNS, "team", "d")
        await world.has("a", "b", "c", "d")
        world.api.end()
        world.api.put(RUNS, "team", "e")
        await world.has("a", "b", "c", "d", "e")  # by the next watch
        assert informer.relists == 1
        clock.advance(750)
        world.api.end()
        await world.has("a", "c", "d", "e")
        assert (world.gone, informer.relists) == (["b"], 2)

    run(scenario, before=three, clock=clock, relist_seconds=600.0, silence=60)


def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.has("a", "b", "c")
        world.api.fault = answers(500, "InternalError")
        world.api.cut()
        world.api.delete(RUNS, "team", "c")
        await eventually(lambda: "" if "500" in informer.trouble() else "no trouble", what="trouble")
        assert world.names() == ["a", "b", "c"]  # what is not known is not gone
        world.api.fault = None
        await world.has("a", "b")
        await eventually(informer.trouble, what="the trouble to be over")

    run(scenario, before=three)


def test_a_missing_right_is_told_once_a_minute_and_named(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    def forbid(world: World) -> None:
        world.api.fault = answers(403, "Forbidden", 'User "op" cannot list resource "checkpointruns"')

    async def scenario(world: World, informer: Informer[str]) -> None:
        def errors() -> list[str]:
            return [r.message for r in caplog.records if r.levelno >= logging.ERROR]

        await eventually(lambda: "" if world.lists > 5 else str(world.lists), what="several attempts")
        assert len(errors()) == 1
        assert "resource=checkpointruns namespace=team event=watch-forbidden" in errors()[0]
        assert 'cannot list resource "checkpointruns"' in errors()[0]
        assert "bind the roles" in errors()[0]
        assert "cannot list checkpointruns in namespace team" in informer.trouble()
        clock.advance(61)
        await eventually(lambda: "" if len(errors()) == 2 else str(errors()), what="a second line")
        assert (informer.synced(), informer.silence()) == (False, 61)
        world.api.fault = None
        await eventually(lambda: "" if informer.synced() else "not yet", what="the first list")
        assert (informer.trouble(), informer.silence()) == ("", 0)

    run(scenario, before=forbid, clock=clock, namespaces=["team"])


def test_a_kind_that_is_not_installed_is_waited_for_a_while_and_found_when_it_comes() -> None:
    """The other kinds must not wait for it: their objects may have to be let go."""
    clock = FakeClock()

    def without_kind(world: World) -> None:
        world.api.fault = answers(404, "NotFound", "404 page not found")
        world.api.put(RUNS, "team", "a")

    async def scenario(world: World, informer: Informer[str]) -> None:
        await eventually(lambda: "" if world.lists > 2 else str(world.lists), what="several attempts")
        assert not informer.synced()
        clock.advance(informers.ABSENT_SECONDS)
        await eventually(lambda: "" if informer.synced() else "not yet", what="the others to be let go on")
        assert "404 page not found" in informer.trouble()
        assert world.names() == []
        world.api.fault = None
        await world.has("a")

    run(scenario, before=without_kind, clock=clock)


def test_the_server_is_not_asked_without_a_pause_when_its_watches_end_at_once() -> None:
    async def ended(request: web.Request) -> web.StreamResponse | None:
        return web.Response(body=b"") if "watch" in request.query else None

    def end_at_once(world: World) -> None:
        world.api.fault = ended

    async def scenario(world: World, informer: Informer[str]) -> None:
        started = time.monotonic()
        await eventually(lambda: "" if len(world.api.asked("GET", watch=True)) > 5 else "fewer", what="six watches")
        assert time.monotonic() - started > 0.05  # the pauses: at least 5, 10, 20, 25, 25 ms

    run(scenario, before=end_at_once)


def test_several_namespaces_are_synced_when_all_of_them_are() -> None:
    release = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse | None:
        if "/namespaces/two/" in request.path:
            await release.wait()
        return None

    def fill(world: World) -> None:
        world.api.fault = slow
        world.api.put(RUNS, "one", "a")
        world.api.put(RUNS, "two", "b")
        world.api.put(RUNS, "three", "c")

    async def scenario(world: World, informer: Informer[str]) -> None:
        await world.has("a")
        assert not informer.synced()
        release.set()
        await world.has("a", "b")
        await asyncio.wait_for(world.cache.synced.wait(), 20)
        await world.watching(2)
        world.api.delete(RUNS, "one", "a")
        world.api.put(RUNS, "three", "d")
        await world.has("b")

    run(scenario, before=fill, namespaces=["one", "two", "one"])


def answers(code: int, reason: str, message: str = "said") -> Callable[[web.Request], Awaitable[web.Response]]:
    async def fault(request: web.Request) -> web.Response:
        return status(code, reason, message)

    return fault
