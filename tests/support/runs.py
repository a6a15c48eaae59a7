"""A run as the API server shows it: its Job, its pods as a kubelet writes them, its claims and its checkpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trainpoint.api.names import API_VERSION, DATA_FINALIZER
from trainpoint.clock import rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import checkpoint_name, run_object_name
from trainpoint_operator.views import CheckpointView, JobView, PodView

ZERO: Final = datetime(2026, 11, 22, 9, 12, tzinfo=UTC)
TASK: Final = TaskPath("llm", "llm-4c1d9e02ab", "main", namespace="team-a")
LAUNCH: Final = "4c1d9e02-ab57-4d0f-8a53-5b5f6f3f3a10"
DIGEST: Final = "ab" * 32


def at(seconds: float) -> datetime:
    """So many seconds after the run's beginning."""
    return ZERO + timedelta(seconds=seconds)


def fine(seconds: float) -> str:
    """As the SDK writes a time."""
    return rfc3339(at(seconds))


def coarse(seconds: float) -> str:
    """As Kubernetes writes a time: cut to seconds."""
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- pods -------------------------------------------------------------------------------------------------------------


def ended(start: float, end: float, code: int, reason: str = "", **more: Any) -> JsonObject:
    """The state of a container whose process has ended."""
    told = {"exitCode": code, "reason": reason or ("Completed" if code == 0 else "Error"), **more}
    return {"terminated": {**told, "startedAt": coarse(start), "finishedAt": coarse(end)}}


def running(start: float) -> JsonObject:
    return {"running": {"startedAt": coarse(start)}}


def waiting(reason: str, message: str = "") -> JsonObject:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def pod_object(
    state: JsonObject | None = None,
    *,
    last: JsonObject | None = None,
    phase: str = "Running",
    reason: str = "",
    message: str = "",
    name: str = "llm-x7k2p",
    uid: str = "pod-0",
    node: str = "gpu-7",
    job: str = "llm",
    index: str = "",
    deleted: float | None = None,
    grace: float = 30,
    disruption: str = "",
    disrupted: float = 0.0,
    unschedulable: str = "",
) -> JsonObject:
    """A pod with one container, ``trainer``.

    Args:
        deleted: when its deletion was asked for.
        disruption: reason of its condition DisruptionTarget.
    """
    labels = {"batch.kubernetes.io/job-name": job} if job else {}
    if index:
        labels["batch.kubernetes.io/job-completion-index"] = index
    meta: JsonObject = {"namespace": "team-a", "name": name, "uid": uid, "labels": labels}
    if deleted is not None:
        meta |= {"deletionTimestamp": coarse(deleted + grace), "deletionGracePeriodSeconds": grace}
    conditions = []
    if disruption:
        since = {"lastTransitionTime": coarse(disrupted)}
        conditions.append({"type": "DisruptionTarget", "status": "True", "reason": disruption, **since})
    if unschedulable:
        told = {"reason": "Unschedulable", "message": unschedulable}
        conditions.append({"type": "PodScheduled", "status": "False", **told})
    status: JsonObject = {"phase": phase, "conditions": conditions}
    status |= {"reason": reason} if reason else {}
    status |= {"message": message} if message else {}
    if state is not None:
        status["containerStatuses"] = [{"name": "trainer", "state": state, "lastState": last or {}}]
    spec = {"nodeName": node, "containers": [{"name": "trainer"}], "terminationGracePeriodSeconds": grace}
    return {"metadata": meta, "spec": spec, "status": status}


def pod(state: JsonObject | None = None, **more: Any) -> PodView:
    """See :func:`pod_object`."""
    return PodView.of(pod_object(state, **more))


# --- Jobs -------------------------------------------------------------------------------------------------------------


def job(*conditions: str, reason: str = "", message: str = "", ended: float = 0.0, **status: Any) -> JobView:
    """A Job with these conditions, all True."""
    since = coarse(ended)
    told = [
        {"type": c, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since}
        for c in conditions
    ]
    meta = {"namespace": "team-a", "name": "llm", "uid": LAUNCH}
    return JobView.of({"metadata": meta, "spec": {}, "status": {"conditions": told, **status}})


# --- claims -----------------------------------------------------------------------------------------------------------


