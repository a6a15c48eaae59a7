"""What the operator keeps of an object, once a watch has told it: the fields that decisions rest on. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from trainpoint.clock import parse_rfc3339
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import CheckpointRef, parse_checkpoint_name, run_object_name
from trainpoint.policies.app_files import timestamp_of

DISRUPTION = "DisruptionTarget"
JOB_NAME = "batch.kubernetes.io/job-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
MAIN_CONTAINER = "kubectl.kubernetes.io/default-container"
WAITING_LIMIT = 200
ASKING_ANNOTATIONS = ("trainpoint.dev/checkpoint", "trainpoint.dev/resume-from")
"""How a pod says what it is to start from; its variables and its program's arguments may, too."""
_BETWEEN_WORDS = re.compile(r"[^A-Za-z0-9._-]+")
_SOON_OVER = frozenset({"ContainerCreating", "PodInitializing"})


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
    pin: Mapping[str, str] | None
    """``spec.pin``"""
    late_metrics: Mapping[str, str]
    """``spec.lateMetrics``"""
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
            pin=spec.get("pin"),
            late_metrics=spec.get("lateMetrics", {}),
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
        """Name of its CheckpointRun. By its identity, since anybody may give an object another name."""
        return run_object_name(self.ref.task)

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
    """None: it never ran, or that is not known"""
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod of a Job. Of its containers only the one that trains: the default container, else the first."""

    namespace: str
    name: str
    uid: str
    node: str
    job: str
    """name of the Job it belongs to"""
    index: str
    """its completion index; empty where the Job is not indexed"""
    phase: str
    reason: str
    """why it is in that phase, such as ``Evicted``"""
    message: str
    """the same in a sentence"""
    asked: datetime | None
    """when its deletion was asked for"""
    deletion: datetime | None
    """until when it may take to end: ``asked`` plus its grace period"""
    disruption: str
    """reason of its condition DisruptionTarget"""
    disrupted: datetime | None
    """since when it has that condition"""
    ends: tuple[ContainerEnd, ...]
    """of the newest process, if it has ended, and of the one before its last restart"""
    running_since: datetime | None
    """when the process that runs now began, by the node's clock"""
    waiting: str
    """what keeps it from running, such as ``ImagePullBackOff: …``; empty where nothing unusual does"""

    @classmethod
    def of(cls, value: JsonObject) -> PodView:
        meta, spec, status = _meta(value), value.get("spec", {}), value.get("status", {})
        labels = meta.get("labels") or {}
        conditions: dict[str, JsonObject] = {c["type"]: c for c in status.get("conditions") or ()}
        disruption = conditions.get(DISRUPTION, {})
        if disruption.get("status") != "True":
            disruption = {}
        container = _main_container(meta, spec, status)
        states = [container.get(part) or {} for part in ("lastState", "state")]
        deletion = moment(meta.get("deletionTimestamp"))
        grace = timedelta(seconds=float(meta.get("deletionGracePeriodSeconds") or 0))
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            node=spec.get("nodeName", ""),
            job=labels.get(JOB_NAME, ""),
            index=labels.get(COMPLETION_INDEX) or (meta.get("annotations") or {}).get(COMPLETION_INDEX, ""),
            phase=status.get("phase", ""),
            reason=status.get("reason", ""),
            message=status.get("message", "")[:WAITING_LIMIT],
            asked=deletion - grace if deletion is not None else None,
            deletion=deletion,
            disruption=disruption.get("reason", ""),
            disrupted=moment(disruption.get("lastTransitionTime")),
            ends=tuple(_end(s["terminated"]) for s in states if s.get("terminated")),
            running_since=moment((states[1].get("running") or {}).get("startedAt")),
            waiting=_waiting(states[1].get("waiting") or {}, conditions.get("PodScheduled", {})),
        )

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


