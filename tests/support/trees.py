"""Directories for tests: made from a description, read back into one."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.store.base import Store
from trainpoint.testing import FakeChance, FakeClock
from trainpoint.transfer.tree import scan
from trainpoint.transfer.upload import upload

TASK = TaskPath("digits", "run-1", "main")
SNAPSHOT = SnapshotId(0, 1, "00000000000000aa")


@dataclass(frozen=True)
class File:
    content: bytes = b""
    mode: int = 0o644


@dataclass(frozen=True)
class Folder:
    mode: int = 0o755


@dataclass(frozen=True)
class Link:
    target: str


Entry = File | Folder | Link
Description = Mapping[str, Entry]
"""What a directory holds, by path; the directories above an entry need not be named."""


def make(root: Path, description: Description) -> Path:
    """Create the directory ``root`` as described."""
    root.mkdir(parents=True)
    for path, entry in sorted(description.items()):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        match entry:
            case File(content):
                place.write_bytes(content)
            case Folder():
                place.mkdir(exist_ok=True)
            case Link(target):
                place.symlink_to(target)
    for path, entry in sorted(description.items(), reverse=True):  # the deepest first
        if not isinstance(entry, Link):
            (root / path).chmod(entry.mode)
    return root


def read(root: Path) -> dict[str, Entry]:
    """All that a directory holds."""
    found: dict[str, Entry] = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            place = Path(folder, name)
            path = place.relative_to(root).as_posix()
            info = place.lstat()
            mode = stat.S_IMODE(info.st_mode)
            if stat.S_ISLNK(info.st_mode):
                found[path] = Link(os.readlink(place))
            elif stat.S_ISDIR(info.st_mode):
                found[path] = Folder(mode)
            else:
                found[path] = File(place.read_bytes(), mode)
    return found


_BLOCK = bytes((i * 131 + i // 251 * 7) % 256 for i in range(65521))


def pattern(size: int, seed: int = 0) -> bytes:
    """``size`` bytes without a short period, the same for the same seed."""
    begin = seed * 379 % len(_BLOCK)
    return (_BLOCK * ((begin + size) // len(_BLOCK) + 1))[begin : begin + size]


def saved(store: Store, source: Path) -> Manifest:
    """Upload a directory or a file, and the manifest of it, as a reader would get it."""
    uploaded = upload(store, TASK, SNAPSHOT, scan(source), clock=FakeClock(), chance=FakeChance())
    manifest = Manifest(
        Snapshot(TASK, SNAPSHOT),
        "2026-01-01T00:00:00.000000Z",
        uploaded.objects,
        uploaded.files,
        uploaded.directories,
        uploaded.links,
    )
    return Manifest.from_bytes(manifest.to_bytes(), key="manifest.json")


# --- random trees -----------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(
    ["a", "b", "模型", "größe", "with space", "per%cent", "new\nline", "\u2028", "-", "...", "*", "\\"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_FILE_MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o400, 0o777])
_FOLDER_MODES = st.sampled_from([0o755, 0o700, 0o777, 0o500, 0o555])


@st.composite
def descriptions(draw: st.DrawFn, *, sizes: st.SearchStrategy[int]) -> dict[str, Entry]:
    """Directories with files, empty directories, modes, and links that stay inside, some of them to nothing."""
    found: dict[str, Entry] = {}
    for path in draw(st.lists(_PATHS, max_size=12)):
        above = path.split("/")
        parents = ["/".join(above[:n]) for n in range(1, len(above))]
        if path in found or any(not isinstance(found.get(p, Folder()), Folder) for p in parents):
            continue
        for parent in parents:
            found.setdefault(parent, Folder(draw(_FOLDER_MODES)))
        kind = draw(st.sampled_from(["file", "file", "file", "folder", "link"]))
        if kind == "file":
            found[path] = File(pattern(draw(sizes), draw(st.integers(0, 255))), draw(_FILE_MODES))
        elif kind == "folder":
            found[path] = Folder(draw(_FOLDER_MODES))
        else:
            climb = draw(st.integers(0, len(parents)))
            rest = draw(st.lists(_NAMES, min_size=0 if climb else 1, max_size=3))
            found[path] = Link("/".join([".."] * climb + rest))
    return found
