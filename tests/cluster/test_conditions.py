"""What takes several objects to see stands on the object, and the job says the same; a store that is away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Object
from tests.support.kind import KindCluster
from tests.support.nodes import Nodes
from tests.support.place import Place
from tests.support.release import TeamSpace
from tools.s3server import DEFAULT_BUCKET, S3Server

ONCE: Mapping[str, Any] = {"retry": {"inPlace": False, "backoffLimit": 0}}
PATIENCE_SECONDS = 180


def ready(found: Object) -> Object:
    """The condition Ready; empty where it is not there."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready"), {})


def wait_until_not_ready(team: TeamSpace, name: str, reason: str) -> str:
    """The message of its condition Ready, once it is False for that reason."""
    return str(
        team.namespace.wait_until(
            f"{name} is not ready: {reason}",
            lambda: ready(team.namespace.get(*name.split("/"))),
            lambda seen: (seen.get("status"), seen.get("reason")) == ("False", reason),
            seconds=PATIENCE_SECONDS,
        )["message"]
    )


def ends(team: TeamSpace, job: str, **values: Any) -> tuple[int, str]:
    """Exit code and log of the one pod of a Job that does not start."""
    team.train(job, **{**ONCE, **values})
    pod = team.pod_of(job)
    team.namespace.wait_for_phase(pod, "Failed")
    log = team.namespace.logs(pod)
    assert "start=" not in log
    assert "Traceback" not in log
    return team.namespace.exit_code(pod), " ".join(log.split())


def test_two_default_policies_are_told_on_both_and_by_the_job(team: TeamSpace) -> None:
    default = team.values()["policies"]["default"]
    team.install(policies={"default": default, "second": default, "third": {**default, "default": False}})
    said = {
        name: wait_until_not_ready(team, f"ckptpolicy/{name}", "MoreThanOneDefault") for name in ("default", "second")
    }
    assert said["default"] == said["second"]
    assert "has 2 default CheckpointPolicies: default, second" in said["default"]
    code, log = ends(team, "any")
    assert code == 1
    for part in said["default"].split("; ", 1):
        assert part in log
    team.train("named", env={"STEPS": "1"}, policy="third")
    team.namespace.wait("job/named", "Complete", seconds=PATIENCE_SECONDS)

    team.install()
    team.ready()
    team.train("one", env={"STEPS": "1"})
    team.namespace.wait("job/one", "Complete", seconds=PATIENCE_SECONDS)


def test_an_unknown_store_or_policy_is_named_with_those_there_are(team: TeamSpace) -> None:
    team.install(policies={"default": {"default": True, "storeRef": {"name": "elsewhere"}}})
    said = wait_until_not_ready(team, "ckptpolicy/default", "StoreNotFound")
    assert "names CheckpointStore elsewhere, unknown in namespace" in said
    assert "(there: main)" in said
    code, log = ends(team, "lost")
    assert code == 1
    for part in said.split("; ", 1):
        assert part in log
    code, log = ends(team, "nobodys", policy="nobodys")
    assert code == 86
    assert f"there is no CheckpointPolicy 'nobodys' in namespace {team.namespace.name} (there: default)" in log


def test_a_missing_secret_is_named_on_store_and_policy_and_by_the_job_until_it_is_there(team: TeamSpace) -> None:
    stores = team.values()["stores"]
    keys = stores["main"]["credentials"]
    team.install(stores={"main": {**stores["main"], "credentials": {"existingSecret": "janitor"}}})
    said = wait_until_not_ready(team, "ckptstore/main", "SecretNotFound")
    assert f"there is no Secret janitor in namespace {team.namespace.name}" in said
    told = wait_until_not_ready(team, "ckptpolicy/default", "StoreNotReady")
    assert said in told
    team.train("llm", env={"STEPS": "1"})  # with keys of its own, of which nothing is wrong
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    assert told in team.namespace.logs(team.pod_of("llm"))
    secret = {"AWS_ACCESS_KEY_ID": keys["accessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["secretAccessKey"]}
    team.namespace.secret("janitor", secret)
    team.ready()


@pytest.fixture
def own_server(kind: KindCluster, tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server that a test may stop."""
    with S3Server(tmp_path, host=kind.gateway()) as server:
        yield server


def test_a_store_that_is_away_for_a_while_flips_its_condition_and_nothing_else(
    team: TeamSpace, nodes: Nodes, own_server: S3Server
) -> None:
    with team.namespace.cluster.fresh_namespace() as apart:
        place = Place(f"s3://{DEFAULT_BUCKET}/{apart.name}", own_server.env())
        stays_well_meanwhile(replace(team, namespace=apart, place=place), nodes, own_server)


def stays_well_meanwhile(team: TeamSpace, nodes: Nodes, server: S3Server) -> None:
    team.install()
    team.ready()
    team.train("llm", env={"HOLD_AT": "17"})
    pod = team.pod_of("llm")
    team.namespace.wait_for_log(pod, "step=17")
    team.wait_until_verified([5, 10, 15], "llm")

    server.kill()
    # A changed spec is probed at once: else the next one comes within a minute.
    team.namespace.kubectl("patch", "ckptstore/main", "--type=merge", '--patch={"spec":{"createBucket":true}}')
    said = wait_until_not_ready(team, "ckptstore/main", "Unreachable")
    assert said.startswith("3 probes in a row failed: ")
    assert said in wait_until_not_ready(team, "ckptpolicy/default", "StoreNotReady")
    team.wait_until_verified([5, 10, 15], "llm")
    assert team.run_of("llm")["status"]["state"] == "Running"

    server.start()
    team.ready()
    nodes.kill(team.namespace.get("pod", pod), matching="steps.py")
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    assert "start=15 attempt=1" in team.namespace.logs(pod)
    team.wait_until_verified([*range(5, 41, 5)], "llm")
    assert team.run_of("llm")["status"]["attempts"][0]["toStep"] == 15
