"""What a run is doing and waits for, as its claims, its Job and its pods tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import at, claim, coarse, end, ended, entry, fine, job, pod, running, waiting
from tests.support.schemas import objections
from trainpoint.format.digest import JsonObject
from trainpoint.policies.resume import Forecast
from trainpoint_operator.conditions import is_true, merged
from trainpoint_operator.decisions.run_state import RunInput, Verdict, conditions, outcome, pods_of_task, run_state
from trainpoint_operator.views import JobView, PodView

RESUME = Forecast("llm-4c1d9-0-3", 300, "Newest", "newest of this task, verified")
FAILED = entry(result="Failed", reason="Exited", message="exit 1", endTime=fine(40))
DONE = entry(result="Completed", reason="Completed", message="completed", endTime=fine(40))
DISRUPTED = entry(result="Disrupted", reason="DeletionByTaintManager", message="its node was lost", endTime=fine(40))
STOPPED = entry(result="Refused", reason="StoppedByUser", message="was stopped by a person", endTime=fine(40))
SPENT = entry(result="Refused", reason="RetriesExhausted", message="6 failures", endTime=fine(40))
OVER: JsonObject = {"result": "Failed", "message": "Job llm has failed", "time": fine(41)}
ALIVE = job()
HOLDER = pod(ended(1, 40, 1), phase="Failed")


def given_that(*attempts: JsonObject, pods: Sequence[PodView] = (), **more: Any) -> RunInput:
    facts: dict[str, Any] = {
        "name": "llm-4c1d9-8e02f1",
        "stop": False,
        "claim": claim() if attempts else {},
        "job": ALIVE,
        "job_name": "llm",
        "outcome": {},
        "resume": RESUME,
        "charged": 0,
        "limit": 5,
        "now": at(100),
    }
    return RunInput(**{**facts, "attempts": list(attempts), "pods": list(pods), **more})


NEXT: JsonObject = {"uid": "pod-1", "name": "llm-9zz9z"}
OF_EACH_INDEX = [replace(HOLDER, index="0"), *(pod(phase="Failed", uid=f"p{i}", index=i) for i in "123")]
CASES: list[tuple[str, RunInput, tuple[str, str], str]] = [
    # case, facts, (state, reason), a piece of the message
    ("nobody claimed", given_that(), ("Pending", "NotClaimed"), "no process has claimed it yet"),
    (
        "it trains",
        given_that(entry(), pods=[pod(running(1))]),
        ("Running", "Training"),
        "attempt 0 trains in pod llm-x7k2p on node gpu-7",
    ),
    (
        "it trains outside of the cluster",
        given_that(entry(podName="", nodeName=""), job=None, job_name=""),
        ("Running", "Training"),
        "attempt 0 trains",
    ),
    (
        "its pod is to end",
        given_that(entry(), pods=[pod(running(1), deleted=90)]),
        ("Running", "Ending"),
        "may take until 09:14:00 UTC",
    ),
    (
        "it has said that it ended",
        given_that(entry(), pods=[pod(running(1))], claim=claim(end=end("Failed", 1))),
        ("Running", "Ending"),
        "its process is about to",
    ),
    (
        "its node is lost",
        given_that(entry(), pods=[pod(running(1), deleted=60, disruption="DeletionByTaintManager")]),
        ("Waiting", "NodeLost"),
        "pod llm-x7k2p on node gpu-7, which should have ended at 09:13:30 UTC; its node does not answer; if it is gone "
        "for good: kubectl delete node gpu-7, or kubectl taint node gpu-7 "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; then the Job starts the next pod",
    ),
    (
        "the node of the next pod is lost before it claims",
        given_that(FAILED, pods=[HOLDER, pod(running(50), deleted=60, **NEXT)]),
        ("Waiting", "NodeLost"),
        "waits for pod llm-9zz9z on node gpu-7",
    ),
    (
        "its node is lost, and another pod trains already",
        given_that(FAILED, entry(1, 70, uid="pod-1"), pods=[pod(running(1), deleted=60), pod(running(69), **NEXT)]),
        ("Running", "Training"),
        "attempt 1 trains",
    ),
    ("it completed", given_that(DONE), ("Succeeded", "Completed"), "attempt 0 completed"),
    ("its Job is complete", given_that(FAILED, job=job("Complete")), ("Succeeded", "Completed"), "Job llm is complete"),
    (
        "its Job has failed",
        given_that(FAILED, job=job("FailureTarget", "Failed", reason="PodFailurePolicy", message="exit code 86")),
        ("Failed", "JobFailed"),
        "Job llm has failed (exit code 86); attempt 0: exit 1",
    ),
    (
        "its Job has failed and waits for its last pods",
        given_that(FAILED, job=job("FailureTarget", reason="DeadlineExceeded")),
        ("Failed", "JobFailed"),
        "(DeadlineExceeded)",
    ),
    (
        "its Job tries no more",
        given_that(FAILED, job=job("Failed", reason="BackoffLimitExceeded")),
        ("Exhausted", "JobFailed"),
        "BackoffLimitExceeded",
    ),
    ("the ledger allows no more", given_that(SPENT, job=job("Failed")), ("Exhausted", "JobFailed"), "6 failures"),
    (
        "its index is not tried again",
        given_that(FAILED, pods=[replace(HOLDER, index="4")], job=job(failedIndexes="1,3-5")),
        ("Exhausted", "JobFailed"),
        "index 4 of Job llm has failed",
    ),
    (
        "another index is not tried again",
        given_that(FAILED, pods=[replace(HOLDER, index="2")], job=job(failedIndexes="1,3-5")),
        ("Waiting", "JobBackOff"),
        "starts the next pod",
    ),
    (
        "its Job is gone",
        given_that(FAILED, job=None),
        ("Failed", "JobGone"),
        "Job llm is gone, so no further attempt comes; attempt 0: exit 1",
    ),
    (
        "no Job ever was",
        given_that(FAILED, job=None, job_name=""),
        ("Waiting", "NoController"),
        "no Job starts the next attempt; attempt 0: exit 1",
    ),
    (
        "no Job, and its pod restarts it",
        given_that(FAILED, pods=[pod(waiting("CrashLoopBackOff"), last=ended(1, 40, 1))], job=None, job_name=""),
        ("Waiting", "Restarting"),
        "is to restart its container (CrashLoopBackOff)",
    ),
    ("stopped before it began", given_that(stop=True), ("Stopped", "StoppedByUser"), "spec.stop of llm-4c1d9-8e02f1"),
    ("stopped while it trains", given_that(entry(), stop=True), ("Running", "Training"), "trains"),
    ("stopped, and it ended", given_that(FAILED, stop=True), ("Stopped", "StoppedByUser"), "stopped by a person"),
    ("stopped, and it completed", given_that(DONE, stop=True), ("Succeeded", "Completed"), "completed"),
    ("stopped, and its Job failed of it", given_that(STOPPED, job=job("Failed")), ("Stopped", "StoppedByUser"), ""),
    ("it may go on again", given_that(STOPPED), ("Waiting", "JobBackOff"), "starts the next pod"),
    ("suspended", given_that(DISRUPTED, job=job("Suspended")), ("Waiting", "JobSuspended"), "Job llm is suspended"),
    (
        "it starts again in its pod",
        given_that(FAILED, pods=[pod(running(42), last=ended(1, 40, 1))]),
        ("Waiting", "Restarting"),
        "pod llm-x7k2p has a new process, which has not claimed yet; attempt 0: exit 1",
    ),
    (
        "its container is about to",
        given_that(FAILED, pods=[pod(ended(1, 40, 1))]),
        ("Waiting", "Restarting"),
        "restarts its container, or is about to end",
    ),
    (
        "its pod takes its time to end",
        given_that(DISRUPTED, pods=[pod(running(1), deleted=90)]),
        ("Waiting", "PodTerminating"),
        "which may take until 09:14:00 UTC",
    ),
    (
        "the next pod finds no node",
        given_that(FAILED, pods=[HOLDER, pod(phase="Pending", node="", unschedulable="0/3 nodes fit", **NEXT)]),
        ("Waiting", "PodStarting"),
        "pod llm-9zz9z (pending), which has no node yet: Unschedulable: 0/3 nodes fit",
    ),
    (
        "the next pod finds no image",
        given_that(FAILED, pods=[HOLDER, pod(waiting("ImagePullBackOff", "no such tag"), phase="Pending", **NEXT)]),
        ("Waiting", "PodStarting"),
        "pod llm-9zz9z (pending) on node gpu-7: ImagePullBackOff: no such tag",
    ),
    (
        "the next pod starts",
        given_that(FAILED, pods=[HOLDER, pod(waiting("ContainerCreating"), phase="Pending", **NEXT)]),
        ("Waiting", "PodStarting"),
        "waits for pod llm-9zz9z (pending) on node gpu-7",
    ),
    (
        "the Job makes a pause",
        given_that(FAILED, pods=[HOLDER]),
        ("Waiting", "JobBackOff"),
        "after a pause of its own, about 09:12:50 UTC (1 of its pods failed); attempt 0: exit 1",
    ),
    (
        "the Job makes a longer pause, since the pods of all its indexes failed together",
        given_that(
            FAILED, pods=[replace(HOLDER, index="0"), *(pod(phase="Failed", uid=f"p{i}", index=i) for i in "123")]
        ),
        ("Waiting", "JobBackOff"),
        "about 09:14:00 UTC (4 of its pods failed)",
    ),
    (
        "its Job was cleaned up",
        given_that(FAILED, job=None, outcome=OVER),
        ("Failed", "JobFailed"),
        "Job llm has failed",
    ),
    (
        "its Job was cleaned up, and it was exhausted",
        given_that(FAILED, job=None, outcome=OVER, state="Exhausted"),
        ("Exhausted", "JobFailed"),
        "Job llm has failed",
    ),
    (
        "its Job was cleaned up, and it had succeeded",
        given_that(FAILED, job=None, outcome={**OVER, "result": "Succeeded", "message": "Job llm is complete"}),
        ("Succeeded", "Completed"),
        "Job llm is complete",
    ),
    (
        "its Job was cleaned up, and it had been stopped",
        given_that(FAILED, job=None, outcome={**OVER, "result": "Stopped"}),
        ("Stopped", "StoppedByUser"),
        "",
    ),
    ("a new attempt reopens it", given_that(FAILED, entry(1, 60), outcome=OVER), ("Running", "Training"), "attempt 1"),
    ("a new Job reopens it", given_that(FAILED, outcome=OVER), ("Waiting", "JobBackOff"), "starts the next pod"),
]


@pytest.mark.parametrize(("facts", "expected", "piece"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_state_when(facts: RunInput, expected: tuple[str, str], piece: str) -> None:
    verdict = run_state(facts)
    assert (verdict.state, verdict.reason) == expected
    assert piece in verdict.message
    assert objections("checkpointruns", "status", status_of(facts, verdict)) == []


def status_of(facts: RunInput, verdict: Verdict) -> JsonObject:
    status = {
        "state": verdict.state,
        "attempts": list(facts.attempts),
        "conditions": merged([], conditions(facts, verdict), generation=1, now=coarse(100)),
    }
    told = outcome(facts, verdict)
    return status if told is None else {**status, "outcome": told}


def test_the_passing_of_time_alone_is_looked_at_again() -> None:
    ending = run_state(given_that(entry(), pods=[pod(running(1), deleted=90)]))
    assert ending.next_look == at(125)
    late = given_that(entry(), pods=[pod(running(1), deleted=90)], now=at(125))
    assert run_state(late).reason == "NodeLost"
    said = run_state(given_that(entry(), claim=claim(end=end("Completed", 0, time=99))))
    assert said.next_look == at(102)
    assert run_state(given_that(entry())).next_look is None


def test_pods_of_other_indexes_and_ranks_are_not_waited_for() -> None:
    mine, other = replace(HOLDER, index="2"), pod(phase="Pending", uid="pod-9", name="llm-3-aaaaa", index="3")
    assert run_state(given_that(FAILED, pods=[mine, other])).reason == "JobBackOff"
    same = pod(phase="Pending", uid="pod-9", name="llm-2-bbbbb", index="2")
    assert run_state(given_that(FAILED, pods=[mine, other, same])).message.startswith("waits for pod llm-2-bbbbb")
    gone = entry(podName="llm-2-x7k2p", uid="pod-5", result="Failed", message="exit 1")
    assert pods_of_task([other, same], [gone], "llm") == [same], "told by its name"
    assert pods_of_task([other, same], [entry(podName="laptop")], "llm") == [other, same]
    assert pods_of_task([other, same], [], "llm") == [other, same]


# --- conditions -------------------------------------------------------------------------------------------------------


def found(facts: RunInput, kind: str) -> tuple[str, str, str]:
    verdict = run_state(facts)
    one = next(c for c in conditions(facts, verdict) if c.type == kind)
    return one.status, one.reason, one.message


def test_ready_says_what_the_next_attempt_would_load() -> None:
    assert found(given_that(FAILED), "Ready") == (
        "True",
        "Newest",
        "an attempt that started now would load llm-4c1d9-0-3 (step 300): newest of this task, verified",
    )
    nothing = Forecast("", None, "NothingFound", "nothing to load")
    assert found(given_that(FAILED, resume=nothing), "Ready") == ("True", "NothingFound", "nothing to load")
    assert found(given_that(FAILED, stop=True), "Ready")[:2] == ("False", "StoppedByUser")


@pytest.mark.parametrize("job", [ALIVE, replace(ALIVE, result="Failed")], ids=["its Job goes on", "its Job has failed"])
def test_a_program_that_refused_to_start_is_not_ready_and_says_why_whole(job: JobView) -> None:
    whole = f"IncompatibleStateError: The component w wasn't instantiated {'x' * 900}"
    refused = entry(result="Refused", reason="Refused", message=whole[:500], endTime=fine(40))
    held = claim(end=end("Failed", 86, message=whole))
    assert found(given_that(refused, claim=held, job=job), "Ready") == ("False", "Refused", f"attempt 0: {whole}")
    later = claim(1, end=end("Failed", 1, message="another"))
    assert found(given_that(refused, claim=later, job=job), "Ready")[2] == f"attempt 0: {whole[:500]}"
    assert found(given_that(refused, FAILED, claim=later, job=job), "Ready")[0] == "True"


def test_active_says_what_is_waited_for() -> None:
    assert found(given_that(entry()), "Active")[:2] == ("True", "Training")
    assert found(given_that(FAILED), "Active")[:2] == ("False", "JobBackOff")


def test_retries_exhausted() -> None:
    assert found(given_that(FAILED, charged=5), "RetriesExhausted") == (
        "False",
        "WithinBudget",
        "5 of 5 failures without progress",
    )
    assert found(given_that(FAILED, charged=6), "RetriesExhausted") == (
        "True",
        "RetriesExhausted",
        "6 of 5 failures without progress; its Job decides whether another pod comes",
    )
    spent = given_that(FAILED, job=job("Failed", reason="BackoffLimitExceeded"))
    assert found(spent, "RetriesExhausted")[:2] == ("True", "RetriesExhausted")


# --- outcome ----------------------------------------------------------------------------------------------------------


def test_the_outcome_is_when_the_job_ended() -> None:
    facts = given_that(FAILED, job=job("Failed", reason="BackoffLimitExceeded", ended=44))
    assert outcome(facts, run_state(facts)) == {
        "result": "Failed",
        "message": "Job llm has failed (BackoffLimitExceeded); attempt 0: exit 1",
        "time": coarse(44),
    }
    facts = given_that(DONE)
    told = outcome(facts, run_state(facts))
    assert told is not None
    assert told["time"] == fine(40)


def test_an_outcome_stays_as_it_was_first_told() -> None:
    facts = given_that(FAILED, job=job("Failed", ended=44), outcome=OVER)
    assert outcome(facts, run_state(facts)) is OVER
    gone = replace(facts, job=None)
    assert outcome(gone, run_state(gone)) is OVER


def test_an_attempt_that_nobody_saw_ends_the_run_anew() -> None:
    """The operator was away while the run was started again and failed again."""
    second = entry(1, 60, result="Failed", reason="Exited", message="exit 2", endTime=fine(80))
    facts = given_that(FAILED, second, job=job("Failed", ended=82), outcome=OVER)
    told = outcome(facts, run_state(facts))
    assert told is not None
    assert (told["time"], told["message"]) == (coarse(82), "Job llm has failed; attempt 1: exit 2")
    assert outcome(replace(facts, outcome=told), run_state(facts)) is told


def test_a_run_that_goes_on_has_no_outcome() -> None:
    for facts in (given_that(), given_that(entry(), outcome=OVER), given_that(FAILED)):
        assert outcome(facts, run_state(facts)) is None


# --- whatever comes ---------------------------------------------------------------------------------------------------

PODS = st.sampled_from(
    [
        HOLDER,
        pod(running(1)),
        pod(running(42), last=ended(1, 40, 3)),
        pod(running(1), deleted=60),
        pod(running(1), deleted=90, uid="pod-1", name="llm-9zz9z"),
        pod(phase="Pending", node="", uid="pod-2", unschedulable="x" * 3000),
        pod(ended(1, 40, 0), phase="Succeeded", uid="pod-3"),
    ]
)
JOBS: st.SearchStrategy[JobView | None] = st.sampled_from(
    [
        None,
        ALIVE,
        job("Complete", ended=90),
        job("Failed", ended=90, reason="BackoffLimitExceeded", message="m" * 3000),
        job("FailureTarget", reason="PodFailurePolicy"),
        job("Suspended"),
    ]
)
ATTEMPTS = st.lists(st.sampled_from([FAILED, DONE, DISRUPTED, STOPPED, SPENT, entry()]), max_size=3).map(
    lambda many: [{**one, "attempt": number, "nonce": f"{number:016x}"} for number, one in enumerate(many)]
)
OUTCOMES = st.sampled_from([{}, OVER, {**OVER, "result": "Succeeded"}, {**OVER, "result": "Stopped"}])


@st.composite
def inputs(draw: st.DrawFn) -> RunInput:
    gone = draw(st.booleans())
    return given_that(
        *draw(ATTEMPTS),
        pods=draw(st.lists(PODS, max_size=4, unique_by=lambda p: p.uid)),
        job=None if gone else draw(JOBS),
        job_name=draw(st.sampled_from(["llm", ""])) if gone else "llm",
        stop=draw(st.booleans()),
        outcome=draw(OUTCOMES),
        charged=draw(st.integers(0, 12)),
    )


@given(inputs())
def test_there_is_always_a_state_that_fits_the_kind(facts: RunInput) -> None:
    verdict = run_state(facts)
    status = status_of(facts, verdict)
    assert objections("checkpointruns", "status", status) == []
    assert is_true(status["conditions"], "Active") == (verdict.state == "Running")
    assert ("outcome" in status) == verdict.over
    assert verdict.next_look is None or verdict.next_look > facts.now


@given(inputs())
def test_what_is_over_stays_over_when_its_job_is_cleaned_up(facts: RunInput) -> None:
    verdict = run_state(facts)
    if not verdict.over or not facts.job_name:
        return
    told = outcome(facts, verdict)
    assert told is not None
    for later in (at(101), at(100_000)):
        cleaned = replace(facts, job=None, pods=[], outcome=told, state=verdict.state, now=later)
        again = run_state(cleaned)
        assert again.state == verdict.state
        assert outcome(cleaned, again) == told
    if facts.attempts:
        number = len(facts.attempts)
        reopened = replace(facts, attempts=[*facts.attempts, entry(number, 200, uid="pod-8")], outcome=told)
        assert run_state(reopened).state == "Running"
