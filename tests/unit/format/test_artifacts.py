"""Published values as records: keys, round trip, what is refused."""

from __future__ import annotations

import pytest

from trainpoint import CorruptRecordError, IdentityError
from trainpoint.format.artifacts import ArtifactRecord, artifact_key, parse_artifact_key
from trainpoint.format.layout import TaskPath

TASK = TaskPath("w", "r", "main", "2.1", "team-a")
UID = "0123456789abcdef"
RECORD = ArtifactRecord(TASK, "best.ref", {"a": [1, 2.5, None, "ü"]}, 3, UID, "2026-11-22T09:12:05.000000Z")


def test_a_key_says_name_and_attempt_also_where_the_name_looks_like_more() -> None:
    key = artifact_key(TASK, "best.1-2.json", 3, UID)
    assert key == f"ns/team-a/tasks/w/r/main/2.1/artifacts/best.1-2.json.3-{UID}.json"
    assert parse_artifact_key(key) == ("best.1-2.json", 3, UID)


@pytest.mark.parametrize("key", ["x.json", f"x.03-{UID}.json", f"x.3-{UID}", f".3-{UID}.json", "x.3-0123.json"])
def test_other_keys_are_none(key: str) -> None:
    assert parse_artifact_key(f"artifacts/{key}") is None


def test_a_record_comes_back_as_it_was() -> None:
    assert ArtifactRecord.from_bytes(RECORD.to_bytes(), key=RECORD.key) == RECORD


def test_a_damaged_record_is_no_record() -> None:
    data = RECORD.to_bytes()
    with pytest.raises(CorruptRecordError, match="damaged"):
        ArtifactRecord.from_bytes(data.replace(b"2.5", b"2.6"), key=RECORD.key)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a" * 64, "ä"])
def test_a_name_that_could_not_be_found_again_is_refused(name: str) -> None:
    with pytest.raises(IdentityError, match="artifact"):
        artifact_key(TASK, name, 0, UID)
