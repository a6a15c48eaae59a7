"""What a run is doing: its state, its conditions, what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.clock import rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.policies.resume import Forecast
from trainpoint_operator.conditions import Condition
from trainpoint_operator.views import JobView, PodView, moment

State = Literal["Pending", "Running", "Waiting", "Succeeded", "Failed", "Exhausted", "Stopped"]
SILENT_NODE: Final = timedelta(seconds=5)
"""Past the end of its grace period, a pod that still runs is on a node that does not answer."""
FIRST_BACKOFF_SECONDS: Final = 10
LONGEST_BACKOFF_SECONDS: Final = 600
"""The Job controller waits so long after a pod that ended, doubled with each (Kubernetes, "Pod backoff failure
policy")."""


@dataclass(frozen=True, slots=True)
class RunInput:
    """All that the state rests on."""

    name: str
    """of the run object"""
    stop: bool
    claim: JsonObject
    attempts: Sequence[JsonObject]
    """up to date, oldest first"""
    pods: Sequence[PodView]
    """that its Job has now"""
    job: JobView | None
    """None: it is gone, or there never was one"""
    job_name: str
    """empty: its process belongs to no Job"""
    outcome: JsonObject
    """as it stands"""
    resume: Forecast
    charged: int
    limit: int
    now: datetime

    @property
    def last(self) -> JsonObject:
        """The newest attempt; empty where there was none."""
        return self.attempts[-1] if self.attempts else {}

    @property
    def holder(self) -> PodView | None:
        """The pod of the newest attempt, while the API server has it."""
        return next((pod for pod in self.pods if pod.uid == self.last.get("podUID")), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state, and why."""

    state: State
    reason: str
    message: str
    next_look: datetime | None = None
    """when the passing of time alone changes it"""

    @property
    def over(self) -> bool:
        return self.state in ("Succeeded", "Failed", "Exhausted", "Stopped")


# --- the chain: the first that has an opinion decides -----------------------------------------------------------------


def never_claimed(i: RunInput) -> Verdict | None:
    return None if i.attempts else Verdict("Pending", reasons.NOT_CLAIMED, "no process has claimed it yet")


def node_lost(i: RunInput) -> Verdict | None:
    """A pod that should have ended long ago: nothing replaces it until its node says so, or is taken out."""
    pod = i.holder
    if pod is None or pod.over or pod.deletion is None or i.now < pod.deletion + SILENT_NODE:
        return None
    return Verdict(
        "Waiting",
        reasons.NODE_LOST,
        f"waits for pod {pod.name} on node {pod.node}, which should have ended at {pod.deletion:%H:%M:%S} UTC; its "
        f"node does not answer; if it is gone for good: kubectl delete node {pod.node}, or kubectl taint node "
        f"{pod.node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; then the Job starts the next pod",
    )


def running(i: RunInput) -> Verdict | None:
    if "result" in i.last:
        return None
    where = f" in pod {i.last['podName']}" if i.last.get("podName") else ""
    node = f" on node {i.last['nodeName']}" if i.last.get("nodeName") else ""
    text = f"attempt {i.last['attempt']} trains{where}{node}"
    pod = i.holder
    if pod is not None and pod.deletion is not None:
        text = f"attempt {i.last['attempt']} is ending{where}{node}, which may take until {pod.deletion:%H:%M:%S} UTC"
        return Verdict("Running", reasons.ENDING, text, pod.deletion + SILENT_NODE)
    return Verdict("Running", reasons.TRAINING, text)


def completed(i: RunInput) -> Verdict | None:
    if i.job is not None and i.job.result == "Complete":
        return Verdict("Succeeded", reasons.COMPLETED, f"Job {i.job.name} is complete")
    if i.last["result"] == "Completed":
        return Verdict("Succeeded", reasons.COMPLETED, f"attempt {i.last['attempt']} completed")
    return None


def already_over(i: RunInput) -> Verdict | None:
    """What was decided stands after its Job was cleaned up."""
    if not i.outcome or i.job is not None:
        return None
    result: str = i.outcome["result"]
    message = str(i.outcome.get("message", ""))
    match result:
        case "Succeeded":
            return Verdict("Succeeded", reasons.COMPLETED, message)
        case "Stopped":
            return Verdict("Stopped", reasons.STOPPED_BY_USER, message)
    exhausted = i.last.get("reason") == reasons.RETRIES_EXHAUSTED
    return Verdict("Exhausted" if exhausted else "Failed", reasons.JOB_FAILED, message)


def stopped(i: RunInput) -> Verdict | None:
    if i.stop or i.last.get("reason") == reasons.STOPPED_BY_USER:
        return Verdict("Stopped", reasons.STOPPED_BY_USER, f"stopped by a person (spec.stop of {i.name})")
    return None


def job_failed(i: RunInput) -> Verdict | None:
    if i.job is None or not (i.job.result == "Failed" or i.job.failing):
        return None
    last = f"attempt {i.last['attempt']}: {i.last.get('message', i.last['result'])}"
    spent = i.job.reason == "BackoffLimitExceeded" or i.last.get("reason") in (
        reasons.RETRIES_EXHAUSTED,
        reasons.NO_PROGRESS,
    )
    why = f" ({i.job.message or i.job.reason})" if i.job.message or i.job.reason else ""
    return Verdict("Exhausted" if spent else "Failed", reasons.JOB_FAILED, f"Job {i.job.name} has failed{why}; {last}")


def job_gone(i: RunInput) -> Verdict | None:
    if not i.job_name or i.job is not None:
        return None
    last = f"attempt {i.last['attempt']}: {i.last.get('message', i.last['result'])}"
    return Verdict("Failed", reasons.JOB_GONE, f"Job {i.job_name} is gone, so no further attempt comes; {last}")


def without_job(i: RunInput) -> Verdict | None:
    """Nobody is known who would start another process; whoever claims the run again makes it run again."""
    if i.job_name:
        return None
    last = f"attempt {i.last['attempt']}: {i.last.get('message', i.last['result'])}"
    return Verdict("Waiting", reasons.NO_CONTROLLER, f"no Job starts the next attempt; {last}")


def suspended(i: RunInput) -> Verdict | None:
    if i.job is None or not i.job.suspended:
        return None
    return Verdict("Waiting", reasons.JOB_SUSPENDED, f"Job {i.job.name} is suspended")


def restarting(i: RunInput) -> Verdict | None:
    """The same pod goes on with another process."""
    pod = i.holder
    if pod is None or pod.over or pod.deletion is not None:
        return None
    doing = "has a new process, which has not claimed yet" if pod.running_since else "restarts its container"
    return Verdict("Waiting", reasons.RESTARTING, f"pod {pod.name} {doing}")


def terminating(i: RunInput) -> Verdict | None:
    pod = next((p for p in i.pods if p.deletion is not None and not p.over), None)
    if pod is None or pod.deletion is None:
        return None
    text = f"waits for pod {pod.name} on node {pod.node} to end, which may take until {pod.deletion:%H:%M:%S} UTC"
    return Verdict("Waiting", reasons.POD_TERMINATING, text, pod.deletion + SILENT_NODE)


def next_pod(i: RunInput) -> Verdict | None:
    pod = next((p for p in i.pods if not p.over and p.deletion is None), None)
    if pod is None:
        return None
    where = f" on node {pod.node}" if pod.node else ", which has no node yet"
    return Verdict("Waiting", reasons.POD_STARTING, f"waits for pod {pod.name} ({pod.phase.lower()}){where}")


def backing_off(i: RunInput) -> Verdict:
    ended = sum(pod.over for pod in i.pods)
    pause = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(10, max(0, ended - 1)))
    since = moment(i.last.get("endTime"))
    about = f", about {since + timedelta(seconds=pause):%H:%M:%S} UTC" if since else ""
    return Verdict(
        "Waiting",
        reasons.JOB_BACK_OFF,
        f"Job {i.job_name} starts the next pod after a pause of its own{about} ({ended} have ended)",
    )


CHAIN: Final[tuple[Callable[[RunInput], Verdict | None], ...]] = (
    never_claimed,
    node_lost,
    running,
    completed,
    already_over,
    stopped,
    job_failed,
    job_gone,
    without_job,
    suspended,
    restarting,
    terminating,
    next_pod,
)


def run_state(i: RunInput) -> Verdict:
    """First verdict of the chain, in the order above; else the Job's own pause is waited for."""
    return next((v for rule in CHAIN if (v := rule(i)) is not None), None) or backing_off(i)


# --- what follows from it ---------------------------------------------------------------------------------------------


def conditions(i: RunInput, verdict: Verdict) -> list[Condition]:
    """Ready, Active, RetriesExhausted."""
    active = Condition("Active", "True" if verdict.state == "Running" else "False", verdict.reason, verdict.message)
    allowed = verdict.state not in ("Stopped", "Exhausted")
    step = f" (step {i.resume.step})" if i.resume.step is not None else ""
    would = f"an attempt that started now would load {i.resume.checkpoint}{step}: " if i.resume.checkpoint else ""
    ready = Condition(
        "Ready",
        "True" if allowed else "False",
        i.resume.reason if allowed else verdict.reason,
        f"{would}{i.resume.message}" if allowed else verdict.message,
    )
    spent = i.charged > i.limit or verdict.state == "Exhausted"
    exhausted = Condition(
        "RetriesExhausted",
        "True" if spent else "False",
        reasons.RETRIES_EXHAUSTED if spent else reasons.WITHIN_BUDGET,
        f"{i.charged} of {i.limit} failures without progress",
    )
    return [ready, active, exhausted]


def outcome(i: RunInput, verdict: Verdict) -> JsonObject | None:
    """``status.outcome``; None while the run goes on."""
    if not verdict.over:
        return None
    result = verdict.state if verdict.state in ("Succeeded", "Stopped") else "Failed"
    if i.outcome.get("result") == result:
        return i.outcome
    at = (i.job.ended if i.job is not None else "") or i.last.get("endTime") or rfc3339(i.now)
    return {"result": result, "message": verdict.message[:1000], "time": at}
