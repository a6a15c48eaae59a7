"""The working directory of a handle: one stable folder for the program, and folders that are sealed to be uploaded.

    trainpoint-<host>-<pid>-<start time>-<uid>/      locked while its process lives
        current/                                     the handle's directory
        stage-<n>/ → sealed-<n>/                     written by the program, then left alone

A process that is killed leaves its directory behind; the next one of the same user on the same host removes it.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from trainpoint.clock import Chance, SystemChance
from trainpoint.errors import TrainpointError
from trainpoint.format.digest import digest_of
from trainpoint.transfer.local import local_error, remove_tree
from trainpoint.transfer.place import apply_modes
from trainpoint.transfer.room import check_room_for_copy
from trainpoint.transfer.source import check_unchanged, opened
from trainpoint.transfer.tree import Tree, TreeFile, changed_error, changed_files, scan

COPY_BYTES: Final = 1024 * 1024
_NAME = re.compile(r"trainpoint-(?P<host>[0-9a-f]{8})-(?P<pid>[1-9][0-9]*)-(?P<started>[0-9]+)-[0-9a-f]{16}")
_BUSY: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


class StagingArea:
    """The working directory of one handle; made at once, removed by :meth:`close`."""

    def __init__(self, temp_root: Path | None = None, *, chance: Chance | None = None) -> None:
        """``temp_root``: where it is made, itself made if need be; the system's temporary directory by default.

        Raises LocalFileError if that fails.
        """
        top = temp_root or _system_temp()
        try:
            top.mkdir(parents=True, exist_ok=True)
            self._root, self._lock = _make_area(top, chance or SystemChance())
            self.current = self._root / "current"
            """One path for the life of the handle."""
            self.current.mkdir(0o700)
        except OSError as error:
            raise local_error("write", error.filename or top, error) from error
        self._pid = os.getpid()
        self._numbers = itertools.count(1)
        self._closed = False
        sweep_dead(top)

    @property
    def root(self) -> Path:
        """The directory that holds everything."""
        return self._root

    def new_stage(self) -> Path:
        """An empty folder to write into."""
        folder = self._root / f"stage-{next(self._numbers)}"
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise local_error("write", folder, error) from error
        return folder

    def seal(self, stage: Path) -> Path:
        """The folder under another name: whoever kept the old path cannot write to it by accident any more."""
        sealed = stage.with_name(stage.name.replace("stage", "sealed", 1))
        try:
            os.rename(stage, sealed)
        except OSError as error:
            raise local_error("seal", stage, error) from error
        return sealed

    def take(self, source: Path, *, move: bool = False) -> Path:
        """A directory or file of the program as a sealed copy; with ``move``, itself, renamed.

        Copies where renaming would not do: to another file system, or where a link leads out of it.

        Raises:
            UnstorableError: something in it cannot be stored; nothing was moved.
            ChangedDuringSaveError: files changed while they were copied.
            LocalFileError: no room (told before the first byte is copied, where that is clear), no permission.
        """
        tree = scan(source)
        stage = self.new_stage()
        single = not source.is_dir()
        target = stage / source.name if single else stage
        try:
            if not (move and _renamed(tree, target)):
                check_room_for_copy(stage, tree.files)
                copy_tree(tree, stage)
                if move:
                    _remove(source)
        except TrainpointError:
            self.discard(stage)
            raise
        except OSError as error:
            self.discard(stage)
            raise local_error("copy", error.filename or source, error) from error
        sealed = self.seal(stage)
        return sealed / source.name if single else sealed

    def discard(self, folder: Path) -> None:
        """Remove a stage, sealed or not. What cannot be removed now is tried again by :meth:`close`."""
        inner = folder.relative_to(self._root)
        with suppress(OSError):
            remove_tree(self._root / inner.parts[0])

    def release(self, taken: Path) -> None:
        """Remove what :meth:`take` returned."""
        self.discard(taken)

    def close(self) -> None:
        """Remove everything, whatever its modes. Safe to repeat; does nothing in a forked child."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        with suppress(OSError):  # the next process of this user removes the rest
            remove_tree(self._root)
        os.close(self._lock)