def _main_container(meta: JsonObject, spec: JsonObject, status: JsonObject) -> JsonObject:
    """The status of the container that trains. Their order in the status is that of their names, not of the spec."""
    statuses: list[JsonObject] = status.get("containerStatuses") or []
    first = next((str(c.get("name", "")) for c in spec.get("containers") or ()), "")
    wanted = (meta.get("annotations") or {}).get(MAIN_CONTAINER) or first
    found = [one for one in statuses if one.get("name") == wanted]
    return next(iter(found or statuses), {})


def _waiting(container: JsonObject, scheduled: JsonObject) -> str:
    told = container if container.get("reason") not in _SOON_OVER else {}
    if scheduled.get("status") == "False":
        told = scheduled
    return ": ".join(str(told[part]) for part in ("reason", "message") if told.get(part))[:WAITING_LIMIT]


def _end(terminated: JsonObject) -> ContainerEnd:
    started = moment(terminated.get("startedAt"))
    return ContainerEnd(
        exit_code=int(terminated.get("exitCode", 0)),
        signal=int(terminated.get("signal", 0)),
        reason=str(terminated.get("reason", "")),
        # A container that could not be started at all "started" in 1970.
        started=started if started is not None and started.year > 1970 else None,
        finished=moment(terminated.get("finishedAt")),
    )


def _asks(template: JsonObject) -> tuple[str, ...]:
    """The checkpoints that annotations, variables and arguments name: a name alone, ``--checkpoint=NAME``, a line for a
    shell."""
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    spec = template.get("spec") or {}
    said = [annotations.get(name) for name in ASKING_ANNOTATIONS]
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        said += (*(container.get("command") or ()), *(container.get("args") or ()))
        said += (one.get("value") for one in container.get("env") or ())
    words = (word for text in said if text for word in _BETWEEN_WORDS.split(str(text)))
    return tuple(w for w in words if timestamp_of(w) is not None or parse_checkpoint_name(w) is not None)


@dataclass(frozen=True, slots=True)
class JobView:
    """A Job."""

    namespace: str
    name: str
    uid: str
    controller: str
    """UID of what has made it, such as a JobSet; empty for one of its own"""
    result: str
    """``Complete`` or ``Failed`` once it is over; else empty"""
    reason: str
    message: str
    ended: str
    """when, RFC 3339"""
    failing: bool
    """it has failed and waits for its last pods to end"""
    suspended: bool
    failed_indexes: str
    """of an indexed Job, those that are not tried again: ``1,3-5``"""
    asks: tuple[str, ...]
    """what its pods are to start from, as their annotations, environment and arguments say it"""

    @classmethod
    def of(cls, value: JsonObject) -> JobView:
        meta, status = _meta(value), value.get("status", {})
        true: dict[str, JsonObject] = {c["type"]: c for c in status.get("conditions") or () if c["status"] == "True"}
        over = next((true[t] for t in ("Complete", "Failed") if t in true), {})
        telling = over or true.get("FailureTarget", {})
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            controller=next((str(o["uid"]) for o in meta.get("ownerReferences") or () if o.get("controller")), ""),
            result=over.get("type", ""),
            reason=telling.get("reason", ""),
            message=telling.get("message", ""),
            ended=over.get("lastTransitionTime", ""),
            failing="FailureTarget" in true,
            suspended="Suspended" in true,
            failed_indexes=status.get("failedIndexes") or "",
            asks=_asks(value.get("spec", {}).get("template", {})),
        )

    def is_of(self, launch: str) -> bool:
        """Whether it is what was launched, or was made for that: a JobSet makes its Jobs, and makes them anew."""
        return launch in (self.uid, self.controller)

    def has_failed(self, index: str) -> bool:
        """Whether that completion index is not tried again; never for an empty one."""
        if not index:
            return False
        ranges = (part.partition("-") for part in self.failed_indexes.split(",") if part)
        return any(int(first) <= int(index) <= int(last or first) for first, _, last in ranges)
