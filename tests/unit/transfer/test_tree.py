"""What a directory holds: links kept or followed, and what cannot be stored refused by name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.trees import SNAPSHOT, TASK, Description, File, Folder, Link, make
from tests.support.unprivileged import unprivileged
from trainpoint.errors import UnstorableError
from trainpoint.format.manifest import DirectoryEntry, LinkEntry
from trainpoint.transfer.tree import changed_files, check_keys, scan


def files_of(root: Path) -> dict[str, str]:
    """Content of each file by its path in the tree."""
    return {file.path: Path(file.source).read_text() for file in scan(root).files}


def test_files_directories_and_modes_are_listed_in_order(tmp_path: Path) -> None:
    root = make(
        tmp_path / "r", {"b/x": File(b"12", 0o600), "b": Folder(0o750), "a": File(b"", 0o755), "e/e": Folder(0o700)}
    )
    tree = scan(root)
    assert [(f.path, f.size, f.mode) for f in tree.files] == [("a", 0, 0o755), ("b/x", 2, 0o600)]
    assert tree.directories == (DirectoryEntry("b", 0o750), DirectoryEntry("e", 0o755), DirectoryEntry("e/e", 0o700))
    assert tree.size == 2
    assert not tree.followed


def test_a_single_file_is_a_tree_of_its_own_name(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"model.pt": File(b"12", 0o640), "other": File()})
    (file,) = scan(root / "model.pt").files
    assert (file.path, file.size, file.mode) == ("model.pt", 2, 0o640)


def test_a_link_to_a_file_is_a_tree_of_the_links_name(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"model-7.pt": File(b"12"), "latest.pt": Link("model-7.pt")})
    (file,) = scan(root / "latest.pt").files
    assert (file.path, file.size) == ("latest.pt", 2)


def test_a_link_to_a_directory_is_that_directory(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"real/x": File(b"1"), "link": Link("real")})
    assert files_of(root / "link") == {"x": "1"}


def test_set_user_id_and_sticky_bits_are_left_out(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"x": File(b"", 0o4755), "d": Folder(0o1777)})
    assert scan(root).files[0].mode == 0o755
    assert scan(root).directories[0].mode == 0o777


def test_hard_links_are_two_files(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"a": File(b"1")})
    os.link(root / "a", root / "b")
    assert files_of(root) == {"a": "1", "b": "1"}


KEPT: dict[str, Description] = {
    "to a file": {"l": Link("x"), "x": File()},
    "to a directory": {"l": Link("d"), "d": Folder()},
    "up and down": {"a/l": Link("../b/x"), "b/x": File()},
    "to nothing": {"l": Link("missing")},
    "to nothing, further down": {"a/l": Link("../missing/x")},
    "to another link": {"l": Link("m"), "m": Link("x"), "x": File()},
    "through a link to a directory": {"l": Link("m/x"), "m": Link("d"), "d/x": File()},
    "to itself": {"l": Link("l")},
    "in a circle": {"l": Link("m"), "m": Link("l")},
    "to the root": {"a/l": Link("..")},
}


@pytest.mark.parametrize("description", KEPT.values(), ids=KEPT)
def test_a_relative_link_inside_the_tree_is_kept(tmp_path: Path, description: Description) -> None:
    tree = scan(make(tmp_path / "r", description))
    links = {path: entry.target for path, entry in description.items() if isinstance(entry, Link)}
    assert tree.links == tuple(LinkEntry(path, target) for path, target in sorted(links.items()))
    assert not tree.followed


def outside(tmp_path: Path) -> Path:
    return make(
        tmp_path / "out",
        {"x": File(b"out"), "d/y": File(b"deep", 0o600), "d/up": Link("../x"), "d/in": Link("y"), "d": Folder(0o750)},
    )


@pytest.mark.parametrize("target", ["../out/x", "{tmp}/out/x", "../r/../out/x"])
def test_a_link_that_leads_out_is_followed_to_its_file(tmp_path: Path, target: str) -> None:
    outside(tmp_path)
    root = make(tmp_path / "r", {"l": Link(target.format(tmp=tmp_path))})
    assert files_of(root) == {"l": "out"}
    assert scan(root).links == ()
    assert scan(root).followed


def test_a_link_that_leads_out_is_followed_to_its_directory_with_the_links_in_it(tmp_path: Path) -> None:
    """Inside a followed directory a link is kept if it stays in that directory, else followed in its turn."""
    outside(tmp_path)
    root = make(tmp_path / "r", {"sub/l": Link("../../out/d")})
    tree = scan(root)
    assert files_of(root) == {"sub/l/y": "deep", "sub/l/up": "out"}
    assert tree.links == (LinkEntry("sub/l/in", "y"),)
    assert DirectoryEntry("sub/l", 0o750) in tree.directories


def test_an_absolute_link_into_the_tree_is_followed(tmp_path: Path) -> None:
    """The restored tree lies elsewhere, where the old path would be wrong."""
    root = make(tmp_path / "r", {"x": File(b"1"), "l": Link(str(tmp_path / "r" / "x"))})
    assert files_of(root) == {"x": "1", "l": "1"}


def test_a_link_that_stays_inside_by_its_text_but_not_in_truth_is_followed(tmp_path: Path) -> None:
    outside(tmp_path)
    root = make(tmp_path / "r", {"d": Link("../out/d"), "l": Link("d/y")})
    assert files_of(root) == {"d/y": "deep", "d/up": "out", "l": "deep"}


def test_a_link_that_climbs_behind_another_segment_is_followed(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"d": Folder(), "x": File(b"1"), "l": Link("d/../x")})
    assert files_of(root) == {"l": "1", "x": "1"}


def test_the_same_directory_behind_two_links_is_stored_twice(tmp_path: Path) -> None:
    outside(tmp_path)
    root = make(tmp_path / "r", {"l": Link("../out/d"), "m": Link("../out/d")})
    assert set(files_of(root)) == {"l/y", "l/up", "m/y", "m/up"}


def refusal(root: Path) -> str:
    with pytest.raises(UnstorableError) as raised:
        scan(root)
    return raised.value.message


@pytest.mark.parametrize("target", ["../../nothing", "/nonexistent/nothing", "d/../nothing"])
def test_a_link_to_nothing_that_leads_out_is_refused_by_name(tmp_path: Path, target: str) -> None:
    said = refusal(make(tmp_path / "r", {"sub/l": Link(target), "sub/d": Folder()}))
    assert str(tmp_path / "r" / "sub" / "l") in said
    assert target in said
    assert "does not exist" in said


@pytest.mark.parametrize("target", ["..", "../..", "{tmp}/r", "{tmp}", "/"])
def test_a_link_to_a_directory_that_contains_it_is_refused_by_name(tmp_path: Path, target: str) -> None:
    root = make(tmp_path / "r", {"l": Link(target.format(tmp=tmp_path))})
    assert f"{root / 'l'} cannot be stored" in refusal(root)


def test_a_circle_through_two_followed_directories_is_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path / "one", {"to-two": Link("../two")})
    make(tmp_path / "two", {"to-one": Link("../one")})
    root = make(tmp_path / "r", {"l": Link("../one")})
    assert f"{tmp_path / 'two' / 'to-one'} cannot be stored" in refusal(root)


def test_links_outside_that_lead_in_a_circle_are_refused_by_name(tmp_path: Path) -> None:
    make(tmp_path / "out", {"a": Link("b"), "b": Link("a")})
    assert "circle" in refusal(make(tmp_path / "r", {"l": Link("../out/a")}))


@pytest.mark.parametrize("below", ["r", "out"], ids=["in the tree", "behind a link"])
def test_a_pipe_is_refused_by_name(tmp_path: Path, below: str) -> None:
    make(tmp_path / "out", {})
    root = make(tmp_path / "r", {"l": Link("../out")})
    os.mkfifo(tmp_path / below / "pipe")
    said = refusal(root)
    assert str(tmp_path / below / "pipe") in said
    assert "named pipe" in said


def test_a_socket_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "r", {})
    monkeypatch.chdir(root)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        assert "sock cannot be stored: it is a socket" in refusal(root)


def test_a_device_is_refused_by_name(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"l": Link("/dev/null")})
    assert "/dev/null cannot be stored: it is a character device" in refusal(root)


def test_a_name_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {"sub/x": File()})
    os.rename(root / "sub" / "x", os.fsencode(root / "sub") + b"/bad\xff")
    said = refusal(root)
    assert "bad\\udcff" in said
    said.encode()  # the message itself can be printed


def test_a_link_whose_target_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {})
    os.symlink(b"bad\xff", os.fsencode(root) + b"/l")
    assert str(root / "l") in refusal(root)


def test_what_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    assert str(tmp_path / "nothing") in refusal(tmp_path / "nothing")


def test_a_directory_that_cannot_be_read_is_refused_by_name() -> None:
    with unprivileged() as folder:
        root = make(folder / "r", {"closed": Folder(0o000)})
        assert str(root / "closed") in refusal(root)
        (root / "closed").chmod(0o700)


@pytest.mark.parametrize("name", ["f" * 250, " " * 86])
def test_a_path_too_long_for_a_key_is_refused_by_name_even_if_it_would_be_packed(tmp_path: Path, name: str) -> None:
    folders = "/".join(["d" * 200] * 4)
    tree = scan(make(tmp_path / "r", {f"{folders}/{name}": File(b"1"), "x": File(b"2")}))
    with pytest.raises(UnstorableError, match=f"{name} *' cannot be stored"):
        check_keys(tree, TASK, SNAPSHOT)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_files_that_changed_since_the_scan_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "r", {f"{n}": File(b"12") for n in range(8)})
    tree = scan(root)
    assert changed_files(tree) == []
    (root / "0").write_bytes(b"123")
    (root / "1").unlink()
    (root / "2").chmod(0o600)
    (root / "3").rename(root / "moved")
    (root / "4").unlink()
    (root / "4").symlink_to("5")
    os.utime(root / "5", ns=(0, 0))
    (root / "new").touch()
    assert changed_files(tree) == ["0", "1", "2", "3", "4", "5"]
