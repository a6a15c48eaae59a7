"""What the client makes of answers, also of those that a real server gives only on bad days."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.apidouble import ApiDouble, Fault, eventually, status
from trainpoint.errors import (
    ClusterPermissionError,
    ClusterUnreachableError,
    NotConfiguredError,
    ObjectChangedError,
    TrainpointError,
)
from trainpoint.testing import FakeClock
from trainpoint_operator.engine.answers import RuleObjectsError, what_of
from trainpoint_operator.engine.connection import Connection, Token
from trainpoint_operator.engine.kube import Change, GoneError, Kube, ThrottledError
from trainpoint_operator.engine.resources import CHECKPOINTS, NAMESPACES, PODS, RUNS, Resource


def run(scenario: Callable[[ApiDouble, Kube], Awaitable[None]], fault: Fault | None = None) -> None:
    async def with_server() -> None:
        async with ApiDouble(fault) as api, api.kube(request_seconds=5, silence_seconds=0.2) as kube:
            await asyncio.wait_for(scenario(api, kube), 30)

    asyncio.run(with_server())


def answering(code: int, reason: str, message: str = "said", **headers: str) -> Fault:
    async def fault(request: web.Request) -> web.StreamResponse:
        return status(code, reason, message, **headers)

    return fault


def test_an_object_or_none() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        api.put(RUNS, "team", "a", spec={"x": 1})
        found = await kube.get(RUNS, "team", "a")
        assert found is not None
        assert found["spec"] == {"x": 1}
        assert await kube.get(RUNS, "team", "b") is None
        assert api.log[0].authorization == "Bearer secret"

    run(scenario)


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_a_list_is_complete_whatever_the_pages(count: int) -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        for number in range(count):
            api.put(RUNS, f"team-{number % 2}", f"run-{number}")
        listing = await kube.list(RUNS, page=3, labels="a=b", fields="c=d")
        assert len({item["metadata"]["name"] for item in listing.items}) == count
        assert listing.resource_version == str(100 + count)
        asked = api.asked("GET")
        assert len(asked) == max(1, -(-count // 3))
        assert {(a.query["limit"], a.query["labelSelector"], a.query["fieldSelector"]) for a in asked} == {
            ("3", "a=b", "c=d")
        }
        assert not [a for a in asked if "resourceVersion" in a.query]  # with one the server ignores the limit

    run(scenario)


def test_create_and_patch_say_by_none_that_it_exists_or_does_not() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        body = {"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}
        made = await kube.create(RUNS, "team", body)
        assert made is not None
        assert await kube.create(RUNS, "team", body) is None
        patched = await kube.patch(RUNS, "team", "a", {"spec": {"x": None}})
        assert patched is not None
        assert patched["spec"] == {"y": 2}
        assert await kube.patch(RUNS, "team", "b", {}) is None
        assert {a.query["fieldManager"] for a in api.log} == {"trainpoint-operator"}

    run(scenario)


def test_only_what_was_seen_is_deleted() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        old = api.put(RUNS, "team", "a")["metadata"]
        new = api.put(RUNS, "team", "a", spec={})["metadata"]
        for uid, version in ((old["uid"], old["resourceVersion"]), ("another", new["resourceVersion"])):
            with pytest.raises(ObjectChangedError, match=r"cannot delete checkpointruns/a in namespace team"):
                await kube.delete(RUNS, "team", "a", uid=uid, version=version)
        assert await kube.delete(RUNS, "team", "a", uid=new["uid"], version=new["resourceVersion"])
        assert await kube.get(RUNS, "team", "a") is None
        assert not await kube.delete(RUNS, "team", "a", uid=new["uid"], version=new["resourceVersion"])

    run(scenario)


def test_a_patch_with_an_old_version_is_refused() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        old = api.put(RUNS, "team", "a")["metadata"]["resourceVersion"]
        api.put(RUNS, "team", "a", spec={})
        with pytest.raises(ObjectChangedError, match=r"cannot patch checkpointruns/a in namespace team"):
            await kube.patch(RUNS, "team", "a", {"metadata": {"resourceVersion": old}})

    run(scenario)


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", RuleObjectsError),
        (401, "Unauthorized", ClusterPermissionError),
        (403, "Forbidden", ClusterPermissionError),
        (404, "NotFound", NotConfiguredError),
        (409, "Conflict", ObjectChangedError),
        (410, "Expired", GoneError),
        (422, "Invalid", RuleObjectsError),
        (429, "TooManyRequests", ClusterUnreachableError),
        (500, "InternalError", ClusterUnreachableError),
        (503, "ServiceUnavailable", ClusterUnreachableError),
    ],
)
def test_a_refused_list_says_what_was_asked_and_what_the_server_said(
    code: int, reason: str, error: type[TrainpointError]
) -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        with pytest.raises(error) as caught:
            await kube.list(PODS, "team")
        assert type(caught.value).__mro__.index(error) <= 1
        assert caught.value.message.startswith("cannot list pods in namespace team: ")
        assert "who knows" in caught.value.message
        assert caught.value.remedy
        assert len(api.log) == 1  # nothing is retried in silence

    run(scenario, answering(code, reason, "who knows"))


@pytest.mark.parametrize("code", [429, 503])
def test_how_long_the_server_asks_to_wait_is_passed_on(code: int) -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        with pytest.raises(ThrottledError) as caught:
            await kube.create(RUNS, "team", {})
        assert caught.value.seconds == 7

    run(scenario, answering(code, "Busy", Retry_After="7"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff\xfe"])
def test_an_answer_that_is_no_object_is_an_error_of_ours(body: bytes) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    async def scenario(api: ApiDouble, kube: Kube) -> None:
        with pytest.raises(ClusterUnreachableError):
            await kube.get(RUNS, "team", "a")

    run(scenario, fault)


def drops(count: int) -> Fault:
    """Close the connection instead of an answer, so many times."""
    left = [count]

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if left[0] and request.transport is not None:
            left[0] -= 1
            request.transport.abort()
        return None

    return fault


def test_a_read_whose_connection_was_reset_is_asked_once_more() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        api.put(RUNS, "team", "a")
        assert await kube.get(RUNS, "team", "a") is not None

    run(scenario, drops(1))


def test_a_write_whose_connection_was_reset_is_not_repeated() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        with pytest.raises(ClusterUnreachableError, match="does not answer"):
            await kube.create(RUNS, "team", {"metadata": {"name": "a"}})
        assert len(api.asked("POST")) == 1

    run(scenario, drops(1))


def test_a_server_that_is_not_there_is_unreachable_and_counted() -> None:
    counted: list[tuple[str, str, str]] = []

    async def scenario() -> None:
        connection = Connection("http://127.0.0.1:1", None, Token(FakeClock()))
        async with Kube(connection, observe=lambda v, r, c: counted.append((v, r.plural, c))) as kube:
            with pytest.raises(ClusterUnreachableError, match="cannot get pods/a in namespace team"):
                await kube.get(PODS, "team", "a")

    asyncio.run(scenario())
    assert counted == [("get", "pods", "error")]


def test_a_server_that_does_not_answer_in_time_is_unreachable() -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(60)
        return None

    async def scenario() -> None:
        async with ApiDouble(fault) as api, api.kube(request_seconds=0.1) as kube:
            with pytest.raises(ClusterUnreachableError, match="TimeoutError"):
                await kube.get(PODS, "team", "a")

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_every_request_is_counted_by_verb_resource_and_code() -> None:
    counted: list[tuple[str, str, str]] = []

    def observe(verb: str, resource: Resource, code: str) -> None:
        counted.append((verb, resource.plural, code))

    async def scenario() -> None:
        async with ApiDouble() as api, api.kube(observe=observe) as kube:
            await kube.create(RUNS, "team", {"metadata": {"name": "a"}})
            await kube.create(RUNS, "team", {"metadata": {"name": "a"}})
            await kube.list(RUNS)
            await kube.get(PODS, "team", "a")

    asyncio.run(scenario())
    assert counted == [
        ("create", "checkpointruns", "201"),
        ("create", "checkpointruns", "409"),
        ("list", "checkpointruns", "200"),
        ("get", "pods", "404"),
    ]


def test_a_token_that_the_server_refuses_is_read_anew_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if request.headers["Authorization"] != "Bearer new":
            file.write_text("new")
            return status(401, "Unauthorized", "Unauthorized")
        return None

    async def scenario() -> None:
        async with ApiDouble(fault) as api:
            api.put(RUNS, "team", "a")
            async with Kube(Connection(api.url, None, Token(FakeClock(), file))) as kube:
                assert await kube.get(RUNS, "team", "a") is not None
                assert [a.authorization for a in api.log] == ["Bearer old", "Bearer new"]

    asyncio.run(scenario())


# --- watch ------------------------------------------------------------------------------------------------------------


async def take(changes: object, count: int) -> list[Change]:
    found: list[Change] = []
    async with aclosing(changes) as stream:  # type: ignore[type-var]
        async for change in stream:  # type: ignore[attr-defined]
            found.append(change)
            if len(found) == count:
                break
    return found


def test_a_watch_tells_what_changes_from_a_version_on() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        api.put(RUNS, "team", "old")
        version = (await kube.list(RUNS)).resource_version
        big = {"x": "ä" * 300_000}  # more than one read of the socket, and more than a line reader takes
        api.put(RUNS, "team", "a", spec=big)
        api.put(PODS, "team", "a")
        api.put(RUNS, "other", "a", spec={})
        api.delete(RUNS, "team", "a")
        everywhere = await take(kube.watch(RUNS, resource_version=version), 3)
        assert [(c.kind, c.object["metadata"]["namespace"]) for c in everywhere] == [
            ("ADDED", "team"),
            ("ADDED", "other"),
            ("DELETED", "team"),
        ]
        assert everywhere[0].object["spec"] == big
        inside = await take(kube.watch(RUNS, "team", resource_version=version, labels="a=b", seconds=60), 2)
        assert [c.kind for c in inside] == ["ADDED", "DELETED"]
        asked = api.asked("GET", watch=True)[-1].query
        assert (asked["timeoutSeconds"], asked["labelSelector"], asked["allowWatchBookmarks"]) == ("60", "a=b", "true")

    run(scenario)


def test_many_watches_leave_room_for_requests() -> None:
    """Six for each namespace that an operator is told to watch."""

    async def scenario(api: ApiDouble, kube: Kube) -> None:
        watching = [
            asyncio.create_task(take(kube.watch(RUNS, f"team-{number}", resource_version="100"), 1))
            for number in range(150)
        ]
        await eventually(lambda: "" if api.watching >= 150 else str(api.watching), what="all watches")
        assert await kube.get(PODS, "team", "none") is None
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    run(scenario)


def test_a_watch_from_a_version_that_is_forgotten_is_gone() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        api.put(RUNS, "team", "a")
        api.compact()
        with pytest.raises(GoneError, match="too old resource version"):
            await take(kube.watch(RUNS, resource_version="100"), 1)

    run(scenario)


def test_a_watch_that_the_server_ends_ends() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        found: list[Change] = []

        async def follow() -> None:
            async for change in kube.watch(RUNS, resource_version="100"):
                found.append(change)

        watching = asyncio.create_task(follow())
        api.put(RUNS, "team", "a")
        await eventually(lambda: "" if found else "nothing", what="the change")
        api.end()
        await watching
        assert [c.kind for c in found] == ["ADDED"]

    run(scenario)


def test_a_watch_that_breaks_or_falls_silent_is_an_error() -> None:
    async def scenario(api: ApiDouble, kube: Kube) -> None:
        broken = asyncio.create_task(take(kube.watch(RUNS, resource_version="100"), 5))
        await eventually(lambda: "" if api.watching else "no watch", what="the watch to be open")
        api.cut()
        with pytest.raises(ClusterUnreachableError, match="cannot watch checkpointruns"):
            await broken
        with pytest.raises(ClusterUnreachableError, match="imeout"):  # the server does not end it after 0.1 s
            await take(kube.watch(RUNS, resource_version="100", seconds=0.1), 5)

    run(scenario)


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'{"type":"ADDED"}\n', b'{"type":"ERROR","object":{"code":500}}\n']
)
def test_a_line_that_is_no_change_is_an_error_of_ours(line: bytes) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        return web.Response(body=line + b"\n")

    async def scenario(api: ApiDouble, kube: Kube) -> None:
        with pytest.raises(ClusterUnreachableError):
            await take(kube.watch(RUNS, resource_version="100"), 1)

    run(scenario, fault)


@pytest.mark.parametrize(
    ("resource", "path", "text"),
    [
        (CHECKPOINTS, CHECKPOINTS.path(), "list checkpoints"),
        (CHECKPOINTS, CHECKPOINTS.path("team"), "list checkpoints in namespace team"),
        (CHECKPOINTS, CHECKPOINTS.path("team", "a", "status"), "list checkpoints/a status in namespace team"),
        (PODS, PODS.path("team", "a"), "list pods/a in namespace team"),
        (NAMESPACES, NAMESPACES.path(name="team"), "list namespaces/team"),
    ],
)
def test_requests_are_named_as_people_name_them(resource: Resource, path: str, text: str) -> None:
    assert what_of("list", resource, path) == text
