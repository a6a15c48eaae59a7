"""What the bucket has and the API server does not: checkpoints that a pod could not record, looked up task by task.

The bucket says which checkpoints exist. What an attempt wrote whose claim the API server knows is recorded like any
other; what nobody can vouch for stays in the bucket, where ``trainpoint list`` shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.history import AttemptView, read_attempts
from trainpoint.errors import (
    CheckpointNotFoundError,
    CorruptRecordError,
    NewerFormatError,
    ObjectNotFoundError,
    UnsafePathError,
)
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint.policies.app_files import timestamp_of

logger = logging.getLogger(__name__)

WINDOW: Final = 20
"""The newest checkpoints of a task that have an object; older ones are in the bucket alone."""
APP_WINDOW: Final = 200
"""So many more of an app: it may save every second, and the rule for its files goes by the objects."""
_UNUSABLE: Final = (CorruptRecordError, UnsafePathError, NewerFormatError, CheckpointNotFoundError)


@dataclass(frozen=True, slots=True)
class Found:
    """What one look at a task's place in the bucket came to."""

    missing: tuple[Manifest, ...]
    """committed, vouched for, and without an object; oldest first"""
    unknown: int
    """committed by attempts that the API server knows nothing of"""
    attempts: tuple[AttemptView, ...]
    """oldest first"""


def look(
    catalog: BucketCatalog,
    task: TaskPath,
    *,
    recorded: Collection[str],
    nonces: Collection[str],
    app: bool = False,
    kept: int = WINDOW,
) -> Found:
    """Compare the newest checkpoints of a task with the objects there are. Makes requests; call it in a thread.

    Args:
        recorded: names of Checkpoint objects.
        nonces: of claims that the API server has seen.
        app: its checkpoints are known to be those of an app.
        kept: so many of an app's newest stay by its policy.

    Raises:
        StoreError: the store does not answer, or refuses; nothing is known then.
    """
    try:
        attempts = tuple(read_attempts(catalog.store, task))
    except (CorruptRecordError, ObjectNotFoundError, NewerFormatError) as error:
        logger.warning("task=%s event=attempt-unreadable error=%s", task, error.message)
        attempts = ()
    trusted = {view.number for view in attempts if view.uid in nonces}
    entries = (entry for entry in catalog.entries(task) if entry.committed and not entry.deleted)
    missing: list[Manifest] = []
    unknown = 0
    for number, entry in enumerate(entries):
        if number >= (APP_WINDOW + kept if app else WINDOW):
            break
        if CheckpointRef(task, entry.id).name in recorded or "archived" in entry.markers:
            continue
        if entry.id.attempt not in trusted:
            unknown += 1
            continue
        try:
            missing.append(catalog.manifest(task, entry.id))
            app = app or timestamp_of(missing[-1].snapshot.series) is not None
        except _UNUSABLE as error:  # damaged, or deleted since; its bytes stay as they are
            logger.warning("task=%s checkpoint=%s event=manifest-unreadable error=%s", task, entry.id, error.message)
    return Found(tuple(reversed(missing)), unknown, attempts)
