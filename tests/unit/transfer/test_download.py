"""Files down: verified before anything is replaced, and nothing but what was asked for."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.trees import Description, File, Folder, Link, make, pattern, read, saved
from tests.support.unprivileged import unprivileged
from trainpoint.errors import (
    BucketNotFoundError,
    CorruptCheckpointError,
    InvalidArgumentError,
    LocalFileError,
    StoreError,
    StorePermissionError,
    StoreUnreachableError,
    UnsafePathError,
)
from trainpoint.format.digest import digest_of
from trainpoint.format.manifest import EXTENT_BYTES, DirectoryEntry, Extent, FileEntry, LinkEntry, Manifest
from trainpoint.store.base import Buffer
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint.transfer.download import download, matches, select
from trainpoint.transfer.extents import GAP_BYTES, READ_BYTES, PlannedRead, plan_reads

TREE: Description = {
    "model/weights.bin": File(pattern(3 * 1024 * 1024)),
    "model/config.json": File(b"{}", 0o600),
    "model": Folder(0o750),
    "optim.bin": File(pattern(2 * EXTENT_BYTES + 7, 1)),
    "notes/a.txt": File(b"a"),
    "notes/latest": Link("../model/config.json"),
    "empty": Folder(0o700),
    "nothing.txt": File(),
}


@pytest.fixture
def checkpoint(memory: MemoryStore, tmp_path: Path) -> Manifest:
    return saved(memory, make(tmp_path / "source", TREE))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory that holds something already, alone in its own directory."""
    return make(tmp_path / "place" / "target", {"old": File(b"old"), "sub/older": File(b"older", 0o600)})


def load(
    store: MemoryStore,
    manifest: Manifest,
    target: Path,
    *,
    include: tuple[str, ...] = (),
    merge: bool = False,
    clock: FakeClock | None = None,
    workers: int = 4,
    cancel: threading.Event | None = None,
) -> None:
    download(
        store,
        manifest,
        target,
        include=include,
        merge=merge,
        workers=workers,
        cancel=cancel,
        clock=clock or FakeClock(),
        chance=FakeChance(),
    )


def assert_untouched(target: Path) -> None:
    assert read(target) == {"old": File(b"old"), "sub": Folder(0o755), "sub/older": File(b"older", 0o600)}
    assert os.listdir(target.parent) == ["target"]


# --- what is there afterwards -----------------------------------------------------------------------------------------


def test_a_target_that_does_not_exist_is_made_with_the_directories_above_it(
    memory: MemoryStore, checkpoint: Manifest, tmp_path: Path
) -> None:
    load(memory, checkpoint, tmp_path / "x" / "y")
    assert read(tmp_path / "x" / "y") == read(tmp_path / "source")


def test_a_target_is_replaced_as_a_whole_and_keeps_its_own_mode(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path
) -> None:
    target.chmod(0o710)
    load(memory, checkpoint, target)
    assert read(target) == read(tmp_path / "source")
    assert target.stat().st_mode & 0o777 == 0o710
    assert os.listdir(target.parent) == ["target"]


def test_a_target_whose_modes_forbid_removal_is_replaced(
    memory: MemoryStore, checkpoint: Manifest, target: Path
) -> None:
    (target / "sub").chmod(0o500)
    load(memory, checkpoint, target)
    assert os.listdir(target.parent) == ["target"]


