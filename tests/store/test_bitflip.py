"""One bit of one object is wrong: the checkpoint before is loaded and `why` says so, or an error names the key."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint, CorruptCheckpointError, CorruptRecordError
from trainpoint.store.base import Store


def save_three(place: Place, run: str) -> None:
    with Checkpoint(workflow="flip", run=run, store=place.url) as ckpt:
        for step in (1, 2, 3):
            with ckpt.stage(step=step, metrics={"loss": 1 / step}) as folder:
                (folder / "big.bin").write_bytes(random.Random(step).randbytes(1_200_000))
                for n in range(3):
                    (folder / f"small-{n}").write_bytes(random.Random(step * 10 + n).randbytes(5_000))


def flip(store: Store, key: str, position: int) -> None:
    data = bytearray(store.get(key))
    data[position % len(data)] ^= 1 << (position % 8)
    store.put(key, bytes(data))


@pytest.fixture(autouse=True)
def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("part", ["files/", "packs/", "manifests/"])
def test_verify_reads_back_and_names_the_one_with_a_flipped_bit(place: Place, part: str) -> None:
    def verify(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trainpoint.cli.main", "verify", *more]
        return subprocess.run(command, env=place.env(), capture_output=True, text=True, timeout=300, check=False)

    save_three(place, "r")
    good = verify()
    assert (good.returncode, good.stderr) == (0, "3 good; 3.5Mi of good ones read back\n")
    store = place.store()
    keys = [info.key for info in store.list("ns/") if part in info.key]
    flip(store, min(k for k in keys if k.endswith(".json")) if part == "manifests/" else max(keys), 1234)
    done = verify("flip/r")
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Corrupt", "Good", "Good"]
    assert verify("flip", "--sizes").returncode == (1 if part == "manifests/" else 0)


@pytest.mark.parametrize("part", ["files/", "packs/", "manifests/"])
def test_a_flipped_bit_in_the_newest_checkpoint_loads_the_one_before_and_why_says_so(place: Place, part: str) -> None:
    save_three(place, "r")
    store = place.store()
    keys = [info.key for info in store.list("ns/") if part in info.key]
    newest = min(k for k in keys if k.endswith(".json")) if part == "manifests/" else max(keys)
    position = random.Random(part).randrange(10**6)
    flip(store, newest, position)

    with Checkpoint(workflow="flip", run="r", store=place.url) as ckpt:
        assert ckpt.step == 2
        assert (ckpt.path / "big.bin").read_bytes() == random.Random(2).randbytes(1_200_000)
        why = ckpt.why
        assert why is not None
        assert [s.reason for s in why.skipped] == ["Unreadable" if part == "manifests/" else "Corrupt"]
        assert why.skipped[0].checkpoint.split("-")[-2] == "3", "the third one, by its sequence"
        latest = ckpt.latest()
        assert latest is not None
        assert latest.step == 2, "nothing chooses it again"
        assert [info.status for info in ckpt.list(all=True)][-2:] == ["Committed", "Committed"]
        if part != "manifests/":
            with pytest.raises(CorruptCheckpointError, match="differs"):
                ckpt.load(ckpt.list(all=True)[0])


def test_a_flipped_bit_in_any_other_record_is_named_and_never_loads_the_wrong_thing(place: Place) -> None:
    save_three(place, "r")
    store = place.store()
    others = {
        info.key: store.get(info.key)
        for info in store.list("")
        if "/manifests/" not in info.key and "/data/" not in info.key
    }
    assert len(others) > 5
    named = 0
    for attempt, (key, whole) in enumerate(sorted(others.items())):
        flip(store, key, random.Random(attempt).randrange(10**6))
        try:
            with Checkpoint(workflow="flip", run="r", store=place.url, load_policy="eager") as ckpt:
                assert ckpt.step == 3
                assert (ckpt.path / "big.bin").read_bytes() == random.Random(3).randbytes(1_200_000)
        except CorruptRecordError as error:
            assert key in error.message
            named += 1
        store.put(key, whole)
    assert named >= 3, "the marker of the store, the attempt's record and what it loaded"


def test_a_manifest_that_is_intact_but_belongs_to_another_checkpoint_is_not_taken_for_it(place: Place) -> None:
    save_three(place, "a")
    save_three(place, "b")
    store = place.store()

    def manifests(run: str) -> list[str]:
        return sorted(
            i.key for i in store.list("ns/") if f"/{run}/" in i.key and i.key.endswith(".json") and "manifests" in i.key
        )

    store.put(manifests("b")[0], store.get(manifests("a")[0]))
    with Checkpoint(workflow="flip", run="b", store=place.url) as ckpt:
        assert ckpt.step == 2
        assert ckpt.why is not None
        assert "another checkpoint" in ckpt.why.skipped[0].message


def test_a_reader_marks_nothing(place: Place, tmp_path: Path) -> None:
    save_three(place, "r")
    store = place.store()
    flip(store, max(i.key for i in store.list("ns/") if "files/" in i.key), 77)
    before = [info.key for info in store.list("")]
    with Checkpoint(store=place.url) as reader:
        newest = reader.list(task="flip/r/main")[0]
        with pytest.raises(CorruptCheckpointError):
            reader.load(newest, tmp_path / "out")
    assert [info.key for info in store.list("")] == before
    assert not (tmp_path / "out").exists()
