"""How an attempt ended, from its pod and from what it said itself. Pure.

What a container's status says goes first, then what its pod's says, then what the attempt itself wrote down. A pod
object is gone a second after its pod ended, so its last sight is kept for a while (``trainpoint_operator.pods``); what
nobody saw is ``Unknown``, which is never charged.
"""

from __future__ import annotations

import re
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
STARTUP: Final = timedelta(seconds=0.2)
"""No process claims sooner after the start of its container: it has an interpreter to start and libraries to load."""
SKEW: Final = timedelta(seconds=10)
"""How far the clocks of a node and of the API server may be apart."""
LEAVING: Final = timedelta(seconds=10)
"""So long a process that has said "completed" may take to exit, and its exit code counts; beyond, its word does."""
_DISRUPTIONS: Final = {
    "DeletionByTaintManager": "its node was lost or drained",
    "EvictionByEvictionAPI": "evicted",
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByPodGC": "its node is gone",
    "TerminationByKubelet": "ended by its node, which was shut down or under pressure",
}
_HIGHEST_SIGNAL: Final = 64
_REASON: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended."""

    result: Result
    reason: str
    message: str
    time: str
    """RFC 3339"""
    exit_code: int | None = None
    """0 to 255; 128 + n for signal n"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of one attempt before it is asked how it ended."""

    pod_name: str
    """empty: its process runs in no pod"""
    pod_uid: str
    started: datetime | None
    """when it claimed, by the clock of its node"""
    said: JsonObject
    """``claim.end`` as it wrote it; empty where it wrote nothing"""
    refused: JsonObject
    """``claim.refused``; empty where it was allowed"""
    replaced: bool
    """a later attempt has claimed the run"""
    followed: datetime | None = None
    """when it did so, where that was in the same pod"""
    skipped: bool = False
    """there were attempts between these two, of which nothing is known"""

    @property
    def who(self) -> str:
        return f"pod {self.pod_name}" if self.pod_name else "its process"

    @property
    def message(self) -> str:
        """What it said of its end, on one line."""
        return " ".join(str(self.said.get("message", "")).split())

    @property
    def code(self) -> int | None:
        """The exit code that it said it would leave with."""
        code, signal = self.said.get("exitCode"), self.said.get("signal")
        return int(code) if code is not None else 128 + int(signal) if signal else None


def attempt_of(entry: JsonObject, claim: JsonObject) -> Attempt:
    """From an entry of ``status.attempts``, and the run's newest claim."""
    current = entry.get("nonce") == claim.get("nonce")
    same_pod = bool(entry.get("podUID")) and claim.get("holder", {}).get("uid") == entry["podUID"]
    return Attempt(
        pod_name=str(entry.get("podName", "")),
        pod_uid=str(entry.get("podUID", "")),
        started=moment(entry.get("startTime")),
        said=claim.get("end", {}) if current else {},
        refused=claim.get("refused", {}) if current else {},
        replaced=not current,
        followed=moment(claim.get("time")) if same_pod and not current else None,
        skipped=int(claim.get("attempt", 0)) > int(entry.get("attempt", 0)) + 1,
    )


def ending(attempt: Attempt, pod: PodView | None, *, gone: bool, now: datetime) -> Ending | None:
    """How it ended; None while it goes on.

    Args:
        pod: its pod as it was last seen.
        gone: the API server has that pod no more.
    """
    found = _refused(attempt)
    if found is None and pod is not None:
        end = _end_of_process(attempt, pod)
        found = _by_container(attempt, pod, end) if end is not None else None
        if found is None and not gone and not pod.over and _still_runs(attempt, pod):
            return _while_it_runs(attempt, pod, now)
    found = found or _unseen(attempt, pod, gone=gone)
    return _tidy(found, attempt, now) if found is not None else None


# --- which process it was ---------------------------------------------------------------------------------------------