def test_a_link_to_a_directory_stays_and_the_directory_is_replaced(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(target)
    load(memory, checkpoint, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read(target) == read(tmp_path / "source")


def test_a_file_in_the_place_of_the_target_is_refused(memory: MemoryStore, checkpoint: Manifest, target: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="is a file"):
        load(memory, checkpoint, target / "old")
    assert_untouched(target)


def test_a_mount_point_is_refused_with_what_to_do(memory: MemoryStore, checkpoint: Manifest) -> None:
    with pytest.raises(InvalidArgumentError, match="/ is a mount point") as raised:
        load(memory, checkpoint, Path("/"))
    assert "merge=True" in raised.value.remedy


def test_many_small_files_take_few_requests(memory: MemoryStore, tmp_path: Path) -> None:
    source = make(tmp_path / "source", {f"{n:04}": File(pattern(30_000, n)) for n in range(600)})
    manifest = saved(memory, source)
    memory.requests.clear()
    load(memory, manifest, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)
    assert memory.requests == {"read": len(manifest.objects) + 1 + 1}  # 18 MB: packs just above the limit of one read


# --- only some of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (["*"], set(TREE) | {"notes"}),
        (["model*"], {"model", "model/weights.bin", "model/config.json"}),
        (["*.bin"], {"model", "model/weights.bin", "optim.bin"}),
        (["config.json"], {"model", "model/config.json"}),
        (["model/"], {"model", "model/weights.bin", "model/config.json"}),
        (["notes"], {"notes", "notes/a.txt", "notes/latest"}),
        (["latest", "optim.bin"], {"notes", "notes/latest", "optim.bin"}),
        (["empty"], {"empty"}),
        (["nothing.txt"], {"nothing.txt"}),
        (["[mn]o*.json"], {"model", "model/config.json"}),
    ],
    ids=lambda value: "-".join(sorted(value)),  # sets have no order, and workers have to agree on names
)
def test_include_takes_what_matches_and_the_directories_above(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path, include: list[str], expected: set[str]
) -> None:
    load(memory, checkpoint, target, include=tuple(include))
    everything = read(tmp_path / "source")
    assert read(target) == {path: everything[path] for path in expected}


def test_include_fetches_only_what_it_takes(memory: MemoryStore, checkpoint: Manifest, target: Path) -> None:
    memory.requests.clear()
    load(memory, checkpoint, target, include=("notes/*",))
    assert memory.requests == {"read": 1}


@pytest.mark.parametrize("pattern", ["weights", "Model*", "model/weights", "x*"])
def test_an_include_that_matches_nothing_is_refused_with_some_names(
    memory: MemoryStore, checkpoint: Manifest, target: Path, pattern: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="matches nothing") as raised:
        load(memory, checkpoint, target, include=("model*", pattern))
    assert repr(pattern) in raised.value.message
    assert "'model/config.json'" in raised.value.message
    assert_untouched(target)


def test_matching_is_by_whole_path_or_name_and_by_case() -> None:
    assert matches("a/b/c.bin", "a/*")
    assert matches("a/b/c.bin", "*.bin")
    assert matches("a/b/c.bin", "c.*")
    assert matches("a/b/c.bin", "a/b")
    assert not matches("a/b/c.bin", "b")
    assert not matches("a/b/c.bin", "C.bin")


def test_everything_is_selected_without_patterns(checkpoint: Manifest) -> None:
    assert select(checkpoint, ()).files == tuple(range(len(checkpoint.files)))


# --- merging ----------------------------------------------------------------------------------------------------------


def test_merge_keeps_what_else_is_there(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path
) -> None:
    make(target / "model", {"mine": File(b"mine"), "config.json": File(b"mine too")})
    (target / "model").chmod(0o700)
    (target / "nothing.txt").symlink_to("old")
    before = read(target)
    load(memory, checkpoint, target, merge=True)
    assert read(target) == {**before, **read(tmp_path / "source"), "model": Folder(0o700)}
    assert os.listdir(target.parent) == ["target"]


def test_merge_into_nothing_is_a_load(memory: MemoryStore, checkpoint: Manifest, tmp_path: Path) -> None:
    load(memory, checkpoint, tmp_path / "new", merge=True)
    assert read(tmp_path / "new") == read(tmp_path / "source")


def test_merge_never_writes_through_a_link(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path
) -> None:
    elsewhere = make(tmp_path / "elsewhere", {"weights.bin": File(b"precious")})
    (target / "model").symlink_to(elsewhere)
    (target / "optim.bin").symlink_to(elsewhere / "weights.bin")
    load(memory, checkpoint, target, merge=True)
    assert read(elsewhere) == {"weights.bin": File(b"precious")}
    assert read(target / "model") == read(tmp_path / "source" / "model")


