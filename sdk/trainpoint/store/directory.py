"""A directory as a store: one file per object, written aside and renamed into place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import BucketNotFoundError, ObjectNotFoundError, StoreError, TrainpointError, UnstorableError
from trainpoint.store.base import Buffer, ObjectInfo
from trainpoint.store.directory_errors import translate
from trainpoint.store.keys import check_key, check_prefix

TEMPORARY: Final = ".tmp"
LOCKS: Final = ".locks"
STALE_SECONDS: Final = 24 * 3600
"""A temporary file that nobody has written to for so long belongs to a writer that died."""
_RENAME_TRIES: Final = 100
"""How often a put makes its directory anew when deletions of the last other file in it remove it again."""

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_NO_DIRECTORY_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class DirectoryStore:
    """A store in ``root``, which may lie on a shared file system.

    The directory is made by the first write, for its owner alone (0o700); files and directories in it follow the umask,
    so that a directory which a group shares works for the group. Reading never writes.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        create_parents: bool = False,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        """``create_parents``: also make the directories above ``root``; else they must exist.

        A missing directory above is an error by default, since it is more often a volume that is not mounted than a
        new place, and "nothing there" would start a training anew.
        """
        self._root = os.path.realpath(root)
        self._create_parents = create_parents
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        self._ready = False
        self._synced: set[str] = set()  # directories whose own entry is known to be on the disk

    def __repr__(self) -> str:
        return f"DirectoryStore({self._root!r})"

    @property
    def url(self) -> str:
        return Path(self._root).as_uri()

    @property
    def root(self) -> Path:
        """The directory, absolute, links resolved."""
        return Path(self._root)

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, key: str, data: Buffer) -> None:
        self.put_stream(key, [data])

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        target = self._path(key)
        self._prepare()
        temporary = os.path.join(self._root, TEMPORARY, self._chance.uid())
        with self._writing(key):
            descriptor = self._create(temporary, os.O_WRONLY | os.O_EXCL)
        try:
            try:
                for chunk in chunks:  # errors of the source are not ours to rename
                    with self._writing(key):
                        _write_all(descriptor, chunk)
                with self._writing(key):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with self._writing(key):
                self._rename(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._writing(key):
            try:
                os.unlink(path)
            except OSError as error:
                # Linux answers EISDIR, macOS EPERM for a directory; no object is there in either case.
                if error.errno not in _ABSENT and not os.path.isdir(path):
                    raise
        parent = os.path.dirname(path)
        with suppress(OSError):  # not empty, or another delete was faster
            while parent != self._root:
                os.rmdir(parent)
                self._synced.discard(parent)
                parent = os.path.dirname(parent)

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes:
        with self._reading(key) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return file.read()

    def read(self, key: str, offset: int, length: int) -> Buffer:
        with self._reading(key) as descriptor:
            data = os.pread(descriptor, length, offset)
            while data and len(data) < length:  # one call gives at most 2 GiB, and less where a signal comes between
                more = os.pread(descriptor, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
            return data

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        levels: deque[Iterator[str]] = deque([iter(self._entries(prefix, after))])
        while levels:
            entry = next(levels[-1], None)
            if entry is None:
                levels.pop()
            elif entry.endswith("/"):
                levels.append(iter(self._entries(entry, after)))
            else:
                try:
                    found = os.lstat(os.path.join(self._root, entry))
                except FileNotFoundError:
                    continue  # deleted since its directory was read
                except OSError as error:
                    self._refuse(error, entry, writing=False)
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield ObjectInfo(entry, found.st_size, modified)

    def children(self, prefix: str) -> Sequence[str]:
        check_prefix(prefix)
        folders = [entry for entry in self._entries(prefix, "") if entry.endswith("/")]
        # A directory may be empty for a moment while a put or delete is under way; a bucket has no empty folders.
        filled = [folder for folder in folders if next(self.list(folder), None) is not None]
        return sorted(folder[len(prefix) : -1] for folder in filled)

    def _entries(self, prefix: str, after: str) -> Sequence[str]:
        """Keys of the files, and prefixes of the directories, directly below ``prefix``, in the order of a listing.

        A directory sorts as if its name ended with a slash: ``a-b`` comes before ``a/b``. (Comparing text by code
        points is comparing its UTF-8 bytes.)
        """
        path = self._inside(os.path.join(self._root, prefix))
        try:
            with os.scandir(path) as entries:
                found = [name for entry in entries if (name := _listed_name(entry))]
        except OSError as error:
            if error.errno not in _ABSENT:
                self._refuse(error, prefix, writing=False)
            self._check_place()
            return ()
        if not prefix:
            found = [name for name in found if name not in {f"{TEMPORARY}/", f"{LOCKS}/"}]
        keys = [prefix + name for name in found]
        return sorted(key for key in keys if key > after or (key.endswith("/") and after.startswith(key)))

    # --- a file lock --------------------------------------------------------------------------------------------------

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        return self._exclusive(check_prefix(prefix))

    @contextmanager
    def _exclusive(self, prefix: str) -> Iterator[None]:
        self._prepare()
        name = hashlib.blake2b(prefix.encode(), digest_size=8).hexdigest()
        path = os.path.join(self._root, LOCKS, name)
        with self._writing(prefix):
            try:
                descriptor = self._create(path, os.O_RDWR)
            except PermissionError:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # made by another user of a shared directory
        try:
            locked = True
            try:
                # Signal handlers run while this waits; one that raises ends the wait.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    self._refuse(error, prefix, writing=True)
                locked = False  # some network file systems have no locks; safety does not rest on them
            try:
                yield
            finally:
                if locked:
                    # Not left to close(): a child forked meanwhile holds the same lock through its copy.
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    # --- the root, and paths in it ------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make the directory once, and clear away what writers that died have left."""
        if self._ready:
            return
        self._check_place()
        with self._writing(""):
            if self._create_parents:
                os.makedirs(os.path.dirname(self._root), exist_ok=True)
            _make_directory(self._root, 0o700)
            _make_directory(os.path.join(self._root, TEMPORARY), 0o777)
            self._sweep()
        self._ready = True

    def _sweep(self) -> None:
        oldest = self._clock.now().timestamp() - STALE_SECONDS
        with os.scandir(os.path.join(self._root, TEMPORARY)) as entries:
            for entry in entries:
                with suppress(OSError):  # renamed by its writer, or swept by another process
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode) and found.st_mtime < oldest:
                        os.unlink(entry.path)

    def _create(self, path: str, flags: int) -> int:
        """Open a file of the store's own, with its folder where something has cleared that away.

        The root is not made again: it may be a volume that was unmounted, and what lies beneath is another disk.
        """
        try:
            return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            _make_directory(os.path.dirname(path), 0o777)
            return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _check_place(self) -> None:
        above = os.path.dirname(self._root)
        if os.path.lexists(self._root):
            if not os.path.isdir(self._root):
                raise BucketNotFoundError(
                    f"{self._root} is a file, not a directory (store {self.url})", remedy="correct the store's path"
                )
        elif not self._create_parents and not os.path.lexists(above):
            raise BucketNotFoundError(
                f"the directory {above} does not exist (store {self.url})",
                remedy=f"create it, mount its volume, or correct the store's path: mkdir -p {above}",
            )

    def _path(self, key: str) -> str:
        check_key(key)
        if key.partition("/")[0] in {TEMPORARY, LOCKS}:
            raise UnstorableError(
                f"{key!r} cannot be the key of an object: {TEMPORARY} and {LOCKS} are the store's own",
                remedy="choose another name",
            )
        return self._inside(os.path.join(self._root, key))

    def _inside(self, path: str) -> str:
        """``path``, unless a symbolic link on the way leads out of the root."""
        real = os.path.realpath(path)
        if real != self._root and not real.startswith(self._root.rstrip("/") + "/"):
            raise StoreError(
                f"{path} leads out of the store {self.url} by a symbolic link, which is not followed",
                remedy="remove the link, or point the store's URL at the directory itself",
            )
        return path

    def _rename(self, temporary: str, target: str) -> None:
        """Move a finished file to its place, and make its name, and those of new directories above it, durable."""
        parent = os.path.dirname(target)
        for remaining in reversed(range(_RENAME_TRIES)):
            try:
                os.makedirs(parent, exist_ok=True)
                os.replace(temporary, target)
                break
            except (FileNotFoundError, FileExistsError):
                # A concurrent delete has removed the directory, since it was empty for a moment: before the rename, or
                # between makedirs' mkdir, which another writer was ahead of, and its look at what is there.
                if not remaining or not os.path.exists(temporary) or os.path.isfile(parent):
                    raise
                self._synced.clear()
        with suppress(FileNotFoundError):  # deleted again already, with its directory
            _sync_directory(parent)
            while parent != self._root and parent not in self._synced:
                self._synced.add(parent)
                parent = os.path.dirname(parent)
                _sync_directory(parent)

    # --- errors -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except TrainpointError:
            raise
        except OSError as error:
            self._refuse(error, key, writing=True)

    @contextmanager
    def _reading(self, key: str) -> Iterator[int]:
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except TrainpointError:
            raise
        except OSError as error:
            if error.errno in _ABSENT:
                self._check_place()
                raise ObjectNotFoundError(
                    f"{key} does not exist in {self.url}", remedy="it was deleted, or never written"
                ) from None
            self._refuse(error, key, writing=False)

    def _refuse(self, error: OSError, key: str, *, writing: bool) -> NoReturn:
        raise translate(error, key, store=self.url, root=self._root, writing=writing) from None


def _listed_name(entry: os.DirEntry[str]) -> str:
    """The name of a file, that of a directory with a slash, nothing for links and devices, which are no objects."""
    if entry.is_dir(follow_symlinks=False):
        return f"{entry.name}/"
    return entry.name if entry.is_file(follow_symlinks=False) else ""


def _make_directory(path: str, mode: int) -> None:
    try:
        os.mkdir(path, mode)
    except OSError:  # which error an existing directory gives differs between file systems
        if not os.path.isdir(path):
            raise


def _write_all(descriptor: int, chunk: Buffer) -> None:
    rest = memoryview(chunk).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_directory(path: str) -> None:
    """Make the names in a directory durable; some network file systems cannot, and need not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)
