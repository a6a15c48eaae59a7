"""What a save costs the API server, as its audit log tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.support.nodes import Nodes, Request
from tests.support.release import RELEASE, SYSTEM, TeamSpace

SAVES = 50
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
PATIENCE_SECONDS = 240
SETUP = ("checkpointstores", "checkpointpolicies", "configmaps", "secrets")
"""What the namespace costs, be there saves or not."""


def test_a_save_costs_the_operator_few_requests(
    team: TeamSpace, nodes: Nodes, record_property: Callable[[str, object], None]
) -> None:
    team.train("llm", env={"STEPS": str(SAVES), "SAVE_EVERY": "1", "STEP_SECONDS": "0.2"})
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    team.wait_until_verified([*range(1, SAVES + 1)], "llm", seconds=PATIENCE_SECONDS)
    team.wait_for_run("llm", "Succeeded")

    def counts(request: Request) -> bool:
        return request.user == ACCOUNT and not request.resource.startswith(("events", *SETUP))

    asked = [request for request in nodes.requests(namespace=team.namespace.name) if counts(request)]
    by_kind = Counter(f"{request.verb} {request.resource} {request.code}" for request in asked)
    each = len(asked) / SAVES
    record_property("operator requests per save", round(each, 2))
    told = ", ".join(f"{kind}: {count}" for kind, count in by_kind.most_common())
    assert 1 <= each <= 4, f"{each:.2f} requests for each of {SAVES} saves: {told}"
