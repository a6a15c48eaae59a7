"""Files down: fetched in parallel, verified as they land, complete before anything is replaced."""

from __future__ import annotations

import errno
import os
import posixpath
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import Final

from blake3 import blake3

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import InvalidArgumentError, TrainpointError
from trainpoint.format.manifest import DirectoryEntry, FileEntry, LinkEntry, Manifest, check_tree
from trainpoint.store.base import Buffer, Store
from trainpoint.transfer.extents import Piece, PlannedRead, VerifiedSource, plan_reads
from trainpoint.transfer.local import local_error, remove_tree
from trainpoint.transfer.parallel import Flag, Persistence, Stop, run_all
from trainpoint.transfer.place import apply_modes, merge_in, partial_beside, swap_in
from trainpoint.transfer.room import check_room_for_load
from trainpoint.transfer.tree import named

WORKERS: Final = 4
"""Ranges on the way at a time, of at most 16 MiB each."""
DEADLINE_SECONDS: Final = 600.0
"""How long a store may be away while one range is asked for again and again."""
CHUNK_BYTES: Final = 1024 * 1024

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REOPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def download(
    store: Store,
    manifest: Manifest,
    target: Path,
    *,
    include: Sequence[str] = (),
    merge: bool = False,
    workers: int = WORKERS,
    deadline_seconds: float = DEADLINE_SECONDS,
    clock: Clock | None = None,
    chance: Chance | None = None,
    cancel: Flag | None = None,
) -> None:
    """Put the content of a checkpoint into the directory ``target``, which is replaced as a whole.

    Everything is fetched into a new directory beside ``target`` and verified first: after an error, ``target`` is as it
    was. ``merge`` keeps what else is in ``target`` and moves the files into it one by one.

    Args:
        include: patterns such as ``model*`` or ``*/config.json``; see :func:`select`. None: everything.
        workers: ranges on the way at a time; memory is about 16 MiB for each.

    Raises:
        CorruptCheckpointError: a file is not what was saved, or an object is missing; the message has file and part.
        UnsafePathError: the manifest names a path that would leave ``target``; nothing was written.
        InvalidArgumentError: a pattern matches nothing, or ``target`` is a file.
        LocalFileError: a file cannot be written here, or there is clearly no room for all of them.
        StoreError: the store refused, or did not answer for ``deadline_seconds``; says nothing about the checkpoint.
        concurrent.futures.CancelledError: ``cancel`` was set.
    """
    check_tree(manifest.files, manifest.directories, manifest.links, where=str(manifest.snapshot.id))
    selection = select(manifest, include)
    stop = Stop(cancel)
    chance = chance or SystemChance()
    persistence = Persistence(clock or SystemClock(), chance, deadline_seconds, stop)
    source = VerifiedSource(store, manifest, persistence)
    partial = partial_beside(target, merge=merge, uid=chance.uid())
    try:
        check_room_for_load(partial, sum(manifest.files[number].size for number in selection.files))
        receiver = _Receiver(source, selection, partial)
        receiver.prepare()
        reads = plan_reads(manifest.files, selection.files)
        run_all((receiver.task(read) for read in reads), workers=min(workers, len(reads)), stop=stop)
        receiver.link()
        if merge:
            merge_in(partial, target, selection.directories)
        else:
            apply_modes(partial, selection.directories)
            swap_in(partial, target, uid=chance.uid())
    except TrainpointError:
        raise  # the store's errors are OSErrors too
    except OSError as error:
        raise local_error("write", error.filename or target, error) from error
    finally:
        with suppress(OSError):
            remove_tree(partial)  # gone already if all went well


class Selection:
    """What of a checkpoint is asked for."""

    def __init__(
        self,
        files: Sequence[int],
        directories: Sequence[DirectoryEntry],
        links: Sequence[LinkEntry],
    ) -> None:
        self.files = tuple(files)
        """positions in the manifest's files"""
        self.directories = tuple(directories)
        self.links = tuple(links)


def select(manifest: Manifest, include: Sequence[str]) -> Selection:
    """The files, links and directories that match one of the patterns, and the directories above them.

    A pattern matches a whole path (``*`` also matches ``/``), or the name without its directories, or names a directory
    and means all below it. Case counts. No patterns: everything.

    Raises:
        InvalidArgumentError: a pattern that matches nothing.
    """
    if not include:
        return Selection(range(len(manifest.files)), manifest.directories, manifest.links)
    paths = [e.path for entries in (manifest.files, manifest.links, manifest.directories) for e in entries]
    wanted: set[str] = set()
    for pattern in include:
        matched = [path for path in paths if matches(path, pattern)]
        if not matched:
            shown = named(sorted(paths)) if paths else "none"
            raise InvalidArgumentError(
                f"include pattern {pattern!r} matches nothing in the checkpoint; its paths are {shown}",
                remedy="correct the pattern, or leave include away to load everything",
            )
        wanted.update(matched)
    above = {parent for path in wanted for parent in parents(path)}
    return Selection(
        [number for number, file in enumerate(manifest.files) if file.path in wanted],
        [folder for folder in manifest.directories if folder.path in wanted or folder.path in above],
        [link for link in manifest.links if link.path in wanted],
    )


