"""An API server in this process, for faults that a real one cannot be made to play at the right moment.

It lists in pages, watches, creates and merges; it validates nothing. What a server decides is tested on a real one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from trainpoint.format.digest import JsonObject
from trainpoint.testing import FakeClock
from trainpoint_operator.engine.connection import Connection, Token
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import Resource

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    authorization: str


@dataclass(slots=True)
class ApiDouble:
    """Objects by path. Usable as an asynchronous context manager; ``url`` is where it listens, on 127.0.0.1."""

    fault: Fault | None = None
    """asked first; what it returns is the answer"""
    objects: dict[str, JsonObject] = field(default_factory=dict)
    log: list[Asked] = field(default_factory=list)
    url: str = ""
    _version: int = 100
    _oldest: int = 100
    _history: list[tuple[int, str, str, JsonObject]] = field(default_factory=list)
    _watches: set[web.StreamResponse] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> ApiDouble:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    def kube(self, **settings: Any) -> Kube:
        """A client of it."""
        return Kube(Connection(self.url, None, Token(FakeClock(), value="secret")), **settings)

    # --- what a test does to it ---------------------------------------------------------------------------------------

    def put(self, resource: Resource, namespace: str, name: str, **more: Any) -> JsonObject:
        """Create or change an object."""
        path = resource.path(namespace, name)
        kind = "MODIFIED" if path in self.objects else "ADDED"
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
        return self._store(path, kind, {"kind": resource.kind, "metadata": metadata, **more})

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        path = resource.path(namespace, name)
        self._store(path, "DELETED", self.objects.pop(path))

    def compact(self) -> None:
        """Forget what has happened: who watches from before now is told 410."""
        self._oldest = self._version
        self._history.clear()

    def cut(self) -> None:
        """Break all open watches off in the middle."""
        for watch in list(self._watches):
            transport = watch._req.transport if watch._req is not None else None
            if transport is not None:
                transport.abort()
        self._watches.clear()

    def end(self) -> None:
        """End all open watches, as a server does when their time is over."""
        self._watches.clear()
        self._news.set()

    @property
    def watching(self) -> int:
        """Watches that are open now."""
        return len(self._watches)

    def asked(self, method: str, *, watch: bool = False) -> list[Asked]:
        return [a for a in self.log if a.method == method and ("watch" in a.query) == watch]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _store(self, path: str, kind: str, obj: JsonObject) -> JsonObject:
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self._version)
        if kind != "DELETED":
            self.objects[path] = obj
        self._history.append((self._version, kind, path, obj))
        self._news.set()
        return obj

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = unquote(request.path)
        query = dict(request.query)
        self.log.append(Asked(request.method, path, query, request.headers.get("Authorization", "")))
        if self.fault is not None and (played := await self.fault(request)) is not None:
            return played
        if request.method == "GET" and "watch" in query:
            return await self._watch(request, path, query)
        if request.method == "GET" and path in self.objects:
            return web.json_response(self.objects[path])
        if request.method == "GET" and "limit" in query:
            return self._list(path, query)
        if request.method == "POST":
            body = await request.json()
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return status(409, "AlreadyExists", f"{path} already exists")
            return web.json_response(self._store(path, "ADDED", body), status=201)
        if request.method == "PATCH" and path in self.objects:
            return self._patch(path, await request.json())
        if request.method == "DELETE" and path in self.objects:
            return self._remove(path, await request.json())
        return status(404, "NotFound", f"{path} not found")

    def _patch(self, path: str, body: JsonObject) -> web.Response:
        there = self.objects[path]
        version = body.get("metadata", {}).pop("resourceVersion", None)
        if version not in (None, there["metadata"]["resourceVersion"]):
            return status(409, "Conflict", "the object has been modified")
        return web.json_response(self._store(path, "MODIFIED", merge(there, body)))

    def _remove(self, path: str, options: JsonObject) -> web.Response:
        metadata = self.objects[path]["metadata"]
        if any(metadata[field] != wanted for field, wanted in options.get("preconditions", {}).items()):
            return status(409, "Conflict", "the object has been modified")
        return web.json_response(self._store(path, "DELETED", self.objects.pop(path)))

    def _list(self, path: str, query: dict[str, str]) -> web.Response:
        start, limit = int(query.get("continue", "0")), int(query["limit"])
        found = [obj for where, obj in sorted(self.objects.items()) if _in(path, where)]
        metadata = {"resourceVersion": str(self._version)}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        return web.json_response({"metadata": metadata, "items": found[start : start + limit]})

    async def _watch(self, request: web.Request, path: str, query: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        last = int(query["resourceVersion"])
        if last < self._oldest:
            told = {"type": "ERROR", "object": {"code": 410, "message": f"too old resource version: {last}"}}
            await response.write(json.dumps(told).encode() + b"\n")
            return response
        self._watches.add(response)
        try:
            while response in self._watches:
                self._news.clear()
                for version, kind, where, obj in [h for h in self._history if h[0] > last]:
                    last = version
                    if _in(path, where):
                        await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                await self._news.wait()
                await asyncio.sleep(0)
        finally:
            self._watches.discard(response)
        return response


def _in(collection: str, path: str) -> bool:
    """Whether an object's path is in a collection: of its namespace, or of all."""
    scoped = path.rpartition("/")[0]
    head, _, tail = scoped.partition("/namespaces/")
    return collection in (scoped, f"{head}/{tail.partition('/')[2]}")


def merge(old: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    """An error as the server explains it."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def eventually(lacking: Callable[[], str], *, what: str, seconds: float = 20.0) -> None:
    """Look until nothing is lacking (the empty text); fails with what was lacking last."""
    deadline = time.monotonic() + seconds
    while text := lacking():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}; last seen: {text}"
        await asyncio.sleep(0.01)
