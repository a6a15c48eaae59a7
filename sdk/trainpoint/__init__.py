"""Training checkpoints that always resume from something good.

>>> from trainpoint import Checkpoint
>>> with Checkpoint() as ckpt:
...     ckpt.load(ckpt.list(task="digits/digits-1/main")[0]).step
200
"""

from __future__ import annotations

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.errors import (
    AppFileError,
    BucketNotFoundError,
    ChangedDuringSaveError,
    CheckpointDeletedError,
    CheckpointNotFoundError,
    ClosedError,
    ClusterPermissionError,
    ClusterUnreachableError,
    ComponentError,
    ConflictError,
    CorruptCheckpointError,
    CorruptRecordError,
    IdentityError,
    IncompatibleStateError,
    InvalidArgumentError,
    LocalFileError,
    MetricRecordedError,
    NewerFormatError,
    NoCurrentCheckpointError,
    NotConfiguredError,
    NotInJobError,
    NotMatchingError,
    NotVisibleError,
    ObjectChangedError,
    ObjectNotFoundError,
    PinnedError,
    PolicyError,
    PolicyFileError,
    RanksError,
    ReadOnlyStoreError,
    RefusedError,
    ResumeRequestError,
    RunNotFoundError,
    SaveFailedError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    StoreUrlError,
    SupersededError,
    TrainpointError,
    UnsafePathError,
    UnstorableError,
    UnsupportedStateError,
)
from trainpoint.format.manifest import FileEntry
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.artifacts import Artifact
from trainpoint.handle.checkpoint import Checkpoint
from trainpoint.handle.current import Current, current
from trainpoint.handle.decorator import checkpoint
from trainpoint.handle.lineage import LineageEntry
from trainpoint.handle.runs import RunStep, RunTask, WorkflowRun
from trainpoint.handle.workflow import Flow, Workflow

__all__ = [
    "AppFileError",
    "Artifact",
    "BucketNotFoundError",
    "ChangedDuringSaveError",
    "Checkpoint",
    "CheckpointDeletedError",
    "CheckpointInfo",
    "CheckpointNotFoundError",
    "CheckpointRef",
    "ClosedError",
    "ClusterPermissionError",
    "ClusterUnreachableError",
    "ComponentError",
    "ConflictError",
    "CorruptCheckpointError",
    "CorruptRecordError",
    "Current",
    "FileEntry",
    "Flow",
    "IdentityError",
    "IncompatibleStateError",
    "InvalidArgumentError",
    "LineageEntry",
    "LocalFileError",
    "MetricRecordedError",
    "NewerFormatError",
    "NoCurrentCheckpointError",
    "NotConfiguredError",
    "NotInJobError",
    "NotMatchingError",
    "NotVisibleError",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "PinnedError",
    "PolicyError",
    "PolicyFileError",
    "RanksError",
    "ReadOnlyStoreError",
    "RefusedError",
    "ResumeRequestError",
    "RunNotFoundError",
    "RunStep",
    "RunTask",
    "SaveFailedError",
    "StoreError",
    "StoreFullError",
    "StorePermissionError",
    "StoreTimeoutError",
    "StoreUnreachableError",
    "StoreUrlError",
    "SupersededError",
    "TrainpointError",
    "UnsafePathError",
    "UnstorableError",
    "UnsupportedStateError",
    "Workflow",
    "WorkflowRun",
    "checkpoint",
    "current",
]
