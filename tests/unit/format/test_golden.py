"""Format version 1 is frozen: what is written today is what was written then, and what was written then is read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.unit.format import golden_files
from tests.unit.format.golden_files import GOLDEN, KEYS, OBJECTS, REFERENCE, Golden
from trainpoint import (
    Checkpoint,
    CheckpointDeletedError,
    CheckpointRef,
    CorruptRecordError,
    NewerFormatError,
    Workflow,
)
from trainpoint.format import artifacts, layout
from trainpoint.format.digest import JsonObject, canonical, seal, unseal
from trainpoint.format.layout import AttemptSuffix, ManifestSuffix

DECIDE = "format v1 is frozen; if this is meant, docs/reference/format.md says what may change, and how it is written"

MARKS = {"Lost", "Fence", "Beat", "Tombstone", "Archived", "Corrupt", "Log"}
"""Kinds whose keys say everything: nobody reads their fields."""

every_object = pytest.mark.parametrize(
    ("key", "golden"), OBJECTS.items(), ids=[f"{g.kind}-{k}" for k, g in OBJECTS.items()]
)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINPOINT_STORE", raising=False)
    monkeypatch.delenv("TRAINPOINT_WORKFLOW", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """The golden store in a folder of its own, which nothing has changed in the end."""
    shutil.copytree(GOLDEN / "store", tmp_path / "store")
    before = golden_files.found(tmp_path / "store")
    yield tmp_path / "store"
    assert golden_files.found(tmp_path / "store") == before, "reading has changed the store"


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", golden_files.expected())
def test_what_is_written_today_is_what_was_written_then(path: str) -> None:
    there = GOLDEN / path
    assert there.is_file(), f"{path} is new; {DECIDE}"
    assert golden_files.expected()[path] == there.read_bytes(), f"{path} is written otherwise; {DECIDE}"


def test_nothing_is_missing_that_was_written_then() -> None:
    assert set(golden_files.found()) == set(golden_files.expected()), DECIDE


def test_every_kind_and_every_suffix_is_among_them() -> None:
    """Kinds are found in the sources, so that a new one cannot be forgotten."""
    sources = "".join(p.read_text(encoding="utf-8") for p in Path(layout.__file__).parent.glob("*.py"))
    kinds = {g.kind for g in OBJECTS.values()}
    written = set(re.findall(r'write_record\(\s*"(\w+)"', sources))
    assert written | {"Manifest", "Lost", "Fence", "Beat"} == kinds
    forms = set(KEYS)
    assert {f"attempt: {suffix}" for suffix in get_args(AttemptSuffix)} <= forms
    assert {f"manifest: {suffix}" for suffix in get_args(ManifestSuffix)} <= forms


# --- reading ----------------------------------------------------------------------------------------------------------


def golden_bytes(key: str) -> bytes:
    return (GOLDEN / "store" / key).read_bytes()


@every_object
def test_what_was_written_then_reads_back(key: str, golden: Golden) -> None:
    assert golden.read(golden_bytes(key), key=key) == golden.meant


def with_more(value: Any) -> Any:
    """The same JSON with a field more in every object; but not where the names are the user's, or numbers."""
    if isinstance(value, list):
        return [with_more(item) for item in value]
    if not isinstance(value, dict):
        return value
    free = ("metrics", "metadata", "createdBy", "seen", "nonces", "value")
    return {**{k: v if k in free else with_more(v) for k, v in value.items()}, "later": {"x": 1}}


@every_object
def test_fields_of_a_later_minor_version_are_ignored(key: str, golden: Golden) -> None:
    """And so is a signature, which the digest does not cover."""
    value = unseal(golden_bytes(key), key=key)
    signed = canonical({**json.loads(seal(with_more(value))), "hmac": "00"})
    assert golden.read(signed, key=key) == golden.meant


@every_object
def test_a_newer_format_is_refused_before_anything_else_is_read(key: str, golden: Golden) -> None:
    newer: JsonObject = {"formatVersion": 2, "kind": "in a form that nobody knows yet"}
    with pytest.raises(NewerFormatError, match="format version 2"):
        golden.read(seal(newer), key=key)


OPTIONAL = {"Loaded": {"ranks", "round", "request", "requestBy", "since"}}
"""By kind, fields that version 1 got before it was frozen: a reader has a value for those that are absent."""


@every_object
def test_an_object_without_one_of_its_fields_is_corrupt(key: str, golden: Golden) -> None:
    value = unseal(golden_bytes(key), key=key)
    for name in set(value) - {"formatVersion", "kind"}:
        without = seal({k: v for k, v in value.items() if k != name})
        if name in OPTIONAL.get(golden.kind, ()):
            golden.read(without, key=key)
        elif golden.kind not in MARKS:
            with pytest.raises(CorruptRecordError, match=name):
                golden.read(without, key=key)


@every_object
def test_an_object_of_another_kind_is_corrupt(key: str, golden: Golden) -> None:
    with pytest.raises(CorruptRecordError):
        golden.read(seal({"formatVersion": 1, "kind": "Other"}), key=key)


