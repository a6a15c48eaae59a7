"""The release is changed, removed and installed again under live objects: nothing is lost."""

from __future__ import annotations

from tests.support.nodes import Nodes
from tests.support.release import Operator, TeamSpace
from trainpoint.format.layout import snapshot_data
from trainpoint_operator.views import CheckpointView

PATIENCE_SECONDS = 240


def objects(team: TeamSpace) -> dict[str, tuple[object, ...]]:
    """All of ours in the namespace: what they are, and what has been found out about them."""
    kinds = "ckptstore,ckptpolicy,ckptrun,ckpt"
    return {
        f"{one['kind']}/{one['metadata']['name']}": (
            one["metadata"]["uid"],
            one["spec"],
            one["status"].get("state"),
            one["status"].get("commit"),
            [(c["type"], c["status"]) for c in one["status"]["conditions"]],
        )
        for one in team.namespace.list(kinds)
    }


def test_an_upgrade_a_removal_and_a_reinstallation_lose_nothing(
    alone: None, operator: Operator, team: TeamSpace, nodes: Nodes
) -> None:
    team.train("llm", env={"HOLD_AT": "17"})
    pod = team.pod_of("llm")
    team.namespace.wait_for_log(pod, "step=17")
    first, *_ = team.wait_until_verified([5, 10, 15], "llm")
    team.wait_for_run("llm", "Running")
    before = objects(team)
    assert len(before) == 6
    try:
        operator.install(workers=2, podLabels={"revision": "two"})
        (upgraded,) = operator.pods()
        assert upgraded["metadata"]["labels"]["revision"] == "two"
        assert objects(team) == before

        operator.uninstall()
        assert objects(team) == before
        assert "step=17" in team.namespace.logs(pod)
    finally:
        printed = operator.install()
    assert "helm" in printed or "kubectl" in printed
    team.ready()
    assert objects(team) == before

    nodes.kill(team.namespace.get("pod", pod), matching="steps.py")
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    assert "start=15 attempt=1" in team.namespace.logs(pod)
    team.wait_until_verified([*range(5, 41, 5)], "llm", seconds=PATIENCE_SECONDS)

    team.namespace.kubectl("delete", "ckpt", first["metadata"]["name"], "--timeout=120s", seconds=150)
    ref = CheckpointView.of(dict(first)).ref
    assert [*team.place.store().list(snapshot_data(ref.task, ref.id))] == []
