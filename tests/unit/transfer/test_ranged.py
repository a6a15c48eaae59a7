"""A file of a checkpoint read by ranges: the same bytes as the file, and only those that were asked for."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.trees import File, Link, make, pattern, saved
from trainpoint.errors import CorruptCheckpointError, InvalidArgumentError, StorePermissionError
from trainpoint.format.manifest import EXTENT_BYTES, Manifest
from trainpoint.testing import FakeChance, FakeClock, MemoryStore
from trainpoint.transfer import pack, upload
from trainpoint.transfer.ranged import open_file

SMALL_EXTENT = 1000
CONTENT = pattern(5 * SMALL_EXTENT + 17)


@pytest.fixture(scope="module")
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="module")
def checkpoint(memory: MemoryStore, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """With extents of a thousand bytes."""
    source = make(
        tmp_path_factory.mktemp("ranged") / "source",
        {
            "large": File(CONTENT),
            "empty": File(),
            "d/lines.jsonl": File(b'{"a": 1}\n{"a": 2}\n'),
            "d/to-large": Link("../large"),
            "latest": Link("d"),
            "twice": Link("latest/to-large"),
            "circle": Link("circle"),
            "dangling": Link("missing"),
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "SMALL_BYTES", SMALL_EXTENT)
        patch.setattr(upload, "EXTENT_BYTES", SMALL_EXTENT)
        patch.setattr(upload, "BUFFERED_BYTES", SMALL_EXTENT)
        return saved(memory, source)


def opened(store: MemoryStore, manifest: Manifest, path: str) -> io.BufferedReader:
    store.before = None
    store.requests.clear()
    return open_file(store, manifest, path, clock=FakeClock(), chance=FakeChance())


def test_a_file_reads_as_it_was(memory: MemoryStore, checkpoint: Manifest) -> None:
    with opened(memory, checkpoint, "large") as stream:
        assert stream.read() == CONTENT
        assert stream.read(1) == b""
    assert memory.requests == {"read": 6}


def test_an_empty_file_reads_as_empty_without_a_request(memory: MemoryStore, checkpoint: Manifest) -> None:
    assert opened(memory, checkpoint, "empty").read() == b""
    assert not memory.requests


def test_only_the_parts_that_are_read_are_fetched(memory: MemoryStore, checkpoint: Manifest) -> None:
    with opened(memory, checkpoint, "large") as stream:
        stream.seek(-10, os.SEEK_END)
        assert stream.read() == CONTENT[-10:]
    assert memory.requests == {"read": 1}


def test_a_header_and_a_body_read_in_turn_are_fetched_once_each(memory: MemoryStore, checkpoint: Manifest) -> None:
    with opened(memory, checkpoint, "large") as stream:
        for offset in range(10):
            for begin in (0, 3 * SMALL_EXTENT):
                stream.seek(begin + offset)
                assert stream.read(1) == CONTENT[begin + offset : begin + offset + 1]
    assert memory.requests == {"read": 2}


def test_the_part_that_was_used_last_is_kept(memory: MemoryStore, checkpoint: Manifest) -> None:
    with opened(memory, checkpoint, "large") as stream:
        for part in (0, 1, 0, 2, 0):
            stream.seek(part * SMALL_EXTENT)
            stream.peek()
    assert memory.requests == {"read": 3}


def test_lines_can_be_read(memory: MemoryStore, checkpoint: Manifest) -> None:
    with opened(memory, checkpoint, "d/lines.jsonl") as stream:
        assert [json.loads(line)["a"] for line in stream] == [1, 2]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(-6000, 6000), st.integers(-1, 3000)), max_size=8))
def test_any_seeks_and_reads_give_what_a_file_gives(
    memory: MemoryStore, checkpoint: Manifest, steps: list[tuple[int, int, int]]
) -> None:
    reference = io.BytesIO(CONTENT)
    with opened(memory, checkpoint, "large") as stream:
        for whence, offset, length in steps:
            base = (0, reference.tell(), len(CONTENT))[whence]
            if base + offset < 0:
                with pytest.raises((ValueError, OSError)):
                    stream.seek(offset, whence)
                stream.seek(reference.tell())
                continue
            assert stream.seek(offset, whence) == reference.seek(base + offset)
            assert stream.read(length) == reference.read(length)
            assert stream.tell() == reference.tell()


@pytest.mark.parametrize("path", ["d/to-large", "latest/to-large", "twice", "./large", "d/../large", "d//to-large"])
def test_links_in_the_checkpoint_are_followed(memory: MemoryStore, checkpoint: Manifest, path: str) -> None:
    assert opened(memory, checkpoint, path).read() == CONTENT


@pytest.mark.parametrize(
    "path", ["", "nothing", "d", "latest", "circle", "dangling", "../large", "/etc/passwd", "large/x"]
)
def test_what_is_no_file_of_the_checkpoint_is_refused_with_some_names(
    memory: MemoryStore, checkpoint: Manifest, path: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"there is no file {path!r} in checkpoint") as raised:
        opened(memory, checkpoint, path)
    assert "'d/lines.jsonl'" in raised.value.message


def test_a_damaged_part_is_never_handed_on_and_the_others_can_be_read(
    memory: MemoryStore, checkpoint: Manifest
) -> None:
    key = next(o.key for o in checkpoint.objects if o.key.endswith("large"))
    memory.flip_bit(key, (2 * SMALL_EXTENT + 5) * 8)
    try:
        with opened(memory, checkpoint, "large") as stream:
            assert stream.read(2 * SMALL_EXTENT) == CONTENT[: 2 * SMALL_EXTENT]
            with pytest.raises(CorruptCheckpointError, match="'large' differs from what was saved at part 3 of 6"):
                stream.read(1)
            stream.seek(4 * SMALL_EXTENT)
            assert stream.read() == CONTENT[4 * SMALL_EXTENT :]
    finally:
        memory.flip_bit(key, (2 * SMALL_EXTENT + 5) * 8)


def test_an_error_of_the_store_is_passed_on_as_it_is(memory: MemoryStore, checkpoint: Manifest) -> None:
    def refuse(verb: str, key: str) -> None:
        raise StorePermissionError("no")

    stream = opened(memory, checkpoint, "large")
    memory.before = refuse
    with pytest.raises(StorePermissionError):
        stream.read()


def test_a_closed_stream_is_closed(memory: MemoryStore, checkpoint: Manifest) -> None:
    stream = opened(memory, checkpoint, "large")
    stream.read(1)
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_memory_holds_two_parts_at_most(tmp_path: Path) -> None:
    import tracemalloc

    store = MemoryStore()
    source = tmp_path / "model"
    source.write_bytes(pattern(6 * EXTENT_BYTES))
    manifest = saved(store, source)
    with open_file(store, manifest, "model") as stream:
        tracemalloc.start()
        try:
            while stream.read(1024 * 1024):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * EXTENT_BYTES
