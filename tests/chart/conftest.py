"""Fixtures of the rung: Helm, and one API server on which the operator's chart is installed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.apiserver import ApiServer
from tests.support.helm import Helm
from tests.support.kubeapi import Api, until

HOME = "trainpoint-system"
KINDS = ("checkpoints", "checkpointruns", "checkpointpolicies", "checkpointstores")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("chart").addoption(
        "--renew-golden", action="store_true", help="write tests/chart/golden anew from the charts"
    )


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Without a server."""
    return Helm()


@dataclass(frozen=True, slots=True)
class Installed:
    """A server with charts/trainpoint on it, and Helm that reaches it."""

    server: ApiServer
    helm: Helm
    said: str
    """what Helm printed when it installed the chart"""

    def namespace(self) -> str:
        """A fresh one, which admits only pods that pass the Pod Security Standard ``restricted``."""
        name = f"team-{secrets.token_hex(3)}"
        level = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": level}}
        self.server.admin.post("/api/v1/namespaces", body).expect(201)
        self.account(name, "default")
        return name

    def account(self, namespace: str, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        self.server.admin.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", body).expect(201)


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    with ApiServer() as server:
        helm = Helm(server.kubeconfig("admin"))
        said = helm.install("trainpoint", "trainpoint", HOME)
        wait_for_kinds(server.admin)
        yield Installed(server, helm, said)


def wait_for_kinds(api: Api) -> None:
    """Until the server serves what was installed a moment ago."""

    def lacking() -> str:
        answer = api.get("/apis/trainpoint.dev/v1alpha1")
        served = {kind["name"] for kind in answer.body.get("resources", [])}
        return ", ".join(sorted(set(KINDS) - served))

    until(lacking, seconds=60, what="the kinds to be served")
