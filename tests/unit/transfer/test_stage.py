"""The working directory of a handle: sealed, copied, cleaned up, and what the dead left removed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.trees import Description, File, Folder, Link, make, pattern, read
from trainpoint.errors import ChangedDuringSaveError, LocalFileError, UnstorableError
from trainpoint.testing import FakeChance
from trainpoint.transfer import stage as stage_module
from trainpoint.transfer.stage import StagingArea, copy_tree, sweep_dead
from trainpoint.transfer.tree import scan

TREE: Description = {
    "a/x": File(pattern(3_000_000), 0o600),
    "a/empty": File(b"", 0o444),
    "a": Folder(0o500),
    "l": Link("a/x"),
    "e": Folder(0o700),
}


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    return tmp_path / "temp"


# --- the area ---------------------------------------------------------------------------------------------------------


def test_an_area_has_one_stable_empty_directory_of_its_own(temp: Path) -> None:
    one, other = StagingArea(temp), StagingArea(temp)
    assert one.current != other.current
    assert os.listdir(one.current) == []
    assert one.root.stat().st_mode & 0o077 == 0
    one.close()
    other.close()


def test_closing_removes_everything_whatever_its_modes(temp: Path) -> None:
    area = StagingArea(temp)
    make(
        area.current / "x",
        {"closed/inner/file": File(b"1", 0o000), "closed/inner": Folder(0o000), "closed": Folder(0o000)},
    )
    make(area.new_stage() / "y", {"l": Link("/etc/passwd"), "sealed": Folder(0o500)})
    area.close()
    area.close()
    assert os.listdir(temp) == []


def test_a_link_in_the_area_is_removed_and_not_followed(temp: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", {"precious": File(b"1", 0o400), "d": Folder(0o500)})
    area = StagingArea(temp)
    make(area.current / "x", {"l": Link(str(outside)), "m": Link(str(outside / "precious")), "closed": Folder(0o500)})
    area.close()
    assert read(outside) == {"precious": File(b"1", 0o400), "d": Folder(0o500)}


def test_two_areas_never_share_a_directory_even_if_chance_repeats_itself(temp: Path) -> None:
    areas = [StagingArea(temp, chance=FakeChance(1)) for _ in range(3)]
    assert len({area.root for area in areas}) == 3
    for area in areas:
        area.close()


def test_a_place_that_cannot_hold_an_area_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalFileError, match=str(tmp_path / "file")):
        StagingArea(tmp_path / "file" / "temp")


def test_a_forked_child_leaves_the_area_of_its_parent(temp: Path) -> None:
    area = StagingArea(temp)
    child = os.fork()
    if child == 0:
        try:
            area.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert area.current.is_dir()
    area.close()


# --- stages -----------------------------------------------------------------------------------------------------------


def test_a_stage_is_new_and_empty_and_sealed_under_another_path(temp: Path) -> None:
    area = StagingArea(temp)
    stages = [area.new_stage() for _ in range(3)]
    assert len(set(stages)) == 3
    (stages[0] / "x").write_bytes(b"1")
    sealed = area.seal(stages[0])
    assert not stages[0].exists()
    assert read(sealed) == {"x": File(b"1")}
    with pytest.raises(FileNotFoundError):
        (stages[0] / "late").write_bytes(b"1")
    area.discard(sealed)
    area.discard(stages[1])
    assert sorted(p.name for p in area.root.iterdir()) == ["current", stages[2].name]
    area.close()


def test_sealing_a_stage_that_was_removed_names_it(temp: Path) -> None:
    area = StagingArea(temp)
    stage = area.new_stage()
    stage.rmdir()
    with pytest.raises(LocalFileError, match=str(stage)):
        area.seal(stage)
    area.close()


# --- taking what is the program's -------------------------------------------------------------------------------------


def without_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the area lay on another file system than what is moved into it."""
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if Path(source).name == "source":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)


