"""Manifest, format version 1: which files a checkpoint has, and where their bytes lie (docs/reference/format.md).

The manifest is written last: a checkpoint exists from the moment its manifest does. It is one sealed JSON object
(:func:`trainpoint.format.digest.seal`). Reading it trusts nothing: paths, keys, ranges and links are all checked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from trainpoint.errors import CorruptRecordError, NewerFormatError, UnsafePathError
from trainpoint.format.digest import JsonObject, digest_of, seal, unseal
from trainpoint.format.layout import KEY_LIMIT_BYTES, SnapshotId, TaskPath, data_root

FORMAT_VERSION: Final = 1
EXTENT_BYTES: Final = 16 * 1024 * 1024
"""Files are digested, fetched and verified in extents of at most this size."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes at ``offset`` of an object, with their BLAKE3 digest."""

    object: int
    """position in :attr:`Manifest.objects`"""
    offset: int
    """bytes before it in that object"""
    length: int
    """bytes, at most 16 MiB"""
    digest: str
    """BLAKE3, 64 hexadecimal digits"""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One regular file.

    >>> file = ckpt.files(ref)[0]
    >>> file.path, file.size, oct(file.mode), len(file.digest)
    ('log.txt', 10, '0o6...', 64)
    """

    path: str
    """relative, ``/`` between segments"""
    size: int
    """bytes"""
    mode: int
    """permission bits, 0 to 0o777"""
    digest: str
    """BLAKE3 of the whole file"""
    extents: tuple[Extent, ...]
    """in order, without gaps; empty for an empty file"""


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A directory (all are listed, so that empty ones and modes come back)."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class LinkEntry:
    """A symbolic link whose target lies inside the tree; the target is relative."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that holds data of this checkpoint."""

    key: str
    size: int
    """bytes"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a checkpoint is, apart from its bytes. Becomes ``spec.snapshot`` of a Checkpoint on a cluster."""

    task: TaskPath
    id: SnapshotId
    series: str = ""
    step: int | None = None
    epoch: int | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    """decimal text by name, ``NaN`` and ``Infinity`` included"""
    metadata: JsonObject = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    """names of the checkpoints the task had loaded"""
    owner: str = ""
    world_size: int = 1
    latest: bool = True
    """False: never chosen as ``latest``"""
    created_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint, whole."""

    snapshot: Snapshot
    time: str
    """when it was committed by the writer's clock (RFC 3339); for people, never for order"""
    objects: tuple[StoredObject, ...]
    files: tuple[FileEntry, ...]
    directories: tuple[DirectoryEntry, ...] = ()
    links: tuple[LinkEntry, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.files)

    def to_bytes(self) -> bytes:
        s = self.snapshot
        return seal(
            {
                "formatVersion": FORMAT_VERSION,
                "snapshot": snapshot_to_json(s),
                "time": self.time,
                "objects": [[o.key, o.size] for o in self.objects],
                "files": [
                    {
                        "path": f.path,
                        "size": f.size,
                        "mode": f.mode,
                        "digest": f.digest,
                        "extents": [[e.object, e.offset, e.length, e.digest] for e in f.extents],
                    }
                    for f in self.files
                ],
                "directories": [[d.path, d.mode] for d in self.directories],
                "links": [[k.path, k.target] for k in self.links],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> Manifest:
        """Parse and check.

        Raises:
            CorruptRecordError: damaged, or not a manifest.
            NewerFormatError: a format version this library does not know.
            UnsafePathError: a path, link or key that leaves its place.
        """
        value = unseal(data, key=key)
        check_format(value, key=key)
        try:
            manifest = cls(
                snapshot=snapshot_from_json(value["snapshot"]),
                time=_text(value["time"]),
                objects=tuple(StoredObject(_text(k), _count(n)) for k, n in value["objects"]),
                files=tuple(_file_from_json(f) for f in value["files"]),
                directories=tuple(DirectoryEntry(_text(p), _mode(m)) for p, m in value["directories"]),
                links=tuple(LinkEntry(_text(p), _text(t)) for p, t in value["links"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptRecordError(f"{key} is not a manifest: {error}") from None
        manifest._check(key)
        return manifest

    def _check(self, key: str) -> None:
        root = data_root(self.snapshot.task.namespace)
        for stored in self.objects:
            if not stored.key.startswith(root) or not is_safe_path(stored.key):
                raise UnsafePathError(f"{key} names the object {stored.key!r}, which lies outside {root}")
            if len(stored.key.encode()) > KEY_LIMIT_BYTES or _CONTROL.search(stored.key):
                raise CorruptRecordError(f"{key} names the object {stored.key!r}, which no store can hold")
        for entry in self.files:
            at = 0
            for extent in entry.extents:
                if extent.object >= len(self.objects):
                    raise CorruptRecordError(f"{key}: an extent of {entry.path!r} lies in no object")
                if extent.offset + extent.length > self.objects[extent.object].size:
                    raise CorruptRecordError(f"{key}: an extent of {entry.path!r} lies outside its object")
                at += extent.length
            if at != entry.size:
                raise CorruptRecordError(f"{key}: the extents of {entry.path!r} hold {at} of {entry.size} bytes")
            parts = [extent.digest for extent in entry.extents] or [digest_of(b"")]
            if len(parts) == 1 and parts[0] != entry.digest:
                raise CorruptRecordError(f"{key}: {entry.path!r} has a digest other than that of its only part")
        check_tree(self.files, self.directories, self.links, where=key)


def check_format(value: JsonObject, *, key: str) -> None:
    """Refuse what a newer version wrote, before anything else in it is read."""
    version = value.get("formatVersion")
    if not isinstance(version, int) or version < 1:
        raise CorruptRecordError(f"{key} has no format version")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{key} has format version {version}; this trainpoint reads up to {FORMAT_VERSION}",
            remedy="update trainpoint here: pip install --upgrade trainpoint",
        )


def is_safe_path(path: str) -> bool:
    """Relative, normalized, no ``..``, no NUL: stays where it is put."""
    return (
        bool(path)
        and not path.startswith("/")
        and "\0" not in path
        and posixpath.normpath(path) == path
        and not (path == ".." or path.startswith("../") or path == ".")
    )


def link_stays_inside(path: str, target: str) -> bool:
    """Whether a link at ``path`` with relative ``target`` points into the tree.

    ``..`` may only lead: behind another segment, which may itself be a link, it could climb out of the tree.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    segments = [s for s in target.split("/") if s not in ("", ".")]
    climbs = next((i for i, s in enumerate(segments) if s != ".."), len(segments))
    return ".." not in segments[climbs:] and climbs <= path.count("/")


def check_tree(
    files: Sequence[FileEntry], directories: Sequence[DirectoryEntry], links: Sequence[LinkEntry], *, where: str
) -> None:
    """Raise UnsafePathError unless every path stays in the tree, is there once, and lies below directories only."""
    solid: set[str] = set()
    for path in [*(f.path for f in files), *(k.path for k in links)]:
        if not is_safe_path(path):
            raise UnsafePathError(f"{where} names the path {path!r}, which would leave the directory")
        if path in solid:
            raise UnsafePathError(f"{where} names the path {path!r} twice")
        solid.add(path)
    folders: set[str] = set()
    for folder in directories:
        if not is_safe_path(folder.path) or folder.path in solid or folder.path in folders:
            raise UnsafePathError(f"{where} names the directory {folder.path!r}, which is unsafe or there twice")
        folders.add(folder.path)
    for path in [*solid, *folders]:
        parent = posixpath.dirname(path)
        while parent:
            if parent in solid:
                raise UnsafePathError(f"{where} puts {path!r} below {parent!r}, which is no directory")
            parent = posixpath.dirname(parent)
    for link in links:
        if not link_stays_inside(link.path, link.target):
            raise UnsafePathError(f"{where}: the link {link.path!r} points out of the tree, to {link.target!r}")


# --- values of JSON: another type is refused, not converted -----------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a number from 0 on")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def _mode(value: object) -> int:
    if _count(value) > 0o777:
        raise ValueError(f"{value!r} is not the mode of a file")
    return _count(value)


def _digest(value: object) -> str:
    if not _DIGEST.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is not a digest")
    return _text(value)


def _file_from_json(value: JsonObject) -> FileEntry:
    extents = tuple(Extent(_count(o), _count(at), _count(n), _digest(d)) for o, at, n, d in value["extents"])
    if not all(0 < extent.length <= EXTENT_BYTES for extent in extents):
        raise ValueError(f"an extent is empty or longer than {EXTENT_BYTES} bytes")
    return FileEntry(
        path=_text(value["path"]),
        size=_count(value["size"]),
        mode=_mode(value["mode"]),
        digest=_digest(value["digest"]),
        extents=extents,
    )


# --- snapshot <-> JSON ------------------------------------------------------------------------------------------------


def task_to_json(task: TaskPath) -> JsonObject:
    return {
        "namespace": task.namespace,
        "workflow": task.workflow,
        "run": task.run,
        "task": task.task,
        "index": task.index,
    }


def task_from_json(value: JsonObject) -> TaskPath:
    return TaskPath(
        workflow=_text(value["workflow"]),
        run=_text(value["run"]),
        task=_text(value["task"]),
        index=_text(value["index"]),
        namespace=_text(value["namespace"]),
    )


def snapshot_to_json(s: Snapshot) -> JsonObject:
    return {
        **task_to_json(s.task),
        "attempt": s.id.attempt,
        "sequence": s.id.sequence,
        "uid": s.id.uid,
        "series": s.series,
        "step": s.step,
        "epoch": s.epoch,
        "metrics": dict(s.metrics),
        "metadata": s.metadata,
        "parents": list(s.parents),
        "owner": s.owner,
        "worldSize": s.world_size,
        "latest": s.latest,
        "createdBy": dict(s.created_by),
    }


def snapshot_from_json(value: JsonObject) -> Snapshot:
    def number(name: str) -> int | None:
        return None if value[name] is None else _count(value[name])

    return Snapshot(
        task=task_from_json(value),
        id=SnapshotId.parse(f"{_count(value['attempt'])}-{_count(value['sequence'])}-{_text(value['uid'])}"),
        series=_text(value["series"]),
        step=number("step"),
        epoch=number("epoch"),
        metrics={_text(k): _text(v) for k, v in value["metrics"].items()},
        metadata={_text(k): v for k, v in value["metadata"].items()},
        parents=tuple(_text(p) for p in value["parents"]),
        owner=_text(value["owner"]),
        world_size=_count(value["worldSize"]),
        latest=_flag(value["latest"]),
        created_by={_text(k): _text(v) for k, v in value["createdBy"].items()},
    )
