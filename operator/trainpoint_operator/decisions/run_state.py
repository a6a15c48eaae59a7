"""What a run is doing: its state, its conditions, what it waits for. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.clock import rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.records import MESSAGE_LIMIT
from trainpoint.policies.resume import Forecast
from trainpoint_operator.conditions import Condition
from trainpoint_operator.views import JobView, PodView, moment

State = Literal["Pending", "Running", "Waiting", "Succeeded", "Failed", "Exhausted", "Stopped"]
SILENT_NODE: Final = timedelta(seconds=5)
"""Past the end of its grace period, a pod that still runs is on a node that does not answer."""
LOOK_AGAIN: Final = timedelta(seconds=2)
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
    """that its Job has now, those of its other indexes and ranks too"""
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
    state: str = ""
    """as it stands; empty where nothing was written yet"""

    @property
    def last(self) -> JsonObject:
        """The newest attempt; empty where there was none."""
        return self.attempts[-1] if self.attempts else {}

    @property
    def holder(self) -> PodView | None:
        """The pod of the newest attempt, while the API server has it."""
        return next((pod for pod in self.pods if pod.uid == self.last.get("podUID")), None)

    @property
    def own_pods(self) -> list[PodView]:
        """Those that have claimed the run, or may."""
        return pods_of_task(self.pods, self.attempts, self.job_name)

    @property
    def job_goes_on(self) -> bool:
        return self.job is not None and not self.job.result and not self.job.failing

    @property
    def how_it_ended(self) -> str:
        """The newest attempt's end, for a message."""
        if not self.last:
            return "no process has claimed it"
        return f"attempt {self.last['attempt']}: {self.last.get('message') or self.last.get('result', 'goes on')}"

    @property
    def refusal(self) -> str:
        """Why the newest attempt has ended with exit code 86, which another one would meet again; empty: it has not.

        In the words of its claim, where that is still the newest: the list of attempts has room for less.
        """
        if self.last.get("reason") != reasons.REFUSED:
            return ""
        said = self.claim.get("end", {}) if self.claim.get("nonce") == self.last.get("nonce") else {}
        return f"attempt {self.last['attempt']}: {said.get('message') or self.last.get('message', '')}"


def pods_of_task(pods: Sequence[PodView], attempts: Sequence[JsonObject], job_name: str) -> list[PodView]:
    """Of a Job's pods those that start this task's attempts: of an indexed Job, those of one index alone.

    A pod is replaced by one of the same completion index, be that the index of a sweep or the first rank of a gang.
    """
    attempted = {entry.get("podUID") for entry in attempts}
    own = {pod.index for pod in pods if pod.uid in attempted}
    if not own and attempts:  # their objects are gone; an indexed Job's pod is named <job>-<index>-<random>
        named = re.fullmatch(rf"{re.escape(job_name)}-([0-9]+)-[a-z0-9]+", str(attempts[-1].get("podName", "")))
        own = {named[1]} if named else set()
    return [pod for pod in pods if not own or pod.index in own]


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
    return None if i.attempts or i.stop else Verdict("Pending", reasons.NOT_CLAIMED, "no process has claimed it yet")


def node_lost(i: RunInput) -> Verdict | None:
    """A pod that should have ended long ago: nothing replaces it until its node says so, or is taken out."""
    pods = i.own_pods if "result" in i.last else [pod for pod in (i.holder,) if pod is not None]
    late = (pod for pod in pods if not pod.over and pod.deletion is not None and i.now >= pod.deletion + SILENT_NODE)
    pod = next(late, None)
    if pod is None or pod.deletion is None:
        return None
    then = "; then the Job starts the next pod" if i.job_goes_on else ""
    return Verdict(
        "Waiting",
        reasons.NODE_LOST,
        f"waits for pod {pod.name} on node {pod.node}, which should have ended at {_time(pod.deletion)}; its "
        f"node does not answer; if it is gone for good: kubectl delete node {pod.node}, or kubectl taint node "
        f"{pod.node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute{then}",
    )


