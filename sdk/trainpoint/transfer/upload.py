"""Files up: packed, digested on the way, several at a time, and checked not to have changed meanwhile."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from trainpoint.clock import Chance, Clock
from trainpoint.errors import ChangedDuringSaveError, UnstorableError
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import EXTENT_BYTES, DirectoryEntry, Extent, FileEntry, LinkEntry, StoredObject
from trainpoint.store.base import Store
from trainpoint.transfer.local import local_error
from trainpoint.transfer.pack import PlannedObject, plan_objects
from trainpoint.transfer.parallel import Flag, Persistence, Stop, run_all
from trainpoint.transfer.tree import Fingerprint, Tree, TreeFile, changed_error, changed_files, check_keys

WORKERS: Final = 4
"""Objects on the way at a time."""
DEADLINE_SECONDS: Final = 600.0
"""How long a store may be away while one object is sent again and again."""
BUFFERED_BYTES: Final = 10 * 1024 * 1024
"""Objects up to this size are read whole and put with one request; larger ones are streamed. Packs always fit."""
CHUNK_BYTES: Final = 1024 * 1024
"""How much of a streamed file is read at a time: it is still in the processor's cache when it is digested."""

_REPLACED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ESTALE})
"""What opening a file says that was removed, or replaced by something else, since the scan."""
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Not through a link, and without waiting if the file has become a pipe since the scan."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a manifest says about the data of a checkpoint."""

    objects: tuple[StoredObject, ...]
    files: tuple[FileEntry, ...]
    directories: tuple[DirectoryEntry, ...]
    links: tuple[LinkEntry, ...]

    @property
    def stored_bytes(self) -> int:
        """Bytes of all objects."""
        return sum(stored.size for stored in self.objects)


def upload(
    store: Store,
    task: TaskPath,
    snapshot: SnapshotId,
    tree: Tree,
    *,
    clock: Clock,
    chance: Chance,
    rank: int = 0,
    workers: int = WORKERS,
    deadline_seconds: float = DEADLINE_SECONDS,
    cancel: Flag | None = None,
) -> Uploaded:
    """Store the content of ``tree`` as data of a checkpoint; it exists only once its manifest is written.

    Memory: about ``workers`` times :data:`BUFFERED_BYTES`, and what the store holds of a stream.

    Raises:
        UnstorableError: a file cannot be read, or its key would be too long.
        ChangedDuringSaveError: files are no longer what the scan saw; names them all.
        StoreError: the store refused, or did not answer for ``deadline_seconds``.
        concurrent.futures.CancelledError: ``cancel`` was set.
    """
    check_keys(tree, task, snapshot)
    planned = plan_objects(tree.files, task, snapshot, rank=rank)
    stop = Stop(cancel)
    sender = _Sender(store, tree, planned, Persistence(clock, chance, deadline_seconds, stop))
    # The largest first, so that the end does not wait for one that began last.
    order = sorted(range(len(planned)), key=lambda number: -planned[number].size)
    try:
        run_all((sender.task(number) for number in order), workers=min(workers, len(planned)), stop=stop)
    except ChangedDuringSaveError:
        changed = changed_files(tree)
        if changed:
            raise changed_error(changed) from None
        raise
    changed = changed_files(tree)  # also those that changed after they were sent: together they would be a mixture
    if changed:
        raise changed_error(changed)
    return Uploaded(
        objects=tuple(StoredObject(p.key, p.size) for p in planned),
        files=sender.entries(),
        directories=tree.directories,
        links=tree.links,
    )


class _Sender:
    """The state of one upload. Each position of ``_digested`` is written by one worker only."""

    def __init__(self, store: Store, tree: Tree, planned: tuple[PlannedObject, ...], persistence: Persistence) -> None:
        self._store = store
        self._files = tree.files
        self._planned = planned
        self._persistence = persistence
        self._stop = persistence.stop
        self._digested: dict[int, tuple[str, tuple[Extent, ...]]] = {}

    def task(self, number: int) -> Callable[[], None]:
        return lambda: self._send(number)

    def entries(self) -> tuple[FileEntry, ...]:
        empty: tuple[str, tuple[Extent, ...]] = (digest_of(b""), ())
        return tuple(
            FileEntry(file.path, file.size, file.mode, *(self._digested[number] if file.size else empty))
            for number, file in enumerate(self._files)
        )

    def _send(self, number: int) -> None:
        planned = self._planned[number]
        if planned.size <= BUFFERED_BYTES:
            data = self._read(number)
            self._persistence.attempt(lambda: self._store.put(planned.key, data))
        else:
            self._persistence.attempt(lambda: self._store.put_stream(planned.key, self._stream(number)))

    def _read(self, number: int) -> bytearray:
        """An object's content, its files digested."""
        planned = self._planned[number]
        data = bytearray(planned.size)
        offset = 0
        with memoryview(data) as whole:
            for member in planned.members:
                self._stop.check()
                file = self._files[member]
                with _opened(file) as source, whole[offset : offset + file.size] as part:
                    _fill(part, source, file)
                    _check_unchanged(source, file)
                    digest = digest_of(part)
                self._digested[member] = (digest, (Extent(number, offset, file.size, digest),))
                offset += file.size
        return data

    def _stream(self, number: int) -> Iterator[bytes]:
        """One file in chunks, digested as they are taken; ends with an error rather than short or torn."""
        (member,) = self._planned[number].members
        file = self._files[member]
        whole = blake3()
        extents: list[Extent] = []
        with _opened(file) as source:
            for offset in range(0, file.size, EXTENT_BYTES):
                length = min(EXTENT_BYTES, file.size - offset)
                part = blake3()
                left = length
                while left:
                    self._stop.check()
                    chunk = source.read(min(CHUNK_BYTES, left))
                    if not chunk:
                        raise changed_error([file.path])
                    part.update(chunk)
                    if file.size > EXTENT_BYTES:
                        whole.update(chunk)
                    left -= len(chunk)
                    if not left:
                        extents.append(Extent(number, offset, length, part.hexdigest()))
                    if not left and offset + length == file.size:
                        _check_unchanged(source, file)  # before the last chunk is handed over: no object otherwise
                        digest = whole.hexdigest() if len(extents) > 1 else extents[0].digest
                        self._digested[member] = (digest, tuple(extents))
                    yield chunk


@contextmanager
def _opened(file: TreeFile) -> Iterator[io.FileIO]:
    """The file, if it is still the one that was scanned. Errors of the operating system become ours."""
    try:
        with io.FileIO(file.source, "rb", opener=lambda path, _: os.open(path, _OPEN_FLAGS)) as source:
            _check_unchanged(source, file)
            yield source
    except PermissionError as error:
        raise UnstorableError(
            f"{file.source} cannot be stored: it cannot be read ({error.strerror})",
            remedy="make it readable for this user",
        ) from None
    except OSError as error:
        if error.errno in _REPLACED:
            raise changed_error([file.path]) from None
        raise local_error("read", file.source, error) from None


def _check_unchanged(source: io.FileIO, file: TreeFile) -> None:
    info = os.fstat(source.fileno())
    if not stat.S_ISREG(info.st_mode) or Fingerprint.of(info) != file.fingerprint:
        raise changed_error([file.path])


def _fill(part: memoryview, source: io.FileIO, file: TreeFile) -> None:
    filled = 0
    while filled < len(part):
        with part[filled:] as rest:
            count = source.readinto(rest)
        if not count:
            raise changed_error([file.path])
        filled += count
