"""The cluster itself: one control plane and two workers, made by kind from kind.yaml."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Final

from tools.kind.hosts import Host, Kind
from tools.kind.made import key_of, remove, say
from tools.kind.node_image import image_name
from tools.kind.places import CLUSTER, HERE, NODES, Places, ToolError, pins

_CREATED_WITHIN: Final = "180s"
_RECORD: Final = "cluster.json"


def cluster_up(host: Host, node_key: str, *, made_by: str = "") -> bool:
    """Create it unless it is there, is made of the same, and answers. True if it was created."""
    key = key_of(HERE / "kind.yaml", HERE / "audit.yaml", node_key, host.kind)
    record = {"key": key, "engine": str(host.kind), "made_by": made_by}
    if CLUSTER in clusters(host):
        same = recorded(host.places).get("key") == key
        if same and healthy(host):
            return False
        say(f"the cluster that is there {'is not healthy' if same else 'is of another make'}: creating it anew")
    cluster_down(host)
    started = time.monotonic()
    _record(host.places, {**record, "key": ""})  # a run that is killed now leaves what must not be taken for a cluster
    image = image_name() if host.kind is Kind.OWN else pins()["KIND_NODE_IMAGE"]
    try:
        host.run(
            "kind", "create", "cluster", "--name", CLUSTER, "--image", image, "--config", "kind.yaml",
            "--kubeconfig", host.places.kubeconfig, "--wait", _CREATED_WITHIN, cwd=HERE,
        )  # fmt: skip
        host.run("kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=120s")
        host.run("kubectl", "--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
        host.run("kubectl", "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    except ToolError as error:
        seen = state_of(host)
        cluster_down(host)
        raise ToolError(f"{error}\n{seen}") from None
    _record(host.places, record)
    say(f"cluster of three nodes: created in {time.monotonic() - started:.0f} s")
    return True


def cluster_down(host: Host) -> None:
    """Delete it, if it is there."""
    if CLUSTER in clusters(host):
        host.run("kind", "delete", "cluster", "--name", CLUSTER, "--kubeconfig", host.places.kubeconfig)
    remove(host.places.kubeconfig)
    remove(host.places.state / _RECORD)


def clusters(host: Host) -> list[str]:
    return host.run("kind", "get", "clusters", "--quiet").split()


def healthy(host: Host) -> bool:
    """All nodes are Ready and the API server answers."""
    try:
        form = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
        ready = host.run("kubectl", "get", "nodes", "--request-timeout=5s", "--output", f"jsonpath={form}", timeout=20)
    except ToolError:
        return False
    return sorted(ready.split()) == sorted(f"{node}=True" for node in NODES)


def state_of(host: Host) -> str:
    """What a person would look at first: nodes, pods, warnings."""
    said = []
    for words in (
        "get nodes,pods --all-namespaces --output=wide",
        "get events --all-namespaces --field-selector=type=Warning",
    ):
        with contextlib.suppress(ToolError):
            said.append(host.run("kubectl", "--request-timeout=5s", *words.split(), timeout=20))
    return "\n".join(said)


def recorded(places: Places) -> dict[str, str]:
    """What was noted when the cluster was created: ``key`` of what it is made of, ``engine``, ``made_by``."""
    try:
        found: dict[str, str] = json.loads((places.state / _RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _record(places: Places, facts: dict[str, str]) -> None:
    (places.state / _RECORD).write_text(json.dumps(facts))