def _end_of_process(attempt: Attempt, pod: PodView) -> ContainerEnd | None:
    """The end of the process that claimed: one that had begun before the claim, and ended after it.

    Where one process has ended and the next begun within the second of the claim, both may be meant. Then the one that
    runs, or else the later one, is believed to have claimed; unless the next attempt is known to be its.
    """
    if attempt.started is None:
        return None
    mine = _may_be_of(attempt.started, pod)
    if attempt.followed is not None:
        theirs = _may_be_of(attempt.followed, pod)
        if theirs and (pod.running_since is None or pod.running_since + STARTUP > attempt.followed):
            mine = [end for end in mine if end != theirs[-1]]
        if attempt.skipped:  # one that began in the second of the claim may be theirs who came between
            mine = [end for end in mine if end.started is not None and end.started + SLACK <= attempt.started]
    elif pod.running_since is not None and pod.running_since + STARTUP <= attempt.started:
        return None
    return mine[-1] if mine else None


def _may_be_of(claimed: datetime, pod: PodView) -> list[ContainerEnd]:
    """Ends of processes that may have claimed at that moment, the later one last."""
    found = [
        (end.started, end.finished, end)
        for end in pod.ends
        if end.started is not None
        and end.finished is not None
        and end.started + STARTUP <= claimed <= end.finished + SLACK
    ]
    return [end for *_, end in sorted(found, key=lambda one: one[:2])]


def _still_runs(attempt: Attempt, pod: PodView) -> bool:
    """Whether the process that claimed may be at work in this pod, as far as its containers tell."""
    if attempt.followed is not None:
        return False
    if attempt.started is None:
        return True
    later = [end.started for end in pod.ends if end.started is not None]
    later += [pod.running_since] if pod.running_since is not None else []
    return not any(begun + STARTUP > attempt.started for begun in later)


def _from_outside(pod: PodView, end: ContainerEnd | None = None) -> tuple[str, str] | None:
    """Reason and message of a disruption of the pod, if one has ended that process."""
    if pod.disruption and _concerns(pod.disrupted, pod, end, last=True):
        return pod.disruption, f"{_DISRUPTIONS.get(pod.disruption, 'disrupted')} ({pod.disruption})"
    if pod.deletion is not None and _concerns(pod.asked, pod, end, last=False):
        return reasons.POD_DELETED, f"pod {pod.name} was deleted"
    if pod.over and pod.reason and pod.reason != reasons.DEADLINE_EXCEEDED and _is_last(pod, end):
        return pod.reason, f"{pod.message or 'ended by its node'} ({pod.reason})"
    return None


def _concerns(since: datetime | None, pod: PodView, end: ContainerEnd | None, *, last: bool) -> bool:
    """Whether what has befallen a pod since then has ended that process, and not a later one, or none at all.

    Args:
        last: the pod's last process is meant in any case, whatever the clocks say.
    """
    if end is None or end.finished is None or since is None or (last and _is_last(pod, end)):
        return True
    return end.finished + SLACK + SKEW >= since


def _is_last(pod: PodView, end: ContainerEnd | None) -> bool:
    if end is None or end.started is None:
        return True
    others = [one.started for one in pod.ends if one is not end and one.started is not None]
    return pod.running_since is None and all(begun <= end.started for begun in others)


# --- how it ended -----------------------------------------------------------------------------------------------------


def _refused(attempt: Attempt) -> Ending | None:
    if not attempt.refused:
        return None
    reason, message = str(attempt.refused["reason"]), str(attempt.refused["message"])
    return Ending("Refused", reason, message, rfc3339(attempt.started) if attempt.started else "", EXIT_REFUSED)


def _by_container(attempt: Attempt, pod: PodView, end: ContainerEnd) -> Ending:
    at = rfc3339(end.finished) if end.finished else ""
    code = end.exit_code
    if code == 0:
        asked = attempt.said.get("how") == "Preempted"
        text = "exit 0 after SIGTERM, which its Job counts as complete" if asked else "completed"
        return Ending("Completed", reasons.COMPLETED, text, at, 0)
    if code == EXIT_REFUSED:
        return _by_code(attempt, code, at)
    if (outside := _from_outside(pod, end)) is not None:
        return Ending("Disrupted", *outside, at, code)
    if pod.over and pod.reason == reasons.DEADLINE_EXCEEDED and _is_last(pod, end):
        return _too_late(at, code)
    if end.reason == reasons.OOM_KILLED:
        return Ending("Failed", reasons.OOM_KILLED, "out of memory: the limit of its container was reached", at, code)
    return _by_code(attempt, code, at, signal=end.signal)


