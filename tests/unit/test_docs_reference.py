"""The reference pages say what the code does: every record, key suffix and variable, with examples that are real."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import get_args

import pytest

from tests.support.documents import Block, blocks
from tests.support.repository import ROOT
from trainpoint.api import names
from trainpoint.errors import CorruptRecordError
from trainpoint.format.artifacts import ArtifactRecord
from trainpoint.format.digest import canonical, unseal
from trainpoint.format.layout import AttemptSuffix, ManifestSuffix
from trainpoint.format.manifest import Manifest
from trainpoint.format.marks import LateMetricRecord, PinRecord, SaveRequestRecord
from trainpoint.format.ranks import GoRecord, VoteRecord
from trainpoint.format.records import (
    AttemptRecord,
    EndRecord,
    IntentRecord,
    LoadedRecord,
    RunEndRecord,
    RunRecord,
    StoreMarker,
)
from trainpoint.format.reference import CheckpointRef
from trainpoint.store.s3_settings import _PASSED_ON

FORMAT = ROOT / "docs" / "reference" / "format.md"
ENVIRONMENT = ROOT / "docs" / "reference" / "environment.md"

READERS: dict[str, Callable[..., object]] = {
    "Store": StoreMarker.from_bytes,
    "Run": RunRecord.from_bytes,
    "RunEnd": RunEndRecord.from_bytes,
    "Intent": IntentRecord.from_bytes,
    "Attempt": AttemptRecord.from_bytes,
    "Loaded": LoadedRecord.from_bytes,
    "Vote": VoteRecord.from_bytes,
    "Go": GoRecord.from_bytes,
    "End": EndRecord.from_bytes,
    "Artifact": ArtifactRecord.from_bytes,
    "SaveRequest": SaveRequestRecord.from_bytes,
    "Manifest": Manifest.from_bytes,
    "Pin": PinRecord.from_bytes,
    "Metric": LateMetricRecord.from_bytes,
}
MARKS = {"Fence", "Tombstone", "Archived", "Corrupt", "Log"}
"""Kinds that nobody reads back by field."""

EXAMPLES = [b for b in blocks(FORMAT) if b.language == "json"]
RECORDS = [b for b in EXAMPLES if "formatVersion" in json.loads(b.text)]
every_record = pytest.mark.parametrize("block", RECORDS, ids=lambda b: kind_of(b))


def kind_of(block: Block) -> str:
    return str(json.loads(block.text).get("kind", "Manifest"))


@every_record
def test_an_example_of_a_record_is_one_that_a_reader_accepts(block: Block) -> None:
    data = canonical(json.loads(block.text))
    kind = kind_of(block)
    assert kind in MARKS | set(READERS)
    unseal(data, key="example")
    record = READERS[kind](data, key="example") if kind in READERS else None
    # Written again it is the same: the page has every field and no other.
    assert record is None or record.to_bytes() == data  # type: ignore[attr-defined]


@every_record
def test_an_example_with_a_changed_value_is_refused(block: Block) -> None:
    changed = json.loads(block.text)
    changed["formatVersion"] = 2
    with pytest.raises(CorruptRecordError):
        unseal(canonical(changed), key="example")


def test_every_kind_of_record_has_an_example() -> None:
    assert {kind_of(b) for b in RECORDS} == MARKS | set(READERS)


def test_the_example_of_a_reference_can_be_loaded() -> None:
    (block,) = [b for b in EXAMPLES if b not in RECORDS]
    ref = CheckpointRef.from_json(json.loads(block.text))
    assert ref.to_json() == json.loads(block.text)
    assert f"`{ref.name}`" in FORMAT.read_text(encoding="utf-8")


def test_every_suffix_of_a_key_is_explained() -> None:
    text = FORMAT.read_text(encoding="utf-8")
    suffixes = [*get_args(AttemptSuffix), *get_args(ManifestSuffix)]
    assert len(suffixes) > 8
    assert not [suffix for suffix in suffixes if not re.search(rf"\.{suffix}\b", text)]


def test_every_variable_is_explained() -> None:
    text = ENVIRONMENT.read_text(encoding="utf-8")
    variables = [value for name, value in vars(names).items() if name.startswith("ENV_")]
    assert len(variables) > 8
    assert not [v for v in variables if f"| `{v}` |" not in text]


def test_no_variable_is_explained_that_nothing_reads() -> None:
    documented = set(re.findall(r"\bTRAINPOINT_[A-Z_]+\b", ENVIRONMENT.read_text(encoding="utf-8")))
    assert documented == {value for name, value in vars(names).items() if name.startswith("ENV_")}


def test_the_variables_of_s3_are_those_that_the_store_reads() -> None:
    source = (ROOT / "sdk/trainpoint/store/s3_settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"(AWS_[A-Z0-9_]+)"', source)) | {f"AWS_{name.upper()}" for name in _PASSED_ON}
    documented = set(re.findall(r"`(AWS_[A-Z0-9_]+)`", ENVIRONMENT.read_text(encoding="utf-8")))
    assert len(read) > 8
    assert documented == read