def copy_tree(tree: Tree, into: Path) -> None:
    """Copy a tree into an empty directory: files, modes, links, empty directories.

    Raises:
        ChangedDuringSaveError: files are no longer what the scan saw; names them all.
        UnstorableError: a file cannot be read.
        OSError: something cannot be written.
    """
    for folder in tree.directories:
        (into / folder.path).mkdir(0o700)
    for file in tree.files:
        _copy_file(file, into / file.path)
    for link in tree.links:
        (into / link.path).symlink_to(link.target)
    apply_modes(into, tree.directories)
    changed = changed_files(tree)
    if changed:
        raise changed_error(changed)


def sweep_dead(temp_root: Path) -> None:
    """Remove what processes left behind that were killed: of this user, on this host.

    Dead is: nobody holds the lock of the directory, and no process has its pid and start time. A directory whose lock
    cannot be asked for stays.
    """
    with suppress(OSError):
        for name in os.listdir(temp_root):
            match = _NAME.fullmatch(name)
            if match and match["host"] == _host() and _started(int(match["pid"])) != match["started"]:
                _sweep(temp_root / name)


def _sweep(area: Path) -> None:
    with suppress(OSError):
        if os.lstat(area).st_uid != os.getuid():
            return
        descriptor = os.open(area, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(area)
        finally:
            os.close(descriptor)


def _make_area(temp_root: Path, chance: Chance) -> tuple[Path, int]:
    """A new directory, and the descriptor that holds its lock."""
    while True:
        pid = os.getpid()
        area = temp_root / f"trainpoint-{_host()}-{pid}-{_started(pid) or 0}-{chance.uid()}"
        try:
            area.mkdir(0o700)
        except FileExistsError:
            continue
        try:
            descriptor = os.open(area, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # swept before it was locked
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                os.close(descriptor)
                continue  # is being swept
            # no locks on this file system: such directories are never swept
        if area.exists():
            return area, descriptor
        os.close(descriptor)


def _host() -> str:
    return digest_of(os.uname().nodename.encode())[:8]


def _started(pid: int) -> str | None:
    """When a live process started, in clock ticks since boot (proc_pid_stat(5), field 22); None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[19].decode()


def _system_temp() -> Path:
    import tempfile  # a dozen modules that most programs never need

    return Path(tempfile.gettempdir())


def _renamed(tree: Tree, target: Path) -> bool:
    """Whether the tree could be moved to ``target`` by a rename, its content the same."""
    if tree.followed or tree.root.is_symlink():
        return False
    try:
        os.rename(tree.root, target)
    except OSError:
        return False  # another file system, a mount point, a directory that may not be written: copied instead
    return True


def _remove(source: Path) -> None:
    if source.is_symlink() or not source.is_dir():
        source.unlink()
    else:
        remove_tree(source)


def _copy_file(file: TreeFile, target: Path) -> None:
    with opened(file) as source, _writing(target), open(target, "xb", buffering=0) as copy:
        copied = _cloned(source.fileno(), copy.fileno(), file.size)
        source.seek(copied)
        while copied < file.size:
            chunk = source.read(min(COPY_BYTES, file.size - copied))
            if not chunk:
                raise changed_error([file.path])
            view = memoryview(chunk)
            while view:
                view = view[copy.write(view) :]
            copied += len(chunk)
        check_unchanged(source, file)
        os.fchmod(copy.fileno(), stat.S_IMODE(file.mode))


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except TrainpointError:
        raise
    except OSError as error:
        raise local_error("write", target, error) from error


def _cloned(source: int, target: int, size: int) -> int:
    """Bytes copied by the file system itself, which may only note that both files share them; the rest is read."""
    copied = 0
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):
            while copied < size and (count := os.copy_file_range(source, target, size - copied, copied, copied)):
                copied += count
        os.lseek(target, copied, os.SEEK_SET)
    return copied