def test_what_the_keys_say_is_read_back() -> None:
    lines = (GOLDEN / "keys.txt").read_text(encoding="utf-8").splitlines()
    there = dict(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))
    assert there == KEYS
    for suffix in get_args(AttemptSuffix):
        assert layout.parse_attempt_key(there[f"attempt: {suffix}"]) == (10, golden_files.SECOND, suffix)
    for suffix in get_args(ManifestSuffix):
        assert layout.parse_manifest_key(there[f"manifest: {suffix}"]) == (golden_files.GOOD, suffix)
    assert layout.parse_metric_key(there["later metric"]) == (golden_files.GOOD, golden_files.MET)
    assert layout.parse_vote_key(there["vote"]) == 12
    assert artifacts.parse_artifact_key(there["artifact"]) == ("best_checkpoint", 10, golden_files.SECOND)


# --- a store of then, as people use it --------------------------------------------------------------------------------


def test_a_reference_of_then_is_loaded(store: Path, tmp_path: Path) -> None:
    value = json.loads((GOLDEN / "reference.json").read_text(encoding="utf-8"))
    assert CheckpointRef.from_json(value) == REFERENCE
    assert CheckpointRef.from_json({**value, "later": {"x": 1}}) == REFERENCE
    there = tmp_path / "there"
    with Checkpoint(store=str(store)) as ckpt:
        info = ckpt.load(value, there)
        assert ckpt.open(value, "model/größe.txt").read() == golden_files.NOTES
        assert ckpt.load(json.dumps(value)).name == ckpt.load(info.name).name == REFERENCE.name
    assert (info.step, info.epoch, info.series, info.metadata["lr"]) == (200, 3, "best", 0.1)
    assert (there / "log.txt").read_bytes() == golden_files.LOG
    assert (there / "model" / "weights (1).bin").read_bytes() == golden_files.WEIGHTS
    assert (there / "best.bin").resolve() == (there / "model" / "weights (1).bin").resolve()
    assert [(there / p).stat().st_mode & 0o777 for p in ("empty", "model/none")] == [0o600, 0o700]


def test_a_store_of_then_is_listed(store: Path) -> None:
    with Checkpoint(store=str(store)) as ckpt:
        listed = ckpt.list(task=str(golden_files.TASK), all=True)
        assert [(i.attempt, i.sequence, i.status) for i in listed] == [
            (1, 5, "Committed"),
            (0, 4, "Committed"),
            (0, 2, "Committed"),
            (0, 1, "Corrupt"),
        ]
        good = listed[2]
        assert (good.pinned, good.metrics["accuracy"]) == ("table 2 of the paper", 0.93)
        assert [i.task for i in ckpt.list(task=str(golden_files.SWEPT), namespace="team-a")] == ["fit.model"]
        with pytest.raises(CheckpointDeletedError):
            ckpt.load(CheckpointRef(golden_files.TASK, golden_files.GONE))


def test_objects_that_a_later_version_adds_are_passed_over(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "store", tmp_path / "store")
    for key in OBJECTS:
        if key.startswith("ns/"):
            there = tmp_path / "store" / key
            (there.parent / f"{there.name.partition('.')[0]}.later").write_bytes(b"in a form that nobody knows yet")
    (tmp_path / "store" / "ns" / "_" / "later").mkdir()
    (tmp_path / "store" / "ns" / "_" / "later" / "x.json").write_bytes(b"{}")
    with Checkpoint(store=str(tmp_path / "store")) as ckpt:
        assert [i.sequence for i in ckpt.list(task=str(golden_files.TASK), all=True)] == [5, 4, 2, 1]
        assert ckpt.load(REFERENCE).step == 200
    with Checkpoint(workflow="digits", run=golden_files.TASK.run, store=str(tmp_path / "store")) as ckpt:
        assert (ckpt.attempt, ckpt.info.sequence if ckpt.info else 0) == (2, 5)
        assert ckpt.save().id.sequence == 6
    run = Workflow("digits", owner="*", store=str(tmp_path / "store")).latest_run
    assert run["main"].task.artifacts == ("best_checkpoint", "v1.2")


def test_a_run_of_then_goes_on_today(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "store", tmp_path / "store")
    task = golden_files.TASK
    with Checkpoint(workflow=task.workflow, run=task.run, store=str(tmp_path / "store")) as ckpt:
        assert ckpt.attempt == 2
        assert ckpt.info is not None and ckpt.info.ref == CheckpointRef(task, golden_files.LAST)
        assert ckpt.save(step=201).id.sequence == 6


def test_a_run_of_then_says_how_it_ended_and_what_it_published(store: Path) -> None:
    run = Workflow("digits", owner="*", store=str(store)).latest_successful_run
    task = run["main"].task
    assert (run.owner, run.end.message if run.end else "", task.attempts) == ("ada@example.com", "all steps done", 2)
    assert task.artifacts == ("best_checkpoint", "v1.2")
    assert task["v1.2"].data == [0.97, None, "größer"]
    with Checkpoint(store=str(store)) as ckpt:
        assert ckpt.load(task["best_checkpoint"]).ref == REFERENCE