def running(i: RunInput) -> Verdict | None:
    if not i.last or "result" in i.last:
        return None
    where = f" in pod {i.last['podName']}" if i.last.get("podName") else ""
    where += f" on node {i.last['nodeName']}" if i.last.get("nodeName") else ""
    name = f"attempt {i.last['attempt']}"
    pod = i.holder
    if pod is not None and pod.deletion is not None:
        text = f"{name} is ending{where}, which may take until {_time(pod.deletion)}"
        return Verdict("Running", reasons.ENDING, text, pod.deletion + SILENT_NODE)
    if i.claim.get("end"):
        return Verdict(
            "Running", reasons.ENDING, f"{name} has ended{where}, and its process is about to", i.now + LOOK_AGAIN
        )
    return Verdict("Running", reasons.TRAINING, f"{name} trains{where}")


def completed(i: RunInput) -> Verdict | None:
    if i.last and i.job is not None and i.job.result == "Complete":
        return Verdict("Succeeded", reasons.COMPLETED, f"Job {i.job.name} is complete")
    if i.last.get("result") == "Completed":
        return Verdict("Succeeded", reasons.COMPLETED, f"attempt {i.last['attempt']} completed")
    return None


def already_over(i: RunInput) -> Verdict | None:
    """What was decided stands after its Job was cleaned up."""
    if not i.outcome or i.job is not None:
        return None
    message = str(i.outcome.get("message", ""))
    match i.outcome["result"]:
        case "Succeeded":
            return Verdict("Succeeded", reasons.COMPLETED, message)
        case "Stopped":
            return Verdict("Stopped", reasons.STOPPED_BY_USER, message)
    exhausted = i.state == "Exhausted" or i.last.get("reason") in _SPENT
    return Verdict("Exhausted" if exhausted else "Failed", reasons.JOB_FAILED, message)


def stopped(i: RunInput) -> Verdict | None:
    """By a person; the wish may be gone again, and a Job that it has ended stays ended."""
    if i.stop or (i.last.get("reason") == reasons.STOPPED_BY_USER and not i.job_goes_on):
        return Verdict("Stopped", reasons.STOPPED_BY_USER, f"stopped by a person (spec.stop of {i.name})")
    return None


_SPENT: Final = (reasons.RETRIES_EXHAUSTED, reasons.NO_PROGRESS)


def job_failed(i: RunInput) -> Verdict | None:
    if i.job is None or not (i.job.result == "Failed" or i.job.failing):
        return None
    spent = i.job.reason == "BackoffLimitExceeded" or i.last.get("reason") in _SPENT
    why = f" ({i.job.message or i.job.reason})" if i.job.message or i.job.reason else ""
    text = f"Job {i.job.name} has failed{why}; {i.how_it_ended}"
    return Verdict("Exhausted" if spent else "Failed", reasons.JOB_FAILED, text)


def index_failed(i: RunInput) -> Verdict | None:
    """With ``backoffLimitPerIndex`` one index is given up while the Job goes on with the others."""
    index = next((pod.index for pod in i.own_pods), "")
    if i.job is None or not i.job.has_failed(index):
        return None
    return Verdict("Exhausted", reasons.JOB_FAILED, f"index {index} of Job {i.job.name} has failed; {i.how_it_ended}")


def job_gone(i: RunInput) -> Verdict | None:
    if not i.job_name or i.job is not None:
        return None
    text = f"Job {i.job_name} is gone, so no further attempt comes; {i.how_it_ended}"
    return Verdict("Exhausted" if i.last.get("reason") in _SPENT else "Failed", reasons.JOB_GONE, text)


def suspended(i: RunInput) -> Verdict | None:
    if i.job is None or not i.job.suspended:
        return None
    return Verdict("Waiting", reasons.JOB_SUSPENDED, f"Job {i.job.name} is suspended")


