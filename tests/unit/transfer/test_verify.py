"""Reading back what is stored: nothing is written, and whatever differs is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.trees import Description, File, Folder, Link, make, pattern, saved
from trainpoint.errors import CorruptCheckpointError
from trainpoint.format.manifest import EXTENT_BYTES, Manifest
from trainpoint.testing import MemoryStore
from trainpoint.transfer.verify import verify_digests, verify_sizes

TREE: Description = {
    "large.bin": File(pattern(2 * EXTENT_BYTES + 7, 1)),
    "a/small.txt": File(b"small"),
    "a/other.txt": File(b"other"),
    "link": Link("a/small.txt"),
    "nothing.txt": File(),
    "empty": Folder(),
}


@pytest.fixture
def checkpoint(memory: MemoryStore, tmp_path: Path) -> Manifest:
    return saved(memory, make(tmp_path / "source", TREE))


def test_what_is_as_it_was_saved_is_read_whole(memory: MemoryStore, checkpoint: Manifest) -> None:
    assert verify_digests(memory, checkpoint) == 2 * EXTENT_BYTES + 7 + 10 == checkpoint.size
    verify_sizes(memory, checkpoint)


def test_a_flipped_bit_anywhere_is_found_by_digests_and_not_by_sizes(memory: MemoryStore, checkpoint: Manifest) -> None:
    for stored in checkpoint.objects:
        good = bytes(memory.get(stored.key))
        for position in (0, len(good) // 2, len(good) - 1):
            bad = bytearray(good)
            bad[position] ^= 1
            memory.put(stored.key, bytes(bad))
            with pytest.raises(CorruptCheckpointError, match="differs from what was saved"):
                verify_digests(memory, checkpoint)
            verify_sizes(memory, checkpoint)
        memory.put(stored.key, good)
    verify_digests(memory, checkpoint)


def test_what_is_missing_or_short_is_found_by_both(memory: MemoryStore, checkpoint: Manifest) -> None:
    for stored in checkpoint.objects:
        good = bytes(memory.get(stored.key))
        memory.put(stored.key, good[:-1])
        for look in (verify_sizes, verify_digests):
            with pytest.raises(CorruptCheckpointError, match=r"has .* bytes, not|is short"):
                look(memory, checkpoint)
        memory.delete(stored.key)
        for look in (verify_sizes, verify_digests):
            with pytest.raises(CorruptCheckpointError, match="is missing"):
                look(memory, checkpoint)
        memory.put(stored.key, good)


def test_good_parts_in_another_order_are_no_good_file(memory: MemoryStore, checkpoint: Manifest) -> None:
    number = next(n for n, file in enumerate(checkpoint.files) if len(file.extents) > 1)
    file = checkpoint.files[number]
    first, second, *rest = file.extents
    swapped = replace(file, extents=(second, first, *rest))
    files = (*checkpoint.files[:number], swapped, *checkpoint.files[number + 1 :])
    with pytest.raises(CorruptCheckpointError, match="as a whole differs"):
        verify_digests(memory, replace(checkpoint, files=files))
