"""A watch that breaks while the operator looks away, and cannot go on where it was: no deletion is missed.

``tests/api/test_engine.py`` has the engine alone, with a proxy that cuts its streams and answers 410.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.nodes import Nodes
from tests.support.release import Operator, TeamSpace
from trainpoint.format.layout import snapshot_data
from trainpoint_operator.views import CheckpointView

PATIENCE_SECONDS = 240
PROCESS = "trainpoint_operator"
STOP, CONTINUE = 19, 18


@pytest.fixture
def patient_operator(alone: None, operator: Operator) -> Iterator[Operator]:
    """One that stays the leader while the API server is started anew."""
    operator.install(leaseSeconds=120)
    yield operator
    operator.install()


def test_what_was_deleted_while_the_watch_was_broken_is_not_missed(
    patient_operator: Operator, team: TeamSpace, nodes: Nodes
) -> None:
    """It is frozen meanwhile, and an API server that was started anew cannot tell it what happened before."""
    team.train("llm", env={"HOLD_AT": "17"})
    team.namespace.wait_for_log(team.pod_of("llm"), "step=17")
    first, vanished, last = team.wait_until_verified([5, 10, 15], "llm")
    name = vanished["metadata"]["name"]
    (pod,) = patient_operator.pods()
    nodes.kill(pod, matching=PROCESS, signal=STOP)
    try:
        team.namespace.kubectl("delete", "ckpt", first["metadata"]["name"], "--wait=false")
        team.namespace.kubectl("patch", "ckpt", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
        team.namespace.kubectl("delete", "ckpt", name)
        nodes.kill_api_server()
    finally:
        nodes.kill(pod, matching=PROCESS, signal=CONTINUE)
    nodes.start_api_server()  # waits until it is ready

    before = {one["metadata"]["uid"] for one in (first, vanished, last)}

    def seen() -> list[tuple[int, bool, str]]:
        return [
            (c["spec"]["snapshot"]["step"], c["metadata"]["uid"] in before, c.get("status", {}).get("state", ""))
            for c in team.checkpoints("llm")
        ]

    team.namespace.wait_until(
        "one is deleted, and the one that vanished is recorded again",
        seen,
        lambda found: found == [(10, False, "Verified"), (15, True, "Verified")],
        seconds=PATIENCE_SECONDS,
    )
    ref = CheckpointView.of(dict(first)).ref
    assert [*team.place.store().list(snapshot_data(ref.task, ref.id))] == []
    restarts = [
        (one["metadata"]["uid"], one["status"]["containerStatuses"][0]["restartCount"])
        for one in (pod, *patient_operator.pods())
    ]
    assert restarts[0] == restarts[1], "the same process has seen it, not its successor"
