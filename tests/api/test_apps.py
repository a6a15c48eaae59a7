"""``kubectl trainpoint app checkpoints``: what apps have saved, by the objects of a namespace."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from tests.api.conftest import Team, record
from tests.support.command_line import invoke
from tests.support.kubeserver import KubeServer
from trainpoint.cli.main import kubectl
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Snapshot
from trainpoint.policies.app_files import series_name


def save(team: Team, task: TaskPath, sequence: int, series: str, *, committed: bool = True) -> str:
    """A checkpoint as the SDK's objects show it; its name."""
    snapshot = Snapshot(
        task, SnapshotId(0, sequence, f"{sequence:016x}"), step=sequence * 10, series=series,
        created_by={"podName": team.pod.name, "podUID": team.pod.uid},
    )  # fmt: skip
    return record(team, snapshot, committed=committed)


@pytest.fixture
def run(server: KubeServer, team: Team, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig("edsger")))
        return invoke("app", "checkpoints", *arguments, "-n", team.namespace, program=kubectl)

    return run


def test_files_of_apps_are_listed_for_whoever_may_look_newest_first_and_nothing_else(
    run: Callable[..., Result], team: Team
) -> None:
    mine = TaskPath("counter", "counter-4c1d9e02ab", "main", namespace=team.namespace)
    other = TaskPath("other", "other-4c1d9e02ab", "main", namespace=team.namespace)
    old = save(team, mine, 1, series_name(1_700_000_001))
    newest = save(team, other, 1, series_name(1_700_000_009))
    new = save(team, mine, 2, series_name(1_700_000_005))
    save(team, mine, 3, "best")
    save(team, mine, 4, series_name(1_700_000_010), committed=False)

    lines = [line.split() for line in run().stdout.splitlines()]
    assert lines[0] == ["CHECKPOINT", "WORKFLOW", "RUN", "ITERATION", "SIZE", "AGE", "NAME"]
    assert [(line[0], line[-1]) for line in lines[1:]] == [
        ("lightningapp_checkpoint_1700000009", newest),
        ("lightningapp_checkpoint_1700000005", new),
        ("lightningapp_checkpoint_1700000001", old),
    ]
    rows = json.loads(run("counter", "-o", "json").stdout)
    assert [(row["checkpoint"], row["step"]) for row in rows] == [
        ("lightningapp_checkpoint_1700000005.json", 20),
        ("lightningapp_checkpoint_1700000001.json", 10),
    ]
    limited = run("--limit", "1")
    assert len(limited.stdout.splitlines()) == 2
    assert limited.stderr == "… and 2 more: --limit 0\n"
    assert run("nobody").stdout == f"no checkpoints of apps in namespace {team.namespace} of nobody\n"
