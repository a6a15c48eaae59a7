"""What a claim writes into the store besides its own record, by whatever way it was won."""

from __future__ import annotations

from trainpoint.errors import ObjectNotFoundError
from trainpoint.format.layout import SnapshotId, TaskPath, manifest_key, run_key
from trainpoint.format.records import RunRecord, claim_mark
from trainpoint.store.base import Store


def put_fence(store: Store, task: TaskPath, *, attempt: int, uid: str, seen: int, time: str) -> None:
    """What earlier attempts commit above ``seen`` came too late (``claim.protocol``)."""
    key = manifest_key(task, SnapshotId(attempt, seen, uid), "fence")
    store.put(key, claim_mark("Fence", attempt=attempt, uid=uid, time=time))


def record_run(store: Store, task: TaskPath, *, owner: str, time: str) -> None:
    """The run began, unless another task of it has said so already. Before the first attempt of a task."""
    key = run_key(task.namespace, task.workflow, task.run)
    try:
        RunRecord.from_bytes(store.get(key), key=key)
    except ObjectNotFoundError:
        store.put(key, RunRecord(task.namespace, task.workflow, task.run, owner, time).to_bytes())
