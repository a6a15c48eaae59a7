"""What the operator keeps of an object, once a watch has told it: the fields that decisions rest on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trainpoint.clock import parse_rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import CheckpointRef

DISRUPTION = "DisruptionTarget"
JOB_NAME = "batch.kubernetes.io/job-name"


def moment(text: object) -> datetime | None:
    """A time of the API server; None for an absent one, and for one that cannot be read."""
    try:
        return parse_rfc3339(str(text)) if text else None
    except ValueError:
        return None


def _meta(value: JsonObject) -> JsonObject:
    found: JsonObject = value["metadata"]
    return found


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """A Checkpoint."""

    namespace: str
    name: str
    uid: str
    version: str
    """resourceVersion"""
    generation: int
    created: datetime
    deletion: datetime | None
    """since when it is to be deleted"""
    finalizers: tuple[str, ...]
    ref: CheckpointRef
    step: int | None
    series: str
    latest: bool
    metrics: Mapping[str, str]
    """decimal text by name, late ones too"""
    store: str
    """name of the CheckpointStore; empty where the program named a store by its address"""
    retain: bool
    """``deletionPolicy: Retain``"""
    pod_uid: str
    status: JsonObject

    @classmethod
    def of(cls, value: JsonObject) -> CheckpointView:
        meta, spec = _meta(value), value["spec"]
        s = spec["snapshot"]
        task = TaskPath(s["workflow"], s["run"], s["task"], s.get("index", ""), meta["namespace"])
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            version=meta["resourceVersion"],
            generation=int(meta.get("generation", 0)),
            created=parse_rfc3339(meta["creationTimestamp"]),
            deletion=moment(meta.get("deletionTimestamp")),
            finalizers=tuple(meta.get("finalizers") or ()),
            ref=CheckpointRef(task, SnapshotId(int(s["attempt"]), int(s["sequence"]), s["uid"])),
            step=s.get("step"),
            series=s.get("series", ""),
            latest=s.get("latest", True),
            metrics={**spec.get("lateMetrics", {}), **s.get("metrics", {})},
            store=s.get("storeRef", {}).get("name", ""),
            retain=spec.get("deletionPolicy") == "Retain",
            pod_uid=s.get("createdBy", {}).get("podUID", ""),
            status=value.get("status", {}),
        )

    @property
    def meta(self) -> JsonObject:
        """What a patch of its status needs of its metadata."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
            "resourceVersion": self.version,
            "generation": self.generation,
        }

    @property
    def run_object(self) -> str:
        """Name of its CheckpointRun, which its own begins with."""
        return self.name.rsplit("-", 3)[0]

    @property
    def attempt(self) -> int:
        return self.ref.id.attempt

    @property
    def commit(self) -> JsonObject:
        """``status.commit``; empty while it is not committed."""
        found: JsonObject = self.status.get("commit", {})
        return found

    @property
    def state(self) -> str:
        return str(self.status.get("state", ""))

    @property
    def stored_bytes(self) -> int:
        return int(self.commit.get("storedBytes", 0))

    @property
    def good(self) -> bool:
        """May an attempt start from it, as far as is known?"""
        return bool(self.commit) and self.deletion is None and self.state in ("", "Saving", "Committed", "Verified")


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How one process of a container ended."""

    exit_code: int
    signal: int
    """0: not by a signal, as far as the container runtime says"""
    reason: str
    """``Error``, ``OOMKilled``, …"""
    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a Job."""

    namespace: str
    name: str
    uid: str
    node: str
    job: str
    """name of the Job it belongs to"""
    phase: str
    reason: str
    """why it is in that phase, such as ``Evicted``"""
    deletion: datetime | None
    """until when it may take to end; the time of the request plus its grace period"""
    grace_seconds: float
    disruption: str
    """reason of its condition DisruptionTarget"""
    disruption_message: str
    ends: tuple[ContainerEnd, ...]
    """of the newest process of each container that ended, and of the one before its last restart"""
    running_since: datetime | None
    """when the newest process that runs now began, by the node's clock"""

    @classmethod
    def of(cls, value: JsonObject) -> PodView:
        meta, spec, status = _meta(value), value.get("spec", {}), value.get("status", {})
        disruption: JsonObject = next(
            (c for c in status.get("conditions") or () if c["type"] == DISRUPTION and c["status"] == "True"), {}
        )
        containers = status.get("containerStatuses") or ()
        states = [c.get(part, {}) for c in containers for part in ("lastState", "state")]
        began = [moment(c.get("state", {}).get("running", {}).get("startedAt")) for c in containers]
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            node=spec.get("nodeName", ""),
            job=(meta.get("labels") or {}).get(JOB_NAME, ""),
            phase=status.get("phase", ""),
            reason=status.get("reason", ""),
            deletion=moment(meta.get("deletionTimestamp")),
            grace_seconds=float(spec.get("terminationGracePeriodSeconds") or 0),
            disruption=disruption.get("reason", ""),
            disruption_message=disruption.get("message", ""),
            ends=tuple(_end(s["terminated"]) for s in states if "terminated" in s),
            running_since=max(filter(None, began), default=None),
        )

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


def _end(terminated: JsonObject) -> ContainerEnd:
    return ContainerEnd(
        exit_code=int(terminated.get("exitCode", 0)),
        signal=int(terminated.get("signal", 0)),
        reason=str(terminated.get("reason", "")),
        started=moment(terminated.get("startedAt")),
        finished=moment(terminated.get("finishedAt")),
    )


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job."""

    namespace: str
    name: str
    uid: str
    result: str
    """``Complete`` or ``Failed`` once it is over; else empty"""
    reason: str
    message: str
    ended: str
    """when, RFC 3339"""
    failing: bool
    """it has failed and waits for its last pods to end"""
    suspended: bool
    grace_seconds: float

    @classmethod
    def of(cls, value: JsonObject) -> JobView:
        meta, spec, status = _meta(value), value.get("spec", {}), value.get("status", {})
        true: dict[str, JsonObject] = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
        over = next((true[t] for t in ("Complete", "Failed") if t in true), {})
        telling = over or true.get("FailureTarget", {})
        template = spec.get("template", {}).get("spec", {})
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            result=over.get("type", ""),
            reason=telling.get("reason", ""),
            message=telling.get("message", ""),
            ended=over.get("lastTransitionTime", ""),
            failing="FailureTarget" in true,
            suspended="Suspended" in true,
            grace_seconds=float(template.get("terminationGracePeriodSeconds") or 30),
        )