def without_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system, or a Python, that cannot copy by itself."""
    monkeypatch.delattr(os, "copy_file_range", raising=False)


def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pass


@pytest.mark.parametrize("setting", [as_it_is, without_rename, without_clone])
@pytest.mark.parametrize("move", [False, True])
def test_a_directory_is_taken_as_it_is(
    temp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: Callable[[pytest.MonkeyPatch], None],
    move: bool,
) -> None:
    source = make(tmp_path / "source", TREE)
    before = read(source)
    setting(monkeypatch)
    area = StagingArea(temp)
    taken = area.take(source, move=move)
    assert read(taken) == before
    assert source.exists() is not move
    area.release(taken)
    assert [p.name for p in area.root.iterdir()] == ["current"]
    area.close()


@pytest.mark.parametrize("setting", [as_it_is, without_rename, without_clone])
@pytest.mark.parametrize("move", [False, True])
def test_a_file_is_taken_with_its_name(
    temp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: Callable[[pytest.MonkeyPatch], None],
    move: bool,
) -> None:
    source = tmp_path / "source"
    source.write_bytes(pattern(2_000_001))
    source.chmod(0o640)
    setting(monkeypatch)
    area = StagingArea(temp)
    taken = area.take(source, move=move)
    assert taken.name == "source"
    assert read(taken.parent) == {"source": File(pattern(2_000_001), 0o640)}
    assert source.exists() is not move
    area.release(taken)
    assert [p.name for p in area.root.iterdir()] == ["current"]
    area.close()


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("target", ["../outside/x", "{tmp}/source/f"], ids=["relative", "absolute"])
def test_what_a_followed_link_leads_to_is_copied_since_a_rename_would_break_the_link(
    temp: Path, tmp_path: Path, move: bool, target: str
) -> None:
    make(tmp_path / "outside", {"x": File(b"out")})
    source = make(tmp_path / "source", {"f": File(b"out"), "l": Link(target.format(tmp=tmp_path))})
    area = StagingArea(temp)
    taken = area.take(source, move=move)
    assert read(taken) == {"f": File(b"out"), "l": File(b"out")}
    assert source.exists() is not move
    assert (tmp_path / "outside" / "x").read_bytes() == b"out"
    area.close()


def test_moving_a_link_takes_the_link_away_and_leaves_what_it_leads_to(temp: Path, tmp_path: Path) -> None:
    real = make(tmp_path / "real", {"x": File(b"1")})
    (tmp_path / "link").symlink_to(real)
    area = StagingArea(temp)
    taken = area.take(tmp_path / "link", move=True)
    assert read(taken) == {"x": File(b"1")}
    assert not (tmp_path / "link").is_symlink()
    assert read(real) == {"x": File(b"1")}
    area.close()


@pytest.mark.parametrize("move", [False, True])
def test_what_cannot_be_stored_is_not_moved_and_leaves_nothing_behind(temp: Path, tmp_path: Path, move: bool) -> None:
    source = make(tmp_path / "source", {"x": File(b"1")})
    os.mkfifo(source / "pipe")
    area = StagingArea(temp)
    with pytest.raises(UnstorableError, match="pipe"):
        area.take(source, move=move)
    assert sorted(os.listdir(source)) == ["pipe", "x"]
    assert [p.name for p in area.root.iterdir()] == ["current"]
    area.close()


def test_files_that_change_while_they_are_copied_are_named(
    temp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "source", {"first": File(b"1" * 100), "second": File(b"2")})
    copy = stage_module._copy_file

    def late(file: object, target: Path) -> None:
        copy(file, target)  # type: ignore[arg-type]
        with (source / "first").open("ab") as out:
            out.write(b"more")

    monkeypatch.setattr(stage_module, "_copy_file", late)
    area = StagingArea(temp)
    with pytest.raises(ChangedDuringSaveError, match="'first'"):
        area.take(source)
    assert [p.name for p in area.root.iterdir()] == ["current"]
    area.close()


def test_a_full_disk_names_the_copy_and_leaves_nothing_behind(
    temp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(tmp_path / "source", {"x": File(b"1" * 100)})

    def full(path: int, mode: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    area = StagingArea(temp)
    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(LocalFileError, match=f"cannot write {area.root}.*No space left") as raised:
        area.take(source)
    assert "TRAINPOINT_TEMP_DIR" in raised.value.remedy
    assert [p.name for p in area.root.iterdir()] == ["current"]
    area.close()


def test_a_copy_is_a_copy(tmp_path: Path) -> None:
    source = make(tmp_path / "source", TREE)
    make(tmp_path / "copy", {})
    copy_tree(scan(source), tmp_path / "copy")
    assert read(tmp_path / "copy") == read(source)
    (source / "a" / "x").write_bytes(b"changed in place")
    assert (tmp_path / "copy" / "a" / "x").read_bytes() == pattern(3_000_000)


# --- what the dead left behind ----------------------------------------------------------------------------------------

OPEN_AND_WAIT = """
import sys, time
from pathlib import Path
from trainpoint.transfer.stage import StagingArea
area = StagingArea(Path(sys.argv[1]))
(area.current / "data").write_bytes(b"x" * 1000)
print(area.root, flush=True)
sys.stdin.read()
"""


def living(temp: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds an area until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_WAIT, str(temp)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_killed_process_s_area_is_removed_by_the_next_one_and_a_living_one_s_is_not(temp: Path) -> None:
    process, root = living(temp)
    try:
        StagingArea(temp).close()
        assert (root / "current" / "data").is_file()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (root / "current" / "data").is_file()
    StagingArea(temp).close()
    assert os.listdir(temp) == []


def dead_area(temp: Path, *, host: str | None = None, pid: int = 2**22 + 1, uid: str = "0" * 16) -> Path:
    """What a process that no longer exists would have left."""
    return make(temp / f"trainpoint-{host or stage_module._host()}-{pid}-123-{uid}", {"current/x": File(b"1", 0o400)})


def test_an_area_that_is_locked_stays_though_its_pid_is_unknown_here(temp: Path) -> None:
    """Its process may live in another container, which shares the directory but not the pids."""
    area = dead_area(temp)
    descriptor = os.open(area, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        sweep_dead(temp)
        assert area.is_dir()
    finally:
        os.close(descriptor)
    sweep_dead(temp)
    assert not area.exists()


def test_an_area_whose_lock_cannot_be_asked_for_stays(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    area = dead_area(temp)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    sweep_dead(temp)
    assert area.is_dir()
    StagingArea(temp).close()  # and one can be made all the same


def test_a_dead_area_is_removed(temp: Path) -> None:
    dead_area(temp)
    sweep_dead(temp)
    assert os.listdir(temp) == []


@pytest.mark.parametrize(
    "name",
    [
        "trainpoint",
        "trainpoint-notes",
        "trainpoint-1-2-3",
        "mytrainpoint-{host}-4194305-123-0000000000000000",
        "trainpoint-{host}-4194305-123-0000000000000000.bak",
        "trainpoint-ffffffff-4194305-123-0000000000000000",
        "trainpoint-{host}-4194305-123-0000",
    ],
)
def test_other_directories_stay(temp: Path, name: str) -> None:
    make(temp / name.format(host=stage_module._host()), {"x": File(b"1")})
    sweep_dead(temp)
    assert len(os.listdir(temp)) == 1


def test_an_area_of_another_user_stays(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    area = dead_area(temp)
    monkeypatch.setattr(os, "getuid", lambda: area.stat().st_uid + 1)
    sweep_dead(temp)
    assert area.is_dir()


def test_a_link_that_is_named_like_an_area_stays_and_is_not_followed(temp: Path, tmp_path: Path) -> None:
    real = make(tmp_path / "real", {"x": File(b"1")})
    temp.mkdir()
    (temp / f"trainpoint-{stage_module._host()}-4194305-123-{'0' * 16}").symlink_to(real)
    sweep_dead(temp)
    assert read(real) == {"x": File(b"1")}


def test_a_reused_pid_does_not_keep_an_area(temp: Path) -> None:
    dead_area(temp, pid=os.getpid())
    sweep_dead(temp)
    assert os.listdir(temp) == []
