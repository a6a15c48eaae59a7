"""Results that are made once, under a key of all that goes into them; images with the same bytes every time."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from tools.kind.archive import write_image
from tools.kind.made import key_of, link, made
from tools.kind.places import Places


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "cache").mkdir()
    return Places(tmp_path / "cache")


def test_a_result_is_made_once_for_each_key(places: Places) -> None:
    calls: list[Path] = []

    def make(out: Path) -> None:
        calls.append(out)
        out.write_text("done")

    first = made(places, "thing", "k1", make)
    assert made(places, "thing", "k1", make) == first
    assert made(places, "thing", "k2", make) != first
    assert len(calls) == 2
    assert first.read_text() == "done"


def test_an_interrupted_run_leaves_nothing_that_counts_as_a_result(places: Places) -> None:
    def interrupted(out: Path) -> None:
        out.mkdir()
        (out / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(places, "thing", "k", interrupted)

    def whole(out: Path) -> None:
        out.mkdir()
        (out / "whole").write_text("whole")

    assert [path.name for path in made(places, "thing", "k", whole).iterdir()] == ["whole"]
    assert [path.name for path in places.cache.iterdir()] == ["thing-k"]


def test_results_that_nobody_has_asked_for_in_a_while_go_when_a_newer_one_is_made(places: Places) -> None:
    def make(out: Path) -> None:
        out.mkdir()
        (out / "program").write_text("")

    old, used, other = (made(places, name, key, make) for name, key in OLD)
    for path in (old, used, other):
        os.utime(path, (0, 0))
    made(places, "thing", "000000000002", make)
    new = made(places, "thing", "000000000003", make)
    assert {path.name for path in places.cache.iterdir()} == {used.name, other.name, new.name}


OLD = (("thing", "000000000001"), ("thing", "000000000002"), ("thing-else", "000000000001"))


def test_a_key_changes_with_content_name_and_mode(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    keys = [key_of(folder)]
    (folder / "a").write_text("2")
    keys.append(key_of(folder))
    (folder / "a").chmod(0o755)
    keys.append(key_of(folder))
    (folder / "a").rename(folder / "b")
    keys.append(key_of(folder))
    assert len(set(keys)) == 4


def test_a_key_does_not_confuse_where_one_part_ends() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")


def test_links_follow_the_current_result(places: Places, tmp_path: Path) -> None:
    for version in ("1", "2"):
        program = tmp_path / version / "tool"
        program.parent.mkdir()
        program.write_text(version)
        link(places, [program])
        assert (places.bin / "tool").read_text() == version
    assert [path.name for path in places.bin.iterdir()] == ["tool"]


def test_an_image_has_the_same_bytes_whenever_and_by_whomever_it_is_made(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/x.so").write_text("library")
    program = tmp_path / "program"
    program.write_text("#!")
    program.chmod(0o755)
    written = []
    for name, when in (("one.tar", 1_000_000_000), ("two.tar", 1_500_000_000)):
        for path in (program, tree / "usr/lib/x.so", tree / "usr/lib", tree / "usr"):
            os.utime(path, (when, when))
        out = tmp_path / name
        write_image(out, ["a/b:1"], {"/": tree, "/usr/bin/p": program, "/tmp": None}, entrypoint=["/usr/bin/p"])
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_an_image_holds_what_it_was_given(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!")
    program.chmod(0o755)
    out = tmp_path / "image.tar"
    write_image(out, ["a/b:1", "c:2"], {"/usr/bin/p": program, "/tmp": None}, entrypoint=["/usr/bin/p"])
    with tarfile.open(out) as image:
        manifest = json.load(image.extractfile("manifest.json") or pytest.fail("no manifest"))[0]
        config = json.load(image.extractfile(manifest["Config"]) or pytest.fail("no configuration"))
        layer = image.extractfile(manifest["Layers"][0])
        with tarfile.open(fileobj=layer) as files:
            modes = {entry.name: entry.mode for entry in files}
    assert manifest["RepoTags"] == ["a/b:1", "c:2"]
    assert config["config"]["Entrypoint"] == ["/usr/bin/p"]
    assert modes == {"usr": 0o755, "usr/bin": 0o755, "usr/bin/p": 0o755, "tmp": 0o1777}
