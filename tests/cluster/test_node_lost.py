"""A node dies and does not come back: the run says what it waits for, and then goes on elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Object
from tests.support.nodes import Nodes
from tests.support.release import Operator, TeamSpace

PATIENCE_SECONDS = 300


@pytest.fixture
def doomed(alone: None, operator: Operator, nodes: Nodes) -> Iterator[str]:
    """A worker without the operator on it; it works again afterwards."""
    (pod,) = operator.pods()
    worker = next(name for name in nodes.workers if name != pod["spec"]["nodeName"])
    yield worker
    nodes.start_node(worker)


def prefer(node: str) -> Object:
    """The affinity of a pod that runs there as long as that is possible."""
    there = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    rule = "preferredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {rule: [{"weight": 100, "preference": there}]}}


def test_a_job_of_a_dead_node_says_what_it_waits_for_and_resumes_on_another_one(
    doomed: str, team: TeamSpace, nodes: Nodes
) -> None:
    namespace = team.namespace
    team.train(
        "llm", env={"HOLD_AT": "17"}, affinity=prefer(doomed), lostNodeSeconds=1, terminationGracePeriodSeconds=5
    )
    first = team.pod_of("llm")
    namespace.wait_for_log(first, "step=17")
    assert namespace.get("pod", first)["spec"]["nodeName"] == doomed
    team.wait_until_verified([5, 10, 15], "llm")

    nodes.kill_node(doomed)

    def active() -> Object:
        status = team.run_of("llm")["status"]
        return {"state": status["state"], **next(c for c in status["conditions"] if c["type"] == "Active")}

    told = namespace.wait_until(
        "the run waits for the lost node", active, lambda seen: seen["reason"] == "NodeLost", seconds=PATIENCE_SECONDS
    )
    assert (told["state"], told["status"]) == ("Waiting", "False")
    assert f"waits for pod {first} on node {doomed}" in told["message"]
    assert f"kubectl delete node {doomed}" in told["message"]
    assert [pod["metadata"]["name"] for pod in team.pods_of("llm")] == [first], "no second pod before the first is gone"

    namespace.cluster.kubectl("delete", "node", doomed)
    second = namespace.wait_until(
        "a pod elsewhere",
        lambda: [p["metadata"]["name"] for p in team.pods_of("llm")],
        lambda names: bool(set(names) - {first}),
        seconds=PATIENCE_SECONDS,
    )[-1]
    namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    assert "start=15 attempt=1" in namespace.logs(second)
    assert namespace.get("pod", second)["spec"]["nodeName"] != doomed
    team.wait_until_verified([*range(5, 41, 5)], "llm", seconds=PATIENCE_SECONDS)
    attempts = team.wait_for_run("llm", "Succeeded")["status"]["attempts"]
    assert [(a["result"], a["charged"]) for a in attempts] == [("Disrupted", False), ("Completed", False)]
