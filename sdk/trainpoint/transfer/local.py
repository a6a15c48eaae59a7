"""This machine's file system: what its errors mean, and how a tree is removed whatever its modes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from trainpoint.errors import LocalFileError

FULL_REMEDY: Final = "free space there, or choose another directory (TRAINPOINT_TEMP_DIR for the working directory)"


def local_error(verb: str, path: str | os.PathLike[str], error: OSError) -> LocalFileError:
    """An error of the operating system at ``path``, with what to do about it."""
    said = error.strerror or str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            remedy = FULL_REMEDY
        case errno.EACCES | errno.EPERM | errno.EROFS:
            remedy = "let this user write there, or choose another directory"
        case errno.EMFILE | errno.ENFILE:
            remedy = "raise the limit of open files (ulimit -n)"
        case errno.ENAMETOOLONG:
            remedy = "choose a directory with a shorter path"
        case _:
            remedy = "check the disk; another start may succeed"
    return LocalFileError(f"cannot {verb} {os.fspath(path)}: {said}", remedy=remedy)


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, also what its modes protect. One that is not there is fine.

    Raises OSError where the file system refuses all the same.
    """
    import shutil  # loads every compression module there is, which a start need not pay for

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        if not path.exists():
            return
        _unprotect(path)
        shutil.rmtree(path)
    except OSError:
        _unprotect(path)
        shutil.rmtree(path)


def _unprotect(path: Path) -> None:
    os.chmod(path, 0o700)
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
