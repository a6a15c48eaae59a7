"""Artifacts of a task: values published by name while it trains, and read back by others, at any time after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.won import Claim
from trainpoint.clock import rfc3339
from trainpoint.errors import CorruptRecordError, IdentityError, InvalidArgumentError, ObjectNotFoundError
from trainpoint.format.artifacts import (
    ARTIFACT_LIMIT_BYTES,
    ArtifactRecord,
    artifact_key,
    parse_artifact_key,
)
from trainpoint.format.layout import TaskPath, check_name
from trainpoint.format.reference import CheckpointRef


@dataclass(frozen=True, slots=True)
class Artifact:
    """A value that a task has published.

    >>> artifact = Workflow("digits")["digits-1"]["main"].task["accuracy"]
    >>> artifact.name, artifact.data, artifact.attempt
    ('accuracy', 0.9, 0)
    """

    task: TaskPath
    name: str
    data: Any
    """the value as plain JSON; of a checkpoint, its reference as a dict, which ``load`` takes"""
    attempt: int
    """which attempt published it"""
    time: str
    """when, by the writer's clock: ``2026-11-22T09:12:05.000000Z``"""


def plain(name: str, value: object) -> Any:
    """A value as plain JSON, checkpoints in it as their references; InvalidArgumentError where it cannot be that."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, default=_reference)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"artifact {name!r} is not plain JSON: {error}",
            remedy="publish text, numbers, true/false, lists, dicts with text keys, or what save() returned",
        ) from None
    if size > ARTIFACT_LIMIT_BYTES:
        raise InvalidArgumentError(
            f"artifact {name!r} is {size} bytes; one takes {ARTIFACT_LIMIT_BYTES}",
            remedy="put it into a file of a checkpoint, and publish what save() returned",
        )
    return json.loads(text)


def _reference(value: object) -> object:
    if isinstance(value, CheckpointInfo):
        return value.ref.to_json()
    if isinstance(value, CheckpointRef):
        if not value.committed:
            raise ValueError(f"checkpoint {value} is not committed")
        return value.to_json()
    if isinstance(value, Artifact):
        return value.data
    raise TypeError(f"{type(value).__name__} has no JSON")


def publish(catalog: BucketCatalog, claim: Claim, name: str, value: object) -> None:
    """Write one artifact of the claimed task; ``value`` is what :func:`plain` takes.

    Raises:
        InvalidArgumentError: the name or the value cannot be used.
        SupersededError: a newer attempt has claimed the task.
    """
    try:
        check_name("artifact", name)
    except IdentityError as error:
        raise InvalidArgumentError(error.message, remedy=error.remedy) from None
    record = ArtifactRecord(
        task=claim.task,
        name=name,
        value=plain(name, value),
        attempt=claim.attempt,
        uid=claim.uid,
        time=rfc3339(catalog.clock.now()),
    )
    # As for a commit: before, so that an overtaken writer adds nothing; after, since it may have been overtaken since.
    claim.check_superseded()
    catalog.store.put(record.key, record.to_bytes())
    claim.check_superseded()


def published(catalog: BucketCatalog, task: TaskPath) -> dict[str, tuple[int, str]]:
    """By name, the attempt whose value counts, and the uid of its claim. One listing."""
    found: dict[str, tuple[int, str]] = {}
    for row in catalog.store.list(task.artifacts):
        parsed = parse_artifact_key(row.key)
        if parsed is not None:
            name, attempt, uid = parsed
            found[name] = max((attempt, uid), found.get(name, (-1, "")))
    return dict(sorted(found.items()))


def read_artifact(catalog: BucketCatalog, task: TaskPath, name: str) -> Artifact | None:
    """The newest attempt's value of that name; None where nothing was published. One listing and one read.

    Raises CorruptRecordError, also where it is the intact record of another artifact.
    """
    where = published(catalog, task).get(name)
    if where is None:
        return None
    key = artifact_key(task, name, *where)
    try:
        record = ArtifactRecord.from_bytes(catalog.store.get(key), key=key)
    except ObjectNotFoundError:
        return None  # its run was removed since the listing
    if record.key != key:
        raise CorruptRecordError(
            f"{key} is another artifact: {record.name} of {record.task}, attempt {record.attempt}",
            remedy="an object was copied there by hand; publish the value again",
        )
    return Artifact(task, name, record.value, record.attempt, record.time)
