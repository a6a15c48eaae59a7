"""The operator's engine on a real API server: lists in pages, watches that break, conflicts, rights, the Lease."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from tests.api.conftest import Team
from tests.support.apidouble import eventually
from tests.support.kubeserver import KubeServer
from tests.support.tunnel import Tunnel
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.errors import ClusterPermissionError, NotConfiguredError, ObjectChangedError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.connection import Connection, Token, find_connection
from trainpoint_operator.engine.events import Recorder
from trainpoint_operator.engine.informer import Informer
from trainpoint_operator.engine.kube import Change, GoneError, Kube, ThrottledError
from trainpoint_operator.engine.lease import Elector
from trainpoint_operator.engine.resources import CONFIG_MAPS, EVENTS, LEASES, PODS, POLICIES, RUNS, SECRETS, Resource

CLOCK, CHANCE = SystemClock(), SystemChance()


def connection(server: KubeServer, person: str = "admin") -> Connection:
    return find_connection({"KUBECONFIG": str(server.kubeconfig(person))}, CLOCK)


def run(scenario: Awaitable[None], seconds: float = 90) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario, seconds)

    asyncio.run(limited())


async def make(kube: Kube, namespace: str, *names: str, label: str = "x") -> None:
    """CheckpointPolicies, 20 at a time."""
    limit = asyncio.Semaphore(20)

    async def one(name: str) -> None:
        async with limit:
            body = {
                "apiVersion": POLICIES.api_version,
                "kind": POLICIES.kind,
                "metadata": {"name": name, "labels": {"test": label}},
                "spec": {},
            }
            assert await kube.create(POLICIES, namespace, body) is not None

    await asyncio.gather(*(one(name) for name in names))


def test_only_what_was_seen_is_deleted(server: KubeServer) -> None:
    async def scenario() -> None:
        namespace = server.namespace("engine")
        async with Kube(connection(server)) as kube:
            await make(kube, namespace, "a")
            old = (await seen(kube, namespace, "a"))["metadata"]
            await kube.patch(POLICIES, namespace, "a", {"metadata": {"finalizers": ["example.com/x"]}})
            new = (await seen(kube, namespace, "a"))["metadata"]
            for uid, version in (
                (old["uid"], old["resourceVersion"]),
                ("6f0d9d3e-0000-4000-8000-000000000000", new["resourceVersion"]),
            ):
                with pytest.raises(ObjectChangedError, match="cannot delete checkpointpolicies/a"):
                    await kube.delete(POLICIES, namespace, "a", uid=uid, version=version)
            assert await kube.delete(POLICIES, namespace, "a", uid=new["uid"], version=new["resourceVersion"])
            going = (await seen(kube, namespace, "a"))["metadata"]
            assert going["deletionTimestamp"], "its finalizer is still on it"
            await kube.patch(POLICIES, namespace, "a", {"metadata": {"finalizers": None}})
            assert not await kube.delete(POLICIES, namespace, "a", uid=new["uid"], version=new["resourceVersion"])

    run(scenario())


async def seen(kube: Kube, namespace: str, name: str) -> JsonObject:
    found = await kube.get(POLICIES, namespace, name)
    assert found is not None
    return found


def delete(server: KubeServer, namespace: str, *names: str) -> None:
    for name in names:
        server.admin.delete(POLICIES.path(namespace, name)).expect(200)


class Watched:
    """A cache of names that an informer fills, and the deletions it told of."""

    def __init__(self, kube: Kube, namespace: str, **settings: Any) -> None:
        self.cache: Cache[str] = Cache(lambda obj: str(obj["metadata"]["name"]))
        self.gone: list[str] = []
        self.cache.listeners.append(lambda old, new: self.gone.append(old) if old and new is None else None)
        self.informer = Informer(
            kube,
            POLICIES,
            self.cache,
            clock=CLOCK,
            chance=CHANCE,
            namespaces=[namespace],
            labels="test=x",
            **settings,
        )

    async def has(self, *names: str) -> None:
        def lacking() -> str:
            found = sorted(self.cache.all())
            return "" if found == sorted(names) else f"{found[:10]} ({self.informer.trouble()})"

        await eventually(lacking, what=f"the cache to have {names[:10]}", seconds=40)


@asynccontextmanager
async def running(informer: Informer[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        yield
        assert not task.done(), "the informer has ended"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- informers --------------------------------------------------------------------------------------------------------


def test_an_informer_sees_700_objects_in_pages(server: KubeServer) -> None:
    namespace = server.namespace("pages")
    names = [f"map-{number:03}" for number in range(700)]
    counted: list[tuple[str, str]] = []

    async def scenario() -> None:
        async with Kube(connection(server), observe=lambda verb, _, code: counted.append((verb, code))) as kube:
            await make(kube, namespace, *names)
            await make(kube, namespace, "other", label="y")
            watched = Watched(kube, namespace, page=100)
            async with running(watched.informer):
                await watched.has(*names)
                await asyncio.wait_for(watched.cache.synced.wait(), 30)
                delete(server, namespace, "map-077")
                await make(kube, namespace, "map-700")
                await watched.has(*(n for n in names if n != "map-077"), "map-700")
        # Seven pages, and perhaps an empty one, since there are objects that the selector leaves out.
        assert counted.count(("list", "200")) in (7, 8)
        assert watched.informer.relists == 1
        assert watched.gone == ["map-077"]

    run(scenario())


def test_fields_are_selected_by_the_server(team: Team) -> None:
    server, namespace = team.server, team.namespace

    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            await make(kube, namespace, "one", "two")
            cache: Cache[str] = Cache(lambda obj: str(obj["metadata"]["name"]))
            informer = Informer(
                kube,
                POLICIES,
                cache,
                clock=CLOCK,
                chance=CHANCE,
                fields="metadata.name=two,metadata.namespace!=kube-system",
            )
            async with running(informer):
                await asyncio.wait_for(cache.synced.wait(), 30)
                assert cache.all() == ["two"]

    run(scenario())


def test_a_stream_that_is_cut_is_taken_up_again_and_misses_nothing(server: KubeServer) -> None:
    namespace = server.namespace("cut")

    async def scenario() -> None:
        async with through(server) as (kube, tunnel), Kube(connection(server)) as direct:
            await make(direct, namespace, "a", "b", "c")
            watched = Watched(kube, namespace)
            async with running(watched.informer):
                await watched.has("a", "b", "c")
                for number in range(3):
                    await make(direct, namespace, f"new-{number}")
                    await watched.has("a", "b", "c", f"new-{number}")
                    tunnel.cut(down=True)
                    delete(server, namespace, f"new-{number}")
                    tunnel.down = False
                    await watched.has("a", "b", "c")
                # It had told something each time, so it went on from there: the deletions came by the watch.
                assert watched.informer.relists == 1
                assert watched.gone == ["new-0", "new-1", "new-2"]

    run(scenario())


class Forgetful(Kube):
    """Watches from the beginning of time when told to, which the server does not remember."""

    ancient = 0

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, **more: Any
    ) -> AsyncGenerator[Change, None]:
        if self.ancient:
            self.ancient -= 1
            resource_version = "1"
        async with aclosing(super().watch(resource, namespace, resource_version=resource_version, **more)) as changes:
            async for change in changes:
                yield change


def test_a_deletion_that_the_server_no_longer_tells_is_not_missed(server: KubeServer) -> None:
    namespace = server.namespace("gone")

    async def scenario() -> None:
        async with through(server, Forgetful) as (kube, tunnel), Kube(connection(server)) as direct:
            assert isinstance(kube, Forgetful)
            await make(direct, namespace, "a", "b", "c")
            watched = Watched(kube, namespace)
            async with running(watched.informer):
                await watched.has("a", "b", "c")
                await make(direct, namespace, "d")
                await watched.has("a", "b", "c", "d")
                tunnel.cut(down=True)
                delete(server, namespace, "b")
                await make(direct, namespace, "e")
                kube.ancient = 1
                tunnel.down = False
                await watched.has("a", "c", "d", "e")
                assert watched.gone == ["b"]
                assert watched.informer.relists == 2
                delete(server, namespace, "a")  # and the watch goes on
                await watched.has("c", "d", "e")

    run(scenario())


def test_a_version_of_long_ago_is_gone(server: KubeServer) -> None:
    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            with pytest.raises(GoneError, match="too old resource version"):
                while True:
                    with contextlib.suppress(ThrottledError):  # the server has just begun to serve the kind
                        async with aclosing(kube.watch(POLICIES, resource_version="1", seconds=5)) as changes:
                            async for change in changes:
                                pytest.fail(f"the server remembers: {change}")
                    await asyncio.sleep(0.1)

    run(scenario())


def test_the_server_ends_a_watch_when_its_time_is_over(server: KubeServer) -> None:
    namespace = server.namespace("short")

    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            await make(kube, namespace, "a")
            watched = Watched(kube, namespace, watch_seconds=1.0)
            async with running(watched.informer):
                await watched.has("a")
                await asyncio.sleep(3)
                assert not watched.informer.trouble()
                assert watched.informer.silence() < 2
                delete(server, namespace, "a")
                await watched.has()
                assert watched.informer.relists == 1

    run(scenario())


def test_a_missing_right_is_told_in_the_servers_words(server: KubeServer, caplog: pytest.LogCaptureFixture) -> None:
    namespace = server.namespace("forbidden")

    async def scenario() -> None:
        async with Kube(connection(server, "stranger")) as kube:
            watched = Watched(kube, namespace)
            async with running(watched.informer):
                await eventually(lambda: "" if watched.informer.trouble() else "no trouble", what="trouble")
                assert not watched.informer.synced()
                assert 'User "stranger" cannot list resource "checkpointpolicies"' in watched.informer.trouble()

    run(scenario())
    (line,) = [r.message for r in caplog.records if r.levelno == logging.ERROR]
    assert f"resource=checkpointpolicies namespace={namespace} event=watch-forbidden" in line


@asynccontextmanager
async def through(server: KubeServer, kind: type[Kube] = Kube) -> AsyncIterator[tuple[Kube, Tunnel]]:
    """A client whose wire can be cut."""
    direct = connection(server)
    async with Tunnel(int(direct.server.rpartition(":")[2])) as tunnel:
        there = dataclasses.replace(direct, server=f"https://127.0.0.1:{tunnel.port}")
        async with kind(there) as kube:
            yield kube, tunnel


# --- single requests --------------------------------------------------------------------------------------------------


def test_what_is_absent_exists_or_changed_meanwhile(server: KubeServer) -> None:
    namespace = server.namespace("requests")

    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
            assert await kube.get(CONFIG_MAPS, namespace, "a") is None
            assert await kube.patch(CONFIG_MAPS, namespace, "a", {"data": {"x": "2"}}) is None
            made = await kube.create(CONFIG_MAPS, namespace, body)
            assert made is not None
            assert await kube.create(CONFIG_MAPS, namespace, body) is None
            version = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
            patched = await kube.patch(CONFIG_MAPS, namespace, "a", {**version, "data": {"x": None, "y": "2"}})
            assert patched is not None
            assert patched["data"] == {"y": "2"}
            managers = {m["manager"] for m in patched["metadata"]["managedFields"]}
            assert managers == {"trainpoint-operator"}
            with pytest.raises(ObjectChangedError, match="modified"):
                await kube.patch(CONFIG_MAPS, namespace, "a", {**version, "data": {"x": "3"}})
            with pytest.raises(ObjectChangedError, match="Invalid value"):
                await kube.create(CONFIG_MAPS, namespace, {**body, "metadata": {"name": "Not A Name"}})
            with pytest.raises(NotConfiguredError, match="not found"):
                await kube.create(CONFIG_MAPS, f"{namespace}-none", body)
            with pytest.raises(NotConfiguredError):
                await kube.list(Resource("trainpoint.dev", "v1alpha1", "sonnets", "Sonnet"), namespace)

    run(scenario())


def test_rights_are_asked_beforehand(team: Team) -> None:
    async def scenario() -> None:
        token = Token(CLOCK, value=team.operator.token)
        operator = dataclasses.replace(connection(team.server), token=token)
        async with Kube(operator) as kube:
            assert await kube.may("patch", RUNS, team.namespace, subresource="status")
            assert await kube.may("watch", RUNS)
            assert not await kube.may("list", SECRETS, team.namespace)
            assert not await kube.may("watch", PODS)  # only in its namespaces
            assert await kube.may("watch", PODS, team.namespace)
            with pytest.raises(ClusterPermissionError, match="cannot list secrets in namespace"):
                await kube.list(SECRETS, team.namespace)
        async with Kube(connection(team.server, "stranger")) as kube:
            assert not await kube.may("get", RUNS, team.namespace)

    run(scenario())


def test_events_are_written_with_the_operators_rights_and_go_on_as_a_series(team: Team) -> None:
    async def scenario() -> None:
        token = Token(CLOCK, value=team.operator.token)
        operator = dataclasses.replace(connection(team.server), token=token)
        about: JsonObject = {
            "apiVersion": "trainpoint.dev/v1alpha1",
            "kind": "CheckpointRun",
            "metadata": {"namespace": team.namespace, "name": "llm-7-0a1b2c3d", "uid": "u-1"},
        }
        async with Kube(operator) as kube:
            for instance in ("operator-0", "operator-1"):  # the second process knows nothing of the first
                recorder = Recorder(kube, CLOCK, instance=instance)
                await recorder.event(about, "NodeLost", "ä" * 2000, warning=True)
        found = team.root.get(EVENTS.path(team.namespace)).expect(200)["items"]
        (event,) = [e for e in found if e["reason"] == "NodeLost"]
        assert (event["type"], event["reportingController"]) == ("Warning", "trainpoint.dev/operator")
        assert event["regarding"]["name"] == "llm-7-0a1b2c3d"
        assert len(event["note"].encode()) <= 1024
        assert event["series"]["count"] == 2

    run(scenario())
    told = team.server.kubectl("describe", "-n", team.namespace, "checkpointruns")
    assert told.returncode == 0, told.stderr


# --- the Lease --------------------------------------------------------------------------------------------------------

DURATION, RETRY, MARGIN = 3.0, 0.5, 1.5
"""Seconds; the margin is for the requests themselves, on a busy machine."""


def elector(kube: Kube, identity: str, name: str, lost: Callable[[], None] = lambda: None) -> Elector:
    return Elector(
        kube,
        "default",
        identity,
        clock=CLOCK,
        chance=CHANCE,
        name=name,
        duration=DURATION,
        deadline=2.0,
        renew=1.0,
        retry=RETRY,
        lost=lost,
    )


async def leads(one: Elector, *, seconds: float = 30.0) -> float:
    """Wait until it does; returns how many seconds that took."""
    started = time.monotonic()
    await eventually(lambda: "" if one.leads() else f"leader: {one.leader()}", what="leadership", seconds=seconds)
    return time.monotonic() - started


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_one_of_two_leads_and_the_other_takes_over_when_it_dies_or_goes(server: KubeServer) -> None:
    name = f"lease-{secrets.token_hex(3)}"

    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            one, two, three = (elector(kube, identity, name) for identity in ("one", "two", "three"))
            first = asyncio.create_task(one.run())
            await leads(one)
            second = asyncio.create_task(two.run())
            await asyncio.sleep(DURATION + 2 * RETRY)  # renewed all the while
            assert (one.leads(), two.leads(), two.leader()) == (True, False, "one")

            await stop(first)  # dies without a word
            took = await leads(two)
            assert took <= DURATION + RETRY + MARGIN
            assert not one.leads()

            third = asyncio.create_task(three.run())
            await eventually(lambda: "" if three.leader() == "two" else three.leader(), what="three to see two")
            await stop(second)
            await two.release()
            assert not two.leads()
            took = await leads(three)
            assert took <= RETRY + MARGIN
            await stop(third)
            spec = (await kube.get(LEASES, "default", name) or {})["spec"]
            assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("three", 2)

    run(scenario())


def test_a_leader_that_is_cut_off_has_stopped_before_another_one_starts(server: KubeServer) -> None:
    name = f"lease-{secrets.token_hex(3)}"
    lost: list[str] = []

    async def scenario() -> None:
        async with through(server) as (cut_off, tunnel), Kube(connection(server)) as direct:
            one = elector(cut_off, "one", name, lambda: lost.append("one"))
            two = elector(direct, "two", name)
            first = asyncio.create_task(one.run())
            await leads(one)
            second = asyncio.create_task(two.run())
            await eventually(lambda: "" if two.leader() == "one" else "not seen", what="two to see one")
            tunnel.cut(down=True)
            at = time.monotonic()
            while not two.leads():
                assert time.monotonic() - at < DURATION + RETRY + MARGIN, "no takeover in time"
                await asyncio.sleep(0.005)
            assert not one.leads()
            await asyncio.wait_for(first, 10)  # it has noticed, and ended
            assert lost == ["one"]
            tunnel.down = False
            assert not one.leads()
            await stop(second)

    run(scenario())


def test_five_replicas_that_start_together_have_one_leader(server: KubeServer) -> None:
    name = f"lease-{secrets.token_hex(3)}"

    async def scenario() -> None:
        async with Kube(connection(server)) as kube:
            replicas = [elector(kube, f"replica-{number}", name) for number in range(5)]
            tasks = [asyncio.create_task(replica.run()) for replica in replicas]
            try:
                for _ in range(100):
                    assert sum(replica.leads() for replica in replicas) <= 1
                    await asyncio.sleep(0.02)
                (leader,) = [replica for replica in replicas if replica.leads()]
                assert {replica.leader() for replica in replicas} == {leader.identity}
            finally:
                for task in tasks:
                    await stop(task)

    run(scenario())
