"""What the bucket has and the API server does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.saves import TASK, Saves
from tests.support.trees import File
from trainpoint.errors import StoreUnreachableError
from trainpoint.format.digest import seal, unseal
from trainpoint.format.layout import attempt_key, manifest_key
from trainpoint.format.manifest import FORMAT_VERSION, Manifest
from trainpoint.format.reference import CheckpointRef
from trainpoint_operator.inventory import APP_WINDOW, WINDOW, Found, look

SMALL = {"a.txt": File(b"a")}


@pytest.fixture
def saves(tmp_path: Path) -> Saves:
    return Saves(tmp_path)


def name(manifest: Manifest) -> str:
    return CheckpointRef(TASK, manifest.snapshot.id).name


def missing(found: Found) -> list[tuple[int, int]]:
    return [(m.snapshot.id.attempt, m.snapshot.id.sequence) for m in found.missing]


def test_what_a_known_claim_saved_and_could_not_record_oldest_first(saves: Saves) -> None:
    first, second = saves.claim(0), ""
    saved = [saves.save(0, n, SMALL) for n in (1, 2, 3)]
    second = saves.claim(1, seen=3)
    saved.append(saves.save(1, 4, SMALL))
    found = look(saves.catalog, TASK, recorded={name(saved[1])}, nonces={first, second})
    assert missing(found) == [(0, 1), (0, 3), (1, 4)]
    assert found.missing[0] == saved[0]
    assert found.unknown == 0
    assert [view.number for view in found.attempts] == [0, 1]
    nothing = look(saves.catalog, TASK, recorded={name(one) for one in saved}, nonces={first, second})
    assert missing(nothing) == []


def test_what_an_unknown_claim_saved_stays_in_the_bucket(saves: Saves) -> None:
    saves.claim(0)
    saves.save(0, 1, SMALL)
    second = saves.claim(1, seen=1)
    saves.save(1, 2, SMALL)
    found = look(saves.catalog, TASK, recorded=(), nonces={second, ""})
    assert (missing(found), found.unknown) == ([(1, 2)], 1)


def test_a_manifest_of_an_attempt_without_any_record_is_not_trusted(saves: Saves) -> None:
    saves.save(7, 1, SMALL)
    found = look(saves.catalog, TASK, recorded=(), nonces={f"{7:016x}"})
    assert (missing(found), found.unknown) == ([], 1)


def test_what_came_too_late_is_recorded_too_and_what_was_deleted_is_not(saves: Saves) -> None:
    nonce = saves.claim(0)
    gone, late = saves.save(0, 1, SMALL), saves.save(0, 2, SMALL)
    saves.upload(0, 3, SMALL)
    second = saves.claim(1, seen=1)
    saves.catalog.delete(TASK, gone.snapshot.id, by="ada")
    found = look(saves.catalog, TASK, recorded=(), nonces={nonce, second})
    assert missing(found) == [(0, late.snapshot.id.sequence)]


def test_only_the_newest_have_an_object(saves: Saves) -> None:
    nonce = saves.claim(0)
    saved = [saves.save(0, n, SMALL) for n in range(1, WINDOW + 6)]
    found = look(saves.catalog, TASK, recorded={name(saved[-1])}, nonces={nonce})
    assert missing(found) == [(0, n) for n in range(6, WINDOW + 5)]


def test_of_an_app_so_many_more_have_one_as_its_policy_keeps(saves: Saves) -> None:
    nonce = saves.claim(0)
    for n in range(1, APP_WINDOW + 32):
        saves.save(0, n, SMALL)
    found = look(saves.catalog, TASK, recorded=(), nonces={nonce}, app=True, kept=30)
    assert len(found.missing) == APP_WINDOW + 30


def test_a_task_that_has_nothing(saves: Saves) -> None:
    assert look(saves.catalog, TASK, recorded=(), nonces=()) == Found((), 0, ())


def newer(data: bytes) -> bytes:
    return seal({**unseal(data, key="m"), "formatVersion": FORMAT_VERSION + 1})


@pytest.mark.parametrize("spoil", [lambda _: b"{", newer], ids=["damaged", "newer"])
def test_what_cannot_be_read_is_told_and_the_rest_is_recorded(
    saves: Saves, caplog: pytest.LogCaptureFixture, spoil: Callable[[bytes], bytes]
) -> None:
    nonce = saves.claim(0)
    for n in (1, 2):
        saves.save(0, n, SMALL)
    key = next(k.key for k in saves.store.list(TASK.manifests) if "json" in k.key)
    saves.store.put(key, spoil(saves.store.get(key)))
    with caplog.at_level(logging.WARNING):
        found = look(saves.catalog, TASK, recorded=(), nonces={nonce})
    assert missing(found) == [(0, 1)]
    assert "event=manifest-unreadable" in caplog.text


@pytest.mark.parametrize("spoil", [lambda _: b"{", newer], ids=["damaged", "newer"])
def test_where_no_attempt_can_be_read_nothing_is_trusted(
    saves: Saves, caplog: pytest.LogCaptureFixture, spoil: Callable[[bytes], bytes]
) -> None:
    nonce = saves.claim(0)
    saves.save(0, 1, SMALL)
    key = attempt_key(TASK, 0, nonce)
    saves.store.put(key, spoil(saves.store.get(key)))
    with caplog.at_level(logging.WARNING):
        found = look(saves.catalog, TASK, recorded=(), nonces={nonce})
    assert (missing(found), found.unknown) == ([], 1)
    assert "event=attempt-unreadable" in caplog.text


def test_a_store_that_goes_away_is_an_error_not_an_empty_bucket(saves: Saves) -> None:
    nonce = saves.claim(0)
    saved = saves.save(0, 1, SMALL)

    def away(verb: str, key: str) -> None:
        if (verb, key) == ("get", manifest_key(TASK, saved.snapshot.id)):
            raise StoreUnreachableError("away")

    saves.store.before = away
    with pytest.raises(StoreUnreachableError):
        look(saves.catalog, TASK, recorded=(), nonces={nonce})
