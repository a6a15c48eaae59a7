"""Which object each file goes into."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.trees import SNAPSHOT, TASK
from trainpoint.format.layout import file_key, pack_key
from trainpoint.transfer.pack import PACK_BYTES, SMALL_BYTES, PlannedObject, plan_objects
from trainpoint.transfer.tree import Fingerprint, TreeFile


def plan(*sizes: int, rank: int = 0) -> tuple[PlannedObject, ...]:
    files = [TreeFile(f"f{n}", f"/f{n}", size, 0o644, Fingerprint(0, n, size, 0, 0)) for n, size in enumerate(sizes)]
    return plan_objects(files, TASK, SNAPSHOT, rank=rank)


def own(number: int) -> str:
    return file_key(TASK, SNAPSHOT, f"f{number}")


def test_a_checkpoint_of_one_file_is_never_packed() -> None:
    assert plan(1) == (PlannedObject(own(0), (0,), 1),)


def test_a_checkpoint_of_one_file_beside_empty_ones_is_not_packed_either() -> None:
    assert plan(0, 1, 0) == (PlannedObject(own(1), (1,), 1),)


def test_empty_files_need_no_object() -> None:
    assert plan(0, 0) == ()


def test_small_files_share_a_pack_of_their_rank() -> None:
    assert plan(1, 2, 3, rank=7) == (PlannedObject(pack_key(TASK, SNAPSHOT, 7, 0), (0, 1, 2), 6),)


def test_files_from_one_mebibyte_on_are_objects_of_their_own() -> None:
    assert [(p.key, p.members) for p in plan(SMALL_BYTES, SMALL_BYTES - 1, 1)] == [
        (own(0), (0,)),
        (pack_key(TASK, SNAPSHOT, 0, 0), (1, 2)),
    ]


def test_a_small_file_alone_is_not_packed() -> None:
    assert [p.key for p in plan(SMALL_BYTES, 1)] == [own(0), own(1)]


@given(st.lists(st.sampled_from([0, 1, SMALL_BYTES // 2, SMALL_BYTES - 1, SMALL_BYTES, 9 * SMALL_BYTES]), max_size=60))
def test_every_byte_has_one_place_and_packs_are_neither_large_nor_needlessly_small(sizes: list[int]) -> None:
    planned = plan(*sizes)
    assert len({p.key for p in planned}) == len(planned)
    assert sorted(m for p in planned for m in p.members) == [n for n, size in enumerate(sizes) if size]
    assert all(p.size == sum(sizes[m] for m in p.members) for p in planned)
    packs = [p for p in planned if len(p.members) > 1]
    assert all(p.size < PACK_BYTES + SMALL_BYTES for p in packs)
    assert all(p.size >= PACK_BYTES for p in packs[:-1])
