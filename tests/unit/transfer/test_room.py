"""Too little room is told before anything is written, where it is clear; else the disk has the last word."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.trees import File, make, pattern, read, saved
from trainpoint.errors import LocalFileError
from trainpoint.testing import MemoryStore
from trainpoint.transfer import room
from trainpoint.transfer.download import download
from trainpoint.transfer.stage import StagingArea

TREE = {"big.bin": File(pattern(200_000)), "small.txt": File(b"small")}
Disk = Callable[..., None]


@dataclass
class Said:
    """What statvfs(3) says, as far as it is asked."""

    f_bavail: int
    f_bfree: int
    f_blocks: int = 1000
    f_frsize: int = 1000


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Let every file system be of a kind, with so many thousand bytes free; None: it does not say."""

    def disk(free: int | None, kind: str = "ext4", *, blocks: int = 1000, reserved: int = 0) -> None:
        def statvfs(path: object) -> Said:
            if free is None:
                raise OSError("not here")
            return Said(f_bavail=free - reserved, f_bfree=free, f_blocks=blocks)

        monkeypatch.setattr(os, "statvfs", statvfs)
        monkeypatch.setattr(room, "_kind", lambda device: kind)

    return disk


def test_a_load_that_cannot_fit_is_refused_before_the_first_byte(
    memory: MemoryStore, tmp_path: Path, disk: Disk
) -> None:
    checkpoint = saved(memory, make(tmp_path / "source", TREE))
    target = make(tmp_path / "place" / "target", {"old": File(pattern(150_000))})
    disk(200)
    memory.requests.clear()
    with pytest.raises(LocalFileError) as raised:
        download(memory, checkpoint, target)
    assert f"cannot load into {target.parent}: 200005 bytes are needed, and 200000 are free" in raised.value.message
    assert "TRAINPOINT_TEMP_DIR" in raised.value.remedy
    assert not memory.requests, "nothing was asked for"
    assert os.listdir(target.parent) == ["target"]
    assert os.listdir(target) == ["old"], "which would have stayed until the new content was complete: it is no room"
    download(memory, checkpoint, target, include=["small*"])
    assert os.listdir(target) == ["small.txt"], "what is asked for counts"
    disk(201)
    download(memory, checkpoint, target)
    assert read(target) == TREE


@pytest.mark.parametrize(
    ("free", "kind", "blocks"),
    [(None, "ext4", 1000), (0, "zfs", 1000), (0, "nfs4", 1000), (0, "", 1000), (0, "tmpfs", 0)],
    ids=["does not say", "compresses", "somebody else's", "unknown", "without a limit"],
)
def test_where_it_is_not_clear_nothing_is_refused(
    memory: MemoryStore, tmp_path: Path, disk: Disk, free: int | None, kind: str, blocks: int
) -> None:
    checkpoint = saved(memory, make(tmp_path / "source", TREE))
    disk(free, kind, blocks=blocks)
    download(memory, checkpoint, tmp_path / "target")
    assert read(tmp_path / "target") == TREE


def test_what_is_reserved_for_root_is_roots(
    memory: MemoryStore, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = saved(memory, make(tmp_path / "source", TREE))
    disk(300, reserved=200)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LocalFileError, match="and 100000 are free"):
        download(memory, checkpoint, tmp_path / "target")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    download(memory, checkpoint, tmp_path / "target")


def test_a_copy_that_cannot_fit_is_refused_and_a_rename_needs_no_room(tmp_path: Path, disk: Disk) -> None:
    source = make(tmp_path / "source", TREE)
    area = StagingArea(tmp_path / "temp")
    disk(100)
    with pytest.raises(LocalFileError, match="200005 bytes are needed, and 100000 are free"):
        area.take(source)
    assert [path.name for path in area.root.iterdir()] == ["current"]
    assert read(source) == TREE
    taken = area.take(source, move=True)
    assert read(taken) == TREE
    area.close()


def test_a_copy_that_may_share_its_bytes_is_tried(tmp_path: Path, disk: Disk) -> None:
    source = make(tmp_path / "source", TREE)
    area = StagingArea(tmp_path / "temp")
    disk(0, "xfs")
    assert read(area.take(source)) == TREE
    area.close()


def test_the_kind_of_a_file_system_is_read_from_the_table_of_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        "40 22 0:35 / /dev/shm rw,nosuid - tmpfs tmpfs rw,size=65536k\n"
        "60 22 0:50 / /mnt/my\\040disk rw master:2 propagate_from:3 - fuse.sshfs a:b rw\n"
    )
    monkeypatch.setattr(room, "_MOUNTS", table)
    kinds = [room._kind(os.makedev(*device)) for device in ((254, 1), (0, 35), (0, 50), (9, 9))]
    assert kinds == ["ext4", "tmpfs", "fuse.sshfs", ""]
    monkeypatch.setattr(room, "_MOUNTS", tmp_path / "nothing")
    assert room._kind(os.makedev(254, 1)) == ""
