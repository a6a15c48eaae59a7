"""An API server in memory, for reconcilers: objects with versions, merge patches, and requests that are counted."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

from trainpoint.errors import ObjectChangedError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.engine.kube import Listing
from trainpoint_operator.engine.resources import Key, Resource


class FakeKube:
    """As :class:`trainpoint_operator.engine.kube.Kube`, without watches. Caches that are added follow at once."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], JsonObject] = {}
        """by plural, namespace and name"""
        self.requests: Counter[str] = Counter()
        """by verb and plural, such as ``patch checkpointstores/status``"""
        self.refuse: dict[str, TrainpointError] = {}
        """by verb and plural: what is raised instead"""
        self._caches: dict[str, Cache[Any]] = {}
        self._version = 0

    def follow(self, resource: Resource, cache: Cache[Any]) -> None:
        """Tell ``cache`` of every change, as a watch would."""
        self._caches[resource.plural] = cache

    # --- what a test does ---------------------------------------------------------------------------------------------

    def put(self, resource: Resource, body: Mapping[str, Any]) -> JsonObject:
        """Create an object, or change the spec of one; its generation and its version rise."""
        meta = body["metadata"]
        at = (resource.plural, meta.get("namespace", ""), meta["name"])
        before = self.objects.get(at, {})
        new = {**before, **copy.deepcopy(dict(body))}
        old_meta = before.get("metadata", {"uid": f"uid-{meta['name']}", "generation": 0})
        new["metadata"] = {**old_meta, **meta, "generation": old_meta["generation"] + 1}
        return self._write(at, new)

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete an object as a person does: with finalizers it only gets its deletionTimestamp."""
        at = (resource.plural, namespace, name)
        found = self.objects[at]
        if found["metadata"].get("finalizers"):
            self._write(at, {**found, "metadata": {**found["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
        else:
            self._drop(at)

    # --- what a reconciler does ---------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject | None:
        self._asked("get", resource)
        return copy.deepcopy(self.objects.get((resource.plural, namespace, name)))

    async def list(self, resource: Resource, namespace: str = "", **_: object) -> Listing:
        self._asked("list", resource)
        found = [v for k, v in self.objects.items() if k[0] == resource.plural and namespace in ("", k[1])]
        return Listing(copy.deepcopy(found), str(self._version))

    async def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> JsonObject | None:
        self._asked("create", resource)
        at = (resource.plural, namespace, body["metadata"]["name"])
        if at in self.objects:
            return None
        given = {"namespace": namespace, "uid": f"uid-{at[2]}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        new = copy.deepcopy(dict(body))
        new["metadata"] = {"generation": 1, **given, **new["metadata"]}
        return self._write(at, new)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any], *, subresource: str = ""
    ) -> JsonObject | None:
        self._asked("patch", resource, subresource)
        at = (resource.plural, namespace, name)
        found = self.objects.get(at)
        if found is None:
            return None
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, found["metadata"]["resourceVersion"]):
            raise ObjectChangedError(f"{name} is at another version", remedy="read it again")
        new: JsonObject = _merge(found, body)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._drop(at)
            return new
        return self._write(at, new)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str) -> bool:
        self._asked("delete", resource)
        found = self.objects.get((resource.plural, namespace, name))
        if found is None:
            return False
        if (uid, version) != (found["metadata"]["uid"], found["metadata"]["resourceVersion"]):
            raise ObjectChangedError(f"{name} is at another version", remedy="read it again")
        self.remove(resource, namespace, name)
        return True

    def _asked(self, verb: str, resource: Resource, subresource: str = "") -> None:
        what = f"{verb} {resource.plural}" + (f"/{subresource}" if subresource else "")
        self.requests[what] += 1
        if what in self.refuse:
            raise self.refuse[what]

    def _write(self, at: tuple[str, str, str], new: JsonObject) -> JsonObject:
        self._version += 1
        new["metadata"] = {**new["metadata"], "resourceVersion": str(self._version)}
        self.objects[at] = new
        if (cache := self._caches.get(at[0])) is not None:
            cache.apply("MODIFIED", copy.deepcopy(new))
        return copy.deepcopy(new)

    def _drop(self, at: tuple[str, str, str]) -> None:
        gone = self.objects.pop(at)
        if (cache := self._caches.get(at[0])) is not None:
            cache.apply("DELETED", gone)


def _merge(old: object, patch: object) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    merged = dict(old) if isinstance(old, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


class FakeRecorder:
    """Events, as they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bool]] = []
        """reason, message, whether it is a warning"""

    async def event(
        self, about: JsonObject, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> None:
        assert about["apiVersion"], "an event needs an object whose kind is known"
        self.told.append((reason, message, warning))


class Enqueued(list[tuple[Key, float]]):
    """What reconcilers asked to have looked at."""

    def __call__(self, key: Key, after: float = 0.0) -> None:
        self.append((key, after))
