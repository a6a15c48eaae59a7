"""The catalog of a cluster: checkpoints and runs as the API server's objects show them, without a key to the bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import get_args

from trainpoint.api.names import GROUP
from trainpoint.catalog.base import CheckpointInfo, Status
from trainpoint.catalog.kube import Kube
from trainpoint.clock import parse_rfc3339
from trainpoint.errors import CheckpointNotFoundError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import CheckpointRef

_STATES: Mapping[str, Status] = {state: state for state in get_args(Status)}


class ClusterCatalog:
    """Checkpoints and runs of one namespace."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def checkpoints(
        self, *, workflow: str = "", run: str = "", task: str = "", index: str = ""
    ) -> list[CheckpointInfo]:
        """Checkpoints, newest first: by the creation of their objects, then by attempt and sequence."""
        wanted = {"workflow": workflow, "run": run, "task": task, "index": index}
        labels = ",".join(f"{GROUP}/{name}={value}" for name, value in wanted.items() if value)
        objects = list(self.kube.list("checkpoints", labels=labels))
        newest: dict[str, str] = {}
        for value in objects:
            of_run, at = str(value["spec"]["snapshot"]["run"]), str(value["metadata"]["creationTimestamp"])
            newest[of_run] = max(at, newest.get(of_run, ""))
        infos = [info_of_object(value) for value in objects]
        return sorted(infos, key=lambda i: (newest[i.run], i.run, i.task, i.index, i.ref.id), reverse=True)

    def checkpoint(self, name: str) -> tuple[CheckpointInfo, JsonObject]:
        """One checkpoint, and its object. Raises CheckpointNotFoundError."""
        value = self.kube.get("checkpoints", name)
        if value is None:
            raise CheckpointNotFoundError(
                f"there is no checkpoint {name!r} in namespace {self.kube.namespace}",
                remedy="see what there is: kubectl get ckpt",
            )
        return info_of_object(value), value

    def runs(self, name: str = "") -> list[JsonObject]:
        """Run objects, newest first; those of the workflow, run, Job or object that is named."""
        found = list(self.kube.list("checkpointruns"))
        found.sort(key=lambda run: str(run["metadata"]["creationTimestamp"]), reverse=True)
        return [run for run in found if not name or name in _names(run)]


def _names(run: JsonObject) -> Iterator[str]:
    identity = run["spec"]["identity"]
    job = run.get("status", {}).get("claim", {}).get("job", "")
    yield from (identity["workflow"], identity["run"], f"{identity['workflow']}/{identity['run']}")
    yield from (run["metadata"]["name"], f"run/{identity['run']}")
    if job:
        yield from (job, f"job/{job}")


def info_of_object(value: JsonObject) -> CheckpointInfo:
    """The record that a Checkpoint object makes."""
    s, status = value["spec"]["snapshot"], value.get("status", {})
    commit = status.get("commit", {})
    metrics = {**value["spec"].get("lateMetrics", {}), **s.get("metrics", {})}
    time = commit.get("time") or value["metadata"]["creationTimestamp"]
    task = TaskPath(s["workflow"], s["run"], s["task"], s.get("index", ""), value["metadata"]["namespace"])
    return CheckpointInfo(
        ref=CheckpointRef(task, SnapshotId(int(s["attempt"]), int(s["sequence"]), s["uid"])),
        step=s.get("step"),
        epoch=s.get("epoch"),
        series=s.get("series", ""),
        metrics={name: float(text) for name, text in metrics.items()},
        metadata={name: _value(text) for name, text in s.get("metadata", {}).items()},
        owner=s.get("owner", ""),
        parents=tuple(s.get("parents", ())),
        time=parse_rfc3339(time),
        size=int(commit.get("sizeBytes", 0)),
        files=int(commit.get("files", 0)),
        status=_STATES.get(status.get("state", ""), "Committed" if commit else "Saving"),
        latest=s.get("latest", True),
        created_by=s.get("createdBy", {}),
        pinned=value["spec"].get("pin", {}).get("reason", ""),
    )


def _value(text: str) -> object:
    """Metadata on objects is JSON text; what is not JSON stands for itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
