"""Keeps a cache true to the API server: list, then watch, and list anew where the watch may have missed something.

A deletion is never missed: what a new list no longer has is taken out of the cache, and its listeners hear of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from trainpoint.clock import Chance, Clock
from trainpoint.errors import ClusterPermissionError, TrainpointError
from trainpoint_operator.engine.answers import AbsentError
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.kube import SILENCE_SECONDS, GoneError, Kube, ThrottledError
from trainpoint_operator.engine.resources import Resource

logger = logging.getLogger(__name__)

T = TypeVar("T")

WATCH_SECONDS: Final = 290.0
RELIST_SECONDS: Final = 600.0
BACKOFF_SECONDS: Final = 0.5
BACKOFF_LIMIT_SECONDS: Final = 30.0
SAY_SECONDS: Final = 60.0
"""The same trouble is told in the log no more often."""
SHORT_SECONDS: Final = 1.0
"""A watch that ends sooner, and told nothing, counts as a failure: else it would be asked for without a pause."""
MARGIN_SECONDS: Final = 60.0
ABSENT_SECONDS: Final = 10.0
"""A kind that is not there for so long does not come with an installation that is under way."""


class SignOfLife(Protocol):
    """What the health endpoints ask of each informer."""

    name: str
    limit: float
    """seconds of silence after which something is wrong"""

    def silence(self) -> float: ...
    def synced(self) -> bool: ...
    def trouble(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is listed and watched, and how."""

    resource: Resource
    labels: str
    fields: str
    page: int
    watch_seconds: float
    relist_seconds: float


class Informer(Generic[T]):
    """One kind, in all namespaces or in some; one stream for each."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        cache: Cache[T],
        *,
        clock: Clock,
        chance: Chance,
        namespaces: Sequence[str] = ("",),
        labels: str = "",
        fields: str = "",
        page: int = 500,
        watch_seconds: float = WATCH_SECONDS,
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        """
        Args:
            namespaces: names, or one empty text for all.
            labels: a selector, the server's; ``fields`` likewise.
            page: objects that are listed at once.
            relist_seconds: about how often everything is listed anew, though nothing seems to be wrong.
        """
        self.name = resource.plural
        self.limit = watch_seconds + SILENCE_SECONDS + MARGIN_SECONDS
        self.kube = kube
        self.cache = cache
        self.clock = clock
        self.chance = chance
        self.relists = 0
        """complete lists so far, of all namespaces together"""
        asked = _Asked(resource, labels, fields, page, watch_seconds, relist_seconds)
        self._streams = [_Stream(self, asked, namespace) for namespace in dict.fromkeys(namespaces)]

    async def run(self) -> None:
        """Until cancelled; nothing that the server does ends it."""
        async with asyncio.TaskGroup() as group:
            for stream in self._streams:
                group.create_task(stream.follow(), name=f"informer {self.name} {stream.namespace}".rstrip())

    def silence(self) -> float:
        """Seconds since the server last said something, in the namespace where that is longest ago."""
        return max(stream.silence() for stream in self._streams)

    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return self.cache.synced.is_set()

    def trouble(self) -> str:
        """What is wrong just now, in the server's words; empty when nothing is."""
        return next((stream.trouble for stream in self._streams if stream.trouble), "")

    def listed(self) -> None:
        """One of the streams has a complete list."""
        self.relists += 1
        if all(stream.listed for stream in self._streams):
            self.cache.synced.set()


