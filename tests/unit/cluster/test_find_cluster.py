"""Which policy and store a pod works with, from the ConfigMap of its namespace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainpoint.cluster import chosen_policy, find_cluster, until_reachable
from trainpoint.errors import ClusterUnreachableError, NotConfiguredError, PolicyError
from trainpoint.testing import FakeChance, FakeClock


def policy(*, default: bool = False, name: str = "main") -> str:
    return json.dumps({"default": default, "store": {"name": name, "url": "s3://b/p"}})


def test_the_named_policy_else_the_default() -> None:
    data = {"default": policy(default=True), "sweep.json": policy(), "README": "a person's note"}
    assert chosen_policy(data, "", namespace="team-a")[0] == "default"
    assert chosen_policy(data, "sweep", namespace="team-a")[0] == "sweep"
    with pytest.raises(PolicyError, match="there: default, sweep") as caught:
        chosen_policy(data, "sweeep", namespace="team-a")
    assert caught.value.exit_code == 86
    with pytest.raises(NotConfiguredError, match="no default CheckpointPolicy"):
        chosen_policy({"sweep": policy()}, "", namespace="team-a")


def test_outside_of_a_pod_there_is_no_cluster_and_a_pod_without_token_is_told(tmp_path: Path) -> None:
    options = {"clock": FakeClock(), "chance": FakeChance(), "say": lambda _: None, "account": tmp_path}
    assert find_cluster({}, **options) is None  # type: ignore[arg-type]
    with pytest.raises(NotConfiguredError, match="TRAINPOINT_STORE"):
        find_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, **options)  # type: ignore[arg-type]


def test_a_server_that_is_away_is_waited_for_and_told_once() -> None:
    clock, said = FakeClock(), list[str]()
    answers = iter([ClusterUnreachableError("the API server does not answer")] * 5 + ["here"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until_reachable(ask, clock=clock, chance=FakeChance(), say=said.append) == "here"
    assert len(said) == 1
    assert "waiting for it, up to 10 minutes" in said[0]


def test_a_server_that_stays_away_ends_the_start_after_ten_minutes() -> None:
    clock = FakeClock()

    def ask() -> str:
        raise ClusterUnreachableError("the API server does not answer")

    with pytest.raises(ClusterUnreachableError):
        until_reachable(ask, clock=clock, chance=FakeChance(), say=lambda _: None)
    assert 600 <= clock.monotonic() < 620
