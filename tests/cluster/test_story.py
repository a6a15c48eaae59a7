"""As users do it: Helm installs operator, namespace and job; the job is killed and goes on; kubectl shows why."""

from __future__ import annotations

import pytest

from tests.support.command_line import invoke
from tests.support.nodes import Nodes
from tests.support.release import TeamSpace
from trainpoint.cli.main import kubectl

STEPS = [*range(5, 41, 5)]
SHOWN = ["WORKFLOW", "TASK", "INDEX", "ATTEMPT", "STEP", "METRIC", "SIZE", "STATUS", "AGE"]


@pytest.mark.parametrize("in_place", [True, False], ids=["in-place", "next-pod"])
def test_a_job_that_is_killed_goes_on_and_kubectl_tells_its_story(
    team: TeamSpace, nodes: Nodes, in_place: bool
) -> None:
    notes = team.train("llm", env={"HOLD_AT": "17"}, retry={"inPlace": in_place})
    assert "kubectl get ckptrun,ckpt" in notes
    namespace = team.namespace
    first = team.pod_of("llm")
    namespace.wait_for_log(first, "step=17")
    team.wait_until_verified([5, 10, 15], "llm")
    nodes.kill(namespace.get("pod", first), matching="steps.py")
    namespace.wait("job/llm", "Complete", seconds=180)

    run = team.wait_for_run("llm", "Succeeded")
    pods = team.pods_of("llm")
    assert len(pods) == (1 if in_place else 2)
    assert "start=15 attempt=1" in namespace.logs(pods[-1]["metadata"]["name"])

    checkpoints = team.wait_until_verified(STEPS, "llm")
    assert [c["spec"]["snapshot"]["attempt"] for c in checkpoints] == [0] * 3 + [1] * 5
    table = namespace.kubectl("get", "ckpt").splitlines()
    assert table[0].split() == ["NAME", *SHOWN]
    last = next(line for line in table if line.startswith(str(checkpoints[-1]["metadata"]["name"])))
    assert last.split()[1:7] == ["llm", "main", "1", "40", "loss=0.025", "2"], last
    assert last.split()[7] == "Verified"

    status = run["status"]
    first_attempt, second_attempt = status["attempts"]
    assert (first_attempt["result"], first_attempt["reason"]) == ("Failed", "Killed")
    assert first_attempt["exitCode"] == 137
    assert first_attempt["toStep"] == 15
    assert first_attempt["charged"] is False  # it had made progress
    assert (second_attempt["fromStep"], second_attempt["toStep"]) == (15, 40)
    assert second_attempt["result"] == "Completed"
    assert status["latest"]["step"] == 40
    assert status["best"]["value"] == "0.025"
    assert status["outcome"]["result"] == "Succeeded"
    header, row = (line.split() for line in namespace.kubectl("get", "ckptrun").splitlines())
    assert header == ["NAME", "RUN", "TASK", "ATTEMPT", "STATUS", "STEP", "BEST", "LAST", "SAVE", "RETRIES", "AGE"]
    assert row[2:8] == ["main", "1", "Succeeded", "40", "0.025", "(40)"], row
    assert row[-2] == "0/5"

    told = namespace.kubectl("describe", "ckptrun", str(run["metadata"]["name"]))
    for reason in ("AttemptStarted", "AttemptEnded", "RunSucceeded"):
        assert reason in told
    assert "killed by signal 9" in told
    namespace.kubectl("wait", "--for=condition=Ready", f"ckpt/{checkpoints[0]['metadata']['name']}", "--timeout=5s")

    why = invoke("why", "job/llm", "-n", namespace.name, program=kubectl)
    assert why.exit_code == 0, why.stderr
    for piece in ("attempt 0", "0 → 15", "killed by signal 9", "attempt 1", "15 → 40", "loaded", "(step 15)", "fresh"):
        assert piece in why.stdout, (piece, why.stdout)
