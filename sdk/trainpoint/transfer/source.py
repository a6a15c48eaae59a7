"""Files to be stored, opened so that a change since the scan never goes unseen."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from trainpoint.errors import TrainpointError, UnstorableError
from trainpoint.transfer.local import local_error
from trainpoint.transfer.tree import Fingerprint, TreeFile, changed_error

_REPLACED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ESTALE})
"""What opening a file says that was removed, or replaced by something else, since the scan."""
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Not through a link, and without waiting if the file has become a pipe since the scan."""


@contextmanager
def opened(file: TreeFile) -> Iterator[io.FileIO]:
    """The file, if it is still the one that was scanned. Errors of the operating system are taken for errors of
    reading it: what is written meanwhile needs an error of its own."""
    try:
        with io.FileIO(file.source, "rb", opener=lambda path, _: os.open(path, _OPEN_FLAGS)) as source:
            check_unchanged(source, file)
            yield source
    except TrainpointError:
        raise  # some of ours are OSErrors too
    except PermissionError as error:
        raise UnstorableError(
            f"{file.source} cannot be stored: it cannot be read ({error.strerror})",
            remedy="make it readable for this user",
        ) from None
    except OSError as error:
        if error.errno in _REPLACED:
            raise changed_error([file.path]) from None
        raise local_error("read", file.source, error) from None


def check_unchanged(source: io.FileIO, file: TreeFile) -> None:
    """Raise ChangedDuringSaveError unless the open file is what the scan saw."""
    info = os.fstat(source.fileno())
    if not stat.S_ISREG(info.st_mode) or Fingerprint.of(info) != file.fingerprint:
        raise changed_error([file.path])


def fill(part: memoryview, source: io.FileIO, file: TreeFile) -> None:
    """Read exactly ``part``; ChangedDuringSaveError where the file ends before."""
    filled = 0
    while filled < len(part):
        with part[filled:] as rest:
            count = source.readinto(rest)
        if not count:
            raise changed_error([file.path])
        filled += count
