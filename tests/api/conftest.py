"""One API server for the rung, with our kinds, policies and roles; a namespace with people and pods for each module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.support.apiserver import ApiServer, Pod, wait_for_admission, wait_for_crds
from tests.support.kubeapi import Api
from tests.support.repository import ROOT

CRDS = sorted((ROOT / "crds").glob("*.yaml"))
READ_LAST = ROOT / "config" / "admission" / "owner-references.yaml"
"""Policies come into force in the order in which they were made; this one tells that all others are."""


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.apply(*CRDS)
        wait_for_crds(server.admin, [yaml.safe_load(crd.read_text())["metadata"]["name"] for crd in CRDS])
        server.apply(ROOT / "config" / "rbac")
        policies = sorted((ROOT / "config" / "admission").glob("*.yaml"), key=lambda p: (p == READ_LAST, p.name))
        server.apply(*policies)
        wait_for_admission(server.admin, "default")
        yield server


@dataclass(frozen=True, slots=True)
class Team:
    """A namespace: people bound to our roles, training pods, the operator."""

    server: ApiServer
    namespace: str
    pod: Pod
    """trains"""
    mate: Pod
    """trains too, on something else"""
    operator: Api
    edit: Api
    admin: Api
    """of the namespace; not of the cluster"""
    view: Api

    @property
    def root(self) -> Api:
        """Administrator of the cluster."""
        return self.server.admin


@pytest.fixture(scope="module")
def team(server: ApiServer) -> Team:
    namespace = server.namespace("team")
    root = server.admin
    for account in ("trainer", "other"):
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
        root.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", body).expect(201)
    trainer = {"kind": "ServiceAccount", "name": "trainer", "namespace": namespace}
    bind(root, namespace, "trainpoint-trainer", trainer)
    for role, person in (("view", "edsger"), ("edit", "ada"), ("admin", "grace")):
        bind(root, namespace, f"trainpoint-{role}", {"kind": "User", "name": person})
    return Team(
        server=server,
        namespace=namespace,
        pod=server.pod(namespace, "llm-x7k2p", account="trainer"),
        mate=server.pod(namespace, "vision-4k8ws", account="trainer"),
        operator=operator_of(server, namespace),
        edit=server.as_person("ada"),
        admin=server.as_person("grace"),
        view=server.as_person("edsger"),
    )


def operator_of(server: ApiServer, namespace: str) -> Api:
    """An operator that watches one namespace, as the chart sets it up; with the token of a pod, as it has one there."""
    root = server.admin
    home = server.namespace("trainpoint-system")
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainpoint-operator"}}
    root.post(f"/api/v1/namespaces/{home}/serviceaccounts", body).expect(201)
    account = {"kind": "ServiceAccount", "name": "trainpoint-operator", "namespace": home}
    bind(root, namespace, "trainpoint-operator", account)
    bind(root, "", "trainpoint-operator-everywhere", account, name=f"trainpoint-{home}")
    return server.pod(home, "trainpoint-operator-0", account="trainpoint-operator").api


def bind(root: Api, namespace: str, role: str, subject: dict[str, Any], *, name: str = "") -> None:
    """Bind a ClusterRole in a namespace; without one, in the whole cluster."""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    group = "rbac.authorization.k8s.io"
    who = subject if subject["kind"] == "ServiceAccount" else {**subject, "apiGroup": group}
    body = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name or role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [who],
    }
    scope = f"namespaces/{namespace}/" if namespace else ""
    root.post(f"/apis/{group}/v1/{scope}{kind.lower()}s", body).expect(201)
