"""A notebook outside of the cluster reads a namespace: by kubeconfig and its name, with GETs alone."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.configmap import CONFIG_MAP, policy, with_server
from trainpoint import (
    Checkpoint,
    ClusterPermissionError,
    ClusterUnreachableError,
    IdentityError,
    NotConfiguredError,
    NotInJobError,
    Workflow,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.kube import Kube
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.cluster import find_cluster
from trainpoint.context import Context, open_context
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.testing import MemoryStore


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("TRAINPOINT_", "KUBE")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TRAINPOINT_OWNER", "ada")


def saved(store_name: str, namespace: str) -> str:
    """One checkpoint of a namespace, as a Job there has saved it; the URL of its store."""
    catalog = BucketCatalog(MemoryStore.named(store_name), clock=SystemClock(), chance=SystemChance())
    task = TaskPath("llm", "llm-1", "main", namespace=namespace)
    catalog.record(Manifest(Snapshot(task, SnapshotId(0, 1, "a" * 16), step=7), "2026-01-01T00:00:00Z", (), ()))
    return f"memory://{store_name}"


def steps_by_argument() -> list[int | None]:
    with Checkpoint(namespace="team-a") as reader:
        assert not reader.is_loaded
        with pytest.raises(NotInJobError, match="only reads"):
            reader.save()
        return [info.step for info in reader.list(task="llm/llm-1/main")]


def steps_by_variable() -> list[int | None]:
    with Checkpoint() as reader:
        return [info.step for info in reader.list(task="llm/llm-1/main")]


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_kubeconfig_and_a_namespace_find_the_store_by_one_get(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    url = saved(f"read-by-{by}", "team-a")
    if by == "variable":
        monkeypatch.setenv("TRAINPOINT_NAMESPACE", "team-a")
    store = MemoryStore.named(f"read-by-{by}")
    before = list(store.list(""))
    read = steps_by_argument if by == "argument" else steps_by_variable
    steps, asked = with_server(monkeypatch, tmp_path, read, {"default": policy(url)})
    assert steps == [7]
    assert asked == [("GET", CONFIG_MAP)], "nothing in the cluster is changed by reading"
    assert list(store.list("")) == before, "and nothing in the bucket"


def test_a_workflow_of_a_namespace_is_found_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = saved("read-workflow", "team-a")

    def workflow() -> str:
        return Workflow("llm", namespace="team-a", owner="*").namespace

    found, asked = with_server(monkeypatch, tmp_path, workflow, {"default": policy(url)})
    assert (found, asked) == ("team-a", [("GET", CONFIG_MAP)])


def test_a_kubeconfig_alone_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default stays the directory at home: who trains on a laptop has kubeconfigs, too."""

    def where() -> str:
        with Checkpoint() as reader:
            return repr(reader)

    found, asked = with_server(monkeypatch, tmp_path, where, {"default": policy("memory://not-asked")})
    assert f"file://{tmp_path}/.trainpoint" in found
    assert asked == []


def test_with_a_store_of_its_own_no_server_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with Checkpoint(store=saved("read-store", "team-a"), namespace="team-a") as reader:
        assert [info.step for info in reader.list(task="llm/llm-1/main")] == [7]


def test_a_namespace_without_a_default_is_read_where_all_its_policies_have_one_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = saved("read-one", "team-a")
    data = {"a": policy(url, default=False), "b": policy(url, default=False), "note": "a person's"}
    steps, _ = with_server(monkeypatch, tmp_path, steps_by_argument, data)
    assert steps == [7]
    data["c"] = policy("memory://another", default=False)
    with pytest.raises(NotConfiguredError, match="no default CheckpointPolicy"):
        with_server(monkeypatch, tmp_path, steps_by_argument, data)


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(NotConfiguredError, match="namespace team-a has no ConfigMap trainpoint"):
        with_server(monkeypatch, tmp_path, steps_by_argument, None)
    with pytest.raises(ClusterPermissionError, match="cannot get configmaps/trainpoint in namespace team-a"):
        with_server(monkeypatch, tmp_path, steps_by_argument, {}, refused=403)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterUnreachableError, match="no usable kubeconfig") as caught:
        Checkpoint(namespace="team-a")
    assert "KUBECONFIG" in caught.value.remedy


def test_a_process_that_trains_is_not_told_where_to_read() -> None:
    with pytest.raises(IdentityError, match="namespace='team-a' is for reading") as caught:
        Checkpoint(workflow="w", store="memory://x", namespace="team-a")
    assert "list(namespace='team-a'" in caught.value.remedy


def test_the_pod_contracts_variable_is_not_a_wish_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINPOINT_NAMESPACE", "team-a")
    monkeypatch.setenv("TRAINPOINT_POD_NAME", "p-0")
    with Checkpoint(store=saved("read-pod", "_")) as reader:
        assert [info.step for info in reader.list(task="llm/llm-1/main")] == [7]


class Namespaces:
    """An API server with a ConfigMap in each namespace, as the pod's own account may read it."""

    asked: ClassVar[list[str]] = []

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def pod(self, name: str) -> dict[str, object]:
        owner = {"controller": True, "kind": "StatefulSet", "name": "hub", "uid": "u"}
        return {"metadata": {"namespace": "hub", "name": name, "uid": "u", "ownerReferences": [owner]}}

    def config_map(self, name: str) -> dict[str, str] | None:
        self.asked.append(self.namespace)
        return {"default": policy(f"memory://in-{self.namespace}")} if self.namespace != "hub" else None


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Context]:
    """Opens a context as a notebook server's pod in namespace hub does, which trainpoint does not know."""
    claims = {"kubernetes.io": {"namespace": "hub", "pod": {"name": "jupyter-ada", "uid": "u"}}}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    (tmp_path / "token").write_text(f"e30.{payload}.sig")
    monkeypatch.setattr(Kube, "in_pod", Namespaces)
    monkeypatch.setattr(Namespaces, "asked", [])
    monkeypatch.setattr(
        "trainpoint.cluster.find_cluster", partial(find_cluster, account=tmp_path, mount=tmp_path / "no")
    )
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    return open_context


def test_a_notebook_in_the_cluster_reads_another_namespace_with_its_own_account(
    in_pod: Callable[..., Context],
) -> None:
    context = in_pod(namespace="team-a")
    assert (context.identity, context.namespace, context.store_url) == (None, "team-a", "memory://in-team-a")
    assert Namespaces.asked == ["team-a"]
    with pytest.raises(NotConfiguredError, match="namespace hub has no ConfigMap"):
        in_pod()
    with pytest.raises(NotConfiguredError, match="namespace hub has no ConfigMap"):
        in_pod(namespace="team-a", workflow="w")  # it would train, and that it does at home
