"""What a namespace's policies and stores come to: the ConfigMap that its jobs read, and what is wrong. Pure.

What takes several objects to see (two defaults, a store that is not there) is one sentence. It stands on the object,
and in the ConfigMap for the SDK, which raises it (:func:`trainpoint.cluster.chosen_policy`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.api import names, reasons
from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.policies.settings import settings_from, to_json
from trainpoint_operator.decisions.store_place import place_of

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "trainpoint"
_LASTING: Final = (reasons.SECRET_NOT_FOUND, reasons.SECRET_INCOMPLETE, reasons.SECRET_FORBIDDEN)
"""Why a store is not ready that jobs are told too: they save with keys of their own, but nobody looks after it."""
_NAMED: Final = 8
"""Names in a message."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy's condition Ready says."""

    ready: bool
    reason: str
    message: str
    remedy: str = ""
    in_force: bool = True
    """False: a job that would follow it is told the same, and does not start"""

    @property
    def sentence(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Compiled:
    """A namespace."""

    data: Mapping[str, str]
    """of the ConfigMap: one JSON text a policy"""
    verdicts: Mapping[str, Verdict]
    """by the policy's name"""


def compile_namespace(namespace: str, policies: Sequence[JsonObject], stores: Sequence[JsonObject]) -> Compiled:
    """Compile all CheckpointPolicies of a namespace with all of its CheckpointStores."""
    by_name = {store["metadata"]["name"]: store for store in stores}
    defaults = sorted(p["metadata"]["name"] for p in policies if p["spec"].get("default"))
    data: dict[str, str] = {}
    verdicts: dict[str, Verdict] = {}
    for policy in sorted(policies, key=lambda p: str(p["metadata"]["name"])):
        name = policy["metadata"]["name"]
        entry, verdict = _compile(policy, by_name, namespace)
        if len(defaults) > 1 and name in defaults:
            verdict = _more_than_one(defaults, namespace)
        if not verdict.in_force:
            entry["error"] = {"reason": verdict.reason, "message": verdict.message, "remedy": verdict.remedy}
        data[config_key(name)] = json.dumps(entry, indent=1, sort_keys=True) + "\n"
        verdicts[name] = verdict
    return Compiled(data, verdicts)


def config_key(policy: str) -> str:
    """Key of a policy in the ConfigMap. The SDK cuts ``.json`` off a key, so a name that ends so gets it twice."""
    return f"{policy}.json" if policy.endswith(".json") else policy


def _compile(policy: JsonObject, stores: Mapping[str, JsonObject], namespace: str) -> tuple[JsonObject, Verdict]:
    name, spec = policy["metadata"]["name"], policy["spec"]
    entry: JsonObject = {"default": bool(spec.get("default")), "operator": {"finalizer": names.DATA_FINALIZER}}
    try:
        entry["policy"] = json.loads(to_json(settings_from(spec, f"CheckpointPolicy {name}")))
    except TrainpointError as error:
        invalid = f"CheckpointPolicy {name} in namespace {namespace} cannot be used: {error.message}"
        return entry, Verdict(False, reasons.INVALID_POLICY, invalid, error.remedy or "correct it", in_force=False)
    found = _store(name, spec, stores, namespace)
    if isinstance(found, Verdict):
        return entry, found
    place = place_of(found)
    entry["store"] = {
        "name": place.name,
        "url": place.url,
        **{
            key: value
            for key, value in (("endpoint", place.endpoint), ("region", place.region), ("caBundle", place.authority))
            if value
        },
    }
    ready: JsonObject = next(
        (c for c in found.get("status", {}).get("conditions") or () if c.get("type") == "Ready"), {}
    )
    if ready.get("status") != "True":
        said = ready.get("message") or "it has not been tried yet"
        text = f"CheckpointStore {place.name} in namespace {namespace} is not ready: {said}"
        if ready.get("reason") in _LASTING:
            entry["note"] = text
        return entry, Verdict(False, reasons.STORE_NOT_READY, text)
    default = "; it is the namespace's default" if spec.get("default") else ""
    return entry, Verdict(True, reasons.COMPILED, f"jobs save to CheckpointStore {place.name}, {place.where}{default}")


def _store(policy: str, spec: JsonObject, stores: Mapping[str, JsonObject], namespace: str) -> JsonObject | Verdict:
    wanted = spec.get("storeRef", {}).get("name", "")
    there = f"there: {_listed(sorted(stores))}"
    if wanted:
        if wanted in stores:
            return stores[wanted]
        return Verdict(
            False,
            reasons.STORE_NOT_FOUND,
            f"CheckpointPolicy {policy} names CheckpointStore {wanted}, unknown in namespace {namespace} ({there})",
            "correct spec.storeRef.name, or create the store",
            in_force=False,
        )
    if len(stores) == 1:
        return next(iter(stores.values()))
    return Verdict(
        False,
        reasons.NO_STORE,
        f"CheckpointPolicy {policy} names no store, and namespace {namespace} has not exactly one ({there})",
        "set spec.storeRef.name" if stores else "create a CheckpointStore",
        in_force=False,
    )


def _more_than_one(defaults: Sequence[str], namespace: str) -> Verdict:
    return Verdict(
        False,
        reasons.MORE_THAN_ONE_DEFAULT,
        f"namespace {namespace} has {len(defaults)} default CheckpointPolicies: {_listed(defaults)}",
        f"leave spec.default: true on one of them; until then only jobs that name a policy, "
        f"by the label {names.GROUP}/policy, can start",
        in_force=False,
    )


def _listed(found: Sequence[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (", ".join(found[:_NAMED]) + more) or "none"


# --- writing it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """There is no ConfigMap yet."""

    body: JsonObject


@dataclass(frozen=True, slots=True)
class Update:
    """A merge patch of the one that is there; with its resourceVersion, so that a change meanwhile is not lost."""

    patch: JsonObject


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else made the one that is there."""


def write(namespace: str, found: JsonObject | None, data: Mapping[str, str]) -> Create | Update | Foreign | None:
    """What to do about the ConfigMap; None: nothing.

    Args:
        found: the ConfigMap as it is; None where there is none.
        data: what it should hold. Empty: there are no policies, and it is not made for nothing.
    """
    label = {MANAGED_BY: MANAGER}
    if found is None:
        if not data:
            return None
        metadata = {"name": names.CONFIG_MAP, "namespace": namespace, "labels": label}
        return Create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)})
    there: JsonObject = found.get("data") or {}
    ours = (found["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER
    if not ours and (there or found.get("binaryData")):
        return Foreign()
    changed: dict[str, str | None] = {key: text for key, text in data.items() if there.get(key) != text}
    changed.update({key: None for key in there if key not in data})
    if not changed and (ours or not data):
        return None
    metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
    return Update({"metadata": {**metadata, **({} if ours else {"labels": label})}, "data": changed})


def foreign(namespace: str) -> Verdict:
    """All policies of the namespace, where the ConfigMap is somebody else's."""
    return Verdict(
        False,
        reasons.CONFIG_MAP_CONFLICT,
        f"ConfigMap {names.CONFIG_MAP} in namespace {namespace} was not made by trainpoint, and is not overwritten",
        f"rename or delete it: kubectl -n {namespace} delete configmap {names.CONFIG_MAP}",
        in_force=False,
    )
