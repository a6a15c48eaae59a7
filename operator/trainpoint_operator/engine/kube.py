"""The API server: seven verbs on any resource, and errors that say what was asked, of what, and what to do.

One per process, from its event loop. Bodies are plain dicts; patches are merge patches, so that a repeated one changes
nothing. Nothing is retried in silence but a read whose connection was reset: who asks comes again through the queue.
"""

from __future__ import annotations

import asyncio
import builtins
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import aiohttp

from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.answers import (
    AbsentError,
    Change,
    ExistsError,
    GoneError,
    ThrottledError,
    Verb,
    change_of,
    understood,
    unreachable,
    what_of,
)
from trainpoint_operator.engine.connection import Connection
from trainpoint_operator.engine.resources import ACCESS_REVIEWS, Resource

__all__ = ["Change", "GoneError", "Kube", "Listing", "ThrottledError"]

FIELD_MANAGER: Final = "trainpoint-operator"
MERGE_PATCH: Final = "application/merge-patch+json"
REQUEST_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0
SILENCE_SECONDS: Final = 90.0
"""A watch that says nothing for so long is given up: the server sends a bookmark about once a minute (kube-apiserver,
``bookmarkFrequency``). A stream can be left without a sender, as when its kind is deleted and made anew."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects of a kind, as of one moment."""

    items: builtins.list[JsonObject]
    resource_version: str
    """from which a watch goes on"""