def matches(path: str, pattern: str) -> bool:
    """Whether an include pattern means ``path``; the rule is that of :func:`select`."""
    pattern = pattern.rstrip("/")
    return (
        fnmatchcase(path, pattern) or fnmatchcase(posixpath.basename(path), pattern) or path.startswith(f"{pattern}/")
    )


def parents(path: str) -> list[str]:
    """The directories above ``path`` in its tree, nearest first."""
    found = []
    while path := posixpath.dirname(path):
        found.append(path)
    return found


@dataclass(slots=True)
class _Assembly:
    """A file of several parts on its way: digested as a whole in their order, whatever order they land in."""

    entry: FileEntry
    path: str
    offsets: tuple[int, ...]
    """of each part in the file"""
    digest: blake3 = field(default_factory=blake3)
    digested: int = 0
    """parts so far"""
    landed: set[int] = field(default_factory=set)
    """parts that lie in the file and wait for an earlier one"""
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Receiver:
    """The state of one download."""

    def __init__(self, source: VerifiedSource, selection: Selection, folder: Path) -> None:
        self._source = source
        self._files = source.manifest.files
        self._selection = selection
        self._folder = os.fspath(folder)
        self._assemblies: dict[int, _Assembly] = {}

    def prepare(self) -> None:
        """Make the directories, the empty files, and those that several workers write to."""
        paths = [*(self._files[n].path for n in self._selection.files), *(k.path for k in self._selection.links)]
        folders = {folder.path for folder in self._selection.directories}
        for path in [*paths, *folders]:
            parent = posixpath.dirname(path)
            while parent and parent not in folders:
                folders.add(parent)
                parent = posixpath.dirname(parent)
        for folder in sorted(folders):  # a directory sorts before what lies in it
            os.mkdir(self._path(folder))
        for number in self._selection.files:
            entry = self._files[number]
            if len(entry.extents) == 1:
                continue
            path = self._path(entry.path)
            descriptor = os.open(path, _CREATE, 0o600)
            try:
                if not entry.extents:
                    os.fchmod(descriptor, entry.mode)
            finally:
                os.close(descriptor)
            if entry.extents:
                offsets = tuple(accumulate((e.length for e in entry.extents), initial=0))
                self._assemblies[number] = _Assembly(entry, path, offsets)

    def task(self, read: PlannedRead) -> Callable[[], None]:
        return lambda: self._source.fetch(read, self._write)

    def link(self) -> None:
        """Make the links: last, so that nothing was ever written through one."""
        for link in self._selection.links:
            os.symlink(link.target, self._path(link.path))

    def _path(self, path: str) -> str:
        return os.path.join(self._folder, path)

    def _write(self, piece: Piece, data: Buffer) -> None:
        self._source.persistence.stop.check()
        assembly = self._assemblies.get(piece.file)
        entry = self._files[piece.file]
        if assembly is not None:
            descriptor = os.open(assembly.path, _REOPEN)
        else:
            descriptor = os.open(self._path(entry.path), _CREATE, 0o600)
        try:
            if assembly is not None:
                _write_at(descriptor, data, assembly.offsets[piece.number])
                self._assemble(assembly, piece.number, data, descriptor)
            else:
                _write_at(descriptor, data, 0)
                os.fchmod(descriptor, entry.mode)
        finally:
            os.close(descriptor)

    def _assemble(self, assembly: _Assembly, number: int, data: Buffer, descriptor: int) -> None:
        """Go on with the digest of the whole file as far as its parts have landed; check it behind the last one.

        Each part is verified by now. What only the whole can tell is that they are the right ones in the right order.
        """
        with assembly.lock:
            assembly.landed.add(number)
            while assembly.digested in assembly.landed:
                current = assembly.digested
                if current == number:
                    assembly.digest.update(data)
                else:  # landed before its turn, so it is read back; the system still has it in memory
                    self._read_back(assembly, current, descriptor)
                assembly.landed.remove(current)
                assembly.digested += 1
            if assembly.digested < len(assembly.entry.extents):
                return
        if assembly.digest.hexdigest() != assembly.entry.digest:
            raise self._source.damaged(f"{assembly.entry.path!r} as a whole differs from what was saved")
        os.fchmod(descriptor, assembly.entry.mode)

    def _read_back(self, assembly: _Assembly, number: int, descriptor: int) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        offset, end = assembly.offsets[number], assembly.offsets[number + 1]
        while offset < end:
            self._source.persistence.stop.check()
            count = os.preadv(descriptor, [buffer[: end - offset]], offset)
            if not count:
                raise OSError(errno.EIO, "what was written cannot be read back", assembly.path)
            assembly.digest.update(buffer[:count])
            offset += count


def _write_at(descriptor: int, data: Buffer, offset: int) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest = rest[written:]
        offset += written
