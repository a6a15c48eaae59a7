"""A complete new directory takes the place of an old one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.manifest import DirectoryEntry
from trainpoint.transfer.local import local_error, remove_tree

_IN_THE_WAY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def partial_beside(target: Path, *, merge: bool, uid: str) -> Path:
    """A new directory for a load that is under way, on the file system of ``target``.

    It lies beside ``target`` as ``.<name>.partial-<uid>``; for a merge inside it, since the directory above may belong
    to somebody else. A process that is killed leaves it behind; it can be removed.

    Raises:
        InvalidArgumentError: ``target`` is a file, or a mount point that would have to be replaced.
        LocalFileError: it cannot be made.
    """
    place = _resolved(target)
    if place.exists() and not place.is_dir():
        raise InvalidArgumentError(f"{target} is a file; a checkpoint is loaded into a directory")
    if not merge and os.path.ismount(place):
        raise InvalidArgumentError(
            f"{target} is a mount point, which cannot be replaced",
            remedy=f"load into a directory in it, such as {target / 'checkpoint'}, or pass merge=True",
        )
    inside = merge and place.is_dir()
    partial = (place if inside else place.parent) / f".{place.name}.partial-{uid}"
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        raise local_error("write", partial, error) from None
    return partial


def swap_in(partial: Path, target: Path, *, uid: str) -> None:
    """Rename ``partial`` to ``target``; what was there is removed, an empty directory replaced in one step.

    A full directory takes two renames: it is put aside as ``.<name>.old-<uid>``, then ``partial`` takes its place. If
    the process is killed between the two, ``target`` is missing and the directory aside is what it was.
    """
    place = _resolved(target)
    if place.is_dir():
        os.chmod(partial, stat.S_IMODE(place.stat().st_mode))
    try:
        os.rename(partial, place)
        return
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
    aside = place.parent / f".{place.name}.old-{uid}"
    os.rename(place, aside)
    try:
        os.rename(partial, place)
    except BaseException:
        os.rename(aside, place)
        raise
    with suppress(OSError):  # the new content is in place: that some of the old cannot be removed is no failure
        remove_tree(aside)


def merge_in(partial: Path, target: Path, directories: Sequence[DirectoryEntry]) -> None:
    """Move everything in ``partial`` into ``target``, replacing files and links that are in the way.

    Directories that ``target`` has keep their modes. A link in the place of a directory is replaced, not followed.

    Raises:
        InvalidArgumentError: a directory lies where a file of the checkpoint belongs; nothing was moved.
    """
    place = _resolved(target)
    if not place.exists():
        apply_modes(partial, directories)
        os.rename(partial, place)
        return
    folders: list[str] = []
    others: list[str] = []
    for folder, names, files in os.walk(partial):
        inner = os.path.relpath(folder, partial)
        for name in [*names, *files]:
            path = os.path.normpath(os.path.join(inner, name))
            source = partial / path
            (folders if source.is_dir() and not source.is_symlink() else others).append(path)
    for path in others:
        if (place / path).is_dir() and not (place / path).is_symlink():
            raise InvalidArgumentError(
                f"{place / path} is a directory, and the checkpoint has a file there",
                remedy="remove the directory, or load without merge=True",
            )
    made: set[str] = set()
    for path in folders:  # from the top, as os.walk yields them
        there = place / path
        if there.is_symlink() or there.is_file():
            there.unlink()
        if not there.is_dir():
            there.mkdir()
            made.add(path)
    for path in others:
        os.rename(partial / path, place / path)
    apply_modes(place, [entry for entry in directories if entry.path in made])


def apply_modes(root: Path, directories: Sequence[DirectoryEntry]) -> None:
    """Set the modes of directories, the deepest first: one that may not be searched closes those below it."""
    for entry in sorted(directories, key=lambda d: d.path.count("/"), reverse=True):
        os.chmod(root / entry.path, entry.mode)


def _resolved(target: Path) -> Path:
    """Where ``target`` lies, a link to it resolved: the link stays, what it leads to is replaced."""
    return Path(os.path.realpath(target))