def loaded(**more: Any) -> JsonObject:
    told = {"reason": "NothingFound", "message": "nothing to load (first attempt of this run)"}
    return {**told, "policy": "Fresh", "source": "CheckpointPolicy default", **more}


def claim(
    attempt: int = 0, time: float = 5.0, *, pod: str = "llm-x7k2p", uid: str = "pod-0", **more: Any
) -> JsonObject:
    """``status.claim`` of an attempt that has loaded nothing yet."""
    return {
        "attempt": attempt,
        "holder": {"name": pod, "uid": uid, "nodeName": "gpu-7"} if pod else {"name": "", "uid": ""},
        "nonce": f"{attempt:016x}",
        "job": "llm",
        "time": fine(time),
        **more,
    }


def end(how: str, code: int | None = None, *, time: float = 0.0, message: str = "", **more: Any) -> JsonObject:
    """``claim.end``."""
    told: JsonObject = {"how": how, "time": fine(time), **more}
    told |= {"exitCode": code} if code is not None else {}
    return told | ({"message": message} if message else {})


def entry(attempt: int = 0, time: float = 5.0, *, uid: str = "pod-0", **more: Any) -> JsonObject:
    """Of ``status.attempts``; one that runs unless ``more`` has a result."""
    return {
        "attempt": attempt,
        "nonce": f"{attempt:016x}",
        "podName": "llm-x7k2p",
        "podUID": uid,
        "nodeName": "gpu-7",
        "startTime": fine(time),
        **more,
    }


# --- checkpoints ------------------------------------------------------------------------------------------------------


def checkpoint_object(
    attempt: int = 0,
    sequence: int = 1,
    *,
    state: str = "Verified",
    saved: float | None = 60.0,
    deleted: float | None = None,
    task: TaskPath = TASK,
    **snapshot: Any,
) -> JsonObject:
    """A Checkpoint; ``saved``: when it was committed, None where it was not."""
    uid = f"{attempt:08x}{sequence:08x}"
    names = {"workflow": task.workflow, "run": task.run, "task": task.task}
    meta: JsonObject = {
        "namespace": task.namespace,
        "name": checkpoint_name(task, SnapshotId(attempt, sequence, uid)),
        "uid": f"ckpt-{attempt}-{sequence}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": coarse(saved or 0),
        "finalizers": [DATA_FINALIZER],
    }
    if deleted is not None:
        meta["deletionTimestamp"] = coarse(deleted)
    status: JsonObject = {"state": state} if state else {}
    if saved is not None:
        status["commit"] = {
            "manifestDigest": DIGEST,
            "sizeBytes": 12 * 2**30,
            "storedBytes": 7,
            "files": 1,
            "time": fine(saved),
        }
    return {
        "apiVersion": API_VERSION,
        "kind": "Checkpoint",
        "metadata": meta,
        "spec": {
            "snapshot": {
                **names,
                **({"index": task.index} if task.index else {}),
                "attempt": attempt,
                "sequence": sequence,
                "uid": uid,
                "storeRef": {"name": "main"},
                "createdBy": {"podName": "llm-x7k2p", "podUID": "pod-0"},
                **snapshot,
            }
        },
        "status": status,
    }


def checkpoint(attempt: int = 0, sequence: int = 1, **more: Any) -> CheckpointView:
    """See :func:`checkpoint_object`."""
    return CheckpointView.of(checkpoint_object(attempt, sequence, **more))


def run_object(task: TaskPath = TASK, *, status: JsonObject | None = None, **spec: Any) -> JsonObject:
    """A CheckpointRun."""
    names = {"workflow": task.workflow, "run": task.run, "task": task.task}
    return {
        "apiVersion": API_VERSION,
        "kind": "CheckpointRun",
        "metadata": {
            "namespace": task.namespace,
            "name": run_object_name(task),
            "uid": "run-0",
            "resourceVersion": "3",
            "generation": 1,
            "creationTimestamp": coarse(0),
        },
        "spec": {
            "identity": {**names, **({"index": task.index} if task.index else {}), "launchUID": LAUNCH},
            "storeRef": {"name": "main"},
            **spec,
        },
        "status": status or {},
    }
