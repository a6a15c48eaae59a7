"""What a new Job of the same workflow starts from, and whose policy counts: with the operator, as users set it up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.place import Place
from tests.support.release import TeamSpace
from trainpoint import Workflow

SHORT = {"STEPS": "10"}


def log_of(team: TeamSpace, job: str) -> str:
    """What its pod has printed, once the Job is complete."""
    team.namespace.wait(f"job/{job}", "Complete", seconds=240)
    return team.namespace.logs(team.pod_of(job))


def test_a_new_job_of_the_same_workflow_starts_as_its_load_policy_says(
    team: TeamSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.train("first", env=SHORT, workflow="llm", owner="ada@example.com")
    assert "start=0 attempt=0" in log_of(team, "first")
    (first,) = team.runs()
    run = first["spec"]["identity"]["run"]

    team.train("fresh", env={"STEPS": "1"}, workflow="llm", owner="ada@example.com")
    log = log_of(team, "fresh")
    assert "start=0 attempt=0" in log
    assert f"fresh: 2 checkpoints of run {run} exist and are not loaded (new run)" in log

    team.train("eager", env={"STEPS": "15"}, workflow="llm", owner="ada@example.com", loadPolicy="Eager")
    team.train("stranger", env={"STEPS": "1"}, workflow="llm", owner="bob@example.com", loadPolicy="Eager")
    team.train("none", env={"STEPS": "1"}, workflow="llm", owner="ada@example.com", loadPolicy="None")

    assert "start=10 attempt=0" in log_of(team, "eager")
    loaded = team.wait_for_run("eager", "Succeeded")["status"]["claim"]["loaded"]
    assert (loaded["step"], loaded["reason"]) == (10, "NewestOfEarlierRun")
    assert loaded["checkpoint"].startswith(first["metadata"]["name"])

    team.train("done", env={"STEPS": "15"}, workflow="llm", owner="ada@example.com", loadPolicy="Eager")
    log = log_of(team, "done")
    assert "start=15 attempt=0" in log
    assert "step=" not in log, "there is nothing left to train"
    run = team.wait_for_run("done", "Succeeded")["spec"]["identity"]["run"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, team.place.environ[name])
    latest = Workflow("llm", owner="ada@example.com", namespace=team.namespace.name).latest_run["main"].task
    assert latest.pathspec == f"llm/{run}/main"
    assert latest.latest is not None
    assert latest.latest.step == 15, "of a run that has only loaded"

    assert "start=0 attempt=0" in log_of(team, "stranger")
    assert "start=0 attempt=0" in log_of(team, "none")
    loaded = team.wait_for_run("none", "Succeeded")["status"]["claim"]["loaded"]
    assert (loaded["checkpoint"], loaded["message"]) == ("", "the program chooses what to load")


def wait_until_compiled(team: TeamSpace, text: str) -> None:
    """Until the ConfigMap that jobs read holds that text."""
    team.namespace.wait_until(
        f"the policy is compiled with {text}",
        lambda: team.namespace.find("configmap", "trainpoint") or {},
        lambda compiled: text in compiled.get("data", {}).get("default", ""),
    )


def test_jobs_of_two_namespaces_follow_each_their_own_policy(team: TeamSpace) -> None:
    with team.namespace.cluster.fresh_namespace() as neighbour:
        theirs = replace(team, namespace=neighbour, place=Place(f"{team.place.url}-2", team.place.environ))
        follow_each_their_own_policy(team, theirs)


def follow_each_their_own_policy(team: TeamSpace, theirs: TeamSpace) -> None:
    policy = team.values()["policies"]["default"]
    team.install(policies={"default": {**policy, "load": {"policy": "Fresh"}, "save": {"everySteps": 5}}})
    theirs.install(policies={"default": {**policy, "load": {"policy": "Eager"}, "save": {"everySteps": 4}}})
    for one, steps in ((team, 5), (theirs, 4)):
        one.ready()
        wait_until_compiled(one, f'"every_steps": {steps}')
    for one in (team, theirs):
        one.train("one", env={**SHORT, "SAVE_EVERY": ""}, workflow="llm", owner="ada@example.com")
    for one in (team, theirs):
        assert "start=0" in log_of(one, "one")
        one.train("two", env={**SHORT, "SAVE_EVERY": ""}, workflow="llm", owner="ada@example.com")
    assert "start=0 attempt=0" in log_of(team, "two")
    assert "start=8 attempt=0" in log_of(theirs, "two")
    team.wait_until_verified([5, 5, 10, 10])
    theirs.wait_until_verified([4, 8])
