"""One API server for the rung, with our kinds, policies and roles; a namespace with people and pods for each module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.apiserver import ApiServer
from tests.support.installed import install
from tests.support.kubeapi import Api
from tests.support.kubeserver import KubeServer, Pod
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.format.manifest import Manifest, Snapshot


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        install(server)
        yield server


@dataclass(frozen=True, slots=True)
class Team:
    """A namespace: people bound to our roles, training pods, the operator."""

    server: KubeServer
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


def record(team: Team, snapshot: Snapshot, *, committed: bool = True) -> str:
    """A checkpoint's object as a pod of the team makes it; its name."""
    at = f"/apis/trainpoint.dev/v1alpha1/namespaces/{team.namespace}/checkpoints"
    body = checkpoint_body(snapshot, store_ref="main", policy="")
    name = str(body["metadata"]["name"])
    team.pod.api.post(at, body).expect(201)
    if committed:
        commit = commit_of(Manifest(snapshot, "2026-01-01T00:00:00Z", (), ()))
        team.pod.api.patch(f"{at}/{name}/status", {"status": {"commit": commit}}).expect(200)
    return name


@pytest.fixture(scope="module")
def team(server: KubeServer) -> Team:
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


def operator_of(server: KubeServer, namespace: str) -> Api:
    """An operator that watches one namespace, as the chart sets it up; with the token of a pod, as it has one there."""
    root = server.admin
    home = server.namespace("trainpoint-system")
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainpoint-operator"}}
    root.post(f"/api/v1/namespaces/{home}/serviceaccounts", body).expect(201)
    account = {"kind": "ServiceAccount", "name": "trainpoint-operator", "namespace": home}
    bind(root, namespace, "trainpoint-operator", account)
    bind(root, "", "trainpoint-operator-everywhere", account, name=f"trainpoint-{home}")
    secrets = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "trainpoint-operator-secrets"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["keys"], "verbs": ["get"]}],
    }
    root.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles", secrets).expect(201)
    bind(root, namespace, "trainpoint-operator-secrets", account, kind="Role")
    return server.pod(home, "trainpoint-operator-0", account="trainpoint-operator").api


def bind(
    root: Api, namespace: str, role: str, subject: dict[str, Any], *, name: str = "", kind: str = "ClusterRole"
) -> None:
    """Bind a role in a namespace; without one, in the whole cluster."""
    bound = "RoleBinding" if namespace else "ClusterRoleBinding"
    group = "rbac.authorization.k8s.io"
    who = subject if subject["kind"] == "ServiceAccount" else {**subject, "apiGroup": group}
    body = {
        "apiVersion": f"{group}/v1",
        "kind": bound,
        "metadata": {"name": name or role},
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
        "subjects": [who],
    }
    scope = f"namespaces/{namespace}/" if namespace else ""
    root.post(f"/apis/{group}/v1/{scope}{bound.lower()}s", body).expect(201)
