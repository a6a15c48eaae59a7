"""The catalogs of the stores, each reached with the operator's own credentials of that CheckpointStore."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import Chance, Clock
from trainpoint.errors import ClusterPermissionError, NotConfiguredError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.store.url import open_store
from trainpoint_operator.decisions.store_health import Trouble, Watched
from trainpoint_operator.decisions.store_place import Access, access_to, forbidden, secret_name
from trainpoint_operator.engine.resources import SECRETS

if TYPE_CHECKING:
    from trainpoint_operator.engine.cache import Cache
    from trainpoint_operator.engine.kube import Kube

DEADLINE_SECONDS: Final = 30.0
"""How long one verb of a store goes on trying: the work queue comes back by itself."""
FRESH_SECONDS: Final = 60.0
"""How long a Secret counts as known. The operator may not watch Secrets; the probe reads them anew in any case."""
LIMIT: Final = 256
"""Stores held open at once; the one that was not used for longest is closed."""


class Buckets:
    """One catalog per store, opened when it is first asked for. For one event loop."""

    def __init__(
        self,
        kube: Kube,
        stores: Cache[JsonObject],
        *,
        clock: Clock,
        chance: Chance,
        environ: Mapping[str, str] | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        """``environ``: the operator's own environment, for stores without a Secret."""
        self._kube = kube
        self._stores = stores
        self._clock = clock
        self._chance = chance
        self._environ = dict(os.environ if environ is None else environ)
        self._deadline = deadline
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self.watched: dict[tuple[str, str], Watched] = {}
        """what the probes of each store came to; goes with the store"""
        stores.listeners.append(self._changed)

    async def of(self, namespace: str, store: str) -> BucketCatalog:
        """The catalog of a CheckpointStore. Its methods block: call them by ``asyncio.to_thread``.

        Raises:
            NotConfiguredError: there is no such CheckpointStore, or no Secret with both keys.
            ClusterPermissionError: the operator may not read that Secret.
            ClusterUnreachableError: the API server does not say.
            StoreUrlError: its settings can never work.
        """
        key = (namespace, store)
        known = self._known.get(key)
        if known is None or self._clock.monotonic() - known.read_at > FRESH_SECONDS or not self._current(key, known):
            access = await self.access(namespace, store)
            if isinstance(access, Trouble):
                raise _error(access)
            known = self._known[key]
        self._known.move_to_end(key)
        if known.catalog is None:
            # Loading the system's certificates takes its time.
            opened = await asyncio.to_thread(self.open, known.access)
            known.catalog = known.catalog or opened
        return known.catalog

    async def access(self, namespace: str, store: str) -> Access | Trouble:
        """How to reach a store, with its Secret read now; or why that cannot be tried.

        Raises:
            ClusterUnreachableError.
        """
        found = self._stores.get(namespace, store)
        if found is None:
            return Trouble(
                reasons.STORE_NOT_FOUND,
                f"there is no CheckpointStore {store} in namespace {namespace}",
                "create it: what lies in the bucket is still there, and is found again",
            )
        name = secret_name(found)
        try:
            secret = await self._kube.get(SECRETS, namespace, name) if name else None
        except ClusterPermissionError:
            return forbidden(found)
        access = access_to(found, secret, self._environ)
        if isinstance(access, Trouble):
            self.forget(namespace, store)
            return access
        known = self._known.get((namespace, store))
        if known is None or known.access.version != access.version:
            known = self._known[namespace, store] = _Known(access)
        known.read_at = self._clock.monotonic()
        while len(self._known) > LIMIT:
            self._known.popitem(last=False)
        return access

    def open(self, access: Access, *, deadline: float | None = None) -> BucketCatalog:
        """A catalog of its own. Makes no request. Raises StoreUrlError."""
        opened = open_store(
            access.place.url,
            environ=access.environ,
            deadline=self._deadline if deadline is None else deadline,
            clock=self._clock,
            chance=self._chance,
        )
        return BucketCatalog(opened, clock=self._clock, chance=self._chance)

    def forget(self, namespace: str, store: str) -> None:
        """Close what is held of a store."""
        self._known.pop((namespace, store), None)

    def _current(self, key: tuple[str, str], known: _Known) -> bool:
        found = self._stores.get(*key)
        if found is None:
            return False
        return (found["metadata"]["uid"], found["metadata"].get("generation", 0)) == known.access.version[:2]

    def _changed(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if new is None and old is not None:
            key = (old["metadata"]["namespace"], old["metadata"]["name"])
            self.forget(*key)
            self.watched.pop(key, None)


class _Known:
    """A store that was asked for."""

    __slots__ = ("access", "catalog", "read_at")

    def __init__(self, access: Access) -> None:
        self.access = access
        self.catalog: BucketCatalog | None = None
        self.read_at = 0.0
        """when its Secret was last read, monotonic seconds"""


def _error(trouble: Trouble) -> TrainpointError:
    if trouble.reason == reasons.SECRET_FORBIDDEN:
        return ClusterPermissionError(trouble.message, remedy=trouble.remedy)
    return NotConfiguredError(trouble.message, remedy=trouble.remedy)
