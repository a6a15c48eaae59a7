"""The one error family.

Every class has a code (``TP…``), an exit code for a job's process, and a docstring that is the entry of the error
reference: ``trainpoint explain TP021`` prints it, and ``docs/reference/errors.md`` is generated from it. A message says
what happened and where; ``remedy`` says what to do. Each class also subclasses the builtin that a caller would catch.
"""

from __future__ import annotations

from trainpoint.errors.app import (
    AppFileError,
    ComponentError,
    IncompatibleStateError,
    UnsupportedStateError,
)
from trainpoint.errors.base import (
    EXIT_PREEMPTED,
    EXIT_REFUSED,
    EXIT_RETRY,
    EXIT_SUPERSEDED,
    EXIT_USAGE,
    TrainpointError,
)
from trainpoint.errors.caller import (
    ChangedDuringSaveError,
    InvalidArgumentError,
    LocalFileError,
    SaveFailedError,
    UnstorableError,
)
from trainpoint.errors.cluster import (
    ClusterPermissionError,
    ClusterUnreachableError,
    NotConfiguredError,
    ObjectChangedError,
)
from trainpoint.errors.process import (
    ClosedError,
    ConflictError,
    IdentityError,
    NoCurrentCheckpointError,
    NotInJobError,
    NotMatchingError,
    PolicyError,
    PolicyFileError,
    RanksError,
    RefusedError,
    ResumeRequestError,
    SupersededError,
)
from trainpoint.errors.store import (
    BucketNotFoundError,
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    CorruptRecordError,
    MetricRecordedError,
    NewerFormatError,
    NotVisibleError,
    ObjectNotFoundError,
    PinnedError,
    ReadOnlyStoreError,
    RunNotFoundError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    StoreUrlError,
    UnsafePathError,
)

__all__ = [
    "EXIT_PREEMPTED",
    "EXIT_REFUSED",
    "EXIT_RETRY",
    "EXIT_SUPERSEDED",
    "EXIT_USAGE",
    "AppFileError",
    "BucketNotFoundError",
    "ChangedDuringSaveError",
    "CheckpointDeletedError",
    "CheckpointNotFoundError",
    "ClosedError",
    "ClusterPermissionError",
    "ClusterUnreachableError",
    "ComponentError",
    "ConflictError",
    "CorruptCheckpointError",
    "CorruptRecordError",
    "IdentityError",
    "IncompatibleStateError",
    "InvalidArgumentError",
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
    "error_classes",
]


def error_classes() -> dict[str, type[TrainpointError]]:
    """Every class of the family by its code, in the order of the codes. Subclasses made elsewhere share their codes."""
    found = {
        value.code: value
        for name, value in globals().items()
        if not name.startswith("_") and isinstance(value, type) and issubclass(value, TrainpointError)
        if value is not TrainpointError
    }
    return dict(sorted(found.items()))


for _cls in error_classes().values():
    _cls.__module__ = "trainpoint"  # what a traceback shows is what a caller imports
