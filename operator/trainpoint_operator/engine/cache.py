"""What the API server has of one kind, as its watch last told: slim, indexed, with deletions that are never missed.

Used from the event loop alone. What it hands out is shared: nobody changes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

from trainpoint.format.digest import JsonObject

logger = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[T | None, T | None], None]
"""Given the old and the new view: old None, it is new; new None, it is gone."""

DELETED: Final = "DELETED"


class Cache(Generic[T]):
    """All objects of one kind, by namespace and name."""

    def __init__(
        self,
        view: Callable[[JsonObject], T],
        *,
        indexes: Mapping[str, Callable[[T], Iterable[str]]] | None = None,
    ) -> None:
        """
        Args:
            view: what is kept of an object. It should drop what nobody reads (``metadata.managedFields`` above all).
            indexes: by name, the values under which :meth:`by` finds an object; a function of its view alone.
        """
        self._view = view
        self._indexers = dict(indexes or {})
        self._objects: dict[str, dict[str, T]] = {}
        self._indexed: dict[str, dict[str, dict[tuple[str, str], T]]] = {name: {} for name in self._indexers}
        self.listeners: list[Listener[T]] = []
        """Called in order after each change; they only note what is to be done, and never wait."""
        self.relisted: list[Callable[[str], None]] = []
        """Told after each complete list but the first, with its namespace; empty for all of them."""
        self.synced = asyncio.Event()
        """Set once the cache has been filled for the first time."""

    # --- what is there ------------------------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> T | None:
        """One object; None if there is none."""
        return self._objects.get(namespace, {}).get(name)

    def all(self, namespace: str = "") -> list[T]:
        """All objects of a namespace; of all namespaces without one."""
        if namespace:
            return list(self._objects.get(namespace, {}).values())
        return [kept for names in self._objects.values() for kept in names.values()]

    def by(self, index: str, value: str) -> list[T]:
        """The objects that an index has under a value; KeyError for an index that was not given."""
        return list(self._indexed[index].get(value, {}).values())

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    # --- what the server tells ----------------------------------------------------------------------------------------

    def apply(self, kind: str, obj: JsonObject) -> None:
        """An event: ``DELETED`` takes the object out, any other kind puts it in."""
        namespace, name = _key(obj)
        if kind == DELETED:
            self._remove(namespace, name)
        else:
            self._put(namespace, name, obj)

    def replace(self, objs: Iterable[JsonObject], namespace: str = "") -> None:
        """A complete list, of one namespace or of all: what is not in it is gone, and listeners hear of that too."""
        listed = Relist(self, namespace)
        listed.page(objs)
        listed.finish()
        if not namespace:
            self.synced.set()

    def relist(self, namespace: str = "") -> Relist[T]:
        """The same in pages, so that the whole list is never in memory."""
        return Relist(self, namespace)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _keys(self, namespace: str) -> list[tuple[str, str]]:
        spaces = [namespace] if namespace else list(self._objects)
        return [(space, name) for space in spaces for name in self._objects.get(space, {})]

    def _put(self, namespace: str, name: str, obj: JsonObject) -> None:
        try:
            new = self._view(obj)
            values = {index: list(dict.fromkeys(of(new))) for index, of in self._indexers.items()}
        except Exception:  # one odd object must not stop the watch of all others
            logger.exception("key=%s/%s event=unreadable-object", namespace, name)
            return
        old = self.get(namespace, name)
        if old is not None:
            self._unindex(namespace, name, old)
        self._objects.setdefault(namespace, {})[name] = new
        for index, found in values.items():
            for value in found:
                self._indexed[index].setdefault(value, {})[namespace, name] = new
        self._tell(old, new)

    def _remove(self, namespace: str, name: str) -> None:
        names = self._objects.get(namespace, {})
        old = names.pop(name, None)
        if old is None:
            return
        if not names:
            del self._objects[namespace]
        self._unindex(namespace, name, old)
        self._tell(old, None)

    def _unindex(self, namespace: str, name: str, old: T) -> None:
        for index, of in self._indexers.items():
            for value in of(old):
                there = self._indexed[index].get(value, {})
                there.pop((namespace, name), None)
                if not there:
                    self._indexed[index].pop(value, None)

    def _tell(self, old: T | None, new: T | None) -> None:
        for listener in self.listeners:
            try:
                listener(old, new)
            except Exception:  # the next listener, and the watch, go on
                logger.exception("event=listener-failed")


class Relist(Generic[T]):
    """A list in pages. Objects come in page by page; what was in no page goes at the end."""

    def __init__(self, cache: Cache[T], namespace: str) -> None:
        self._cache = cache
        self._namespace = namespace
        self._seen: set[tuple[str, str]] = set()

    def page(self, objs: Iterable[JsonObject]) -> None:
        """Some of the objects."""
        for obj in objs:
            self._seen.add(_key(obj))
            self._cache.apply("ADDED", obj)

    def finish(self) -> None:
        """That was all of them."""
        for key in self._cache._keys(self._namespace):
            if key not in self._seen:
                self._cache._remove(*key)
        if self._cache.synced.is_set():
            for told in self._cache.relisted:
                told(self._namespace)


def without_managed_fields(obj: JsonObject) -> JsonObject:
    """A view that keeps all of an object but its ``managedFields``, which are half of it and read by nobody here."""
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def _key(obj: JsonObject) -> tuple[str, str]:
    metadata = obj["metadata"]
    return str(metadata.get("namespace", "")), str(metadata["name"])