class _Stream(Generic[T]):
    """List and watch of one namespace, or of all."""

    def __init__(self, informer: Informer[T], asked: _Asked, namespace: str) -> None:
        self.namespace = namespace
        self.listed = False
        self.trouble = ""
        self._informer = informer
        self._asked = asked
        self._heard = informer.clock.monotonic()
        self._told = False
        """whether the watch that is open, or was last, has told anything"""
        self._said: float | None = None
        self._failures = 0
        self._absent_since: float | None = None
        """since when the server has answered that there is no such kind"""
        self._version = ""
        """from which the watch goes on; empty: list first"""
        self._relist_at = 0.0

    def silence(self) -> float:
        return self._now() - self._heard

    async def follow(self) -> None:
        """List, watch, again; until cancelled."""
        while True:
            self._told = False
            try:
                if not self._version or self._now() >= self._relist_at:
                    await self._list()
                opened = self._now()
                await self._watch()
                if self._told or self._now() - opened >= SHORT_SECONDS:
                    self._alive()
                    continue
            except GoneError as error:
                self._version = ""
                self._log(logging.INFO, "history-gone", error.message)
            except AbsentError as error:
                self._version = ""
                self._say(error)
                self._without_kind()
            except TrainpointError as error:
                # A stream that told something is taken up where it broke: the server sends what came after, or says
                # that it cannot (410). One that told nothing is not trusted.
                if not self._told:
                    self._version = ""
                self._say(error)
                if isinstance(error, ThrottledError):
                    await asyncio.sleep(error.seconds)
            except Exception:  # an answer that nobody foresaw; the other streams, and this one, go on
                self._version = ""
                logger.exception("resource=%s namespace=%s event=watch-failed", self._informer.name, self.namespace)
            await asyncio.sleep(self._pause())

    async def _list(self) -> None:
        asked, relist = self._asked, self._informer.cache.relist(self.namespace)
        version = ""
        pages = self._informer.kube.pages(
            asked.resource, self.namespace, labels=asked.labels, fields=asked.fields, page=asked.page
        )
        async with aclosing(pages):
            async for part in pages:
                relist.page(part.items)
                version = part.resource_version
                self._alive()
                await asyncio.sleep(0)  # with thousands of objects: others have their turn
        relist.finish()
        self._absent_since = None
        self._version = version
        self._relist_at = self._now() + asked.relist_seconds * (0.8 + 0.4 * self._informer.chance.fraction())
        self.listed = True
        self._informer.listed()

    def _without_kind(self) -> None:
        """Its CRD was deleted, or never installed: the other kinds do not wait for it, nor do those being deleted."""
        if self._absent_since is None:
            self._absent_since = self._now()
        if not self.listed and self._now() - self._absent_since >= ABSENT_SECONDS:
            self.listed = True
            self._informer.listed()

    async def _watch(self) -> None:
        asked, cache = self._asked, self._informer.cache
        changes = self._informer.kube.watch(
            asked.resource,
            self.namespace,
            resource_version=self._version,
            labels=asked.labels,
            fields=asked.fields,
            seconds=max(1.0, min(asked.watch_seconds, self._relist_at - self._now())),
        )
        async with aclosing(changes):
            async for change in changes:
                if change.kind != "BOOKMARK":
                    cache.apply(change.kind, change.object)
                self._version = str(change.object["metadata"]["resourceVersion"])
                self._told = True
                self._failures = 0
                self._alive()

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        self._heard = self._now()
        self.trouble = ""

    def _say(self, error: TrainpointError) -> None:
        """Remember what is wrong, and tell it in the log, at most once a minute."""
        self.trouble = error.message
        if self._said is None or self._now() - self._said >= SAY_SECONDS:
            self._said = self._now()
            refused = isinstance(error, ClusterPermissionError)
            text = f"{error.message}; {error.remedy}" if refused else error.message
            self._log(logging.ERROR if refused else logging.WARNING, "forbidden" if refused else "broken", text)

    def _log(self, level: int, event: str, text: str) -> None:
        name, namespace = self._informer.name, self.namespace or "*"
        logger.log(level, "resource=%s namespace=%s event=watch-%s error=%s", name, namespace, event, text)

    def _pause(self) -> float:
        """Seconds; they double with each failure in a row."""
        bound = min(BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return bound * (0.5 + self._informer.chance.fraction() / 2)

    def _now(self) -> float:
        return self._informer.clock.monotonic()
