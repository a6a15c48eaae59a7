"""Is there room for what is about to be written? Asked before, so that nobody waits hours for a disk to fill up.

Only a clear shortage is refused: where free bytes do not tell what fits (compression, network file systems), the disk
itself has the last word, as it has where others write meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from trainpoint.errors import LocalFileError
from trainpoint.transfer.local import FULL_REMEDY
from trainpoint.transfer.tree import TreeFile

_EXACT: Final = frozenset({"ext2", "ext3", "ext4", "tmpfs", "xfs", "overlay"})
"""File systems on which a byte takes a byte."""
_SHARING: Final = frozenset({"xfs", "overlay"})
"""Those of them on which a copy within the same file system may share its bytes with the original; of an overlay, that
depends on what lies beneath."""
_MOUNTS: Final = Path("/proc/self/mountinfo")


def check_room_for_load(folder: Path, needed: int) -> None:
    """Refuse to write ``needed`` bytes beneath ``folder`` where they clearly do not fit.

    What the load is to replace is not counted as free: it stays until the new content is complete.

    Raises:
        LocalFileError: with both numbers and what to do.
    """
    _check(folder, needed, f"load into {folder.parent}")


def check_room_for_copy(folder: Path, files: Iterable[TreeFile]) -> None:
    """The same of a copy of ``files``; those are not counted that may share their bytes with the copy."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return
    shares = _kind(device) in _SHARING
    needed = sum(file.size for file in files if not (shares and file.fingerprint.device == device))
    _check(folder, needed, f"copy into {folder}")


def _check(folder: Path, needed: int, verb: str) -> None:
    try:
        free = _free_bytes(folder)
        kind = _kind(os.stat(folder).st_dev)
    except OSError:
        return
    if free is None or needed <= free or kind not in _EXACT:
        return
    raise LocalFileError(f"cannot {verb}: {needed} bytes are needed, and {free} are free ({kind})", remedy=FULL_REMEDY)


def _free_bytes(folder: Path) -> int | None:
    """What this user may still write; None where there is no limit that could be told."""
    said = os.statvfs(folder)
    if not said.f_blocks:
        return None
    return said.f_frsize * (said.f_bfree if os.geteuid() == 0 else said.f_bavail)


def _kind(device: int) -> str:
    """The type of the file system with that number, such as ``ext4``; empty where that is not known."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:  # proc_pid_mountinfo(5): id, parent, device, root, mount point, options, …, "-", type, …
        front, _, back = line.partition(" - ")
        if front.split()[2:3] == [wanted]:
            return back.split()[0]
    return ""
