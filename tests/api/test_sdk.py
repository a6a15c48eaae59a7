"""The SDK's half of the cluster against a real API server: claims by real tokens, kubectl trainpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.api.conftest import Team, record
from tests.support.command_line import invoke
from tests.support.kubeserver import KubeServer, Pod
from tests.support.place import PROGRAMS
from tests.support.programs.claim_as_pod import kube_of
from tests.support.repository import ROOT
from trainpoint.claim.run_object import loaded_json, new_claim, run_body, save_request
from trainpoint.cli.kube_report import LIMITS
from trainpoint.cli.main import kubectl
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Snapshot
from trainpoint.format.records import Holder, LoadedRecord, Skipped
from trainpoint.format.reference import run_object_name
from trainpoint.pod import Pod as PodFacts

CROWD = 20


def environment(team: Team, pods: Sequence[Pod], store: Path, ledger: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "API_URL": pods[0].api.url,
        "API_CA": str(pods[0].api.authority),
        "NAMESPACE": team.namespace,
        "PODS": json.dumps([{"name": pod.name, "uid": pod.uid, "token": pod.api.token} for pod in pods]),
        "TRAINPOINT_STORE": f"file://{store}",
        "LEDGER": str(ledger),
    }


def test_twenty_pods_claim_one_run_in_turn_by_their_own_tokens(
    server: KubeServer, team: Team, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    ledger = tmp_path / "ledger"
    pods = server.pods(team.namespace, [f"crowd-{number}" for number in range(CROWD)], account="trainer")
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "claim_as_pod.py")],
        env=environment(team, pods, tmp_path / "store", ledger),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    asked = [int(line) for line in done.stdout.split()]
    assert len(asked) == CROWD
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert [what for _, what, _ in lines] == ["begin", "end"] * CROWD, "never two writers at one time"
    assert [int(number) for _, what, number in lines if what == "begin"] == [*range(CROWD)]
    record_property("requests", sum(asked))
    assert sum(asked) < CROWD * 60, f"{sum(asked)} requests, at worst {max(asked)} of one process"


# --- kubectl trainpoint -----------------------------------------------------------------------------------------------

TASK = ("llm", "llm-4c1d9e02ab", "main")
ME = Holder("host", 7, "1", "boot", "ab" * 8)


@pytest.fixture(scope="module")
def recorded(team: Team) -> list[str]:
    """A run with three checkpoints, as the SDK writes them; their names, newest first."""
    task = TaskPath(*TASK, namespace=team.namespace)
    base = f"/apis/trainpoint.dev/v1alpha1/namespaces/{team.namespace}"
    team.pod.api.post(
        f"{base}/checkpointruns", run_body(task, owner="ada", launch_uid="", policy="", store="main")
    ).expect(201)
    facts = PodFacts(
        team.namespace, team.pod.name, team.pod.uid, controller_kind="Job", controller_name="llm", node="node-1"
    )
    claim = new_claim(facts, ME, attempt=0, nonce="cd" * 8, time="2026-01-01T00:00:00Z")
    loaded = LoadedRecord(
        0, "cd" * 8, "fresh", "the default", "Newest", "newest that verifies", "old-1", step=3,
        skipped=(Skipped("old-2", 4, "Corrupt", "is corrupt"),),
    )  # fmt: skip
    status = f"{base}/checkpointruns/{run_object_name(task)}/status"
    team.pod.api.patch(status, {"status": {"claim": {**claim, "loaded": loaded_json(loaded)}}}).expect(200)
    names: list[str] = []
    for sequence in (1, 2, 3):
        snapshot = Snapshot(
            task, SnapshotId(0, sequence, f"{sequence:016x}"), step=sequence * 10, metrics={"loss": f"0.{sequence}"},
            parents=("old-1", *names[-1:]), metadata={"lr": 0.1},
            created_by={"podName": team.pod.name, "podUID": team.pod.uid},
        )  # fmt: skip
        names.append(record(team, snapshot))
    return names[::-1]


@pytest.fixture
def run(server: KubeServer, team: Team, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(verb: str, *arguments: str, person: str = "edsger") -> Result:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(person)))
        return invoke(verb, *arguments, "-n", team.namespace, program=kubectl)

    return run


def test_list_shows_what_the_objects_say(run: Callable[..., Result], recorded: list[str]) -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == recorded
    assert "loss=0.3" in lines[1]
    assert "Committed" in lines[1]
    for scope in ("llm", "job/llm", "llm/llm-4c1d9e02ab", "run/llm-4c1d9e02ab", "llm/llm-4c1d9e02ab/main"):
        assert len(json.loads(run("list", scope, "-o", "json").stdout)) == 3, scope


def test_why_tells_what_was_loaded_and_passed_over(run: Callable[..., Result], recorded: list[str], team: Team) -> None:
    text = run("why", "job/llm").stdout
    assert "run llm-4c1d9e02ab, task main    now: attempt 0" in text
    assert f"pod      {team.pod.name} on node node-1" in text
    assert "loaded   old-1 (step 3): newest that verifies" in text
    assert "skipped  old-2 (step 4): is corrupt" in text
    assert f"if it started now: would load {recorded[0]} (step 30)" in text


def test_report_is_a_page_of_what_the_objects_say(
    run: Callable[..., Result], recorded: list[str], team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("report", "job/llm").stdout == "llm-4c1d9e02ab.html\n"
    text = (tmp_path / "llm-4c1d9e02ab.html").read_text(encoding="utf-8")
    seen = [part.strip() for part in ET.fromstring(text.removeprefix("<!DOCTYPE html>")).itertext() if part.strip()]
    for fact in (
        "llm/llm-4c1d9e02ab",
        "ada",
        f"CheckpointStore main in namespace {team.namespace}",
        "nobody has said yet: no operator looks after it",
        LIMITS,
        "running, or ended without a word",
        "newest that verifies",
        "skipped old-2: is corrupt",
        "fresh, from the default",
        f"If it started now: would load {recorded[0]} (step 30).",
        "loss",
    ):
        assert fact in seen, (fact, seen)
    assert all(seen.count(name) > 1 for name in recorded), "each is in the table and in the lineage"
    assert "gone" in seen, "what has no object any more"
    assert run("report", "nobody").exit_code == 1


def test_who_may_edit_asks_a_run_to_save_and_its_pod_sees_it(
    run: Callable[..., Result], recorded: list[str], team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, api = TaskPath(*TASK, namespace=team.namespace), team.pod.api
    for name, value in {"API_URL": api.url, "API_CA": str(api.authority), "NAMESPACE": team.namespace}.items():
        monkeypatch.setenv(name, value)
    kube = kube_of(api.token)
    refused = run("save", "job/llm")
    assert (refused.exit_code, "TP202" in refused.stderr) == (1, True), refused.stderr

    def seen() -> str:
        return save_request(kube.get("checkpointruns", run_object_name(task)) or {})

    assert seen() == ""
    requests = []
    for _ in range(2):
        asked = run("save", "job/llm", person="ada")
        assert asked.exit_code == 0, asked.stderr
        assert f"asked {run_object_name(task)} to save" in asked.stdout
        requests.append(seen())
    assert len({"", *requests}) == 3, "each is another one"
    late = run("save", "job/llm", "--wait", "--timeout", "0.1", person="ada")
    assert (late.exit_code, "does its loop use should_save, or" in late.stderr) == (1, True)


def test_show_and_what_is_not_there(run: Callable[..., Result], recorded: list[str]) -> None:
    text = run("show", recorded[0]).stdout
    assert "lr=0.1" in text
    assert "step          30" in text
    missing = run("show", "nobody")
    assert missing.exit_code == 1
    assert "kubectl get ckpt" in missing.stderr
    assert run("why", "nobody").exit_code == 1


def test_lineage_names_what_has_no_object(run: Callable[..., Result], recorded: list[str]) -> None:
    rows = json.loads(run("lineage", recorded[0], "-o", "json").stdout)
    assert [(row["name"], row["state"], row["step"]) for row in rows] == [
        (recorded[0], "there", 30),
        (recorded[1], "there", 20),
        ("old-1", "gone", 3),
        (recorded[2], "there", 10),
    ]
    why = ["", "named by the program", "fresh: newest that verifies", "named by the program"]
    assert [row["why"] for row in rows] == why
    (loaded,) = json.loads(run("lineage", "job/llm", "-o", "json").stdout)
    assert (loaded["name"], loaded["why"]) == ("old-1", "fresh: newest that verifies")
    assert run("lineage", "nobody").exit_code == 1


def test_pin_takes_edit_and_unpin_takes_admin(run: Callable[..., Result], recorded: list[str]) -> None:
    refused = run("pin", recorded[1], "--reason", "table 2")
    assert (refused.exit_code, "TP202" in refused.stderr) == (1, True), refused.stderr
    assert "trainpoint-edit" in refused.stderr
    assert run("pin", recorded[1], "--reason", "table 2", person="ada").exit_code == 0
    assert "pinned        table 2" in run("show", recorded[1]).stdout
    for verb in (["rm", "--yes"], ["unpin"]):
        refused = run(*verb, recorded[1], person="ada")
        assert (refused.exit_code, "TP124" in refused.stderr) == (1, True), refused.stderr
        assert "is pinned (table 2, by " in refused.stderr
        assert "trainpoint-admin" in refused.stderr
    again = run("pin", recorded[1], "--reason", "mine", person="ada")
    assert "pinned already (table 2" in again.stderr
    done = run("unpin", recorded[1], person="grace")
    assert "(was: table 2, by " in done.stdout, done.stderr
    assert "was not pinned" in run("unpin", recorded[1]).stdout


def test_rm_needs_the_right_to_delete(run: Callable[..., Result], recorded: list[str]) -> None:
    refused = run("rm", "--yes", recorded[-1])
    assert refused.exit_code == 1
    assert "TP202" in refused.stderr
    done = run("rm", "--yes", recorded[-1], person="ada")
    assert done.exit_code == 0, done.stderr
    assert recorded[-1] not in run("list").stdout
