"""What a process in a pod works with: the API server, its pod, the policy and the store of its namespace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from trainpoint.api import names, reasons
from trainpoint.catalog.kube import Kube
from trainpoint.clock import Chance, Clock
from trainpoint.errors import ClusterPermissionError, ClusterUnreachableError, NotConfiguredError, PolicyError
from trainpoint.format.digest import JsonObject
from trainpoint.pod import SERVICE_ACCOUNT, Pod, pod_of_environment, pod_of_object, token_claims
from trainpoint.policies.settings import PolicySettings, from_json

WAIT_SECONDS: Final = 600.0
"""How long a start waits for the API server; then the process ends with 1, so that the Job tries again."""

READER_WAIT_SECONDS: Final = 15.0
"""How long a person waits for it."""

JUST_BACK_SECONDS: Final = 10.0
"""So long after it was away, a refusal of the API server is not believed: it answers before it knows the roles."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster, as a pod sees it."""

    kube: Kube
    pod: Pod
    policy: str
    """name of the CheckpointPolicy in force; empty: none, the defaults"""
    settings: PolicySettings
    store_name: str
    store_url: str
    store_environ: Mapping[str, str]
    """what the store's address needs of ``AWS_*``; keys come from the pod's own environment"""
    way: str
    """by which way the pod was configured, for the log"""
    finalizer: str = ""
    """that a Checkpoint object has to be born with, since an operator deletes its bytes; empty: no operator does"""


@dataclass(frozen=True, slots=True)
class ReadNamespace:
    """A namespace whose checkpoints are read from outside of the cluster, with a person's kubeconfig."""

    name: str
    store_name: str
    store_url: str
    store_environ: Mapping[str, str]


def read_namespace(
    name: str, *, clock: Clock, chance: Chance, say: Callable[[str], None], limit_seconds: float = READER_WAIT_SECONDS
) -> ReadNamespace:
    """Where the checkpoints of a namespace lie, by one GET with the rights of a person's kubeconfig.

    Raises:
        ClusterUnreachableError: there is no kubeconfig, or the API server does not answer.
        ClusterPermissionError: the person may not get the ConfigMap.
        NotConfiguredError: there is none, or it names no store, or several and no default.
    """
    kube = Kube.from_kubeconfig(name)
    data = until_reachable(
        lambda: kube.config_map(names.CONFIG_MAP), clock=clock, chance=chance, say=say, limit_seconds=limit_seconds
    )
    if data is None:
        raise _no_config_map(name)
    store = _store_of(*_readable(data, namespace=name), namespace=name)
    return ReadNamespace(name, str(store.get("name", "")), str(store["url"]), _store_environ(store))


def _readable(data: Mapping[str, object], *, namespace: str) -> tuple[str, JsonObject]:
    """The default policy; without a default any one, if all have the same store: a reader follows no policy."""
    entries = _entries(data)
    found = {name: e for name, e in entries.items() if e.get("default")} or entries
    by_store = {str(e["store"].get("url")): (name, e) for name, e in found.items() if isinstance(e.get("store"), dict)}
    return next(iter(by_store.values())) if len(by_store) == 1 else chosen_policy(data, "", namespace=namespace)


def find_cluster(
    environ: Mapping[str, str],
    *,
    clock: Clock,
    chance: Chance,
    say: Callable[[str], None],
    account: Path = SERVICE_ACCOUNT,
    mount: Path = Path(names.CONFIG_MOUNT),
    elsewhere: Callable[[Pod], str] = lambda pod: "",
) -> Cluster | None:
    """The cluster this process runs in; None outside of one.

    Waits for an API server that is away, up to ten minutes.

    Args:
        elsewhere: which other namespace this pod reads; empty: its own.

    Raises:
        ClusterPermissionError, ClusterUnreachableError, NotConfiguredError, PolicyError.
    """
    if not environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    claims = token_claims(account)
    pod = pod_of_environment(environ)
    if claims is None:
        # The default, a directory of the container, would be gone with the pod.
        raise NotConfiguredError(
            "this pod has no service account token and no TRAINPOINT_STORE: nothing says where checkpoints lie",
            remedy="set automountServiceAccountToken: true, or TRAINPOINT_STORE to work with a store alone",
        )
    kube = Kube.in_pod(claims[0])
    if pod is None:
        found = until_reachable(lambda: kube.pod(claims[1]), clock=clock, chance=chance, say=say)
        if found is None:
            raise NotConfiguredError(f"pod {claims[1]} is not in namespace {claims[0]}", remedy="it was just deleted")
        pod = pod_of_object(found)
    wanted = environ.get(names.ENV_POLICY) or pod.setting("policy")
    data = _mounted(mount)
    other = elsewhere(pod)
    if other and other != kube.namespace:
        kube, wanted, data = Kube.in_pod(other), "", None
    way = "the pod contract" if pod.source == "environment" else "the service account"
    if data is None:
        data = until_reachable(lambda: kube.config_map(names.CONFIG_MAP), clock=clock, chance=chance, say=say)
        way += ", one GET"
    if data is None:
        raise _no_config_map(kube.namespace)
    policy, entry = chosen_policy(data, wanted, namespace=kube.namespace)
    if note := entry.get("note"):  # of the operator; it keeps no job from training
        say(str(note))
    store = _store_of(policy, entry, namespace=kube.namespace)
    settings = from_json(json.dumps(entry.get("policy", {})), where=f"CheckpointPolicy {policy}")
    return Cluster(
        kube=kube,
        pod=pod,
        policy=policy,
        settings=settings,
        store_name=str(store.get("name", "")),
        store_url=str(store["url"]),
        store_environ=_store_environ(store),
        way=way,
        finalizer=_finalizer(entry),
    )


