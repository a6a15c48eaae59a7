"""Upgrade, uninstall and install again, on a server of its own: kinds, stores and checkpoints stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.conftest import HOME, KINDS, wait_for_kinds
from tests.support.apiserver import ApiServer
from tests.support.helm import CHARTS, Helm
from tests.support.kubeapi import Api, until

CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/checkpointstores.trainpoint.dev"
ADDED = "        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}\n"
"""A line of the kind that an earlier version of it may not have had."""
TEAM = "team-a"
KEYS = {"accessKeyId": "a", "secretAccessKey": "b"}
VALUES: dict[str, object] = {
    "stores": {"main": {"s3": {"bucket": "checkpoints"}, "credentials": KEYS}},
    "policies": {"default": {"default": True}},
}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def columns(api: Api) -> list[str]:
    version = api.get(CRD).expect(200)["spec"]["versions"][0]
    return [column["name"] for column in version["additionalPrinterColumns"]]


def wait_for_storage(api: Api) -> None:
    """Until the server can list each kind, which it prepares at the first request.

    A deletion of the kind that comes before fails inside of the server, which then tries again after minutes.
    """

    def not_ready() -> str:
        answers = {kind: api.get(f"/apis/trainpoint.dev/v1alpha1/{kind}") for kind in KINDS}
        return ", ".join(f"{kind}: {answer.message}" for kind, answer in answers.items() if answer.status != 200)

    until(not_ready, seconds=120, what="the kinds to be listed")


def earlier(folder: Path) -> Path:
    """The chart as it was before a column was added to a kind."""
    chart = folder / "trainpoint"
    shutil.copytree(CHARTS / "trainpoint", chart)
    file = chart / "templates/crds/checkpointstores.yaml"
    text = file.read_text()
    assert ADDED in text
    file.write_text(text.replace(ADDED, ""))
    return chart


def test_nothing_is_lost_from_one_version_to_the_next_nor_without_the_chart(server: ApiServer, tmp_path: Path) -> None:
    api, helm = server.admin, Helm(server.kubeconfig("admin"))
    helm.install("trainpoint", earlier(tmp_path), HOME)
    wait_for_kinds(api)
    helm.install("team", "trainpoint-namespace", TEAM, values=VALUES)
    stores = f"/apis/trainpoint.dev/v1alpha1/namespaces/{TEAM}/checkpointstores"
    store = api.get(f"{stores}/main").expect(200)
    assert "Age" not in columns(api)

    # An upgrade brings the kinds along, with their objects.
    helm.upgrade("trainpoint", "trainpoint", HOME)
    assert "Age" in columns(api)
    assert api.get(f"{stores}/main").expect(200)["metadata"]["uid"] == store["metadata"]["uid"]

    # Without the operator's chart the kinds stay, and all objects.
    helm.uninstall("trainpoint", HOME)
    assert "Age" in columns(api)
    assert api.get(f"{stores}/main").expect(200)["metadata"]["uid"] == store["metadata"]["uid"]
    api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/trainpoint-operator").expect(404)

    # Without the namespace's chart the store stays with what it takes to reach it; policies and rights of pods go.
    helm.uninstall("team", TEAM)
    assert "deletionTimestamp" not in api.get(f"{stores}/main").expect(200)["metadata"]
    api.get(f"/api/v1/namespaces/{TEAM}/secrets/trainpoint-store-main").expect(200)
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TEAM}"
    api.get(f"{roles}/roles/trainpoint-operator-secrets").expect(200)
    api.get(f"{roles}/rolebindings/trainpoint-trainer").expect(404)
    assert api.get(f"/apis/trainpoint.dev/v1alpha1/namespaces/{TEAM}/checkpointpolicies").expect(200)["items"] == []

    # Both again: what has stayed is taken over.
    helm.install("trainpoint", "trainpoint", HOME)
    helm.install("team", "trainpoint-namespace", TEAM, values=VALUES)
    assert api.get(f"{stores}/main").expect(200)["metadata"]["uid"] == store["metadata"]["uid"]

    # Removed in the order that docs/how-to/install.md gives.
    helm.uninstall("team", TEAM)
    wait_for_storage(api)
    done = server.kubectl("delete", "crd", *(f"{kind}.trainpoint.dev" for kind in KINDS))
    assert done.returncode == 0, done.stderr
    helm.uninstall("trainpoint", HOME)
    api.get(CRD).expect(404)


def test_without_keep_a_store_goes_with_its_release(server: ApiServer) -> None:
    api, helm = server.admin, Helm(server.kubeconfig("admin"))
    helm.install("trainpoint", "trainpoint", HOME)
    wait_for_kinds(api)
    helm.install("team", "trainpoint-namespace", TEAM, values={**VALUES, "keepStores": False})
    helm.uninstall("team", TEAM)
    api.get(f"/apis/trainpoint.dev/v1alpha1/namespaces/{TEAM}/checkpointstores/main").expect(404)