def test_merge_refuses_a_directory_where_a_file_belongs_before_anything_is_moved(
    memory: MemoryStore, checkpoint: Manifest, target: Path
) -> None:
    make(target / "optim.bin", {"mine": File(b"mine")})
    before = read(target)
    with pytest.raises(InvalidArgumentError, match=r"optim\.bin is a directory"):
        load(memory, checkpoint, target, merge=True)
    assert read(target) == before


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_in_the_data_is_detected(
    memory: MemoryStore, checkpoint: Manifest, target: Path
) -> None:
    for stored in checkpoint.objects:
        bits = stored.size * 8
        for bit in {0, 1, bits // 3, bits // 2, bits - 9, bits - 1}:
            memory.flip_bit(stored.key, bit)
            with pytest.raises(CorruptCheckpointError, match="differs from what was saved at part"):
                load(memory, checkpoint, target)
            memory.flip_bit(stored.key, bit)
    assert_untouched(target)
    load(memory, checkpoint, target)


def test_damage_is_reported_by_checkpoint_file_and_part(
    memory: MemoryStore, checkpoint: Manifest, target: Path
) -> None:
    key = next(o.key for o in checkpoint.objects if o.key.endswith("optim.bin"))
    memory.flip_bit(key, (2 * EXTENT_BYTES + 1) * 8)
    with pytest.raises(CorruptCheckpointError) as raised:
        load(memory, checkpoint, target)
    assert raised.value.message == (
        "checkpoint digits/run-1/main 0-1-00000000000000aa is corrupt: "
        "'optim.bin' differs from what was saved at part 3 of 3"
    )


def test_an_object_that_is_missing_is_damage(memory: MemoryStore, checkpoint: Manifest, target: Path) -> None:
    key = next(o.key for o in checkpoint.objects if o.key.endswith("weights.bin"))
    memory.delete(key)
    with pytest.raises(
        CorruptCheckpointError, match=r"'model/weights.bin' is missing \(there is no object .*part 1 of 1"
    ):
        load(memory, checkpoint, target)
    assert_untouched(target)


@pytest.mark.parametrize("left", [0, 1, EXTENT_BYTES, 2 * EXTENT_BYTES + 6])
def test_an_object_that_is_cut_short_is_damage(
    memory: MemoryStore, checkpoint: Manifest, target: Path, left: int
) -> None:
    key = next(o.key for o in checkpoint.objects if o.key.endswith("optim.bin"))
    memory.put(key, memory.get(key)[:left])
    with pytest.raises(CorruptCheckpointError, match=r"'optim.bin' is short \(\d+ of \d+ bytes are there\) at part"):
        load(memory, checkpoint, target)
    assert_untouched(target)


class DamagingNetwork(MemoryStore):
    """Delivers each object damaged, cut or not at all the first time it is asked for."""

    def __init__(self, damage: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self.damage = damage
        self.seen: set[str] = set()

    def read(self, key: str, offset: int, length: int) -> Buffer:
        data = bytes(super().read(key, offset, length))
        if key in self.seen:
            return data
        self.seen.add(key)
        return self.damage(data)


@pytest.mark.parametrize(
    "damage",
    [lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data[:-1], lambda data: b"", lambda data: data + b"x"],
    ids=["flipped", "cut", "empty", "longer"],
)
def test_what_only_the_network_damaged_is_fetched_once_more(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = DamagingNetwork(damage)
    source = make(tmp_path / "source", TREE)
    load(store, saved(store, source), tmp_path / "target")
    assert read(tmp_path / "target") == read(source)


@pytest.mark.parametrize(
    "error",
    [StorePermissionError("no"), StoreUnreachableError("away"), BucketNotFoundError("none"), StoreError("500")],
    ids=lambda e: e.code,
)
def test_a_store_that_refuses_or_is_away_says_nothing_about_the_checkpoint(
    memory: MemoryStore, checkpoint: Manifest, target: Path, error: StoreError
) -> None:
    def refuse(verb: str, key: str) -> None:
        raise error

    memory.before = refuse
    with pytest.raises(type(error)):
        load(memory, checkpoint, target)
    assert_untouched(target)


def test_a_store_that_is_away_for_a_while_is_waited_for(
    memory: MemoryStore, checkpoint: Manifest, target: Path, tmp_path: Path
) -> None:
    failures = iter([StoreUnreachableError("away")] * 7)

    def away(verb: str, key: str) -> None:
        if error := next(failures, None):
            raise error

    memory.before = away
    load(memory, checkpoint, target, workers=1)
    assert read(target) == read(tmp_path / "source")


def test_a_digest_of_the_whole_file_counts_too(memory: MemoryStore, checkpoint: Manifest, target: Path) -> None:
    """Each part may be right and the file wrong: parts in another order, from a faulty writer."""
    number = next(n for n, f in enumerate(checkpoint.files) if f.path == "optim.bin")
    entry = checkpoint.files[number]
    swapped = replace(entry, extents=(entry.extents[1], entry.extents[0], entry.extents[2]))
    files = (*checkpoint.files[:number], swapped, *checkpoint.files[number + 1 :])
    with pytest.raises(CorruptCheckpointError, match=r"'optim.bin' as a whole differs"):
        load(memory, replace(checkpoint, files=files), target)
    assert_untouched(target)


def test_parts_that_land_out_of_order_make_the_same_file(tmp_path: Path) -> None:
    class FirstPartLast(MemoryStore):
        others_landed = threading.Semaphore(0)

        def read(self, key: str, offset: int, length: int) -> Buffer:
            if offset == 0:
                for _ in range(3):
                    assert self.others_landed.acquire(timeout=30)
            return super().read(key, offset, length)

    store = FirstPartLast()
    source = make(tmp_path / "source", {"x": File(pattern(3 * EXTENT_BYTES + 1)), "y": File(b"y")})
    manifest = saved(store, source)
    write = os.pwrite

    def landed(descriptor: int, data: Buffer, offset: int) -> int:
        written = write(descriptor, data, offset)
        if offset:
            store.others_landed.release()
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwrite", landed)
        load(store, replace(manifest, files=manifest.files[:1]), tmp_path / "target", workers=2)
    assert read(tmp_path / "target") == {"x": File(pattern(3 * EXTENT_BYTES + 1))}


# --- hostile manifests ------------------------------------------------------------------------------------------------

EMPTY = digest_of(b"")


@pytest.mark.parametrize(
    "change",
    [
        {"files": (FileEntry("../escaped", 0, 0o644, EMPTY, ()),)},
        {"files": (FileEntry("/tmp/escaped", 0, 0o644, EMPTY, ()),)},
        {"files": (FileEntry("up/x", 0, 0o644, EMPTY, ()),), "links": (LinkEntry("up", "empty"),)},
        {"links": (LinkEntry("out", "/etc"),)},
        {"links": (LinkEntry("a", "empty"), LinkEntry("b", "a/../.."))},
        {"directories": (DirectoryEntry("../escaped", 0o777),)},
        {"files": (FileEntry("x", 0, 0o644, EMPTY, ()), FileEntry("x", 0, 0o644, EMPTY, ()))},
    ],
    ids=str,
)
@pytest.mark.parametrize("merge", [False, True])
def test_an_unsafe_manifest_is_refused_and_nothing_is_written(
    memory: MemoryStore, checkpoint: Manifest, target: Path, change: dict[str, tuple[FileEntry, ...]], merge: bool
) -> None:
    """The manifest's reader has checked this already; who loads does not rely on it."""
    hostile = replace(replace(checkpoint, files=(), directories=(), links=()), **change)  # type: ignore[arg-type]
    memory.requests.clear()
    with pytest.raises(UnsafePathError):
        load(memory, hostile, target, merge=merge)
    assert_untouched(target)
    assert not memory.requests


def test_a_digest_that_fits_a_shorter_object_does_not_pass_for_the_whole_extent(
    memory: MemoryStore, checkpoint: Manifest, target: Path
) -> None:
    memory.put("ns/_/data/short", b"abc")
    digest = digest_of(b"abc")
    entry = FileEntry("x", 10, 0o644, digest, (Extent(0, 0, 10, digest),))
    stored = replace(checkpoint.objects[0], key="ns/_/data/short", size=10)
    with pytest.raises(CorruptCheckpointError, match=r"is short \(3 of 10 bytes"):
        load(memory, replace(checkpoint, files=(entry,), links=(), directories=(), objects=(stored,)), target)
    assert_untouched(target)


def test_extents_that_overlap_are_fine(memory: MemoryStore, tmp_path: Path) -> None:
    """Files may share bytes of an object; the format allows it for reuse."""
    data = pattern(1000)
    memory.put("ns/_/data/shared", data)
    base = saved(memory, make(tmp_path / "source", {"x": File(b"x")}))

    def part(path: str, begin: int, end: int) -> FileEntry:
        digest = digest_of(data[begin:end])
        return FileEntry(path, end - begin, 0o644, digest, (Extent(0, begin, end - begin, digest),))

    shared = replace(base.objects[0], key="ns/_/data/shared", size=1000)
    files = (part("a", 0, 600), part("b", 300, 400), part("c", 0, 600), part("d", 500, 1000))
    load(memory, replace(base, objects=(shared,), files=files), tmp_path / "target")
    assert read(tmp_path / "target") == {
        "a": File(data[:600]), "b": File(data[300:400]), "c": File(data[:600]), "d": File(data[500:]),
    }  # fmt: skip


# --- this machine -----------------------------------------------------------------------------------------------------


def test_a_full_disk_here_leaves_the_target_and_names_the_place(
    memory: MemoryStore, checkpoint: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: Buffer, offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(LocalFileError, match=f"cannot write {target}.*: No space left on device") as raised:
        load(memory, checkpoint, target)
    assert "free space" in raised.value.remedy
    monkeypatch.undo()
    assert_untouched(target)


def test_a_directory_that_may_not_be_written_is_named(memory: MemoryStore, checkpoint: Manifest) -> None:
    with unprivileged() as folder:
        folder.chmod(0o500)
        with pytest.raises(LocalFileError, match="Permission denied"):
            load(memory, checkpoint, folder / "target")
        assert list(folder.iterdir()) == []


def test_a_failed_swap_puts_the_old_directory_back(
    memory: MemoryStore, checkpoint: Manifest, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse(source: Path, place: Path) -> None:
        if ".partial-" in str(source) and not target.exists():
            raise OSError(errno.EIO, "Input/output error")
        rename(source, place)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(LocalFileError, match="Input/output error"):
        load(memory, checkpoint, target)
    assert_untouched(target)


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, CancelledError])
def test_a_load_that_is_stopped_leaves_the_target(
    memory: MemoryStore, checkpoint: Manifest, target: Path, stopped: type[BaseException]
) -> None:
    cancel = threading.Event()

    def stop(verb: str, key: str) -> None:
        if stopped is KeyboardInterrupt:
            raise KeyboardInterrupt
        cancel.set()

    memory.before = stop
    with pytest.raises(stopped):
        load(memory, checkpoint, target, cancel=cancel)
    assert_untouched(target)


# --- which ranges are asked for ---------------------------------------------------------------------------------------


def file_of(*extents: tuple[int, int, int]) -> FileEntry:
    parts = tuple(Extent(number, offset, length, EMPTY) for number, offset, length in extents)
    return FileEntry("f", sum(e.length for e in parts), 0o644, EMPTY, parts)


def ranges(*files: FileEntry) -> list[tuple[int, int, int]]:
    return [(r.object, r.offset, r.length) for r in plan_reads(files, range(len(files)))]


MIB = 1024 * 1024

READS: dict[str, tuple[list[FileEntry], list[tuple[int, int, int]]]] = {
    "neighbours together": ([file_of((0, 0, 10)), file_of((0, 10, 5))], [(0, 0, 15)]),
    "a small gap along": ([file_of((0, 0, 10)), file_of((0, 10 + GAP_BYTES, 5))], [(0, 0, 15 + GAP_BYTES)]),
    "a large gap not": ([file_of((0, 0, 1)), file_of((0, 2 + GAP_BYTES, 5))], [(0, 0, 1), (0, 2 + GAP_BYTES, 5)]),
    "objects apart": ([file_of((0, 0, 1)), file_of((1, 0, 1))], [(0, 0, 1), (1, 0, 1)]),
    "up to a limit": (
        [file_of((0, n * MIB, MIB)) for n in range(9)], [(0, 0, READ_BYTES), (0, READ_BYTES, MIB)],
    ),
    "a large extent alone": (
        [file_of((0, 0, EXTENT_BYTES), (0, EXTENT_BYTES, 1))], [(0, 0, EXTENT_BYTES), (0, EXTENT_BYTES, 1)],
    ),
    "one within another": ([file_of((0, 0, 10)), file_of((0, 2, 3)), file_of((0, 8, 4))], [(0, 0, 12)]),
    "any order of files": ([file_of((0, 10, 5)), file_of((0, 0, 10))], [(0, 0, 15)]),
    "nothing": ([file_of()], []),
}  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), READS.values(), ids=READS)
def test_extents_are_fetched_together(files: list[FileEntry], expected: list[tuple[int, int, int]]) -> None:
    assert ranges(*files) == expected


def test_a_read_knows_the_extents_in_it() -> None:
    (planned,) = plan_reads([file_of((0, 5, 5)), file_of((0, 0, 5))], [0, 1])
    assert isinstance(planned, PlannedRead)
    assert [(p.file, p.number) for p in planned.pieces] == [(1, 0), (0, 0)]