def _no_config_map(namespace: str) -> NotConfiguredError:
    return NotConfiguredError(
        f"namespace {namespace} has no ConfigMap {names.CONFIG_MAP}",
        remedy="create a CheckpointStore and a CheckpointPolicy there, and see whether the operator runs: "
        "kubectl get ckptstore,ckptpolicy",
    )


def _store_of(policy: str, entry: JsonObject, *, namespace: str) -> JsonObject:
    store = entry.get("store")
    if not isinstance(store, dict) or not store.get("url"):
        raise NotConfiguredError(
            f"CheckpointPolicy {policy} in namespace {namespace} has no store",
            remedy="set spec.storeRef to a CheckpointStore that is Ready: kubectl get ckptstore",
        )
    return store


def _entries(data: Mapping[str, object]) -> dict[str, JsonObject]:
    """The policies of a ConfigMap by name."""
    entries: dict[str, JsonObject] = {}
    for key, text in data.items():
        try:
            value = json.loads(str(text))
        except ValueError:
            continue  # somebody's note
        if isinstance(value, dict):
            entries[key.removesuffix(".json")] = value
    return entries


def chosen_policy(data: Mapping[str, object], wanted: str, *, namespace: str) -> tuple[str, JsonObject]:
    """The named policy, else the namespace's default, from the ConfigMap's data (one JSON text a policy).

    Raises:
        PolicyError: there is no such policy; the message lists those there are. Or it holds what cannot be understood.
        NotConfiguredError: none is named, and the namespace has no default; or the operator says why the policy cannot
            be followed, in the very words of its condition Ready.
    """
    entries = _entries(data)
    there = ", ".join(sorted(entries)) or "none"
    if wanted:
        if wanted not in entries:
            raise PolicyError(
                f"there is no CheckpointPolicy {wanted!r} in namespace {namespace} (there: {there})",
                remedy="correct the label trainpoint.dev/policy, or create it",
            )
        _raise_error_of(entries[wanted], named=True)
        return wanted, entries[wanted]
    defaults = sorted(name for name, entry in entries.items() if entry.get("default"))
    if not defaults:
        raise NotConfiguredError(
            f"namespace {namespace} has no default CheckpointPolicy (there: {there})",
            remedy="name one by the label trainpoint.dev/policy, or set spec.default: true on one",
        )
    _raise_error_of(entries[defaults[0]], named=False)
    return defaults[0], entries[defaults[0]]


def _raise_error_of(entry: JsonObject, *, named: bool) -> None:
    """What the operator has found wrong with a policy. Two defaults leave open nothing for a job that names one."""
    error = entry.get("error")
    if not isinstance(error, dict) or not error.get("message"):
        return
    reason = error.get("reason")
    if named and reason == reasons.MORE_THAN_ONE_DEFAULT:
        return
    kind = PolicyError if reason == reasons.INVALID_POLICY else NotConfiguredError
    raise kind(str(error["message"]), remedy=str(error.get("remedy", "")))


def until_reachable(
    ask: Callable[[], _T],
    *,
    clock: Clock,
    chance: Chance,
    say: Callable[[str], None],
    limit_seconds: float = WAIT_SECONDS,
) -> _T:
    """The answer of the API server; asks again, with growing pauses, while it is away, and while it is just back."""
    deadline = clock.monotonic() + limit_seconds
    pause = 0.5
    told = False
    believed_from = clock.monotonic()
    while True:
        try:
            return ask()
        except ClusterUnreachableError as error:
            if clock.monotonic() >= deadline:
                raise
            if not told:
                say(f"{error.message}; waiting for it, up to {limit_seconds / 60:.0f} minutes")
                told = True
            believed_from = clock.monotonic() + JUST_BACK_SECONDS
        except ClusterPermissionError:
            if clock.monotonic() >= min(believed_from, deadline):
                raise
        clock.sleep(pause * (0.5 + chance.fraction() / 2))
        pause = min(10.0, pause * 1.7)


def _mounted(mount: Path) -> JsonObject | None:
    """The ConfigMap as files, where the pod template mounts it."""
    try:
        found = {entry.name: entry.read_text() for entry in mount.iterdir() if entry.is_file()}
    except OSError:
        return None
    return found or None


def _finalizer(entry: JsonObject) -> str:
    operator = entry.get("operator")
    return str(operator.get("finalizer") or "") if isinstance(operator, dict) else ""


def _store_environ(store: Mapping[str, object]) -> dict[str, str]:
    wanted = {
        "AWS_ENDPOINT_URL": store.get("endpoint"),
        "AWS_REGION": store.get("region"),
        "AWS_CA_BUNDLE": store.get("caBundle"),  # the text itself: there may be no place for a file
    }
    return {name: str(value) for name, value in wanted.items() if value}
