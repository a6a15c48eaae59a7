"""Metrics: their names are API, and their number is bounded."""

from __future__ import annotations

import re

import pytest

from tests.support.repository import ROOT
from trainpoint_operator import metrics as module
from trainpoint_operator.engine.resources import PODS, Key
from trainpoint_operator.metrics import Metrics

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


def test_states_that_no_checkpoint_has_any_more_are_not_shown(metrics: Metrics) -> None:
    metrics.checkpoints("team", {"Saving": 1, "Verified": 5})
    metrics.checkpoints("other", {"Verified": 1})
    metrics.checkpoints("team", {"Verified": 6})
    assert value(metrics, "trainpoint_checkpoints", namespace="team", state="Verified") == 6
    assert value(metrics, "trainpoint_checkpoints", namespace="team", state="Saving") is None
    metrics.checkpoints("team", {})
    metrics.checkpoints("nobody", {})
    assert value(metrics, "trainpoint_checkpoints", namespace="team", state="Verified") is None
    assert value(metrics, "trainpoint_checkpoints", namespace="other", state="Verified") == 1


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


def test_the_last_commit_does_not_go_back(metrics: Metrics) -> None:
    name = "trainpoint_last_commit_timestamp_seconds"
    metrics.committed("team", "llm", 200.0)
    metrics.committed("team", "llm", 100.0)
    assert value(metrics, name, namespace="team", workflow="llm") == 200
    metrics.committed("team", "llm", 300.0)
    assert value(metrics, name, namespace="team", workflow="llm") == 300


def test_series_with_peoples_names_are_bounded(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 3)
    for number in range(5):
        metrics.committed("team", f"workflow-{number}", float(number))
        metrics.committed("team", "workflow-0", 50.0)
    found = re.findall(r'last_commit_timestamp_seconds\{.*workflow="([^"]+)"', metrics.text().decode())
    assert sorted(found) == ["workflow-0", "workflow-3", "workflow-4"]


def test_the_page_has_every_metric_with_its_labels_and_no_other(metrics: Metrics) -> None:
    metrics.reconciled("Checkpoint", "ok", 0.02)
    metrics.taken(KEY, 2.0)
    metrics.retried(KEY)
    metrics.requested("list", PODS, "200")
    metrics.checkpoints("team", {"Saving": 1})
    metrics.stored("team", "main", 5000)
    metrics.committed("team", "llm", 200.0)
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
