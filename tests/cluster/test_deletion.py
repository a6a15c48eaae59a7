"""Deleting checkpoints, a namespace, the kinds: whose bytes go, whose stay, and nothing hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.cluster import Object
from tests.support.installed import CRDS
from tests.support.release import Operator, TeamSpace
from trainpoint.format.layout import snapshot_data
from trainpoint_operator.views import CheckpointView

PATIENCE_SECONDS = 180
KINDS = ("checkpoints", "checkpointruns", "checkpointpolicies", "checkpointstores")


def keys_of(team: TeamSpace, checkpoint: Object) -> Sequence[str]:
    """Keys of its data in the bucket."""
    ref = CheckpointView.of(dict(checkpoint)).ref
    return [info.key for info in team.place.store().list(snapshot_data(ref.task, ref.id))]


def everything(team: TeamSpace) -> dict[str, int]:
    """Data and manifests in the bucket: size by key."""
    keys = team.place.store().list("ns/")
    return {info.key: info.size for info in keys if "/data/" in info.key or "/manifests/" in info.key}


def name_of(checkpoint: Object) -> str:
    return str(checkpoint["metadata"]["name"])


def wait_until_gone(team: TeamSpace, checkpoint: Object) -> None:
    """Until that very object is; another one of its name may be there."""
    team.namespace.wait_until(
        f"{name_of(checkpoint)} is gone",
        lambda: team.namespace.find("ckpt", name_of(checkpoint)),
        lambda seen: seen is None or seen["metadata"]["uid"] != checkpoint["metadata"]["uid"],
        seconds=PATIENCE_SECONDS,
    )


def wait_until_latest(team: TeamSpace, job: str, step: int) -> None:
    team.namespace.wait_until(
        f"the latest of {job} is step {step}",
        lambda: team.run_of(job)["status"],
        lambda status: status.get("latest", {}).get("step") == step and status["resume"].get("step") == step,
    )


def test_a_deleted_checkpoint_takes_its_bytes_along_and_latest_moves(team: TeamSpace) -> None:
    team.train("llm", env={"STEPS": "15"})
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    first, second, third = team.wait_until_verified([5, 10, 15], "llm")
    wait_until_latest(team, "llm", 15)
    assert keys_of(team, third)
    team.namespace.kubectl("delete", "ckpt", name_of(third), "--wait=false")
    wait_until_gone(team, third)
    assert keys_of(team, third) == []
    wait_until_latest(team, "llm", 10)

    team.namespace.kubectl(
        "patch", "ckpt", name_of(second), "--type=merge", '--patch={"spec":{"deletionPolicy":"Retain"}}'
    )
    team.namespace.kubectl("delete", "ckpt", name_of(second), "--wait=false")
    wait_until_gone(team, second)
    assert keys_of(team, second)
    assert keys_of(team, first)
    described = team.namespace.kubectl("describe", "ckptrun", name_of(team.run_of("llm")))
    assert f"{name_of(third)} (step 15) was deleted, with its bytes" in described
    team.wait_until_verified([5], "llm")


def test_without_an_operator_deletion_waits_and_is_done_later(
    operator_to_oneself: None, operator: Operator, team: TeamSpace
) -> None:
    team.train("llm", env={"STEPS": "10"})
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    _, newest = team.wait_until_verified([5, 10], "llm")
    operator.scale(0)
    try:
        team.namespace.kubectl("delete", "ckpt", name_of(newest), "--wait=false")
        waiting = team.namespace.get("ckpt", name_of(newest))
        assert waiting["metadata"]["deletionTimestamp"]
        assert waiting["metadata"]["finalizers"] == ["trainpoint.dev/data"]
        assert keys_of(team, newest)
    finally:
        operator.scale(1)
    wait_until_gone(team, newest)
    assert keys_of(team, newest) == []
    team.wait_until_verified([5], "llm")


def test_a_namespace_that_is_deleted_ends_by_itself_and_its_bytes_stay(team: TeamSpace, tmp_path: Path) -> None:
    cluster = team.namespace.cluster
    with cluster.fresh_namespace() as doomed:
        theirs = replace(team, namespace=doomed)
        theirs.install()
        theirs.ready()
        theirs.train("llm", env={"STEPS": "20", "HOLD_AT": "17"}, terminationGracePeriodSeconds=1)
        doomed.wait_for_log(theirs.pod_of("llm"), "step=17")
        theirs.wait_until_verified([5, 10, 15], "llm")
        before = everything(theirs)
        cluster.kubectl("delete", "namespace", doomed.name, "--wait=false")
        team.namespace.wait_until(
            "the namespace is gone",
            lambda: cluster.find("namespace", doomed.name),
            lambda seen: seen is None,
            seconds=PATIENCE_SECONDS,
        )
    assert before.items() <= everything(theirs).items()
    check_that_the_bucket_lists_and_loads(theirs, tmp_path)


LOADS = """
import json, sys
from trainpoint import Checkpoint
print("loaded", Checkpoint().load(json.loads(sys.argv[1]), sys.argv[2]).step)
"""


def check_that_the_bucket_lists_and_loads(team: TeamSpace, folder: Path) -> None:
    """With the command line and the library, which know of no cluster."""
    namespace = team.namespace.name
    listed = python(team, "-m", "trainpoint.cli.main", "list", f"--namespace={namespace}", "--output=json")
    found = {entry["step"]: entry["name"] for entry in json.loads(listed)}
    assert {5, 10, 15} <= set(found)
    reference = team.place.catalog().find(found[15], namespace=namespace).to_json()
    assert "loaded 15" in python(team, "-c", LOADS, json.dumps(reference), str(folder / "loaded"))
    assert (folder / "loaded" / "number").read_text() == "15"


def python(team: TeamSpace, *words: str) -> str:
    """What it prints, outside of the cluster."""
    done = subprocess.run(
        [sys.executable, *words], env=team.place.env(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_kinds_that_are_deleted_end_by_themselves_and_come_back_by_an_upgrade(
    alone: None, operator: Operator, team: TeamSpace, tmp_path: Path
) -> None:
    cluster = team.namespace.cluster
    team.train("llm", env={"STEPS": "20", "HOLD_AT": "17"}, terminationGracePeriodSeconds=1)
    team.namespace.wait_for_log(team.pod_of("llm"), "step=17")
    team.wait_until_verified([5, 10, 15], "llm")
    before = everything(team)
    try:
        cluster.kubectl("delete", "crd", *(f"{kind}.trainpoint.dev" for kind in KINDS), "--wait=false")
        team.namespace.wait_until(
            "the kinds are gone",
            lambda: cluster.kubectl("get", "crd", "--output=name"),
            lambda seen: "trainpoint.dev" not in seen,
            seconds=PATIENCE_SECONDS,
        )
        assert before.items() <= everything(team).items()
    finally:
        operator.install()
        cluster.kubectl("wait", "--for=condition=Established", *(f"--filename={path}" for path in CRDS))
    check_that_the_bucket_lists_and_loads(team, tmp_path)
    team.namespace.kubectl("delete", "job", "llm")
    team.install()
    team.ready()
    team.train("again", env={"STEPS": "5"})
    team.namespace.wait("job/again", "Complete", seconds=PATIENCE_SECONDS)
    (newest,) = team.wait_until_verified([5], "again")
    team.namespace.kubectl("delete", "ckpt", name_of(newest), "--wait=false")
    wait_until_gone(team, newest)
    assert keys_of(team, newest) == []
