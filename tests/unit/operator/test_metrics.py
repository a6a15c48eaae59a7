"""Metrics: their names are API, and their number is bounded."""

from __future__ import annotations

import re

import pytest

from tests.support.objects import checkpoint
from tests.support.repository import ROOT
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint_operator import metrics as module
from trainpoint_operator.engine.resources import PODS, Key
from trainpoint_operator.metrics import Metrics
from trainpoint_operator.views import CheckpointView

PAGE = ROOT / "docs" / "reference" / "metrics.md"
KEY = Key("Checkpoint", "team", "a")


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.read(depth=lambda: 3, leads=lambda: True, informers=lambda: {"pods": (12, 4.5)})
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_engine_is_measured(metrics: Metrics) -> None:
    metrics.reconciled("Checkpoint", "ok", 0.02)
    metrics.taken(KEY, 2.0)
    metrics.retried(KEY)
    metrics.requested("list", PODS, "200")
    metrics.requested("list", PODS, "200")
    assert value(metrics, "trainpoint_reconcile_seconds_count", kind="Checkpoint", result="ok") == 1
    assert value(metrics, "trainpoint_queue_wait_seconds_sum", kind="Checkpoint") == 2
    assert value(metrics, "trainpoint_queue_retries_total", kind="Checkpoint") == 1
    assert value(metrics, "trainpoint_api_requests_total", verb="list", resource="pods", code="200") == 2
    assert value(metrics, "trainpoint_queue_depth") == 3
    assert value(metrics, "trainpoint_leader") == 1
    assert value(metrics, "trainpoint_informer_objects", resource="pods") == 12
    assert value(metrics, "trainpoint_informer_silence_seconds", resource="pods") == 4.5


def saved(name: str, state: str, *, workflow: str = "llm", time: str = "", namespace: str = "team") -> CheckpointView:
    status: JsonObject = {"state": state} if state else {}
    if time:
        status["commit"] = {"time": time}
    task = TaskPath(workflow, "run", "main")
    body = checkpoint(task, None)
    metadata = {
        "namespace": namespace,
        "uid": name,
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return CheckpointView.of({**body, "metadata": {**body["metadata"], **metadata}, "status": status})


def test_checkpoints_are_counted_by_their_state_as_it_changes(metrics: Metrics) -> None:
    def count(state: str, namespace: str = "team") -> float | None:
        return value(metrics, "trainpoint_checkpoints", namespace=namespace, state=state)

    a, b, other = saved("a", ""), saved("b", "Saving"), saved("c", "Verified", namespace="other")
    for new in (a, b, other):
        metrics.checkpoint_changed(None, new)
    assert (count("Saving"), count("Verified"), count("Verified", "other")) == (2, None, 1)
    verified = saved("a", "Verified")
    metrics.checkpoint_changed(a, verified)
    metrics.checkpoint_changed(b, None)
    assert (count("Saving"), count("Verified"), count("Verified", "other")) == (None, 1, 1)
    metrics.checkpoint_changed(verified, None)
    assert (count("Saving"), count("Verified"), count("Verified", "other")) == (None, None, 1)


def test_what_the_reconcilers_count(metrics: Metrics) -> None:
    metrics.stored("team", "main", 5000)
    metrics.deleted(20)
    metrics.deleted(22)
    metrics.found_corrupt()
    metrics.attempt_ended("Failed")
    assert value(metrics, "trainpoint_stored_bytes", namespace="team", store="main") == 5000
    assert value(metrics, "trainpoint_deleted_bytes_total") == 42
    assert value(metrics, "trainpoint_verification_failures_total") == 1
    assert value(metrics, "trainpoint_attempts_ended_total", result="Failed") == 1
    metrics.store_gone("team", "main")
    metrics.store_gone("team", "main")
    assert value(metrics, "trainpoint_stored_bytes", namespace="team", store="main") is None


def test_the_last_commit_of_a_workflow_does_not_go_back(metrics: Metrics) -> None:
    def last() -> float | None:
        return value(metrics, "trainpoint_last_commit_timestamp_seconds", namespace="team", workflow="llm")

    saving = saved("a", "Saving")
    metrics.checkpoint_changed(None, saving)
    assert last() is None
    metrics.checkpoint_changed(saving, saved("a", "Saving", time="1970-01-01T00:03:20Z"))
    assert last() == 200
    metrics.checkpoint_changed(None, saved("b", "Verified", time="1970-01-01T00:01:40Z"))  # listed after a start
    assert last() == 200
    metrics.checkpoint_changed(None, saved("c", "Verified", time="1970-01-01T00:05:00Z"))
    assert last() == 300


def test_series_with_peoples_names_are_bounded(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 3)
    for number in range(5):
        for workflow in (f"workflow-{number}", "workflow-0"):
            metrics.checkpoint_changed(None, saved("a", "", workflow=workflow, time="1970-01-01T00:03:20Z"))
    found = re.findall(r'last_commit_timestamp_seconds\{.*workflow="([^"]+)"', metrics.text().decode())
    assert sorted(found) == ["workflow-0", "workflow-3", "workflow-4"]


def test_the_page_has_every_metric_with_its_labels_and_no_other(metrics: Metrics) -> None:
    metrics.reconciled("Checkpoint", "ok", 0.02)
    metrics.taken(KEY, 2.0)
    metrics.retried(KEY)
    metrics.requested("list", PODS, "200")
    metrics.checkpoint_changed(None, saved("a", "", time="1970-01-01T00:03:20Z"))
    metrics.stored("team", "main", 5000)
    metrics.attempt_ended("Failed")
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:trainpoint|process)_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(documented) == len(rows)
    real = {}
    for family in metrics.registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        real[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    assert documented == real


def test_a_name_says_its_unit(metrics: Metrics) -> None:
    counted = {"trainpoint_queue_depth", "trainpoint_leader", "trainpoint_informer_objects", "trainpoint_checkpoints"}
    for family in metrics.registry.collect():
        if family.name.startswith("trainpoint_") and family.type != "counter" and family.name not in counted:
            assert family.name.endswith(("_seconds", "_bytes")), family.name
