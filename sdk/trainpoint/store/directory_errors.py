"""What an error of the operating system means for a store in a directory."""

from __future__ import annotations

import errno
import os
from typing import Final

from trainpoint.errors import (
    BucketNotFoundError,
    ReadOnlyStoreError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    TrainpointError,
    UnstorableError,
)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def translate(error: OSError, key: str, *, store: str, root: str, writing: bool) -> TrainpointError:
    """What an error of the operating system means for an object of the store."""
    what = f"{'write' if writing else 'read'} {key or 'the directory'} in {store}"
    number = error.errno or 0
    said = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    match number:
        case _ if number in _FULL:
            return StoreFullError(
                f"no room to {what}: {said}", remedy=f"free space on the file system of {root}, or raise the quota"
            )
        case _ if number in _REFUSED and writing:
            return ReadOnlyStoreError(
                f"cannot {what}: {said}",
                remedy=f"make {root} writable for this user, or choose another store (TRAINPOINT_STORE)",
            )
        case _ if number in _REFUSED:
            return StorePermissionError(f"cannot {what}: {said}", remedy=f"make {root} readable for this user")
        case errno.ENAMETOOLONG:
            return UnstorableError(
                f"{key!r} cannot be stored in {store}: {said}",
                remedy="shorten the path; most file systems take 255 bytes for one name",
            )
        case errno.ENOTDIR | errno.EISDIR | errno.EEXIST:
            return UnstorableError(
                f"{key!r} cannot be stored in {store}: {said}", remedy="a file and a folder would have the same name"
            )
        case errno.ENOENT:
            return BucketNotFoundError(f"cannot {what}: {said}", remedy=f"{root} was removed; create it again")
        case _:
            return StoreError(f"cannot {what}: {said}", remedy=f"look at the file system of {root}")
