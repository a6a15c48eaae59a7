"""Objects of the API as the tests create and patch them: the smallest that pass, to be changed in one place."""

from __future__ import annotations

import secrets
from typing import Any, Final

from tests.support.kubeserver import Pod
from trainpoint.api.names import API_VERSION
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.reference import checkpoint_name, run_object_name

Object = dict[str, Any]
DIGEST: Final = "ab" * 32
TIME: Final = "2026-11-22T09:12:05.000000Z"


def path(namespace: str, plural: str, name: str = "", subresource: str = "") -> str:
    """Where a collection, an object or its status lies in the API."""
    parts = ["/apis", API_VERSION, "namespaces", namespace, plural, name, subresource]
    return "/".join(part for part in parts if part)


def new_task(run: str = "") -> TaskPath:
    """A task of a run that nobody else has."""
    return TaskPath("llm", run or f"llm-{secrets.token_hex(5)}", "main")


def names_of(task: TaskPath) -> Object:
    """A task's names as the fields of an object; one without an index has no such field."""
    names = {"workflow": task.workflow, "run": task.run, "task": task.task, "index": task.index}
    return {name: text for name, text in names.items() if text}


def checkpoint(task: TaskPath, pod: Pod | None, *, attempt: int = 0, sequence: int = 1, **snapshot: object) -> Object:
    """A Checkpoint as the process in ``pod`` creates it; None: a process in no pod."""
    uid = secrets.token_hex(8)
    by = {"podName": pod.name, "podUID": pod.uid} if pod else {"host": "laptop", "pid": "7", "user": "me"}
    return {
        "apiVersion": API_VERSION,
        "kind": "Checkpoint",
        "metadata": {"name": checkpoint_name(task, SnapshotId(attempt, sequence, uid))},
        "spec": {
            "snapshot": {
                **names_of(task),
                "attempt": attempt,
                "sequence": sequence,
                "uid": uid,
                "createdBy": by,
                "storeRef": {"name": "main"},
                **snapshot,
            }
        },
    }


def commit(**changed: object) -> Object:
    """A patch that commits a checkpoint."""
    return {"status": {"commit": {"manifestDigest": DIGEST, "sizeBytes": 7, "files": 1, "time": TIME, **changed}}}


def run(task: TaskPath, **spec: object) -> Object:
    """A CheckpointRun as a process creates it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "CheckpointRun",
        "metadata": {"name": run_object_name(task)},
        "spec": {"identity": names_of(task), **spec},
    }


def claim(attempt: int, pod: Pod | None, *, nonce: str = "", **more: object) -> Object:
    """A patch that claims a run for the process in ``pod``; what the attempt before had left is set to null."""
    return {
        "status": {
            "claim": {
                "attempt": attempt,
                "holder": {"name": pod.name, "uid": pod.uid} if pod else {"name": "", "uid": ""},
                "nonce": nonce or secrets.token_hex(8),
                "time": TIME,
                "loaded": None,
                "refused": None,
                "end": None,
                **more,
            }
        }
    }


def loaded(**more: object) -> Object:
    """What an attempt started from: nothing."""
    return {
        "reason": "NothingFound",
        "message": "nothing to load",
        "policy": "Fresh",
        "source": "the default",
        **more,
    }


def condition(kind: str = "Ready", status: str = "True") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": "Sizes",
        "message": "every part has its size",
        "lastTransitionTime": TIME,
    }