class Kube:
    """Usable as an asynchronous context manager; else :meth:`close` it."""

    def __init__(
        self,
        connection: Connection,
        *,
        observe: Callable[[str, Resource, str], None] = lambda verb, resource, code: None,
        request_seconds: float = REQUEST_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """``observe``: told of each request: verb, resource, and the HTTP status or ``error`` where none came."""
        self.connection = connection
        self._observe = observe
        self._request_seconds = request_seconds
        self._silence_seconds = silence_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- read ---------------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        """An object; None if there is none."""
        try:
            return await self._ask("get", resource, resource.path(namespace, name))
        except AbsentError:
            return None

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", page: int = 500
    ) -> Listing:
        """All objects by selectors, as of one moment; without a namespace, of all of them.

        Raises:
            NotConfiguredError: the server has no such kind.
            GoneError: the pages came too slowly, and the moment is gone.
        """
        items: builtins.list[JsonObject] = []
        version = ""
        async for part in self.pages(resource, namespace, labels=labels, fields=fields, page=page):
            items += part.items
            version = part.resource_version
        return Listing(items, version)

    async def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", page: int = 500
    ) -> AsyncGenerator[Listing, None]:
        """The same page by page, so that the whole list is never in memory."""
        # No resourceVersion: with one, and be it 0, the server ignores the limit and sends everything.
        query = _given(limit=str(page), labelSelector=labels, fieldSelector=fields)
        while True:
            answer = await self._ask("list", resource, resource.path(namespace), query=query)
            metadata = answer.get("metadata", {})
            yield Listing(answer.get("items") or [], str(metadata.get("resourceVersion", "")))
            token = metadata.get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        seconds: float = 290,
    ) -> AsyncGenerator[Change, None]:
        """What changes from ``resource_version`` on. Ends when the server ends it, after about so many seconds.

        Raises:
            GoneError: the server has no history from there on; list again.
            ClusterUnreachableError: the stream broke, or nothing came for so long that it is dead (no bookmark).
        """
        query = _given(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=str(max(1, round(seconds))),
            labelSelector=labels,
            fieldSelector=fields,
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=self._silence_seconds)
        what = what_of("watch", resource, resource.path(namespace))
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._respond("watch", resource, resource.path(namespace), query=query, timeout=timeout)
            rest = b""
            async for data in response.content.iter_any():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield change_of(what, line)
        except TrainpointError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(what, error) from None
        finally:
            if response is not None:
                response.close()  # the connection is of no more use: the rest of the stream would come first

    # --- write --------------------------------------------------------------------------------------------------------

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, object]) -> JsonObject | None:
        """Create an object and return it; None where one of that name exists.

        Raises:
            NotConfiguredError: there is no such namespace, or the server has no such kind.
            ObjectChangedError: a rule of its kind objects.
        """
        try:
            return await self._ask("create", resource, resource.path(namespace), body=body)
        except ExistsError:
            return None

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, object],
        *,
        subresource: str = "",
    ) -> JsonObject | None:
        """Merge into an object and return it; None if there is none.

        With ``metadata.resourceVersion`` in the body it is a compare-and-swap.

        Raises:
            ObjectChangedError: it changed meanwhile (409), or a rule of its kind objects (422).
        """
        try:
            return await self._ask("patch", resource, resource.path(namespace, name, subresource), body=body)
        except AbsentError:
            return None

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str) -> bool:
        """Delete an object as it was seen; whether there was one. With finalizers it goes once they are off.

        Raises:
            ObjectChangedError: it changed meanwhile, or is another one of that name.
        """
        body: JsonObject = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": version},
        }
        try:
            await self._ask("delete", resource, resource.path(namespace, name), body=body)
        except AbsentError:
            return False
        return True

    async def may(self, verb: str, resource: Resource, namespace: str = "", *, subresource: str = "") -> bool:
        """Whether we have a right; without a namespace, in all of them."""
        attributes = _given(
            verb=verb,
            group=resource.group,
            version=resource.version,
            resource=resource.plural,
            subresource=subresource,
            namespace=namespace,
        )
        body: JsonObject = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self._ask("create", ACCESS_REVIEWS, ACCESS_REVIEWS.path(), body=body)
        return bool(answer.get("status", {}).get("allowed"))

    # --- the wire -----------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        verb: Verb,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> JsonObject:
        what = what_of(verb, resource, path)
        try:
            async with asyncio.timeout(self._request_seconds):
                response = await self._respond(verb, resource, path, query=query, body=body)
                async with response:
                    answer = json.loads(await response.read())
        except TrainpointError:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise unreachable(what, error) from None
        if not isinstance(answer, dict):
            raise unreachable(what, ValueError("the answer is no object"))
        return answer

    async def _respond(
        self,
        verb: Verb,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer to a request that went well, its body unread; everything else is raised."""
        again = verb in ("get", "list", "watch")
        renewed = False
        while True:
            try:
                response = await self._send(verb, path, query, body, timeout)
            except TrainpointError:
                raise
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._observe(verb, resource, "error")
                if again and isinstance(error, ConnectionResetError | aiohttp.ServerDisconnectedError):
                    again = False  # a connection that the server had closed while it was idle
                    continue
                raise unreachable(what_of(verb, resource, path), error) from None
            self._observe(verb, resource, str(response.status))
            if response.status < 400:
                return response
            async with response:
                if response.status == 401 and not renewed and self.connection.token.refused():
                    renewed = True
                    continue
                raise await understood(what_of(verb, resource, path), response)

    async def _send(
        self,
        verb: Verb,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, object] | None,
        timeout: aiohttp.ClientTimeout | None,
    ) -> aiohttp.ClientResponse:
        method = {"create": "POST", "patch": "PATCH", "delete": "DELETE"}.get(verb, "GET")
        parameters = dict(query or {})
        headers = self.connection.headers()
        data = None
        if body is not None:
            if verb != "delete":
                parameters["fieldManager"] = FIELD_MANAGER
            headers["Content-Type"] = MERGE_PATCH if verb == "patch" else "application/json"
            data = json.dumps(body, separators=(",", ":")).encode()
        if self._session is None:
            # No limit: each watch holds one, six for each namespace, and who asks is bounded by the number of workers.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"Accept": "application/json", "User-Agent": FIELD_MANAGER}
            )
        return await self._session.request(
            method,
            self.connection.server + path,
            params=parameters,
            data=data,
            headers=headers,
            ssl=self.connection.tls if self.connection.tls is not None else True,
            server_hostname=self.connection.server_name,
            timeout=timeout or aiohttp.ClientTimeout(total=self._request_seconds, sock_connect=CONNECT_SECONDS),
            allow_redirects=False,  # the token goes nowhere else
        )


def _given(**values: str) -> dict[str, str]:
    """Those that are not empty."""
    return {name: value for name, value in values.items() if value}
