"""``status.claim`` of a CheckpointRun: to JSON and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainpoint.api.names import API_VERSION, SAVE_REQUESTED
from trainpoint.catalog.labels import labels_of
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import task_to_json
from trainpoint.format.records import MESSAGE_LIMIT, EndRecord, Holder, LoadedRecord
from trainpoint.format.reference import run_object_name
from trainpoint.pod import Pod

REQUEST_LIMIT: Final = 253
"""The path of an app's file may be longer."""
SEEN_LIMIT: Final = 64
_POLICY: Final = {"fresh": "Fresh", "eager": "Eager", "none": "None"}


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """What a run object says of its newest attempt."""

    attempt: int
    nonce: str
    pod_name: str
    pod_uid: str
    process: Holder | None
    """to be compared with a process of the same machine"""
    time: str
    ended: bool


def held(run: JsonObject) -> HeldClaim | None:
    """The newest claim on a run object; None if there was none."""
    claim = run.get("status", {}).get("claim")
    if not claim:
        return None
    holder = claim["holder"]
    process = holder.get("process")
    return HeldClaim(
        attempt=int(claim["attempt"]),
        nonce=str(claim["nonce"]),
        pod_name=str(holder["name"]),
        pod_uid=str(holder["uid"]),
        process=None
        if not process
        else Holder(
            host=str(holder.get("host", "")),
            pid=int(process["pid"]),
            started=str(process["started"]),
            boot=str(process["boot"]),
            uid=str(process["uid"]),
            user=str(holder.get("user", "")),
        ),
        time=str(claim["time"]),
        ended="end" in claim or "refused" in claim,
    )


def save_request(run: JsonObject) -> str:
    """What people have last asked of a run's process, by annotation; empty: nothing."""
    return str((run.get("metadata", {}).get("annotations") or {}).get(SAVE_REQUESTED, ""))


def new_claim(pod: Pod, me: Holder, *, attempt: int, nonce: str, time: str, policy: str = "") -> JsonObject:
    """A claim as it begins. What the attempt before left in it is taken out by the nulls of the merge patch.

    Args:
        policy: name of the CheckpointPolicy that the attempt follows; empty: that of the claim before stays.
    """
    holder = {
        "name": pod.name,
        "uid": pod.uid,
        "nodeName": pod.node,
        "host": me.host,
        "user": me.user,
        "process": {"pid": me.pid, "started": me.started, "boot": me.boot, "uid": me.uid},
    }
    return {
        "attempt": attempt,
        "holder": holder,
        "nonce": nonce,
        "time": time,
        # Not of other controllers: whoever reads it looks for a Job of that name, and takes a missing one as gone.
        "job": pod.controller_name if pod.controller_kind == "Job" else None,
        **({"policy": policy} if policy else {}),
        "seen": None,
        "firstSequence": None,
        "loaded": None,
        "refused": None,
        "end": None,
    }


def stock_json(by_attempt: Mapping[int, int], first_sequence: int) -> JsonObject:
    """What the claim found in the store."""
    newest = sorted(by_attempt.items(), reverse=True)[:SEEN_LIMIT]
    return {
        "seen": [{"attempt": attempt, "sequence": sequence} for attempt, sequence in newest],
        "firstSequence": first_sequence,
    }


def loaded_json(loaded: LoadedRecord) -> JsonObject:
    """``status.claim.loaded``, for a merge patch. What is empty is null, which takes out what an earlier one has left:
    a program that chooses itself may load one after the other.
    """
    return {
        "checkpoint": loaded.checkpoint,
        "ref": _ref_json(loaded),
        "digest": loaded.digest,
        "step": loaded.step,
        "reason": loaded.reason,
        "message": loaded.message[:MESSAGE_LIMIT],
        "policy": _POLICY[loaded.policy],
        "source": loaded.source[:500],
        "skipped": [
            {"checkpoint": s.checkpoint, "reason": s.reason, "message": s.message[:500]}
            | ({} if s.step is None else {"step": s.step})
            for s in loaded.skipped[:20]
        ],
        "request": loaded.request[:REQUEST_LIMIT] or None,
        "requestBy": loaded.request_by if loaded.request else None,
        "since": loaded.since or None,
    }


def _ref_json(loaded: LoadedRecord) -> JsonObject | None:
    if loaded.task is None or loaded.snapshot is None:
        return None
    snapshot = loaded.snapshot
    return {
        **task_to_json(loaded.task),
        "attempt": snapshot.attempt,
        "sequence": snapshot.sequence,
        "uid": snapshot.uid,
    }


def end_json(end: EndRecord) -> JsonObject:
    """``status.claim.end``; members that are not known are left out."""
    value = {
        "how": end.how,
        "exitCode": end.exit_code,
        "signal": end.signal,
        "message": end.message[:MESSAGE_LIMIT] or None,
        "lastStep": end.last_step,
        "time": end.time,
    }
    return {key: item for key, item in value.items() if item is not None}


def run_body(task: TaskPath, *, owner: str, launch_uid: str, policy: str, store: str) -> JsonObject:
    """A CheckpointRun as the first claim of a task creates it."""
    optional = {"index": task.index, "owner": owner, "launchUID": launch_uid}
    identity = {"workflow": task.workflow, "run": task.run, "task": task.task}
    spec: JsonObject = {"identity": {**identity, **{k: v for k, v in optional.items() if v}}}
    if policy:
        spec["policyRef"] = {"name": policy}
    if store:
        spec["storeRef"] = {"name": store}
    return {
        "apiVersion": API_VERSION,
        "kind": "CheckpointRun",
        "metadata": {"name": run_object_name(task), "labels": labels_of(task, policy)},
        "spec": spec,
    }
