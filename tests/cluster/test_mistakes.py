"""Training pods that somebody has set up wrongly, on a real cluster: they end before any step, and say what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.place import Place
from tests.support.team import Team
from tools.s3server import ABSENT_BUCKET


@pytest.fixture
def team(by_hand: Team) -> Team:
    return by_hand


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"env": {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}}, 1, ["TP102", "127.0.0.1:9"]),
        ({"env": {"AWS_SECRET_ACCESS_KEY": "wrong-9b1c"}}, 1, ["TP103", "SignatureDoesNotMatch"]),
        ({"service_account": "default"}, 1, ["TP202", "trainpoint-trainer"]),
        ({"labels": {"trainpoint.dev/policy": "nobodys"}}, 86, ["TP021", "nobodys", "there: default"]),
        ({"labels": {"trainpoint.dev/load-policy": "newest"}}, 86, ["TP021", "fresh"]),
    ],
    ids=["endpoint", "key", "permission", "policy", "load-policy"],
)
def test_a_mistake_ends_the_pod_before_any_step_with_the_remedy(
    team: Team, wrong: dict[str, Any], code: int, said: list[str]
) -> None:
    team.namespace.apply(team.job("llm", **wrong, spec={"backoffLimit": 0}))
    pod = team.first_pod("llm")
    team.namespace.wait_for_phase(pod, "Failed")
    log = team.namespace.logs(pod)
    assert team.namespace.exit_code(pod) == code, log
    for text in said:
        assert text in log
    assert "start=" not in log
    assert "Traceback" not in log
    assert "wrong-9b1c" not in log


def test_a_missing_bucket_is_named_with_its_endpoint(team: Team) -> None:
    place = Place(f"s3://{ABSENT_BUCKET}/x", team.place.environ)
    replace(team, place=place).policies(default={})
    team.namespace.apply(team.job("llm", spec={"backoffLimit": 0}))
    pod = team.first_pod("llm")
    team.namespace.wait_for_phase(pod, "Failed")
    log = team.namespace.logs(pod)
    assert team.namespace.exit_code(pod) == 1
    assert f'bucket "{ABSENT_BUCKET}" does not exist at {place.environ["AWS_ENDPOINT_URL"]}' in log
    assert "start=" not in log


def test_a_namespace_without_its_configmap_says_so(team: Team) -> None:
    team.namespace.kubectl("delete", "configmap", "trainpoint")
    team.namespace.apply(team.job("llm", spec={"backoffLimit": 0}))
    pod = team.first_pod("llm")
    team.namespace.wait_for_phase(pod, "Failed")
    assert team.namespace.exit_code(pod) == 1
    assert "TP203" in team.namespace.logs(pod)
    assert "kubectl get ckptstore,ckptpolicy" in team.namespace.logs(pod)


def test_an_undecidable_completion_index_ends_with_86_and_names_the_label(team: Team) -> None:
    indexed = {"completions": 2, "parallelism": 1, "completionMode": "Indexed", "backoffLimit": 0}
    team.namespace.apply(team.job("gang", env={"MASTER_ADDR": "gang-0"}, spec=indexed))
    pod = team.first_pod("gang")
    team.namespace.wait_for_phase(pod, "Failed")
    assert team.namespace.exit_code(pod) == 86
    assert "trainpoint.dev/completion-index" in team.namespace.logs(pod)
