"""What the project installs in a cluster, in the order in which it is applied, and when it is in force."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml

from tests.support.kubeapi import Api, until
from tests.support.kubeserver import KubeServer
from tests.support.repository import ROOT

CRDS: Final = tuple(sorted((ROOT / "crds").glob("*.yaml")))
ROLES: Final = tuple(sorted((ROOT / "config" / "rbac").glob("*.yaml")))
_READ_LAST: Final = ROOT / "config" / "admission" / "owner-references.yaml"
POLICIES: Final = tuple(
    sorted((ROOT / "config" / "admission").glob("*.yaml"), key=lambda path: (path == _READ_LAST, path.name))
)
"""They come into force in the order in which they were made; the last one tells that all others are."""


def install(server: KubeServer) -> None:
    """The four kinds, the roles, the admission policies; returns when all hold."""
    server.apply(*CRDS)
    wait_for_crds(server.admin, CRDS)
    server.apply(*ROLES)
    server.apply(*POLICIES)
    wait_for_admission(server.admin, "default")


def wait_for_crds(api: Api, crds: Iterable[Path]) -> None:
    """Wait until the server serves them."""
    for name in [yaml.safe_load(crd.read_text(encoding="utf-8"))["metadata"]["name"] for crd in crds]:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"

        def established(path: str = path) -> str:
            conditions = api.get(path).expect(200).get("status", {}).get("conditions", [])
            return "" if ("Established", "True") in [(c["type"], c["status"]) for c in conditions] else str(conditions)

        until(established, seconds=120, what=f"{name} to be established")


def wait_for_admission(api: Api, namespace: str) -> None:
    """Wait until the policies hold: the one whose name comes last was read last, and all before it are in force."""

    def refused() -> str:
        body = {
            "apiVersion": "trainpoint.dev/v1alpha1",
            "kind": "CheckpointStore",
            "metadata": {
                "name": "probe",
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "none"}],
            },
            "spec": {"s3": {"bucket": "probe"}},
        }
        path = f"/apis/trainpoint.dev/v1alpha1/namespaces/{namespace}/checkpointstores"
        answer = api.post(path, body, dry_run=True)
        return "" if answer.status == 403 else f"HTTP {answer.status} {answer.message}"

    until(refused, seconds=120, what="the admission policies to hold")
