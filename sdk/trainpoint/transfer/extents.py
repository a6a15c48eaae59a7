"""Ranges of objects, fetched and verified: nothing unverified is ever handed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.errors import CorruptCheckpointError, ObjectNotFoundError
from trainpoint.format.digest import digest_of
from trainpoint.format.manifest import Extent, FileEntry, Manifest
from trainpoint.store.base import Buffer, Store
from trainpoint.transfer.parallel import Persistence

READ_BYTES: Final = 8 * 1024 * 1024
"""Neighbouring extents are fetched together up to this size; a single one may be larger."""
GAP_BYTES: Final = 128 * 1024
"""So much that nobody asked for is fetched along rather than asking the store once more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """An extent of a file."""

    file: int
    """position in the manifest's files"""
    number: int
    """position in the file's extents"""


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """A range of one object, and the extents that lie in it."""

    object: int
    offset: int
    length: int
    pieces: tuple[Piece, ...]


def plan_reads(files: Sequence[FileEntry], wanted: Iterable[int]) -> list[PlannedRead]:
    """The fewest ranges that hold every extent of the ``wanted`` files, in the order of the objects."""
    found = sorted(
        (extent.object, extent.offset, extent.offset + extent.length, position, number)
        for position in wanted
        for number, extent in enumerate(files[position].extents)
    )
    reads: list[PlannedRead] = []
    pieces: list[Piece] = []
    current, start, stop = -1, 0, 0
    for stored, begin, end, position, number in found:
        near = stored == current and begin <= stop + GAP_BYTES and max(end, stop) - start <= READ_BYTES
        if not near:
            if pieces:
                reads.append(PlannedRead(current, start, stop - start, tuple(pieces)))
            current, start, stop, pieces = stored, begin, end, []
        pieces.append(Piece(position, number))
        stop = max(stop, end)
    if pieces:
        reads.append(PlannedRead(current, start, stop - start, tuple(pieces)))
    return reads


def damaged(manifest: Manifest, what: str) -> CorruptCheckpointError:
    """The error that says what is wrong with a checkpoint."""
    snapshot = manifest.snapshot
    return CorruptCheckpointError(
        f"checkpoint {snapshot.task} {snapshot.id} is corrupt: {what}",
        remedy="load an older checkpoint; `trainpoint list` shows which there are",
    )


@dataclass(frozen=True, slots=True)
class VerifiedSource:
    """The data of one checkpoint. Safe to use from several threads."""

    store: Store
    manifest: Manifest
    persistence: Persistence

    def fetch(self, read: PlannedRead, sink: Callable[[Piece, Buffer], None]) -> None:
        """Read a range and hand each extent in it, verified, to ``sink``.

        Raises:
            CorruptCheckpointError: an object is missing, or an extent differs from its digest twice.
            StoreError: the store refused or did not answer; says nothing about the checkpoint.
        """
        data = memoryview(self._read(read.object, read.offset, read.length, read.pieces[0]))
        for piece in read.pieces:
            extent = self._extent(piece)
            begin = extent.offset - read.offset
            sink(piece, self._verified(piece, extent, data[begin : begin + extent.length]))

    def extent(self, piece: Piece) -> Buffer:
        """One extent, verified; errors as of :meth:`fetch`."""
        extent = self._extent(piece)
        return self._verified(piece, extent, self._read(extent.object, extent.offset, extent.length, piece))

    def damage(self, piece: Piece, what: str) -> CorruptCheckpointError:
        """The error that says what is wrong with an extent."""
        entry = self.manifest.files[piece.file]
        part = f"part {piece.number + 1} of {len(entry.extents)}"
        return self.damaged(f"{entry.path!r} {what} at {part}")

    def damaged(self, what: str) -> CorruptCheckpointError:
        return damaged(self.manifest, what)

    def _extent(self, piece: Piece) -> Extent:
        return self.manifest.files[piece.file].extents[piece.number]

    def _verified(self, piece: Piece, extent: Extent, data: Buffer) -> Buffer:
        if len(data) == extent.length and digest_of(data) == extent.digest:
            return data
        # Once more: a connection that damages bytes is no reason to give up a checkpoint that is good.
        data = self._read(extent.object, extent.offset, extent.length, piece)
        if len(data) < extent.length:
            raise self.damage(piece, f"is short ({len(data)} of {extent.length} bytes are there)")
        if digest_of(data) != extent.digest:
            raise self.damage(piece, "differs from what was saved")
        return data

    def _read(self, number: int, offset: int, length: int, piece: Piece) -> Buffer:
        key = self.manifest.objects[number].key
        try:
            return self.persistence.attempt(lambda: self.store.read(key, offset, length))
        except ObjectNotFoundError as error:
            raise self.damage(piece, f"is missing (there is no object {key})") from error
