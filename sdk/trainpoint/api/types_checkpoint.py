"""Checkpoint as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from trainpoint.api.types_condition import Condition


class CheckpointSnapshotCreatedBy(TypedDict):
    """The process that saved. Fields are absent where they are not known."""

    podName: NotRequired[str]
    """Its pod. Absent for a process outside of the cluster."""
    podUID: NotRequired[str]
    """UID of its pod. Only that pod, and the operator, may write ``status.commit``."""
    nodeName: NotRequired[str]
    """The node that the pod ran on."""
    serviceAccount: NotRequired[str]
    """The service account of the pod."""
    image: NotRequired[str]
    """The container image of the pod."""
    codeRevision: NotRequired[str]
    """Revision of the training code, where the launcher gave it."""
    host: NotRequired[str]
    """Name of the machine, as the process saw it."""
    pid: NotRequired[str]
    """Number of the process on that machine, as text."""
    user: NotRequired[str]
    """The system's user of the process."""
    python: NotRequired[str]
    """Version of Python."""


class CheckpointSnapshotStoreRef(TypedDict):
    """The CheckpointStore, in the same namespace, that the bytes lie in. Absent where the program named a store by its
    address; the operator then neither verifies the bytes nor deletes them.
    """

    name: str
    """Name of the CheckpointStore."""


class CheckpointSnapshot(TypedDict):
    """What was saved, by whom, as part of what. Never changes."""

    workflow: str
    """The training program."""
    run: str
    """One launch of the workflow, with all its retries."""
    task: str
    """One step of the run; ``main`` where the program names none."""
    index: NotRequired[str]
    """Which one of a task's parallel copies, such as ``2`` or ``2.1``. Absent or empty in a single one."""
    attempt: int
    """Which start of the task saved it, counted from 0."""
    sequence: int
    """Order within the task and index. It goes on across attempts and is never used twice. The newest checkpoint is the
    one with the highest attempt, and within it the highest sequence.
    """
    uid: str
    """16 hexadecimal digits, drawn when the save began. Part of the place of the bytes in the store."""
    series: NotRequired[str]
    """The name of a kind of checkpoint within the task, as in ``save(name="best-loss")``. Absent or empty for none."""
    step: NotRequired[int]
    """Completed training steps, where the program gave them."""
    epoch: NotRequired[int]
    """Completed epochs, where the program gave them."""
    metrics: NotRequired[dict[str, str]]
    """Numbers by name, as decimal text; ``NaN``, ``Infinity`` and ``-Infinity`` are kept and are never best."""
    metadata: NotRequired[dict[str, str]]
    """What the program noted, by name. A value is JSON, such as ``0.1``, ``true`` or ``[1, 2]``; text that is not JSON
    stands for itself. At most 2048 characters in all.
    """
    parents: NotRequired[list[str]]
    """Names of the checkpoints that the task had loaded before, the last 64 at most."""
    owner: NotRequired[str]
    """The person who launched the run. Absent or empty where that is not known."""
    worldSize: NotRequired[int]
    """How many processes trained together."""
    latest: NotRequired[bool]
    """False keeps it from being chosen as the latest."""
    createdBy: NotRequired[CheckpointSnapshotCreatedBy]
    storeRef: NotRequired[CheckpointSnapshotStoreRef]


class CheckpointPin(TypedDict):
    """While it is set, the checkpoint cannot be deleted. Who may edit checkpoints may set it; to remove it or to delete
    a pinned checkpoint takes the verb ``unpin`` (role trainpoint-admin).
    """

    reason: str
    """Why it has to stay, for whoever would like to delete it."""
    by: NotRequired[str]
    """Who wants it to stay, as text; it is not checked."""


class CheckpointSpec(TypedDict):
    """What was saved, and what people want for it."""

    snapshot: CheckpointSnapshot
    pin: NotRequired[CheckpointPin]
    deletionPolicy: NotRequired[Literal["Delete", "Retain"]]
    """What becomes of the bytes when this object is deleted. ``Delete``: they are deleted. ``Retain``: they stay in the
    store.
    """
    lateMetrics: NotRequired[dict[str, str]]
    """Metrics found after the checkpoint was saved, such as those of an evaluation. May only be added to."""


class CheckpointStatusCommit(TypedDict):
    """The checkpoint is whole: its manifest lies in the store. Written once, by the pod that saved, or by the operator
    for a pod that could not reach the API server.
    """

    manifestDigest: str
    """BLAKE3 of the manifest's bytes, as 64 hexadecimal digits."""
    sizeBytes: int
    """Bytes of all files."""
    storedBytes: NotRequired[int]
    """Bytes that this checkpoint takes in the store."""
    files: int
    """How many files it has."""
    shards: NotRequired[int]
    """How many processes wrote a part of it."""
    time: str
    """When it was committed, by the clock of the process that saved. For people; nothing is ordered by it."""


class CheckpointStatusDisplay(TypedDict):
    """Short texts for the columns of ``kubectl get``. No program reads them."""

    metric: NotRequired[str]
    """The metric that the policy names, such as ``loss=0.033``."""
    size: NotRequired[str]
    """The size, such as ``12Gi``."""


class CheckpointStatus(TypedDict):
    """What was seen. ``commit`` is written by the pod that saved, all else by the operator."""

    observedGeneration: NotRequired[int]
    """The generation of the object that the operator has last looked at."""
    state: NotRequired[
        Literal["Saving", "Committed", "Verified", "Corrupt", "Failed", "Superseded", "Quarantined", "Deleting"]
    ]
    """The conditions in one word. ``Saving``: not committed yet. ``Committed``: the pod says that all is in the store.
    ``Verified``: the operator has seen that it is. ``Corrupt``: it is not what was saved. ``Failed``: the save was
    given up. ``Superseded``: committed after a later attempt had taken over; never chosen. ``Quarantined``: found in
    the store and not trusted. ``Deleting``: its bytes are going.
    """
    commit: NotRequired[CheckpointStatusCommit]
    conditions: NotRequired[list[Condition]]
    """``Committed``: its manifest is in the store. ``Verified``: what the manifest names is there, with reason
    ``Sizes`` (every part has its size). ``Ready``: committed, verified, neither corrupt nor superseded; it can be
    resumed from. ``DeletionBlocked``: it is to be deleted and cannot be; the message says why.
    """
    display: NotRequired[CheckpointStatusDisplay]


class Checkpoint(TypedDict):
    """Checkpoint is the record of one snapshot that a training job saved. Its bytes lie in a CheckpointStore. What was
    saved never changes; what people want for it (to pin it, for example) stands beside it. Deleting the object deletes
    the bytes, unless ``spec.deletionPolicy`` is ``Retain``.
    """

    apiVersion: NotRequired[str]
    """Always ``trainpoint.dev/v1alpha1``."""
    kind: NotRequired[str]
    """Always ``Checkpoint``."""
    metadata: NotRequired[dict[str, object]]
    spec: CheckpointSpec
    status: NotRequired[CheckpointStatus]
