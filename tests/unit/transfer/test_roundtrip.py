"""Save, then load: the same tree, whatever it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.trees import Description, File, Folder, Link, descriptions, make, pattern, read, saved
from trainpoint.format.manifest import EXTENT_BYTES
from trainpoint.store.base import Store
from trainpoint.store.directory import DirectoryStore
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint.transfer import pack, upload
from trainpoint.transfer.download import download
from trainpoint.transfer.local import remove_tree

SMALL = 1024 * 1024


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary directory whose content may have forbidding modes."""
    path = Path(tempfile.mkdtemp())
    try:
        yield path
    finally:
        remove_tree(path)


@contextmanager
def smaller_pieces() -> Iterator[None]:
    """All limits a thousand times smaller, so that every boundary is met with few bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "SMALL_BYTES", 100)
        patch.setattr(pack, "PACK_BYTES", 800)
        patch.setattr(upload, "BUFFERED_BYTES", 1000)
        patch.setattr(upload, "EXTENT_BYTES", 1600)
        patch.setattr(upload, "CHUNK_BYTES", 600)
        yield


def assert_identity(store: Store, description: Description) -> None:
    with folder() as top:
        source = make(top / "source", description)
        before = read(source)
        download(store, saved(store, source), top / "target", clock=FakeClock(), chance=FakeChance())
        assert read(top / "target") == before
        assert read(source) == before
        assert sorted(os.listdir(top)) == ["source", "target"]


SIZES = st.sampled_from([0, 1, 99, 100, 101, 799, 999, 1000, 1001, 1599, 1600, 1601, 3200, 5000]) | st.integers(0, 4000)


@settings(max_examples=60)
@given(descriptions(sizes=SIZES))
def test_any_tree_comes_back_from_a_bucket_as_it_was(description: Description) -> None:
    with smaller_pieces():
        assert_identity(MemoryStore(), description)


@settings(max_examples=25)
@given(descriptions(sizes=SIZES))
def test_any_tree_comes_back_from_a_directory_as_it_was(description: Description) -> None:
    with smaller_pieces(), folder() as top:
        assert_identity(DirectoryStore(top / "store"), description)


def test_sizes_around_every_boundary_come_back(store: Store) -> None:
    """At full scale: the limit of packs, of one request, of one extent."""
    sizes = [0, 1, SMALL - 1, SMALL, SMALL + 1, upload.BUFFERED_BYTES, upload.BUFFERED_BYTES + 1]
    sizes += [EXTENT_BYTES - 1, EXTENT_BYTES, EXTENT_BYTES + 1, 2 * EXTENT_BYTES + 12345]
    assert_identity(store, {f"f{n}": File(pattern(size, n)) for n, size in enumerate(sizes)})


def test_an_empty_directory_comes_back(store: Store) -> None:
    assert_identity(store, {})


def test_modes_that_forbid_come_back(store: Store) -> None:
    assert_identity(
        store,
        {
            "sealed": Folder(0o500),
            "sealed/inner": Folder(0o555),
            "sealed/inner/file": File(b"x" * 2000, 0o400),
            "sealed/large": File(pattern(EXTENT_BYTES + 1), 0o444),
            "sealed/empty": File(b"", 0o440),
            "sealed/link": Link("inner/file"),
        },
    )


def test_ten_thousand_small_files_take_few_requests(memory: MemoryStore, tmp_path: Path) -> None:
    description = {f"d{n % 100}/file-{n}": File(b"%d" % n * (n % 50)) for n in range(10_000)}
    source = make(tmp_path / "source", description)
    manifest = saved(memory, source)
    download(memory, manifest, tmp_path / "target")
    assert read(tmp_path / "target") == read(source)
    assert sum(memory.requests.values()) == 2 * len(manifest.objects) == 2


@pytest.mark.parametrize("size", [0, 5, SMALL, EXTENT_BYTES + 1])
def test_a_checkpoint_of_one_file_comes_back_and_is_an_object_of_its_own_name(
    store: Store, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(pattern(size))
    manifest = saved(store, source)
    assert [stored.key.rpartition("/files/")[2] for stored in manifest.objects] == ["model.bin"] * bool(size)
    download(store, manifest, tmp_path / "target")
    assert read(tmp_path / "target") == {"model.bin": File(pattern(size), 0o644)}
