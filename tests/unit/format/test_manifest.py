"""The manifest: read back as written; one from a hostile hand is refused before anything is done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.errors import CorruptRecordError, NewerFormatError, TrainpointError, UnsafePathError
from trainpoint.format.digest import digest_of, seal, unseal
from trainpoint.format.layout import SnapshotId, TaskPath, pack_key
from trainpoint.format.manifest import (
    EXTENT_BYTES,
    DirectoryEntry,
    Extent,
    FileEntry,
    LinkEntry,
    Manifest,
    Snapshot,
    StoredObject,
    is_safe_path,
    link_stays_inside,
)

KEY = "ns/_/tasks/llm/run-7/main/_/manifests/m.json"
TASK = TaskPath("llm", "run-7", "main")
SNAPSHOT = SnapshotId(2, 84, "0123456789abcdef")
D = digest_of(b"x")
OTHER = digest_of(b"y")

GOOD = Manifest(
    snapshot=Snapshot(
        TASK,
        SNAPSHOT,
        series="best",
        step=8400,
        epoch=3,
        metrics={"loss": "0.033", "bad": "NaN"},
        metadata={"note": "größe", "nested": [1, None, {"a": 0.5}]},
        parents=("run-7-8e02f1aa-1-79-01234",),
        owner="ada",
        world_size=4,
        latest=False,
        created_by={"host": "gpu-7"},
    ),
    time="2026-01-01T00:00:00.000000Z",
    objects=(StoredObject(pack_key(TASK, SNAPSHOT, 0, 0), 30), StoredObject(f"{TASK.data}other", 2 * EXTENT_BYTES)),
    files=(
        FileEntry("a/empty", 0, 0o600, digest_of(b""), ()),
        FileEntry("a/small", 30, 0o644, D, (Extent(0, 0, 30, D),)),
        FileEntry(
            "large", EXTENT_BYTES + 1, 0o755, OTHER, (Extent(1, 0, EXTENT_BYTES, D), Extent(1, EXTENT_BYTES, 1, D))
        ),
    ),
    directories=(DirectoryEntry("a", 0o755), DirectoryEntry("b", 0)),
    links=(LinkEntry("a/link", "../large"),),
)


def value_of(manifest: Manifest) -> dict[str, Any]:
    return unseal(manifest.to_bytes(), key=KEY)


def read(value: dict[str, Any]) -> Manifest:
    return Manifest.from_bytes(seal(value), key=KEY)


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert Manifest.from_bytes(GOOD.to_bytes(), key=KEY) == GOOD
    assert GOOD.size == EXTENT_BYTES + 31


def test_the_smallest_manifest_reads_back() -> None:
    nothing = Manifest(Snapshot(TASK, SNAPSHOT), "2026-01-01T00:00:00.000000Z", (), ())
    assert Manifest.from_bytes(nothing.to_bytes(), key=KEY) == nothing


@pytest.mark.parametrize("version", [2, 99])
def test_a_newer_format_is_refused_before_anything_else_is_read(version: int) -> None:
    with pytest.raises(NewerFormatError, match=f"format version {version}"):
        read({"formatVersion": version, "files": "in a form that nobody knows yet"})


@pytest.mark.parametrize("version", [None, 0, -1, "1", [1]])
def test_a_manifest_without_a_format_version_is_corrupt(version: object) -> None:
    with pytest.raises(CorruptRecordError, match="format version"):
        read({**value_of(GOOD), "formatVersion": version})


# --- hostile content ------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def in_file(number: int, **fields: object) -> Change:
    return lambda value: value["files"][number].update(fields)


def in_snapshot(**fields: object) -> Change:
    return lambda value: value["snapshot"].update(fields)


def with_(**fields: object) -> Change:
    return lambda value: value.update(fields)


CORRUPT: dict[str, Change] = {
    "no files": lambda value: value.pop("files"),
    "no snapshot": lambda value: value.pop("snapshot"),
    "files is a number": with_(files=3),
    "files is a mapping": with_(files={"a": 1}),
    "a file is a text": with_(files=["a"]),
    "objects are no pairs": with_(objects=[["k", 1, 2]]),
    "size is a text": in_file(1, size="30"),
    "size is a float": in_file(1, size=30.0),
    "size is true": in_file(1, size=True),
    "size is below zero": in_file(0, size=-1),
    "mode has set-user-id": in_file(1, mode=0o4755),
    "mode is below zero": in_file(1, mode=-1),
    "mode of a directory has the sticky bit": with_(directories=[["a", 0o1777]]),
    "path is a number": in_file(1, path=1),
    "digest is short": in_file(1, digest="00"),
    "digest is upper case": in_file(1, digest=D.upper(), extents=[[0, 0, 30, D.upper()]]),
    "digest of an extent is a number": in_file(1, extents=[[0, 0, 30, 7]]),
    "digest differs from that of the only part": in_file(1, digest=OTHER),
    "digest of an empty file is another": in_file(0, digest=D),
    "extent of no object": in_file(1, extents=[[7, 0, 30, D]]),
    "extent of an object before the first": in_file(1, extents=[[-1, 0, 30, D]]),
    "extent begins before its object": in_file(1, extents=[[0, -1, 30, D]]),
    "extent ends behind its object": in_file(1, extents=[[0, 1, 30, D]]),
    "extent far behind its object": in_file(1, extents=[[0, 2**80, 30, D]]),
    "extent of no bytes": in_file(0, extents=[[0, 0, 0, D]]),
    "extent of fewer than no bytes": in_file(1, extents=[[0, 0, 31, D], [0, 0, -1, D]]),
    "extent larger than any memory": lambda value: (
        value["objects"].append(["ns/_/data/x", 2**60]),
        value["files"][1].update(size=2**60, extents=[[2, 0, 2**60, D]]),
    ),
    "extents hold less than the file": in_file(1, size=31),
    "extents hold more than the file": in_file(1, size=29),
    "extents of a file without size": in_file(1, size=0),
    "object of fewer than no bytes": with_(objects=[["ns/_/data/x", -1]]),
    "key with a control character": with_(objects=[["ns/_/data/a\nb", 1]], files=[]),
    "key longer than stores take": with_(objects=[["ns/_/data/" + "a" * 1020, 1]], files=[]),
    "uid that is a path": in_snapshot(uid="../../../etc"),
    "attempt below zero": in_snapshot(attempt=-1),
    "attempt beyond the order of keys": in_snapshot(attempt=10**10),
    "sequence is a text": in_snapshot(sequence="1"),
    "run that is a path": in_snapshot(run="../other"),
    "namespace that is a path": in_snapshot(namespace="../other"),
    "run is missing": in_snapshot(run=None),
    "metrics is a list": in_snapshot(metrics=["loss"]),
    "metrics are numbers": in_snapshot(metrics={"loss": 1.5}),
    "latest is a number": in_snapshot(latest=1),
    "step is a float": in_snapshot(step=1.5),
    "parents is a number": in_snapshot(parents=3),
}


@pytest.mark.parametrize("change", CORRUPT.values(), ids=CORRUPT)
def test_a_manifest_that_says_what_cannot_be_is_corrupt(change: Change) -> None:
    value = value_of(GOOD)
    change(value)
    with pytest.raises(CorruptRecordError) as raised:
        read(value)
    assert KEY in raised.value.message


def a_file(path: str) -> dict[str, Any]:
    return {"path": path, "size": 0, "mode": 0o644, "digest": digest_of(b""), "extents": []}


UNSAFE: dict[str, Change] = {
    "absolute path": with_(files=[a_file("/etc/passwd")]),
    "path that climbs out": with_(files=[a_file("../x")]),
    "path that climbs out further down": with_(files=[a_file("a/../../x")]),
    "path that is the directory itself": with_(files=[a_file(".")]),
    "path that is the directory above": with_(files=[a_file("..")]),
    "empty path": with_(files=[a_file("")]),
    "path with a double slash": with_(files=[a_file("a//b")]),
    "path that ends with a slash": with_(files=[a_file("a/")]),
    "path with a NUL": with_(files=[a_file("a\0b")]),
    "path twice": with_(files=[a_file("x"), a_file("x")]),
    "file below a file": with_(files=[a_file("x"), a_file("x/y")]),
    "file below a link": with_(files=[a_file("up/x")], links=[["up", "a"]]),
    "file far below a link": with_(files=[a_file("up/x/y/z")], links=[["up", "a"]]),
    "directory below a link": with_(links=[["up", "a"]], directories=[["up/d", 0o755]]),
    "link below a link": with_(links=[["up", "a"], ["up/l", "x"]]),
    "link in the place of a file": with_(files=[a_file("x")], links=[["x", "y"]]),
    "link in the place of a directory": with_(links=[["a", "b"]], directories=[["a", 0o755]], files=[]),
    "directory in the place of a file": with_(files=[a_file("a")], directories=[["a", 0o755]]),
    "directory twice": with_(directories=[["a", 0o755], ["a", 0o700]]),
    "directory that climbs out": with_(directories=[["../a", 0o777]]),
    "absolute directory": with_(directories=[["/tmp", 0o777]]),
    "absolute link": with_(links=[["l", "/etc/passwd"]]),
    "link that climbs out": with_(links=[["l", "../x"]]),
    "link that climbs out from a directory": with_(links=[["a/l", "../../x"]]),
    "link that climbs out behind a dot": with_(links=[["l", "./../x"]]),
    "link that climbs behind another link": with_(links=[["d", "a"], ["l", "d/../../x"]]),
    "link to nothing": with_(links=[["l", ""]]),
    "link that climbs out itself": with_(links=[["../l", "x"]]),
    "object of another namespace": with_(objects=[["ns/other/data/x", 1]], files=[]),
    "object that is a record": with_(objects=[["ns/_/tasks/x", 1]], files=[]),
    "object that climbs out": with_(objects=[["ns/_/data/../../other/data/x", 1]], files=[]),
    "object that is a prefix": with_(objects=[["ns/_/data/", 1]], files=[]),
    "absolute object": with_(objects=[["/ns/_/data/x", 1]], files=[]),
}


@pytest.mark.parametrize("change", UNSAFE.values(), ids=UNSAFE)
def test_a_manifest_that_leaves_its_place_is_refused(change: Change) -> None:
    value = value_of(replace(GOOD, links=()))
    change(value)
    with pytest.raises(UnsafePathError) as raised:
        read(value)
    assert KEY in raised.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
).filter(lambda v: "\\ud" not in ascii(v))
PLACES = ["formatVersion", "snapshot", "time", "objects", "files", "directories", "links"]


@given(st.sampled_from(PLACES), JSON)
def test_anything_in_the_place_of_a_field_gives_a_manifest_or_one_of_our_errors(place: str, anything: object) -> None:
    try:
        found = read({**value_of(GOOD), place: anything})
    except TrainpointError:
        return
    assert Manifest.from_bytes(found.to_bytes(), key=KEY) == found


@pytest.mark.parametrize("metadata", [[[None, None]], [["a", 1]], "ab", 5], ids=repr)
def test_metadata_that_is_no_object_is_no_manifest(metadata: object) -> None:
    value = value_of(GOOD)
    value["snapshot"]["metadata"] = metadata
    with pytest.raises(CorruptRecordError):
        read(value)


@given(st.data())
def test_anything_in_the_place_of_a_field_of_the_snapshot_gives_a_manifest_or_one_of_our_errors(
    data: st.DataObject,
) -> None:
    value = value_of(GOOD)
    value["snapshot"][data.draw(st.sampled_from(sorted(value["snapshot"])))] = data.draw(JSON)
    try:
        found = read(value)
    except TrainpointError:
        return
    assert Manifest.from_bytes(found.to_bytes(), key=KEY) == found


# --- paths and links --------------------------------------------------------------------------------------------------

segments = st.sampled_from(["a", "b", "..", ".", "", "c"])


@given(st.lists(segments, min_size=1, max_size=6).map("/".join))
def test_a_safe_path_never_leaves_its_directory(path: str) -> None:
    depth = 0
    climbed = path.startswith("/")
    for segment in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(segment, 1)
        climbed = climbed or depth < 0
    if is_safe_path(path):
        assert not climbed
        assert depth > 0


@pytest.mark.parametrize(
    ("path", "target", "inside"),
    [
        ("l", "x", True),
        ("l", "a/b", True),
        ("l", "./x", True),
        ("l", ".", True),
        ("l", "missing", True),
        ("a/l", "../x", True),
        ("a/l", "..", True),
        ("a/b/l", "../../x", True),
        ("a/b/l", ".././../x", True),
        ("l", "..", False),
        ("l", "../x", False),
        ("a/l", "../../x", False),
        ("a/l", "../b/../x", False),
        ("l", "a/..", False),
        ("l", "/x", False),
        ("l", "", False),
        ("l", "a\0", False),
    ],
)
def test_a_link_stays_inside_if_it_climbs_only_first_and_no_higher_than_the_root(
    path: str, target: str, inside: bool
) -> None:
    assert link_stays_inside(path, target) is inside