def _too_late(at: str, code: int | None) -> Ending:
    return Ending("Failed", reasons.DEADLINE_EXCEEDED, "activeDeadlineSeconds of its pod have passed", at, code)


def _by_code(attempt: Attempt, code: int, at: str, *, signal: int = 0) -> Ending:
    if code == EXIT_REFUSED:
        return Ending("Refused", reasons.REFUSED, attempt.message or "it was not allowed to go on", at, code)
    if code == EXIT_SUPERSEDED:
        return Ending("Failed", reasons.SUPERSEDED, "a newer attempt took over", at, code)
    if code == EXIT_PREEMPTED:  # as in policies.retry: that is how schedulers and people end a process
        return Ending("Disrupted", reasons.PREEMPTED, "ended by SIGTERM", at, code)
    signal = signal or (code - 128 if 128 < code <= 128 + _HIGHEST_SIGNAL else 0)
    said = attempt.message
    if signal and not said:
        return Ending("Failed", reasons.KILLED, f"killed by signal {signal}", at, code)
    return Ending("Failed", reasons.EXITED, f"exit {code}" + (f": {said}" if said else ""), at, code)


def _while_it_runs(attempt: Attempt, pod: PodView, now: datetime) -> Ending | None:
    if attempt.said.get("how") == "Completed" and now >= (moment(attempt.said.get("time")) or now) + LEAVING:
        return _tidy(_by_itself(attempt), attempt, now)
    if attempt.replaced and (outside := _from_outside(pod)) is not None:  # its node does not answer
        return _tidy(Ending("Disrupted", *outside, ""), attempt, now)
    return None


def _unseen(attempt: Attempt, pod: PodView | None, *, gone: bool) -> Ending | None:
    """Nobody has seen its process end."""
    how = attempt.said.get("how")
    if how in ("Completed", "Refused"):
        return _by_itself(attempt)
    if pod is not None and (gone or pod.over):
        if (outside := _from_outside(pod)) is not None:
            return Ending("Disrupted", *outside, "", attempt.code)
        if pod.reason == reasons.DEADLINE_EXCEEDED:
            return _too_late("", attempt.code)
    if how:
        return _by_itself(attempt)
    if gone:
        text = f"{attempt.who} is gone, and nobody saw how it ended"
    elif pod is not None and pod.over:
        text = f"{attempt.who} has ended, and nobody saw how"
    elif attempt.replaced or pod is not None:
        text = f"{attempt.who} has another process now, and nobody saw how the one before ended"
        if not attempt.pod_name:
            text = "nobody saw how its process ended"
    else:
        return None
    return Ending("Unknown", reasons.NOT_SEEN, text, "")


def _by_itself(attempt: Attempt) -> Ending:
    at = str(attempt.said.get("time", ""))
    code = attempt.code
    match attempt.said["how"]:
        case "Completed":
            return Ending("Completed", reasons.COMPLETED, "completed", at, code)
        case "Preempted":
            return Ending("Disrupted", reasons.PREEMPTED, "ended by SIGTERM", at, code)
        case "Refused":
            return Ending("Refused", reasons.REFUSED, attempt.message or "it was not allowed to go on", at, code)
    if code is not None:
        return _by_code(attempt, code, at)
    return Ending("Failed", reasons.EXITED, attempt.message or "failed", at)


def _tidy(end: Ending, attempt: Attempt, now: datetime) -> Ending:
    """As the kind CheckpointRun takes it. Other programs' reasons may be any text; clocks may be apart."""
    at = moment(end.time) or now
    if attempt.started is not None:
        at = max(at, attempt.started)
    reason = end.reason if _REASON.fullmatch(end.reason) else reasons.DISRUPTED
    code = end.exit_code if end.exit_code is not None and 0 <= end.exit_code <= 255 else None
    return Ending(end.result, reason, end.message, rfc3339(at), code)
