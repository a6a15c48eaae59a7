"""Is a committed checkpoint what its commit says? With real manifests and data, of which something is then spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.saves import TASK, Saves
from tests.support.trees import File
from trainpoint.catalog.record import commit_of
from trainpoint.errors import StoreUnreachableError
from trainpoint.format.digest import seal, unseal
from trainpoint.format.layout import manifest_key, snapshot_data
from trainpoint.format.manifest import FORMAT_VERSION, Manifest, StoredObject
from trainpoint.format.reference import CheckpointRef
from trainpoint_operator.decisions.checkpoint_state import Finding
from trainpoint_operator.verify import verify_sizes


@pytest.fixture
def saves(tmp_path: Path) -> Saves:
    made = Saves(tmp_path)
    made.claim(0)
    return made


def look(saves: Saves, manifest: Manifest, *, digest: str | None = None) -> Finding:
    committed = str(commit_of(manifest)["manifestDigest"])
    ref = CheckpointRef(TASK, manifest.snapshot.id)
    return verify_sizes(saves.catalog, ref, digest=committed if digest is None else digest)


def key(manifest: Manifest) -> str:
    return manifest_key(TASK, manifest.snapshot.id)


def test_a_good_one(saves: Saves) -> None:
    saved = saves.save(0, 1)
    found = look(saves, saved)
    assert (found.result, found.reason, found.message) == (
        "Good",
        "Sizes",
        "2 objects in the store, each with its size",
    )
    assert found.manifest == saved
    assert look(saves, saved, digest="").result == "Good", "one whose pod could not write its commit"


def test_no_data_is_read_and_other_checkpoints_cost_nothing(saves: Saves) -> None:
    many = [saves.save(0, n, {"a.txt": File(b"a")}) for n in range(1, 6)]
    saves.store.requests.clear()
    assert look(saves, many[0]).result == "Good"
    assert dict(saves.store.requests) == {"list": 2, "get": 1}


def test_one_without_any_file(saves: Saves) -> None:
    saved = saves.save(0, 1, {})
    assert look(saves, saved).message == "0 objects in the store, each with its size"
    saved = saves.save(0, 2, {"a.txt": File(b"a")})
    assert look(saves, saved).message == "1 object in the store, each with its size"


def missing_data(saves: Saves, saved: Manifest) -> None:
    saves.store.delete(saved.objects[0].key)


def cut_data(saves: Saves, saved: Manifest) -> None:
    one = saved.objects[0].key
    saves.store.put(one, saves.store.get(one)[:-1])


def flipped_manifest(saves: Saves, saved: Manifest) -> None:
    data = bytearray(saves.store.get(key(saved)))
    data[len(data) // 2] ^= 1
    saves.store.put(key(saved), bytes(data))


def cut_manifest(saves: Saves, saved: Manifest) -> None:
    saves.store.put(key(saved), saves.store.get(key(saved))[:100])


def empty_manifest(saves: Saves, saved: Manifest) -> None:
    saves.store.put(key(saved), b"")


def another_manifest(saves: Saves, saved: Manifest) -> None:
    saves.store.put(key(saved), replace(saved, time="2026-11-22T10:00:00.000000Z").to_bytes())


def no_manifest(saves: Saves, saved: Manifest) -> None:
    saves.store.delete(key(saved))


def newer_manifest(saves: Saves, saved: Manifest) -> None:
    value = unseal(saves.store.get(key(saved)), key="m")
    saves.store.put(key(saved), seal({**value, "formatVersion": FORMAT_VERSION + 1}))


def marked(saves: Saves, saved: Manifest) -> None:
    saves.catalog.mark_corrupt(TASK, saved.snapshot.id, "a bit is wrong")


def overtaken(saves: Saves, saved: Manifest) -> None:
    saves.claim(1, seen=0)


def deleted(saves: Saves, saved: Manifest) -> None:
    saves.catalog.delete(TASK, saved.snapshot.id, by="ada")


def deleted_by_half(saves: Saves, saved: Manifest) -> None:
    saves.store.put(manifest_key(TASK, saved.snapshot.id, "tombstone"), b"{}")


SPOILT: list[tuple[Callable[[Saves, Manifest], None], str, str, str]] = [
    (missing_data, "Corrupt", "DataMissing", "is not in the store"),
    (cut_data, "Corrupt", "SizeDiffers", "bytes, not"),
    (flipped_manifest, "Corrupt", "ManifestDamaged", ""),
    (cut_manifest, "Corrupt", "ManifestDamaged", ""),
    (empty_manifest, "Corrupt", "ManifestDamaged", ""),
    (another_manifest, "Corrupt", "ManifestDiffers", "not the one that was committed"),
    (no_manifest, "NotFound", "ManifestMissing", "not in the store"),
    (newer_manifest, "Unknown", "NewerFormat", ""),
    (marked, "Corrupt", "MarkedCorrupt", "found it damaged"),
    (overtaken, "Superseded", "Superseded", "after a later attempt had taken over"),
    (deleted, "Deleted", "Deleted", "tombstone"),
    (deleted_by_half, "Deleted", "Deleted", "tombstone"),
]


@pytest.mark.parametrize(("spoil", "result", "reason", "piece"), SPOILT, ids=[case[0].__name__ for case in SPOILT])
def test_one_that_was_spoilt(
    saves: Saves, spoil: Callable[[Saves, Manifest], None], result: str, reason: str, piece: str
) -> None:
    before, saved, after = saves.save(0, 1), saves.save(0, 2), None
    if spoil is not overtaken:
        after = saves.save(0, 3)
    spoil(saves, saved)
    found = look(saves, saved)
    assert (found.result, found.reason) == (result, reason), found.message
    assert piece in found.message
    if after is not None:
        assert look(saves, before).result == look(saves, after).result == "Good"


def test_an_intact_manifest_of_another_checkpoint_is_none_of_this_one(saves: Saves) -> None:
    one, two = saves.save(0, 1), saves.save(0, 2)
    saves.store.put(key(one), saves.store.get(key(two)))
    assert look(saves, one, digest="").reason == "ManifestDiffers"


def test_what_a_later_claim_had_seen_is_not_too_late(saves: Saves) -> None:
    one, two = saves.save(0, 1), saves.save(0, 2)
    saves.claim(1, seen=1)
    assert (look(saves, one).result, look(saves, two).result) == ("Good", "Superseded")


def test_data_without_a_manifest_is_no_checkpoint(saves: Saves) -> None:
    assert look(saves, saves.upload(0, 1)).result == "NotFound"


def test_parts_of_another_checkpoint_are_looked_for_where_they_lie(saves: Saves) -> None:
    """The format lets a manifest name what an earlier one has stored. Nothing writes such yet; nothing may spoil it."""
    earlier, later = saves.save(0, 1), saves.upload(0, 2)
    shared = replace(later, objects=(earlier.objects[0], *later.objects[1:]))
    saves.catalog.record(shared)
    assert look(saves, shared).result == "Good"
    saves.store.delete(earlier.objects[0].key)
    assert look(saves, shared).reason == "DataMissing"


def test_what_lies_beside_the_data_is_no_fault(saves: Saves) -> None:
    saved = saves.save(0, 1)
    saves.store.put(f"{snapshot_data(TASK, saved.snapshot.id)}aborted", b"")
    assert look(saves, saved).result == "Good"


def test_a_store_that_does_not_answer_says_nothing_about_the_checkpoint(saves: Saves) -> None:
    saved = saves.save(0, 1)
    for verb in ("list", "get"):

        def away(asked: str, _key: str, verb: str = verb) -> None:
            if asked == verb:
                raise StoreUnreachableError("away")

        saves.store.before = away
        with pytest.raises(StoreUnreachableError):
            look(saves, saved)


def test_sizes_are_those_of_the_manifest_not_of_the_commit(saves: Saves) -> None:
    saved = saves.save(0, 1)
    lying = replace(saved, objects=tuple(StoredObject(o.key, o.size + 1) for o in saved.objects))
    saves.catalog.record(lying)
    assert look(saves, lying).reason == "SizeDiffers"