def restarting(i: RunInput) -> Verdict | None:
    """The same pod goes on with another process."""
    pod = i.holder
    if pod is None or pod.over or pod.deletion is not None:
        return None
    if pod.running_since is not None:
        doing = "has a new process, which has not claimed yet"
    elif pod.waiting:
        doing = f"is to restart its container ({pod.waiting})"
    else:
        doing = "restarts its container, or is about to end"
    return Verdict("Waiting", reasons.RESTARTING, f"pod {pod.name} {doing}; {i.how_it_ended}")


def without_job(i: RunInput) -> Verdict | None:
    """Nobody is known who would start another process; whoever claims the run again makes it run again."""
    if i.job_name:
        return None
    return Verdict("Waiting", reasons.NO_CONTROLLER, f"no Job starts the next attempt; {i.how_it_ended}")


def terminating(i: RunInput) -> Verdict | None:
    pod = next((p for p in i.own_pods if p.deletion is not None and not p.over), None)
    if pod is None or pod.deletion is None:
        return None
    text = f"waits for pod {pod.name} on node {pod.node} to end, which may take until {_time(pod.deletion)}"
    return Verdict("Waiting", reasons.POD_TERMINATING, text, pod.deletion + SILENT_NODE)


def next_pod(i: RunInput) -> Verdict | None:
    pod = next((p for p in i.own_pods if not p.over and p.deletion is None), None)
    if pod is None:
        return None
    where = f" on node {pod.node}" if pod.node else ", which has no node yet"
    why = f": {pod.waiting}" if pod.waiting else ""
    return Verdict("Waiting", reasons.POD_STARTING, f"waits for pod {pod.name} ({pod.phase.lower()}){where}{why}")


def backing_off(i: RunInput) -> Verdict:
    # The Job counts every pod that failed, those of its other indexes too.
    ended = max(1, sum(pod.phase == "Failed" for pod in i.pods))
    pause = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(10, ended - 1))
    since = moment(i.last.get("endTime"))
    about = f", about {_time(since + timedelta(seconds=pause))}" if since else ""
    return Verdict(
        "Waiting",
        reasons.JOB_BACK_OFF,
        f"Job {i.job_name} starts the next pod after a pause of its own{about} ({ended} of its pods failed); "
        f"{i.how_it_ended}",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"


CHAIN: Final[tuple[Callable[[RunInput], Verdict | None], ...]] = (
    never_claimed,
    node_lost,
    running,
    completed,
    already_over,
    stopped,
    job_failed,
    index_failed,
    job_gone,
    suspended,
    restarting,
    without_job,
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
    step = f" (step {i.resume.step})" if i.resume.step is not None else ""
    would = f"an attempt that started now would load {i.resume.checkpoint}{step}: " if i.resume.checkpoint else ""
    if verdict.state in ("Stopped", "Exhausted"):
        ready = Condition("Ready", "False", verdict.reason, verdict.message)
    elif i.refusal:
        ready = Condition("Ready", "False", reasons.REFUSED, i.refusal)
    else:
        ready = Condition("Ready", "True", i.resume.reason, f"{would}{i.resume.message}")
    spent = i.charged > i.limit or verdict.state == "Exhausted"
    goes_on = "; its Job decides whether another pod comes" if spent and not verdict.over else ""
    exhausted = Condition(
        "RetriesExhausted",
        "True" if spent else "False",
        reasons.RETRIES_EXHAUSTED if spent else reasons.WITHIN_BUDGET,
        f"{i.charged} of {i.limit} failures without progress{goes_on}",
    )
    return [ready, active, exhausted]


def outcome(i: RunInput, verdict: Verdict) -> JsonObject | None:
    """``status.outcome``; None while the run goes on."""
    if not verdict.over:
        return None
    result = verdict.state if verdict.state in ("Succeeded", "Stopped") else "Failed"
    told, begun = moment(i.outcome.get("time")), moment(i.last.get("startTime"))
    again = told is not None and begun is not None and begun > told  # that was the end of an attempt before
    if i.outcome.get("result") == result and not again:
        return i.outcome
    at = (i.job.ended if i.job is not None else "") or i.last.get("endTime") or rfc3339(i.now)
    return {"result": result, "message": verdict.message[:MESSAGE_LIMIT], "time": at}
