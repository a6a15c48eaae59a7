"""A CheckpointRun from its first claim to the day when its Job is cleaned up; every status that is written fits the
kind. The decisions have tests of their own; here they meet."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import pytest

from tests.support.operator_world import World as Namespace
from tests.support.runs import (
    LAUNCH,
    TASK,
    ZERO,
    at,
    checkpoint_object,
    claim,
    coarse,
    end,
    ended,
    loaded,
    pod_object,
    run_object,
    running,
)
from tests.support.schemas import objections
from trainpoint.catalog.cluster import info_of_object
from trainpoint.cli.story import story
from trainpoint.format.digest import JsonObject
from trainpoint.format.reference import run_object_name
from trainpoint_operator.engine.resources import CHECKPOINTS, RUNS, Key
from trainpoint_operator.reconcile.run import reconcile_run

NAME = run_object_name(TASK)
KEY = Key("CheckpointRun", "team-a", NAME)
WRITES = "patch checkpointruns/status"


class World(Namespace):
    """One run, its Job and its pods."""

    def __init__(self) -> None:
        super().__init__()
        self.caches.pods.listeners.append(self.ctx.sights.on_change)
        bare = run_object()
        del bare["spec"]["storeRef"], bare["status"]  # no bucket here
        self.kube.put(RUNS, bare)
        self.job()

    def time(self, seconds: float) -> None:
        self.clock.advance((at(seconds) - self.clock.now()).total_seconds())

    def claim(self, attempt: int, time: float, **more: Any) -> None:
        """As a pod writes it, less what the attempt before has left."""
        self.tell(**{"loaded": None, "end": None, "refused": None, **claim(attempt, time, **more)})

    def tell(self, **members: Any) -> None:
        patch = {"status": {"claim": members}}
        asyncio.run(self.ctx.kube.patch(RUNS, "team-a", NAME, patch, subresource="status"))

    def saved(self, attempt: int, sequence: int, **more: Any) -> None:
        self.kube.put(CHECKPOINTS, checkpoint_object(attempt, sequence, step=sequence * 5, **more))

    def pod(self, *args: Any, event: str = "MODIFIED", **more: Any) -> None:
        self.caches.pods.apply(event, pod_object(*args, **more))

    def job(
        self, *conditions: str, event: str = "MODIFIED", reason: str = "", uid: str = LAUNCH, jobset: str = ""
    ) -> None:
        told = [{"type": c, "status": "True", "reason": reason, "lastTransitionTime": coarse(300)} for c in conditions]
        meta: JsonObject = {"namespace": "team-a", "name": "llm", "uid": uid}
        if jobset:
            meta["ownerReferences"] = [{"kind": "JobSet", "name": "llm", "uid": jobset, "controller": True}]
        self.caches.jobs.apply(event, {"metadata": meta, "status": {"conditions": told}})

    def look(self, seconds: float) -> JsonObject:
        """The status after a look; another look at once changes nothing."""
        self.time(seconds)
        asyncio.run(reconcile_run(KEY, self.ctx))
        status: JsonObject = self.read(RUNS, NAME)["status"]
        assert objections("checkpointruns", "status", status) == []
        written = self.kube.requests[WRITES]
        asyncio.run(reconcile_run(KEY, self.ctx))
        assert self.kube.requests[WRITES] == written, "nothing has changed"
        return status

    def why(self) -> str:
        saved = [info_of_object(v) for k, v in self.kube.objects.items() if k[0] == "checkpoints"]
        newest_first = sorted(saved, key=lambda info: info.ref.id, reverse=True)
        return "\n".join(story(self.read(RUNS, NAME), newest_first, now=self.clock.now(), zone=UTC))


def test_a_run_that_is_killed_once_restarts_in_its_pod_and_completes() -> None:
    world = World()
    assert world.clock.now() < ZERO
    assert world.look(1)["state"] == "Pending"
    world.pod(running(2))
    world.claim(0, 5)
    assert world.look(5.1)["state"] == "Running"
    world.tell(loaded=loaded())
    for sequence in (1, 2, 3):
        world.saved(0, sequence, saved=10 + sequence, metrics={"loss": f"0.{sequence}"})
    status = world.look(15)
    assert (status["latest"]["step"], status["resume"]["step"], status["retries"]["charged"]) == (15, 15, 0)
    world.pod(running(21), last=ended(2, 20, 137))
    status = world.look(21.5)
    assert (status["state"], status["attempts"][0]["message"]) == ("Waiting", "killed by signal 9")
    assert status["attempts"][0]["charged"] is False
    assert "which has not claimed yet" in world.why()
    world.claim(1, 24, loaded=loaded(checkpoint=status["latest"]["checkpoint"], step=15, reason="Newest"))
    world.saved(1, 8, saved=40)
    assert world.look(41)["state"] == "Running"
    world.tell(end=end("Completed", 0, time=42, lastStep=40))
    assert world.look(42.1)["state"] == "Running", "its process has not left yet"
    world.pod(ended(21, 43, 0), last=ended(2, 20, 137), phase="Succeeded")
    status = world.look(43.5)
    assert (status["state"], status["outcome"]["result"]) == ("Succeeded", "Succeeded")
    assert [one["result"] for one in status["attempts"]] == ["Failed", "Completed"]
    world.job("SuccessCriteriaMet", "Complete")
    world.look(45)
    told = world.why().splitlines()
    assert told[0].endswith("now: succeeded after attempt 1, step 40")
    assert told[1] == "  attempt 0  09:12:05 → 09:12:20  0 → 15   killed by signal 9 (progress, free)"
    assert told[2] == "  attempt 1  09:12:24 → 09:12:43  15 → 40  completed"
    before = world.read(RUNS, NAME)["status"]["outcome"]
    world.pod(phase="Succeeded", event="DELETED")
    world.job(event="DELETED")
    status = world.look(100_000)
    assert (status["state"], status["outcome"]) == ("Succeeded", before)


def test_a_run_that_only_fails_is_exhausted_with_its_job_and_goes_on_with_the_next_claim() -> None:
    world = World()
    for attempt in range(7):
        begun = 10.0 * attempt
        name, uid = f"llm-{attempt}xxxx", f"pod-{attempt}"
        world.pod(running(begun), name=name, uid=uid)
        world.claim(attempt, begun + 2, pod=name, uid=uid, loaded=loaded())
        assert world.look(begun + 3)["state"] == "Running"
        world.pod(ended(begun, begun + 4, 1), name=name, uid=uid, phase="Failed")
        status = world.look(begun + 5)
        assert (status["state"], status["retries"]["charged"]) == ("Waiting", attempt + 1)
        assert status["display"]["retries"] == f"{attempt + 1}/5"
    exhausted = next(c for c in status["conditions"] if c["type"] == "RetriesExhausted")
    assert (exhausted["status"], exhausted["reason"]) == ("True", "RetriesExhausted")
    world.job("FailureTarget", "Failed", reason="BackoffLimitExceeded")
    status = world.look(300)
    assert (status["state"], status["outcome"]["result"]) == ("Exhausted", "Failed")
    world.claim(7, 400, uid="pod-9", pod="llm-again", loaded=loaded())
    world.pod(running(398), name="llm-again", uid="pod-9")
    status = world.look(401)
    assert status["state"] == "Running"
    assert "outcome" not in status


def test_a_person_rolls_the_run_back_and_sees_what_comes_of_it() -> None:
    world = World()
    world.pod(running(2))
    world.claim(0, 5, loaded=loaded())
    for sequence in (1, 2, 3):
        world.saved(0, sequence, saved=10 + sequence)
    assert world.look(20)["resume"]["step"] == 15
    (first, *_) = sorted(name for kind, _, name in world.kube.objects if kind == "checkpoints")

    def ask(text: str | None) -> None:
        asyncio.run(world.ctx.kube.patch(RUNS, "team-a", NAME, {"spec": {"resumeFrom": text}}))

    ask(first)
    status = world.look(21)
    assert (status["resume"]["checkpoint"], status["resume"]["step"]) == (first, 5)
    assert (status["resume"]["reason"], status["latest"]["step"]) == ("Requested", 15), "nobody has followed it yet"
    assert f"would load {first} (step 5): as spec.resumeFrom={first} says" in world.why()
    asked = {"request": first, "requestBy": "Run", "since": 1}
    world.claim(1, 30, loaded=loaded(checkpoint=first, step=5, reason="Requested", **asked))
    status = world.look(31)
    assert (status["resume"]["step"], status["resume"]["reason"]) == (5, "SameAsRequested")
    assert status["latest"]["step"] == 5, "15 is from before the rollback"
    world.saved(1, 4, saved=40)
    status = world.look(41)
    assert (status["latest"]["step"], status["resume"]["reason"]) == (20, "SinceRequest")
    ask(None)
    assert world.look(42)["resume"]["step"] == 20
    ask("not a/request/that/anybody/reads")
    assert world.look(43)["resume"]["step"] == 20, "the attempt that meets it says so"


@pytest.mark.parametrize(("condition", "result"), [("Complete", "Succeeded"), ("Failed", "Failed")])
def test_a_run_that_a_jobset_has_launched_comes_out_as_the_job_that_it_made(condition: str, result: str) -> None:
    """Its pods are gone, and nobody saw them: what is left is the Job, whose UID is not that of the launch."""
    world = World()
    world.job(event="DELETED")
    world.job(uid="child-1", jobset=LAUNCH)
    world.claim(0, 5, loaded=loaded())
    assert world.look(30)["state"] == "Waiting", "the Job goes on, and starts the next pod"
    world.job(condition, uid="child-1", jobset=LAUNCH)
    status = world.look(400)
    assert (status["state"], status["outcome"]["result"]) == (result, result)
    assert status["outcome"]["message"].startswith(
        f"Job llm {'is complete' if result == 'Succeeded' else 'has failed'}"
    )


def test_the_job_that_a_jobset_makes_anew_is_the_runs_too() -> None:
    world = World()
    world.job(event="DELETED")
    world.job("Failed", uid="child-1", jobset=LAUNCH)
    world.claim(0, 5, loaded=loaded())
    assert world.look(30)["state"] == "Failed", "whether the JobSet tries again is not seen"
    world.job(uid="child-1", jobset=LAUNCH, event="DELETED")
    world.job(uid="child-2", jobset=LAUNCH)
    world.pod(running(40), name="llm-0-again", uid="pod-1")
    world.claim(1, 42, pod="llm-0-again", uid="pod-1", loaded=loaded())
    status = world.look(43)
    assert (status["state"], "outcome" in status) == ("Running", False)
    world.tell(end=end("Completed", 0, time=50))
    world.pod(ended(40, 51, 0), name="llm-0-again", uid="pod-1", phase="Succeeded")
    world.job("Complete", uid="child-2", jobset=LAUNCH)
    assert world.look(52)["outcome"]["result"] == "Succeeded"


@pytest.mark.parametrize("jobset", ["", "another-jobset"])
def test_a_later_job_of_the_same_name_says_nothing_of_the_run(jobset: str) -> None:
    world = World()
    world.claim(0, 5, loaded=loaded())
    world.job(event="DELETED")
    world.job("Complete", uid="later", jobset=jobset)
    world.time(100)
    asyncio.run(reconcile_run(KEY, world.ctx))  # writes the outcome; from then on the outcome is the reason
    status = world.look(100)
    assert (status["state"], status["outcome"]["result"]) == ("Failed", "Failed")
    assert "Job llm is gone" in status["outcome"]["message"]


def test_texts_as_long_as_they_get_fit_the_kind() -> None:
    world = World()
    long = "ä" * 1000
    world.pod(ended(1, 40, 1), phase="Failed", reason="Evicted", message=long, disruption="x" * 500)
    world.claim(0, 5, loaded=loaded(message=long, checkpoint="c" * 253, step=2**53), end=end("Failed", 1, message=long))
    world.job("Failed", reason="PodFailurePolicy")
    status = world.look(300)
    assert status["state"] == "Failed"
    assert status["attempts"][0]["reason"] == "Disrupted"
