"""How an attempt ended, from its pod and from what it said itself. Pure.

A pod object is gone a second after its pod ended, so its last sight is kept for a while (``trainpoint_operator.pods``);
what nobody saw is ``Unknown``, which is never charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.clock import rfc3339
from trainpoint.errors import EXIT_PREEMPTED, EXIT_REFUSED, EXIT_SUPERSEDED
from trainpoint.format.digest import JsonObject
from trainpoint_operator.views import ContainerEnd, PodView, moment

Result = Literal["Completed", "Failed", "Disrupted", "Refused", "Unknown"]
SLACK: Final = timedelta(seconds=1)
"""Container times are cut to seconds: what ended at 15.9 is said to have ended at 15."""
_DISRUPTIONS: Final = {
    "DeletionByTaintManager": "its node was lost or drained",
    "EvictionByEvictionAPI": "evicted",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "ended by its node, which was shut down or under pressure",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended."""

    result: Result
    reason: str
    message: str
    time: str
    """RFC 3339"""
    exit_code: int | None = None
    """128 + n for signal n"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one attempt before it is asked how it ended."""

    pod_name: str
    pod_uid: str
    started: datetime | None
    """when it claimed, by the clock of its node"""
    said: JsonObject
    """``claim.end`` as it wrote it; empty where it wrote nothing"""
    refused: JsonObject
    """``claim.refused``; empty where it was allowed"""
    replaced: bool
    """a later attempt has claimed the run"""


def ending(attempt: Attempt, pod: PodView | None, *, gone: bool, now: datetime) -> Ending | None:
    """How it ended; None while it goes on.

    Args:
        pod: its pod as it was last seen.
        gone: the API server has that pod no more.
    """
    at = rfc3339(now)
    if attempt.refused:
        text = f"{attempt.refused['reason']}: {attempt.refused['message']}"
        return Ending("Refused", str(attempt.refused["reason"]), text, at, EXIT_REFUSED)
    if pod is not None and (seen := _of_process(attempt, pod)) is not None:
        return _by_container(attempt, pod, seen, at)
    if pod is not None and (pod.over or gone) and pod.disruption:
        return Ending("Disrupted", pod.disruption, _disruption(pod), at, _said_code(attempt))
    if pod is not None and pod.over and pod.reason:
        return Ending("Disrupted", pod.reason, f"{pod.reason}: {pod.disruption_message or 'by its node'}", at)
    if attempt.said and (gone or attempt.replaced or pod is None or pod.over or attempt.said["how"] == "Completed"):
        return _by_itself(attempt, pod, at)
    if gone or attempt.replaced or (pod is not None and pod.over):
        deleted = pod is not None and pod.deletion is not None
        why = "was deleted" if deleted else "is gone" if gone else "has another process now"
        return Ending(
            "Disrupted" if deleted else "Unknown",
            reasons.POD_DELETED if deleted else reasons.NOT_SEEN,
            f"pod {attempt.pod_name} {why}; nobody saw how the attempt ended",
            at,
        )
    return None


def _of_process(attempt: Attempt, pod: PodView) -> ContainerEnd | None:
    """The end of the process that claimed: the one that ran when it did; None while that one runs."""
    at = attempt.started
    if at is None or (pod.running_since is not None and pod.running_since <= at):
        return None
    begun = [
        (end.started, end)
        for end in pod.ends
        if end.started and end.finished and end.started <= at <= end.finished + SLACK
    ]
    return max(begun, key=lambda pair: pair[0])[1] if begun else None


def _by_container(attempt: Attempt, pod: PodView, seen: ContainerEnd, now: str) -> Ending:
    code = seen.exit_code
    at = rfc3339(seen.finished) if seen.finished else now
    if code == 0:
        return Ending("Completed", reasons.COMPLETED, "completed", at, 0)
    if code == EXIT_REFUSED:
        return Ending("Refused", reasons.REFUSED, _said(attempt) or "it was not allowed to go on", at, code)
    if pod.disruption:
        return Ending("Disrupted", pod.disruption, _disruption(pod), at, code)
    if pod.deletion is not None:
        return Ending("Disrupted", reasons.POD_DELETED, f"pod {pod.name} was deleted", at, code)
    if code == EXIT_SUPERSEDED:
        return Ending("Failed", reasons.SUPERSEDED, "a newer attempt took over", at, code)
    if code == EXIT_PREEMPTED and attempt.said.get("how") == "Preempted":
        return Ending("Disrupted", reasons.PREEMPTED, "ended by SIGTERM", at, code)
    if seen.reason == "OOMKilled":
        return Ending("Failed", reasons.OOM_KILLED, "out of memory: the limit of its container was reached", at, code)
    signal = seen.signal or (code - 128 if code > 128 else 0)
    said = _said(attempt)
    if signal and not said:
        return Ending("Failed", reasons.KILLED, f"killed by signal {signal}", at, code)
    return Ending("Failed", reasons.EXITED, f"exit {code}" + (f": {said}" if said else ""), at, code)


def _by_itself(attempt: Attempt, pod: PodView | None, now: str) -> Ending:
    said = attempt.said
    at = str(said.get("time") or now)
    code = _said_code(attempt)
    match said["how"]:
        case "Completed":
            return Ending("Completed", reasons.COMPLETED, "completed", at, code)
        case "Preempted":
            by = pod.disruption if pod is not None and pod.disruption else reasons.POD_DELETED
            return Ending("Disrupted", by, "ended by SIGTERM", at, code)
        case "Refused":
            return Ending("Refused", reasons.REFUSED, _said(attempt) or "it was not allowed to go on", at, code)
        case _:
            text = f"exit {code}" if code is not None else "failed"
            return Ending("Failed", reasons.EXITED, text + (f": {_said(attempt)}" if _said(attempt) else ""), at, code)


def _said(attempt: Attempt) -> str:
    return str(attempt.said.get("message", ""))


def _said_code(attempt: Attempt) -> int | None:
    code = attempt.said.get("exitCode")
    return int(code) if code is not None and 0 <= int(code) <= 255 else None


def _disruption(pod: PodView) -> str:
    return f"{_DISRUPTIONS.get(pod.disruption, 'disrupted')} ({pod.disruption})"


def attempt_of(entry: JsonObject, claim: JsonObject) -> Attempt:
    """From an entry of ``status.attempts``, and the run's newest claim."""
    current = entry.get("nonce") == claim.get("nonce")
    return Attempt(
        pod_name=str(entry.get("podName", "")),
        pod_uid=str(entry.get("podUID", "")),
        started=moment(entry.get("startTime")),
        said=claim.get("end", {}) if current else {},
        refused=claim.get("refused", {}) if current else {},
        replaced=not current,
    )
