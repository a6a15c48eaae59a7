"""What ``make demo-cluster`` installs in a cluster, and how all of it goes again.

A cluster that was there before is left as it was: an operator that runs there is used and stays; what an earlier demo
has left, since it was killed or told to, goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.kind.client import Client, Object
from tools.kind.places import ToolError

NAMESPACE: Final = "demo"
SYSTEM: Final = "trainpoint-system"
RELEASE: Final = "trainpoint"
MARK: Final = "trainpoint.dev/demo"
"""A label of the namespaces that a demo has made."""
WITH_KINDS: Final = "with-kinds"
"""Its value on the operator's namespace where the demo brought the kinds, too."""
KINDS: Final = tuple(
    f"{name}.trainpoint.dev" for name in ("checkpoints", "checkpointruns", "checkpointpolicies", "checkpointstores")
)
_GONE_SECONDS: Final = 180
_STARTED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Operator:
    """One that runs in the cluster."""

    namespace: str
    account: str
    """its service account"""


def running_operator(client: Client) -> Operator | None:
    """The one that is there already. Raises ToolError where one is installed and does not run."""

    def installed() -> list[Object]:
        return client.list("deployments", "--all-namespaces", f"--selector=app.kubernetes.io/name={RELEASE}")

    def running() -> Object | None:
        return next((d for d in installed() if d["status"].get("readyReplicas")), None)

    if not installed():
        return None
    found = client.until("the operator that is installed in this cluster runs", running, seconds=_STARTED_SECONDS)
    account: str = found["spec"]["template"]["spec"]["serviceAccountName"]
    return Operator(found["metadata"]["namespace"], account)


def make_namespace(client: Client, name: str, mark: str = "true", **labels: str) -> None:
    """Raises ToolError where there is one of that name that no demo made."""
    found = client.find("namespace", name)
    if found is not None and MARK not in labels_of(found):
        raise ToolError(f"there is a namespace {name} already, which no demo has made; it is not touched")
    metadata = {"name": name, "labels": {MARK: mark, **labels}}
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def labels_of(found: Object) -> dict[str, str]:
    labels: dict[str, str] = found["metadata"].get("labels") or {}
    return labels


def mark_of_system(client: Client) -> str:
    """What the operator's namespace is marked with: do the kinds go with it?"""
    there = any(client.find("customresourcedefinition", kind) for kind in KINDS)
    return "true" if there else WITH_KINDS


def remove(client: Client) -> list[str]:
    """All that a demo has made, if it is there. What that was, in words."""
    removed = []
    if _marked(client, NAMESPACE):
        # At once: a job that trains would save for the last time, while its store goes too.
        client.kubectl("delete", "jobs", "--all", f"--namespace={NAMESPACE}", "--cascade=orphan")
        client.kubectl("delete", "pods", "--all", f"--namespace={NAMESPACE}", "--grace-period=1", "--wait=false")
        # With the operator still there, so that it lets its finalizers go.
        client.kubectl("delete", "namespace", NAMESPACE, f"--timeout={_GONE_SECONDS}s", seconds=_GONE_SECONDS + 30)
        removed.append(f"namespace {NAMESPACE}")
    if system := _marked(client, SYSTEM):
        client.helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--ignore-not-found", "--wait", "--timeout=120s")
        client.kubectl("delete", "namespace", SYSTEM, f"--timeout={_GONE_SECONDS}s", seconds=_GONE_SECONDS + 30)
        removed.append("the operator")
        if labels_of(system)[MARK] == WITH_KINDS and not _objects(client):
            client.kubectl("delete", "customresourcedefinition", *KINDS, "--ignore-not-found", "--timeout=60s")
            removed.append("its kinds")
    return removed


def _marked(client: Client, namespace: str) -> Object | None:
    found = client.find("namespace", namespace)
    return found if found is not None and MARK in labels_of(found) else None


def _objects(client: Client) -> bool:
    """Somebody has objects of our kinds, which would go with them."""
    there = [kind for kind in KINDS if client.find("customresourcedefinition", kind)]
    return any(client.list(kind, "--all-namespaces") for kind in there)
