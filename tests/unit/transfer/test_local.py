"""This machine's file system: removal whatever the modes, errors that say what to do."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.support.trees import File, Folder, Link, make, read
from trainpoint.transfer.local import local_error, remove_tree


def test_a_directory_is_removed_after_its_modes_without_touching_what_links_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try is refused, as it is for anyone but root."""
    outside = make(tmp_path / "outside", {"precious": File(b"1", 0o400), "closed": Folder(0o500)})
    tree = make(
        tmp_path / "tree",
        {
            "a/b/x": File(b"1", 0o000),
            "a/b": Folder(0o000),
            "a": Folder(0o000),
            "l": Link("../outside/closed"),
            "m": Link(str(outside)),
        },
    )
    rmtree = shutil.rmtree
    tries: list[Path] = []

    def refused_once(path: Path) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        assert (tree / "a").stat().st_mode & 0o700 == 0o700
        assert (tree / "a" / "b").stat().st_mode & 0o700 == 0o700
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", refused_once)
    remove_tree(tree)
    assert len(tries) == 2
    assert not tree.exists()
    assert read(outside) == {"precious": File(b"1", 0o400), "closed": Folder(0o500)}


def test_what_is_not_there_needs_no_removal(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EACCES, "let this user write"),
        (errno.EROFS, "let this user write"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENAMETOOLONG, "shorter path"),
        (errno.EIO, "check the disk"),
    ],
)
def test_an_error_says_what_where_and_what_to_do(number: int, remedy: str) -> None:
    error = local_error("write", Path("/data/x"), OSError(number, os.strerror(number)))
    assert error.message == f"cannot write /data/x: {os.strerror(number)}"
    assert remedy in error.remedy
    assert isinstance(error, OSError)
