"""Training pods that are killed, evicted and doubled, on a real cluster with a real bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.nodes import Nodes
from tests.support.team import Team
from trainpoint.claim.store import read_attempts
from trainpoint.contract import inject

ALL = [*range(5, 41, 5)]


@pytest.fixture
def team(by_hand: Team) -> Team:
    return by_hand


def done(team: Team, name: str) -> None:
    team.namespace.wait(f"job/{name}", "Complete", seconds=180)


@pytest.mark.parametrize("contract", [False, True], ids=["zero-config", "contract"])
def test_a_killed_job_goes_on_in_its_next_pod_from_the_last_checkpoint(
    team: Team, nodes: Nodes, contract: bool
) -> None:
    made: dict[str, Any] = team.job("llm", env={"HOLD_AT": "17"}, spec={"backoffLimit": 4})
    team.namespace.apply(inject(made) if contract else made)
    first = team.first_pod("llm")
    log = team.namespace.wait_for_log(first, "step=17")
    assert "start=0 attempt=0" in log
    nodes.kill(team.namespace.get("pod", first), matching="steps.py")
    second = team.first_pod("llm", 2)
    done(team, "llm")
    log = team.namespace.logs(second)
    assert "start=15 attempt=1" in log
    assert ("the pod contract" if contract else "the service account, one GET") in log
    assert team.checkpoints(workflow="llm") == [(0 if step <= 15 else 1, step) for step in ALL]
    claim = team.claim()
    assert claim["attempt"] == 1
    assert claim["holder"]["name"] == second
    assert claim["loaded"]["step"] == 15
    assert claim["loaded"]["reason"] == "Newest"
    assert claim["end"]["how"] == "Completed"


def test_on_failure_starts_again_in_the_same_pod_at_once(team: Team, nodes: Nodes) -> None:
    team.namespace.apply(team.job("llm", env={"HOLD_AT": "17"}, restart="OnFailure"))
    pod = team.first_pod("llm")
    team.namespace.wait_for_log(pod, "step=17")
    nodes.kill(team.namespace.get("pod", pod), matching="steps.py")
    done(team, "llm")
    assert "start=15 attempt=1" in team.namespace.logs(pod)
    assert len(team.pods_of("llm")) == 1
    assert team.checkpoints() == [(0 if step <= 15 else 1, step) for step in ALL]


def test_a_deleted_pod_saves_once_more_and_its_successor_waits_for_that(team: Team) -> None:
    team.namespace.apply(team.job("llm", env={"HOLD_AT": "17"}))
    first = team.first_pod("llm")
    team.namespace.wait_for_log(first, "step=17")
    team.namespace.kubectl("delete", "pod", first, "--wait=false")
    second = team.namespace.wait_until(
        "a second pod",
        lambda: [p["metadata"]["name"] for p in team.pods_of("llm")],
        lambda names: bool(set(names) - {first}),
    )
    (second_name,) = set(second) - {first}
    done(team, "llm")
    log = team.namespace.logs(second_name)
    assert "start=18 attempt=1" in log, "only the step that was running is lost"
    assert (0, 18) in team.checkpoints()
    assert (0, 20) not in team.checkpoints()
    catalog = team.place.catalog()
    (task,) = catalog.tasks(team.namespace.name, "llm", catalog.runs(team.namespace.name, "llm")[0].run)
    ended = [view.end for view in read_attempts(catalog.store, task)]
    assert [(end.how, end.exit_code) for end in ended if end] == [("Preempted", 143), ("Completed", 0)]


def test_two_jobs_never_see_each_other(team: Team) -> None:
    for name in ("one", "two"):
        team.namespace.apply(team.job(name, env={"STEPS": "10"}, labels={"trainpoint.dev/workflow": "same"}))
    for name in ("one", "two"):
        done(team, name)
        assert "start=0 attempt=0" in team.namespace.logs(team.first_pod(name))
    assert team.checkpoints(workflow="same") == [(0, 5), (0, 5), (0, 10), (0, 10)]


def test_a_second_live_pod_of_one_run_ends_with_1_and_names_the_holder(team: Team) -> None:
    labels = {"trainpoint.dev/workflow": "llm", "trainpoint.dev/run": "shared"}
    team.namespace.apply(team.pod("holder", env={"HOLD_AT": "3"}, labels=labels))
    team.namespace.wait_for_log("holder", "step=3")
    team.namespace.apply(team.pod("rival", labels=labels))
    team.namespace.wait_for_phase("rival", "Failed", seconds=180)
    assert team.namespace.exit_code("rival") == 1
    log = team.namespace.logs("rival")
    assert "is being written by pod holder" in log
    assert "TP042" in log
    assert "start=" not in log
    assert team.namespace.phase("holder") == "Running"


def test_a_flipped_bit_in_the_newest_is_passed_over_and_the_claim_says_why(team: Team) -> None:
    labels = {"trainpoint.dev/workflow": "llm", "trainpoint.dev/run": "flip"}
    team.namespace.apply(team.pod("first", env={"STEPS": "15"}, labels=labels))
    team.namespace.wait_for_phase("first", "Succeeded")
    store = team.place.store()
    key = max(info.key for info in store.list("ns/") if "/data/" in info.key and "/0-3-" in info.key)
    data = bytearray(store.get(key))
    data[0] ^= 1
    store.put(key, bytes(data))
    team.namespace.apply(team.pod("second", env={"STEPS": "20"}, labels=labels))
    team.namespace.wait_for_phase("second", "Succeeded")
    assert "start=10 attempt=1" in team.namespace.logs("second")
    loaded = team.claim()["loaded"]
    assert loaded["step"] == 10
    assert [(s["reason"], s["step"]) for s in loaded["skipped"]] == [("Corrupt", 15)]


def test_indexes_of_a_sweep_are_tasks_of_one_run(team: Team) -> None:
    indexed = {"completions": 2, "parallelism": 2, "completionMode": "Indexed"}
    team.namespace.apply(team.job("sweep", env={"STEPS": "5"}, spec=indexed))
    done(team, "sweep")
    runs = team.namespace.list("checkpointruns.trainpoint.dev")
    assert sorted(run["spec"]["identity"]["index"] for run in runs) == ["0", "1"]
    assert len({run["spec"]["identity"]["run"] for run in runs}) == 1


def test_what_the_api_server_has_been_asked_at_each_save(
    team: Team, nodes: Nodes, record_property: Callable[[str, object], None]
) -> None:
    env = {"STEPS": "50", "SAVE_EVERY": "1", "STEP_SECONDS": "0.01"}
    team.namespace.apply(team.job("llm", env=env))
    done(team, "llm")
    assert len(team.checkpoints()) == 50
    pod = team.first_pod("llm")
    asked = [r for r in nodes.requests(namespace=team.namespace.name, pod=pod) if r.resource.startswith("checkpoints.")]
    record_property("requests per save", len(asked) / 50)
    assert 100 <= len(asked) <= 150, f"{len(asked)} requests for 50 saves"


def test_the_manifest_that_inject_prints_is_admitted(team: Team) -> None:
    made = inject(team.job("llm", env={"STEPS": "5"}))
    team.namespace.apply(yaml.safe_dump(made))
    done(team, "llm")
    assert team.checkpoints() == [(0, 5)]
