"""Training checkpoints that always resume from something good.

>>> from trainpoint import Checkpoint
>>> with Checkpoint() as ckpt:                               # doctest: +SKIP
...     ckpt.load(ckpt.list(task="mnist/mnist-7f3a/main")[0])
"""

from __future__ import annotations

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.errors import (
    BucketNotFoundError,
    ChangedDuringSaveError,
    CheckpointDeletedError,
    CheckpointNotFoundError,
    ClosedError,
    ClusterPermissionError,
    ClusterUnreachableError,
    ConflictError,
    CorruptCheckpointError,
    CorruptRecordError,
    IdentityError,
    InvalidArgumentError,
    LocalFileError,
    MetricRecordedError,
    NewerFormatError,
    NotConfiguredError,
    NotInJobError,
    ObjectChangedError,
    ObjectNotFoundError,
    PinnedError,
    PolicyError,
    PolicyFileError,
    ReadOnlyStoreError,
    RefusedError,
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
)
from trainpoint.format.manifest import FileEntry
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.checkpoint import Checkpoint

__all__ = [
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
    "ConflictError",
    "CorruptCheckpointError",
    "CorruptRecordError",
    "FileEntry",
    "IdentityError",
    "InvalidArgumentError",
    "LocalFileError",
    "MetricRecordedError",
    "NewerFormatError",
    "NotConfiguredError",
    "NotInJobError",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "PinnedError",
    "PolicyError",
    "PolicyFileError",
    "ReadOnlyStoreError",
    "RefusedError",
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
]
