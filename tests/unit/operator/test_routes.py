"""Which change of which object means that which key is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.runs import (
    TASK,
    checkpoint_object,
    claim,
    coarse,
    ended,
    entry,
    fine,
    pod_object,
    run_object,
    running,
)
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.format.reference import run_object_name
from trainpoint_operator.engine.resources import Key
from trainpoint_operator.main import caches
from trainpoint_operator.pods import LastSights
from trainpoint_operator.routes import Routes

RUN = Key("CheckpointRun", "team-a", run_object_name(TASK))
POLICIES = Key("CheckpointPolicy", "team-a", "")
STORE = Key("CheckpointStore", "team-a", "main")


class World:
    """Caches with routes, and what those enqueued since the last change."""

    def __init__(self) -> None:
        self.caches = caches()
        self.sights = LastSights()
        self.audits: set[Key] = set()
        self._woken: list[Key] = []
        Routes(self.caches, self.sights, self.audits, lambda key, _after: self._woken.append(key))

    def woken(self) -> list[Key]:
        found, self._woken = sorted(set(self._woken)), []
        return found

    def apply(self, plural: str, value: JsonObject, kind: str = "MODIFIED") -> list[Key]:
        getattr(self.caches, plural).apply(kind, value)
        return self.woken()


@pytest.fixture
def world() -> World:
    return World()


def checkpoint_key(value: JsonObject) -> Key:
    return Key("Checkpoint", "team-a", value["metadata"]["name"])


def with_status(value: JsonObject, **status: Any) -> JsonObject:
    return {**value, "status": {**value["status"], **status}}


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_save_wakes_its_checkpoint_twice_and_its_run_once(world: World) -> None:
    created = checkpoint_object(state="", saved=None)
    assert world.apply("checkpoints", created) == [checkpoint_key(created)]
    committed = checkpoint_object(state="")
    assert world.apply("checkpoints", committed) == [checkpoint_key(created)]
    verified = checkpoint_object(state="Verified")
    assert RUN in world.apply("checkpoints", verified)
    shown = with_status(verified, display={"size": "12Gi"}, conditions=[{"type": "Ready", "status": "True"}])
    assert world.apply("checkpoints", shown) == [], "nobody waits for what the operator itself wrote"


def test_a_pin_that_is_taken_off_wakes_its_run_whose_rule_for_older_files_may_let_it_go_now(world: World) -> None:
    verified = checkpoint_object()
    pinned = {**verified, "spec": {**verified["spec"], "pin": {"reason": "table 2"}}}
    world.apply("checkpoints", pinned)
    assert RUN in world.apply("checkpoints", verified)
    retained = {**verified, "spec": {**verified["spec"], "deletionPolicy": "Retain"}}
    assert RUN in world.apply("checkpoints", retained)


def test_a_late_metric_and_a_damage_show_on_the_run(world: World) -> None:
    verified = checkpoint_object()
    world.apply("checkpoints", verified)
    late = checkpoint_object()
    late["spec"]["lateMetrics"] = {"acc": "0.9"}
    late["metadata"]["generation"] = 2
    assert world.apply("checkpoints", late) == [checkpoint_key(late), RUN]
    assert RUN in world.apply("checkpoints", with_status(late, state="Corrupt"))


def test_a_deletion_wakes_both_and_a_checkpoint_that_vanished_is_looked_for_in_the_bucket(world: World) -> None:
    there = checkpoint_object()
    world.apply("checkpoints", there)
    going = checkpoint_object(deleted=90)
    assert world.apply("checkpoints", going) == [checkpoint_key(there), RUN]
    assert world.audits == set()
    assert world.apply("checkpoints", going, "DELETED") == [RUN]
    assert world.audits == {RUN}


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_looked_at_when_it_is_claimed_and_when_a_person_changes_it(world: World) -> None:
    bare = run_object()
    assert world.apply("runs", bare) == [RUN]
    claimed = run_object(status={"claim": claim()})
    assert world.apply("runs", claimed) == [RUN]
    seen = run_object(status={"claim": claim(), "state": "Running", "observedGeneration": 1})
    assert world.apply("runs", seen) == []
    stopped = run_object(status=seen["status"], stop=True)
    stopped["metadata"]["generation"] = 2
    assert world.apply("runs", stopped) == [RUN]
    assert world.apply("runs", stopped, "DELETED") == []


def test_after_a_start_of_the_operator_the_buckets_of_runs_that_go_on_are_compared(world: World) -> None:
    over = TaskPath("llm", "llm-over", "main", namespace="team-a")
    world.apply("runs", run_object(over, status={"state": "Succeeded", "claim": claim()}), "ADDED")
    world.apply("runs", run_object(status={"state": "Running", "claim": claim()}), "ADDED")
    assert world.audits == {RUN}
    world.audits.clear()
    world.apply("runs", run_object(status={"state": "Running", "claim": claim(1)}))
    assert world.audits == set()


def test_a_new_attempt_wakes_what_the_one_before_has_not_committed(world: World) -> None:
    open_, done = checkpoint_object(0, 2, state="Saving", saved=None), checkpoint_object(0, 1)
    for one in (open_, done):
        world.apply("checkpoints", one)
    world.apply("runs", run_object(status={"claim": claim()}))
    assert world.apply("runs", run_object(status={"claim": claim(1)})) == [checkpoint_key(open_), RUN]


# --- policies and stores ----------------------------------------------------------------------------------------------


def intent(kind: str, *, generation: int = 1, ready: str = "", deleted: bool = False) -> JsonObject:
    meta: JsonObject = {"namespace": "team-a", "name": "main", "uid": kind, "generation": generation}
    if deleted:
        meta["deletionTimestamp"] = coarse(9)
    conditions = [{"type": "Ready", "status": ready}, {"type": "Other", "status": "True"}] if ready else []
    return {"metadata": meta, "spec": {}, "status": {"conditions": conditions}}


def test_a_policy_wakes_its_namespace_and_the_runs_that_go_on(world: World) -> None:
    world.apply("runs", run_object(status={"state": "Running"}))
    over = TaskPath("llm", "llm-over", "main", namespace="team-a")
    world.apply("runs", run_object(over, status={"state": "Failed"}))
    elsewhere = TaskPath("llm", "llm-else", "main", namespace="team-b")
    world.apply("runs", run_object(elsewhere, status={"state": "Running"}))
    world.woken()
    ended = Key(RUN.kind, "team-a", run_object_name(over))
    assert world.apply("policies", intent("policy")) == sorted([POLICIES, RUN, ended]), (
        "an ended one may have files of an app"
    )
    assert world.apply("policies", with_status(intent("policy"), observedGeneration=1)) == []
    assert world.apply("policies", intent("policy", generation=2)) == [POLICIES, RUN]
    assert world.apply("policies", intent("policy", generation=2), "DELETED") == sorted([POLICIES, RUN, ended])


def test_which_files_of_apps_stay_matters_to_runs_that_have_ended_too(world: World) -> None:
    world.apply("runs", run_object(status={"state": "Succeeded"}))
    world.apply("policies", intent("policy"))
    world.woken()
    fewer = {**intent("policy", generation=2), "spec": {"appFiles": {"keepLatest": 3}}}
    assert world.apply("policies", fewer) == [POLICIES, RUN]
    more = intent("policy", generation=3)
    assert world.apply("policies", {**more, "spec": {**fewer["spec"], "retry": {"limit": 1}}}) == [POLICIES]
    assert world.apply("policies", more, "DELETED") == [POLICIES, RUN]
    assert world.apply("policies", intent("policy", generation=4)) == [POLICIES, RUN], "it is known again"


def test_a_store_wakes_itself_and_the_policies_that_rest_on_it(world: World) -> None:
    assert world.apply("stores", intent("store")) == [POLICIES, STORE]
    assert world.apply("stores", with_status(intent("store"), checkpoints=7)) == []
    assert world.apply("stores", intent("store", ready="True")) == [POLICIES, STORE]
    assert world.apply("stores", intent("store", ready="False")) == [POLICIES, STORE]
    assert world.apply("stores", intent("store", ready="False", deleted=True)) == [POLICIES, STORE]


# --- pods and Jobs ----------------------------------------------------------------------------------------------------


def test_a_pod_wakes_the_runs_of_its_job_and_is_remembered(world: World) -> None:
    world.apply("runs", run_object(status={"claim": claim()}))
    other = TaskPath("other", "other-1", "main", namespace="team-a")
    world.apply("runs", run_object(other, status={"claim": claim(job="other")}))
    world.woken()
    assert world.apply("pods", pod_object(running(1))) == [RUN]
    noise = pod_object(running(1))
    noise["metadata"]["resourceVersion"] = "99"
    assert world.apply("pods", noise) == [], "nothing that a decision rests on"
    assert world.apply("pods", pod_object(ended(1, 40, 3), phase="Failed")) == [RUN]
    assert world.apply("pods", pod_object(), "DELETED") == [RUN]
    last = world.sights.of("pod-0")
    assert last is not None
    assert last.over
    assert world.apply("pods", pod_object(uid="pod-9", name="p", job="nobodys")) == []


def test_in_a_sweep_a_pod_wakes_the_run_of_its_own_index_alone(world: World) -> None:
    tasks = [TaskPath("llm", TASK.run, "main", str(n), "team-a") for n in range(3)]
    for number, task in enumerate(tasks):
        world.apply("pods", pod_object(running(1), uid=f"pod-{number}", name=f"llm-{number}-a", index=str(number)))
        world.apply("runs", run_object(task, status={"claim": claim(uid=f"pod-{number}")}))
    world.woken()
    keys = [Key("CheckpointRun", "team-a", run_object_name(task)) for task in tasks]
    over = pod_object(ended(1, 40, 3), uid="pod-1", name="llm-1-a", index="1", phase="Failed")
    assert world.apply("pods", over) == [keys[1]]
    assert world.apply("pods", pod_object(uid="pod-7", name="llm-1-b", index="1", phase="Pending")) == [keys[1]]
    world.apply("pods", over, "DELETED")
    assert keys[1] in world.apply("pods", pod_object(running(60), uid="pod-7", name="llm-1-b", index="1"))


def job_object(*conditions: str, name: str = "llm") -> JsonObject:
    told = [{"type": c, "status": "True", "lastTransitionTime": coarse(9)} for c in conditions]
    return {"metadata": {"namespace": "team-a", "name": name, "uid": "j"}, "status": {"conditions": told}}


def test_a_job_wakes_its_runs_when_something_about_it_changes(world: World) -> None:
    world.apply("runs", run_object(status={"claim": claim()}))
    world.woken()
    assert world.apply("jobs", job_object()) == [RUN]
    more = job_object()
    more["status"]["active"] = 1
    assert world.apply("jobs", more) == []
    assert world.apply("jobs", job_object("Failed")) == [RUN]
    assert world.apply("jobs", job_object("Failed"), "DELETED") == [RUN]
    assert world.apply("jobs", job_object(name="other")) == []


def test_the_first_list_that_finds_nothing_new_wakes_nobody(world: World) -> None:
    run, one, pod = run_object(status={"claim": claim(time=5)}), checkpoint_object(), pod_object(running(1))
    for plural, value in (("runs", run), ("checkpoints", one), ("pods", pod), ("jobs", job_object())):
        world.apply(plural, value)
    world.caches.runs.replace([run])
    world.caches.checkpoints.replace([one])
    world.caches.pods.replace([pod])
    world.caches.jobs.replace([job_object()])
    assert world.woken() == []
    assert run["status"]["claim"]["time"] == fine(5)


def test_each_later_list_has_runs_looked_at_and_what_something_is_waited_for(world: World) -> None:
    run, waits, done = run_object(), checkpoint_object(1, state="Saving", saved=None), checkpoint_object(2)
    going = checkpoint_object(3, deleted=9)
    world.apply("runs", run)
    for value in (waits, done, going):
        world.apply("checkpoints", value)
    world.caches.runs.replace([run])
    assert world.woken() == []
    world.caches.runs.replace([run])
    assert world.woken() == sorted([RUN, checkpoint_key(waits), checkpoint_key(going)])


def test_what_an_attempt_did_not_commit_is_looked_at_when_its_end_is_known_here(world: World) -> None:
    """Not when it is written: until the watch tells it, its writer seems to be there."""
    held = run_object(status={"claim": claim(0), "attempts": [entry(0)]})
    unfinished = checkpoint_object(state="Saving", saved=None)
    world.apply("runs", held)
    world.apply("checkpoints", unfinished)
    over = with_status(held, attempts=[{**entry(0), "result": "Completed"}])
    assert world.apply("runs", over) == [checkpoint_key(unfinished)]


def test_a_store_that_is_back_wakes_the_checkpoints_that_wait_for_it(world: World) -> None:
    waits, done, going = checkpoint_object(1, state="Committed"), checkpoint_object(2), checkpoint_object(3, deleted=9)
    for one in (waits, done, going):
        world.apply("checkpoints", one)
    meta = {"namespace": "team-a", "name": "main", "uid": "u", "generation": 1}
    away, back = (
        {"metadata": meta, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": status}]}}
        for status in ("False", "True")
    )
    world.apply("stores", away)
    assert world.apply("stores", back) == sorted([POLICIES, STORE, checkpoint_key(waits), checkpoint_key(going)])
    assert world.apply("stores", {**back, "metadata": {**meta, "generation": 2}}) == sorted([POLICIES, STORE])


def test_a_store_that_appears_wakes_the_runs_that_are_to_be_looked_for_in_it(world: World) -> None:
    world.audits.add(RUN)
    world.audits.add(Key("CheckpointRun", "elsewhere", "other"))
    store = {"metadata": {"namespace": "team-a", "name": "main", "uid": "u", "generation": 1}, "spec": {}}
    assert world.apply("stores", store, "ADDED") == sorted([POLICIES, RUN, STORE])
    changed = {**store, "metadata": {**store["metadata"], "generation": 2}}
    assert world.apply("stores", changed) == sorted([POLICIES, STORE])
