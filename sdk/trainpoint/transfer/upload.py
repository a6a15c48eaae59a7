"""Files up: packed, digested on the way, several at a time, and checked not to have changed meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
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
BUFFERED_BYTES: Final = EXTENT_BYTES
"""Objects up to this size are read whole and put with one request; larger ones are streamed. Packs always fit."""
STREAMS: Final = 2
"""Larger objects on the way at a time: a store holds several parts of each in memory, and sends those in parallel."""
CHUNK_BYTES: Final = 1024 * 1024
"""How much of a file is read at a time: it is still in the processor's cache when it is digested."""


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

    Memory: ``workers`` times :data:`BUFFERED_BYTES` at most, less what streams leave idle, and what the store holds of
    :data:`STREAMS` streams.

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
    try:
        run_all(sender.tasks(), workers=min(workers, len(planned)), stop=stop)
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
        self._idle_buffers: deque[bytearray] = deque()

    def tasks(self) -> list[Callable[[], None]]:
        """One for each object that is put whole; as many as there may be streams for all that are streamed.

        The largest first, so that the end does not wait for one that began last.
        """
        order = sorted(range(len(self._planned)), key=lambda number: -self._planned[number].size)
        streamed = deque(number for number in order if self._is_streamed(number))
        lanes = [partial(self._send_streams, streamed)] * min(STREAMS, len(streamed))
        return [*lanes, *(partial(self._send_whole, number) for number in order if not self._is_streamed(number))]

    def entries(self) -> tuple[FileEntry, ...]:
        empty: tuple[str, tuple[Extent, ...]] = (digest_of(b""), ())
        return tuple(
            FileEntry(file.path, file.size, file.mode, *(self._digested[number] if file.size else empty))
            for number, file in enumerate(self._files)
        )

    def _is_streamed(self, number: int) -> bool:
        planned = self._planned[number]
        return planned.size > BUFFERED_BYTES and len(planned.members) == 1

    def _send_streams(self, numbers: deque[int]) -> None:
        while True:
            try:
                number = numbers.popleft()
            except IndexError:
                return
            self._persistence.attempt(partial(self._send_stream, number), from_failure=True)

    def _send_stream(self, number: int) -> None:
        self._store.put_stream(self._planned[number].key, self._stream(number))

    def _send_whole(self, number: int) -> None:
        planned = self._planned[number]
        # Pages that the system has given once are not asked for again: a third of the cost of reading.
        try:
            buffer = self._idle_buffers.pop()
        except IndexError:
            buffer = bytearray(max(planned.size, BUFFERED_BYTES))
        data = memoryview(buffer)[: planned.size]
        self._read(number, data)
        self._persistence.attempt(lambda: self._store.put(planned.key, data))
        self._idle_buffers.append(buffer)

    def _read(self, number: int, data: memoryview) -> None:
        """An object's content, its files digested."""
        offset = 0
        for member in self._planned[number].members:
            file = self._files[member]
            hasher = blake3()
            with opened(file) as source:
                for begin in range(offset, offset + file.size, CHUNK_BYTES):
                    self._stop.check()
                    part = data[begin : min(begin + CHUNK_BYTES, offset + file.size)]
                    fill(part, source, file)
                    hasher.update(part)
                check_unchanged(source, file)
            digest = hasher.hexdigest()
            self._digested[member] = (digest, (Extent(number, offset, file.size, digest),))
            offset += file.size

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
