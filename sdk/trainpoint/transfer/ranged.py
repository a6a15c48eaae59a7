"""One file of a checkpoint as a stream: only what is read is fetched, and all of it is verified."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import InvalidArgumentError
from trainpoint.format.manifest import Manifest
from trainpoint.store.base import Buffer, Store
from trainpoint.transfer.download import DEADLINE_SECONDS
from trainpoint.transfer.extents import Piece, VerifiedSource
from trainpoint.transfer.parallel import Persistence, Stop
from trainpoint.transfer.tree import named

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CACHED_EXTENTS: Final = 2
"""Extents kept in memory, of at most 16 MiB each: readers of a header and a body jump between two places."""
_LINKS: Final = 40
"""Links followed before they count as a circle, as in Linux."""


def open_file(
    store: Store,
    manifest: Manifest,
    path: str,
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    clock: Clock | None = None,
    chance: Chance | None = None,
) -> io.BufferedReader:
    """A seekable binary stream over the file at ``path`` of a checkpoint; links in the checkpoint are followed.

    Raises:
        InvalidArgumentError: there is no such file.
        CorruptCheckpointError: while reading: a part is not what was saved.
    """
    entry = resolve(manifest, path)
    persistence = Persistence(clock or SystemClock(), chance or SystemChance(), deadline_seconds, Stop())
    source = VerifiedSource(store, manifest, persistence)
    return io.BufferedReader(_VerifiedFile(source, entry), buffer_size=io.DEFAULT_BUFFER_SIZE)


def resolve(manifest: Manifest, path: str) -> int:
    """Position of the file that ``path`` leads to; InvalidArgumentError if it leads to none."""
    files = {file.path: number for number, file in enumerate(manifest.files)}
    links = {link.path: link.target for link in manifest.links}
    found = _walk(path, links)
    if found not in files:
        raise InvalidArgumentError(
            f"there is no file {path!r} in checkpoint {manifest.snapshot.task} {manifest.snapshot.id}; "
            f"its files are {named(sorted(files)) or 'none'}",
            remedy="list them with files(ref)",
        )
    return files[found]


def _walk(path: str, links: Mapping[str, str]) -> str:
    """Where ``path`` leads in a tree with ``links``; empty where it leads out, to the root, or round in a circle."""
    at: list[str] = []
    followed = 0
    todo = path.split("/")[::-1]
    while todo:
        segment = todo.pop()
        if segment == ".." and at:
            at.pop()
        elif segment == ".." or (not segment and not at):  # above the root; absolute
            return ""
        elif segment not in ("", "."):
            at.append(segment)
        target = links.get("/".join(at))
        if target is not None:
            followed += 1
            if followed > _LINKS:
                return ""
            at.pop()
            todo += [s for s in target.split("/")[::-1] if s]
    return "/".join(at)


class _VerifiedFile(io.RawIOBase):
    """Raw reads of one file. :class:`io.BufferedReader` over it adds line reading and a lock."""

    def __init__(self, source: VerifiedSource, position: int) -> None:
        super().__init__()
        entry = source.manifest.files[position]
        self.name = entry.path
        self._source = source
        self._position = position
        self._size = entry.size
        self._starts = list(accumulate((e.length for e in entry.extents), initial=0))
        self._at = 0
        self._cache: OrderedDict[int, Buffer] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check_open()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` up to the end of the extent that the position is in."""
        self._check_open()
        with memoryview(buffer) as given, given.cast("B") as wanted:
            if self._at >= self._size or not len(wanted):
                return 0
            number = bisect_right(self._starts, self._at) - 1
            data = memoryview(self._extent(number))
            begin = self._at - self._starts[number]
            count = min(len(wanted), len(data) - begin)
            wanted[:count] = data[begin : begin + count]
        self._at += count
        return count

    def close(self) -> None:
        self._cache.clear()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"the stream over {self.name!r} is closed")

    def _extent(self, number: int) -> Buffer:
        if number in self._cache:
            self._cache.move_to_end(number)
        else:
            while len(self._cache) >= CACHED_EXTENTS:
                self._cache.popitem(last=False)
            self._cache[number] = self._source.extent(Piece(self._position, number))
        return self._cache[number]
