"""What a directory or a file holds, and whether all of it can be stored.

Links: a relative link that stays inside the tree is kept as a link. Any other link, absolute or leading out, is
followed and its content is stored, so that a checkpoint is whole on any machine. A followed directory counts as a tree
of its own for the links in it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainpoint.errors import ChangedDuringSaveError, UnstorableError
from trainpoint.format.layout import SnapshotId, TaskPath, file_key
from trainpoint.format.manifest import DirectoryEntry, LinkEntry, link_stays_inside

_NAMED_IN_MESSAGES = 5


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the file system says of a file; a write to the file changes it.

    (A write within the same tick of the file system's clock, some milliseconds, can leave the times as they were.)
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, info: os.stat_result) -> Fingerprint:
        return cls(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A regular file, or what a followed link to one leads to."""

    path: str
    """in the tree, ``/`` between segments"""
    source: str
    """where it lies, links resolved"""
    size: int
    """bytes"""
    mode: int
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory, or a single file under its own name; sorted by path."""

    root: Path
    files: tuple[TreeFile, ...]
    directories: tuple[DirectoryEntry, ...] = ()
    links: tuple[LinkEntry, ...] = ()
    followed: bool = False
    """whether some content lies elsewhere, behind a link"""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A directory on the way through a tree."""

    real: str
    path: str
    """in the tree; empty for the root"""
    base: _Folder | None = None
    """the followed directory that this one lies in; None: the root"""
    parent: _Folder | None = None

    def inside_base(self, path: str) -> str:
        """``path`` of the tree, relative to the base of its links."""
        return path if self.base is None else path[len(self.base.path) + 1 :]


def scan(root: Path) -> Tree:
    """All that ``root``, a directory or a file, holds.

    Raises:
        UnstorableError: something in it cannot be stored; the message names the path. Devices, sockets and pipes, names
            that are no UTF-8, links to nothing, links in a circle, directories that cannot be read.
    """
    info = _stat(str(root), str(root))
    real = os.path.realpath(root)
    if stat.S_ISDIR(info.st_mode):
        return _Scan(root, real).run()
    _check_utf8(root.name, str(root))
    return Tree(root, (_file(root.name, real, info),), followed=root.is_symlink())


def check_keys(tree: Tree, task: TaskPath, snapshot: SnapshotId) -> None:
    """Raise UnstorableError if a file's key would be longer than stores take, packed or not."""
    for file in tree.files:
        file_key(task, snapshot, file.path)


def changed_files(tree: Tree) -> list[str]:
    """Paths of the files that are no longer what :func:`scan` saw, or are gone.

    Files that were added since are no concern: what was there at the scan is what is stored.
    """
    return [file.path for file in tree.files if not _is_unchanged(file)]


def changed_error(paths: Sequence[str]) -> ChangedDuringSaveError:
    """The error that names files which changed."""
    count = "a file" if len(paths) == 1 else f"{len(paths)} files"
    return ChangedDuringSaveError(
        f"{count} changed while being saved: {named(paths)}",
        remedy="write into the folder of `with ckpt.stage(...) as folder`, or do not write until save() has returned",
    )


def named(paths: Sequence[str]) -> str:
    """Some of ``paths`` for a message, and how many more there are."""
    shown = ", ".join(repr(path) for path in paths[:_NAMED_IN_MESSAGES])
    more = len(paths) - _NAMED_IN_MESSAGES
    return f"{shown} and {more} more" if more > 0 else shown


class _Scan:
    """One walk through a directory."""

    def __init__(self, root: Path, real: str) -> None:
        self._root = root
        self._files: list[TreeFile] = []
        self._directories: list[DirectoryEntry] = []
        self._links: list[LinkEntry] = []
        self._followed = False
        self._pending = [_Folder(real, "")]
        self._top = real

    def run(self) -> Tree:
        while self._pending:
            folder = self._pending.pop()
            for entry in _entries(folder):
                self._add(folder, entry)
        return Tree(
            self._root,
            tuple(sorted(self._files, key=lambda f: f.path)),
            tuple(sorted(self._directories, key=lambda d: d.path)),
            tuple(sorted(self._links, key=lambda k: k.path)),
            self._followed,
        )

    def _add(self, folder: _Folder, entry: os.DirEntry[str]) -> None:
        path = f"{folder.path}/{entry.name}" if folder.path else entry.name
        _check_utf8(path, entry.path)
        try:
            info = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            raise changed_error([path]) from None
        except OSError as error:
            raise _unreadable(entry.path, error) from None
        if stat.S_ISLNK(info.st_mode):
            self._add_link(folder, path, entry.path)
        elif stat.S_ISDIR(info.st_mode):
            self._add_directory(path, info, _Folder(entry.path, path, folder.base, folder))
        else:
            self._files.append(_file(path, entry.path, info))

    def _add_directory(self, path: str, info: os.stat_result, folder: _Folder) -> None:
        self._directories.append(DirectoryEntry(path, stat.S_IMODE(info.st_mode) & 0o777))
        self._pending.append(folder)

    def _add_link(self, folder: _Folder, path: str, location: str) -> None:
        target = os.readlink(location)
        base = self._top if folder.base is None else folder.base.real
        if link_stays_inside(folder.inside_base(path), target) and _lies_in(os.path.realpath(location), base):
            _check_utf8(target, f"the target of the link {location}")
            self._links.append(LinkEntry(path, target))
            return
        info = _stat(location, f"{location} (a link to {target})")
        real = os.path.realpath(location)
        self._followed = True
        if not stat.S_ISDIR(info.st_mode):
            self._files.append(_file(path, real, info))
            return
        above: _Folder | None = folder
        while above is not None:
            if _lies_in(above.real, real):
                raise UnstorableError(
                    f"{location} cannot be stored: it links to {real}, which contains the link itself",
                    remedy="remove the link, or save a directory without it",
                )
            above = above.parent
        followed = _Folder(real, path, None, folder)
        self._add_directory(path, info, _Folder(real, path, followed, folder))


def _entries(folder: _Folder) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder.real) as entries:
            yield from entries
    except FileNotFoundError:
        raise changed_error([folder.path]) from None
    except OSError as error:
        raise _unreadable(folder.real, error) from None


def _file(path: str, source: str, info: os.stat_result) -> TreeFile:
    if not stat.S_ISREG(info.st_mode):
        kind = _KINDS.get(stat.S_IFMT(info.st_mode), "no regular file")
        raise UnstorableError(
            f"{source} cannot be stored: it is {kind}", remedy="remove it, or save a directory without it"
        )
    return TreeFile(path, source, info.st_size, stat.S_IMODE(info.st_mode) & 0o777, Fingerprint.of(info))


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def _is_unchanged(file: TreeFile) -> bool:
    try:
        return Fingerprint.of(os.stat(file.source, follow_symlinks=False)) == file.fingerprint
    except OSError:
        return False


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _check_utf8(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnstorableError(
            f"{where!r} cannot be stored: its name is not valid UTF-8", remedy="rename the file"
        ) from None


def _stat(path: str, what: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise _unreadable(what, error) from None


def _unreadable(what: str, error: OSError) -> UnstorableError:
    match error.errno:
        case errno.ENOENT:
            return UnstorableError(
                f"{what} cannot be stored: it does not exist", remedy="create it, or remove the link that leads there"
            )
        case errno.ELOOP:
            return UnstorableError(f"{what} cannot be stored: links lead in a circle", remedy="remove the link")
        case _:
            return UnstorableError(
                f"{what} cannot be stored: it cannot be read ({error.strerror})",
                remedy="make it readable for this user",
            )
