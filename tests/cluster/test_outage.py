"""The API server goes away: saves go on and are recorded later; a start waits."""

from __future__ import annotations

import pytest

from tests.support.nodes import Nodes
from tests.support.team import Team


@pytest.fixture
def team(alone: None, by_hand: Team) -> Team:
    return by_hand


def test_saves_go_on_without_the_api_server_and_are_recorded_when_it_is_back(team: Team, nodes: Nodes) -> None:
    env = {"STEPS": "200", "SAVE_EVERY": "10", "STEP_SECONDS": "0.2"}
    team.namespace.apply(team.job("llm", env=env))
    pod = team.first_pod("llm")
    team.namespace.wait_for_log(pod, "step=15")
    catalog = team.place.catalog()
    with nodes.api_server_away():
        (task,) = catalog.tasks(team.namespace.name, "llm", catalog.runs(team.namespace.name, "llm")[0].run)
        before = sum(1 for _ in catalog.entries(task))
        found = team.namespace.wait_until(
            "saves go on", lambda: sum(1 for _ in catalog.entries(task)), lambda count: count >= before + 3
        )
        assert found < 20, "training was over before the API server was away"
    team.namespace.wait("job/llm", "Complete", seconds=240)
    assert [step for _, step in team.checkpoints()] == [*range(10, 201, 10)]


def test_a_start_without_the_api_server_waits_for_it_and_then_resumes(team: Team, nodes: Nodes) -> None:
    team.namespace.apply(team.job("llm", env={"HOLD_AT": "17"}, restart="OnFailure"))
    pod = team.first_pod("llm")
    team.namespace.wait_for_log(pod, "step=17")
    found = team.namespace.get("pod", pod)
    node = found["spec"]["nodeName"]
    with nodes.api_server_away():
        nodes.kill(found, matching="steps.py")
        # The kubelet starts the container again by itself; its log lies on the node.
        seen = team.namespace.wait_until(
            "the new process waits",
            lambda: nodes.exec(node, "sh", "-c", f"cat /var/log/pods/{team.namespace.name}_{pod}_*/main/*.log"),
            lambda text: "waiting for it, up to 10 minutes" in text,
        )
        assert "attempt=1" not in seen
    team.namespace.wait("job/llm", "Complete", seconds=180)
    assert "start=15 attempt=1" in team.namespace.logs(pod)
