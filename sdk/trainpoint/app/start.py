"""What an app starts from: ``--checkpoint`` as a person writes it, looked up.

Exactly ``latest`` is always the keyword, whatever lies in the current directory. Then comes a file of that path, then a
checkpoint of that name. Nothing stands in for what is named.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trainpoint.api.names import ENV_CHECKPOINT
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.catalog.entries import Entry
from trainpoint.context import Context
from trainpoint.errors import (
    CheckpointNotFoundError,
    CorruptCheckpointError,
    InvalidArgumentError,
    LocalFileError,
    ObjectNotFoundError,
    ResumeRequestError,
    TrainpointError,
)
from trainpoint.format.layout import NO_INDEX, SnapshotId, TaskPath, data_root
from trainpoint.format.manifest import Manifest
from trainpoint.format.reference import CheckpointRef, parse_checkpoint_name
from trainpoint.handle.load import read_manifest
from trainpoint.handle.narrate import logger
from trainpoint.policies.app_files import file_name, series_name, timestamp_of
from trainpoint.policies.request import Asked, first_of
from trainpoint.transfer.ranged import open_file

LATEST: Final = "latest"
CANDIDATES_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint of an app, as the key of its file shows it."""

    timestamp: int
    ref: CheckpointRef

    @property
    def file(self) -> str:
        return file_name(self.timestamp)


@dataclass(frozen=True, slots=True)
class Start:
    """What ``--checkpoint`` has come to: a file of this machine, or a checkpoint of the store."""

    text: str
    """as it was written"""
    path: Path | None = None
    stored: Stored | None = None


def asked(argument: str | None, context: Context, *, workflow: str | None = None) -> Asked | None:
    """The argument, else ``TRAINPOINT_CHECKPOINT``, else the pod's annotation; None where nothing is asked for.

    Args:
        workflow: whose checkpoints are meant, if not this app's own.
    Raises:
        InvalidArgumentError: the argument is empty, such as a shell's variable that is not set; or nothing says which
            of that workflow's checkpoints.
    """
    found = first_of(
        argument=not_empty(argument),
        environment=context.environ.get(ENV_CHECKPOINT),
        annotation=context.cluster.pod.setting("checkpoint") if context.cluster is not None else None,
    )
    if workflow is not None and (found is None or not workflow.strip()):
        what = "is empty" if found is not None else f"{workflow} says whose checkpoints, and nothing says which"
        raise InvalidArgumentError(
            f"--checkpoint-from {what}", remedy="write: --checkpoint latest --checkpoint-from NAME"
        )
    return replace(found, text=found.text.strip(), of_app=True, workflow=workflow or "") if found is not None else None


def not_empty(argument: str | None) -> str | None:
    """The argument, if it says something. Raises InvalidArgumentError if it is empty."""
    if argument is not None and not argument.strip():
        raise InvalidArgumentError(
            "--checkpoint is empty", remedy="name latest, a file or a checkpoint; leave it out to start by load policy"
        )
    return argument


def look_up(text: str, catalog: BucketCatalog, *, namespace: str, workflow: str) -> Start:
    """What is meant, of ``workflow`` in ``namespace``, by whomever it was saved.

    Raises:
        ResumeRequestError: there is no such checkpoint; the message has the candidates.
        LocalFileError: it cannot be told whether it is a file.
    """
    if text != LATEST and _is_file(Path(text)):
        return Start(text, path=Path(text))
    there = saved_by(catalog, namespace, workflow)
    if text == LATEST:
        found = next(_good(catalog, there), None)
        if found is None:
            raise not_found(text, workflow, [], catalog.store.url)
        return Start(text, stored=found)
    at = timestamp_of(text)
    same = [one for one in there if one.timestamp == at] if at is not None else []
    # What was found corrupt is meant by its name all the same: whoever loads it says what is wrong with it.
    named = list(committed(catalog, same)) or [one for one, _ in _with_entries(catalog, same)]
    if not named and parse_checkpoint_name(text) is not None:
        named = _by_object_name(catalog, text, namespace)
    if len(named) == 1:
        return Start(text, stored=named[0])
    names = [one.ref.name for one in named] or candidates(text, (one.file for one in committed(catalog, there)))
    raise not_found(text, workflow, names, catalog.store.url)


def candidates(text: str, names: Iterable[str]) -> list[str]:
    """The names that begin with ``text``."""
    return [name for name in dict.fromkeys(names) if text and name.startswith(text)]


