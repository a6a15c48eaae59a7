"""Files up: packed, digested on the way, several at a time, and checked not to have changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import ChangedDuringSaveError
from trainpoint.format.digest import digest_of
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import EXTENT_BYTES, DirectoryEntry, Extent, FileEntry, LinkEntry, StoredObject
from trainpoint.store.base import Store
from trainpoint.transfer.pack import PlannedObject, plan_objects
from trainpoint.transfer.parallel import Flag, Persistence, Stop, run_all
from trainpoint.transfer.source import check_unchanged, fill, opened
from trainpoint.transfer.tree import Tree, changed_error, changed_files, check_keys

WORKERS: Final = 4
"""Objects on the way at a time."""
DEADLINE_SECONDS: Final = 600.0
"""How long a store may be away while one object is sent again and again."""
BUFFERED_BYTES: Final = 10 * 1024 * 1024
"""Objects up to this size are read whole and put with one request; larger ones are streamed. Packs always fit."""
CHUNK_BYTES: Final = 1024 * 1024
"""How much of a streamed file is read at a time: it is still in the processor's cache when it is digested."""


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
    rank: int = 0,
    workers: int = WORKERS,
    deadline_seconds: float = DEADLINE_SECONDS,
    clock: Clock | None = None,
    chance: Chance | None = None,
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
    persistence = Persistence(clock or SystemClock(), chance or SystemChance(), deadline_seconds, stop)
    sender = _Sender(store, tree, planned, persistence)
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
        if planned.size <= BUFFERED_BYTES or len(planned.members) > 1:
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
                with opened(file) as source, whole[offset : offset + file.size] as part:
                    fill(part, source, file)
                    check_unchanged(source, file)
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
        with opened(file) as source:
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
                        check_unchanged(source, file)  # before the last chunk is handed over: no object otherwise
                        digest = whole.hexdigest() if len(extents) > 1 else extents[0].digest
                        self._digested[member] = (digest, tuple(extents))
                    yield chunk
