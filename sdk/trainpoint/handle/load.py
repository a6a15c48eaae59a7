"""Loading what somebody names: which checkpoint is meant, and its files into a directory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainpoint.api import names
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    CorruptRecordError,
    InvalidArgumentError,
    NotMatchingError,
    UnsafePathError,
)
from trainpoint.format.layout import TaskPath
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.artifacts import Artifact
from trainpoint.handle.latest import latest_of, newest
from trainpoint.handle.listing import checkpoints
from trainpoint.policies.choice import NO_MATCH, mismatch
from trainpoint.transfer.download import download

Reference = CheckpointRef | CheckpointInfo | Artifact | Mapping[str, object] | str
"""What names a checkpoint: a reference, a record from ``list``, an artifact that is a reference, a reference's JSON as
dict or text, an object name, ``latest``, ``latest:<series>`` or ``best:<metric>:<min|max>``."""


def resolve(catalog: BucketCatalog, reference: Reference, own: TaskPath | None, *, namespace: str) -> CheckpointRef:
    """The checkpoint that is meant.

    Args:
        own: the task that ``latest`` and ``best`` speak of; None in a reader.

    Raises:
        CheckpointNotFoundError, InvalidArgumentError.
    """
    if isinstance(reference, CheckpointRef):
        return reference
    if isinstance(reference, CheckpointInfo):
        return reference.ref
    if isinstance(reference, Artifact):
        if not isinstance(reference.data, Mapping | str):
            raise InvalidArgumentError(
                f"artifact {reference.name!r} of {reference.task} is no checkpoint", remedy="take its value: .data"
            )
        reference = reference.data
    if isinstance(reference, Mapping):
        return CheckpointRef.from_json(reference)
    if not isinstance(reference, str) or not reference:
        raise InvalidArgumentError(
            f"{reference!r} names no checkpoint", remedy="pass what save() or list() returned, a name, or 'latest'"
        )
    if reference.lstrip().startswith("{"):
        try:
            return CheckpointRef.from_json(json.loads(reference))
        except json.JSONDecodeError as error:
            raise InvalidArgumentError(f"this is not a checkpoint reference: {error}") from None
    word, _, rest = reference.partition(":")
    if word in ("latest", "best"):
        if own is None:
            raise InvalidArgumentError(
                f"{reference!r} speaks of this process's own task, and it has none",
                remedy="list a task and load from that: ckpt.load(ckpt.list(task='workflow/run/main')[0])",
            )
        if word == "best":
            found = _best(catalog, own, rest)
        else:
            found = newest(catalog, own, series=rest) if rest else latest_of(catalog, own)
        if found is None:
            raise CheckpointNotFoundError(
                f"no checkpoint of {own} is {reference!r}", remedy=f"see what there is: trainpoint list {own}"
            )
        return found.ref
    # As `kubectl get ckpt --output=name` prints it.
    return catalog.find(reference.removeprefix(f"checkpoint.{names.GROUP}/"), namespace=namespace, near=own)


def best(catalog: BucketCatalog, task: TaskPath, metric: str, mode: str) -> CheckpointInfo | None:
    """The checkpoint with the lowest or highest metric: NaN is never best, ties go to the newer."""
    if mode not in ("min", "max"):
        raise InvalidArgumentError(f"mode {mode!r} is neither 'min' nor 'max'", remedy="say which end is better")
    sign = 1.0 if mode == "min" else -1.0
    have = [info for info in checkpoints(catalog, [task]) if not math.isnan(info.metrics.get(metric, math.nan))]
    return min(have, key=lambda info: sign * info.metrics[metric], default=None)  # the first, so the newest, of equals


def _best(catalog: BucketCatalog, task: TaskPath, words: str) -> CheckpointInfo | None:
    metric, _, mode = words.rpartition(":")
    if not metric:
        raise InvalidArgumentError(
            f"'best:{words}' does not say which end is better", remedy="write best:<metric>:min or best:<metric>:max"
        )
    return best(catalog, task, metric, mode)


def read_manifest(catalog: BucketCatalog, ref: CheckpointRef) -> Manifest:
    """The manifest of a checkpoint that was named: deleted, missing and corrupt are three different errors."""
    try:
        return catalog.manifest(ref.task, ref.id)
    except (CorruptRecordError, UnsafePathError) as error:
        raise CorruptCheckpointError(
            f"checkpoint {ref} is corrupt: {error.message}", remedy=f"load another: trainpoint list {ref.task}"
        ) from None


def load_named(
    catalog: BucketCatalog,
    ref: CheckpointRef,
    target: Path,
    *,
    include: Sequence[str] = (),
    merge: bool = False,
    mark: bool = True,
    match: Mapping[str, object] = NO_MATCH,
) -> Manifest:
    """Fetch a named checkpoint into ``target``, verified; ``target`` is replaced whole, or not touched.

    Args:
        mark: whether to record in the store that it is corrupt, if it is; a reader writes nothing.
        match: what its metadata have to say.
    """
    found = read_manifest(catalog, ref)
    difference = mismatch(found.snapshot.metadata, match)
    if difference:
        raise NotMatchingError(f"checkpoint {ref} {difference} (match=)", remedy="load another, or correct match=")
    try:
        download(
            catalog.store,
            found,
            target,
            clock=catalog.clock,
            chance=catalog.chance,
            include=include,
            merge=merge,
        )
    except CorruptCheckpointError as error:
        if catalog.is_deleted(ref.task, ref.id):  # while it was being loaded
            raise CheckpointDeletedError(
                f"checkpoint {ref} was deleted", remedy=f"see what is left: trainpoint list {ref.task}"
            ) from None
        if mark:
            catalog.mark_corrupt(ref.task, ref.id, error.message)
        raise
    return found