def not_found(text: str, workflow: str, names: Sequence[str], url: str) -> ResumeRequestError:
    if names:
        more = ", …" if len(names) > CANDIDATES_SHOWN else ""
        remedy = f"it could mean {', '.join(names[:CANDIDATES_SHOWN])}{more}; write one of these whole"
    else:
        remedy = f"neither a file nor a checkpoint of workflow {workflow} in {url}; see what there is: " + (
            f"trainpoint app checkpoints {workflow}"
        )
    return ResumeRequestError(f"Could not find checkpoint: {text}", remedy=remedy)


def read_local(path: Path) -> bytes:
    """The bytes of a file that was named. Raises LocalFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> LocalFileError:
    return LocalFileError(f"{path} cannot be read: {error.strerror}", remedy="see to its mode and owner")


def read_stored(catalog: BucketCatalog, stored: Stored) -> bytes:
    """The file of a checkpoint, verified. Raises CheckpointNotFoundError, CorruptCheckpointError, StoreError."""
    manifest = read_manifest(catalog, stored.ref)
    with open_file(catalog.store, manifest, stored.file) as stream:
        return stream.read()


# --- what there is ----------------------------------------------------------------------------------------------------


def saved_by(catalog: BucketCatalog, namespace: str, workflow: str) -> list[Stored]:
    """Every file of an app that a workflow has, newest first, also of saves that are not committed.

    One listing: the names are in the keys of the data, since a checkpoint of one file is never packed.
    """
    rows = catalog.store.list(f"{data_root(namespace)}{workflow}/")
    found = (stored for info in rows if (stored := stored_at(info.key)) is not None)
    return sorted(found, key=lambda one: (one.timestamp, one.ref.id), reverse=True)


def committed(catalog: BucketCatalog, found: Iterable[Stored]) -> Iterator[Stored]:
    """Those that somebody may start from, in the same order: committed, neither deleted, corrupt nor superseded."""
    return (one for one, entry in _with_entries(catalog, found) if entry.eligible)


def _with_entries(catalog: BucketCatalog, found: Iterable[Stored]) -> Iterator[tuple[Stored, Entry]]:
    """Those that have a manifest, with what the names beside it say."""
    entries: dict[TaskPath, dict[SnapshotId, Entry]] = {}
    for one in found:
        task = one.ref.task
        if task not in entries:
            entries[task] = {entry.id: entry for entry in catalog.entries(task)}
        entry = entries[task].get(one.ref.id)
        if entry is not None and entry.committed:
            yield one, entry


def _good(catalog: BucketCatalog, found: Iterable[Stored]) -> Iterator[Stored]:
    """Those of them that hold what was saved; what is damaged is passed over, and that is told."""
    for one in committed(catalog, found):
        try:
            read_stored(catalog, one)
        except (CorruptCheckpointError, CheckpointNotFoundError, ObjectNotFoundError) as error:
            logger.warning("%s (%s) is passed over: %s", one.file, one.ref, error.message)
            continue
        yield one


def stored_at(key: str) -> Stored | None:
    """``ns/<ns>/data/<workflow>/<run>/<task>/<index>/<snapshot>/files/<name>``; None for any other key."""
    parts = key.split("/")
    at = timestamp_of(parts[-1])
    if at is None or len(parts) != 10 or parts[-2] != "files" or parts[-1] != file_name(at):
        return None
    _, namespace, _, workflow, run, task, index, snapshot, _, _ = parts
    try:
        path = TaskPath(workflow, run, task, "" if index == NO_INDEX else index, namespace)
        return Stored(at, CheckpointRef(path, SnapshotId.parse(snapshot)))
    except (ValueError, TrainpointError):
        return None


def _by_object_name(catalog: BucketCatalog, name: str, namespace: str) -> list[Stored]:
    """The checkpoint that lists and kubectl call so, whatever its workflow, if it is one of an app."""
    try:
        ref = catalog.find(name, namespace=namespace)
        stored = stored_in(read_manifest(catalog, ref))
    except CheckpointNotFoundError:
        return []
    return [stored] if stored is not None else []


def stored_in(manifest: Manifest) -> Stored | None:
    """The file of an app that a checkpoint holds; None if it holds something else."""
    snapshot = manifest.snapshot
    at = next((found for file in manifest.files if (found := timestamp_of(file.path)) is not None), None)
    if at is None or snapshot.series != series_name(at):
        return None
    return Stored(at, CheckpointRef(snapshot.task, snapshot.id))
