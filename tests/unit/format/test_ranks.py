"""Records of ranks, and the uid that all of them derive."""

from __future__ import annotations

import pytest

from trainpoint.errors import CorruptRecordError
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key, parse_attempt_key, parse_vote_key, vote_key
from trainpoint.format.ranks import GoRecord, VoteRecord, derived_uid
from trainpoint.format.records import LoadedRecord

TASK = TaskPath("w", "r", "main")
UID = "0123456789abcdef"


def test_records_come_back_as_they_were() -> None:
    vote = VoteRecord(3, "n" * 16, 2, "Unusable", "it is gone", "Deleted")
    assert VoteRecord.from_bytes(vote.to_bytes(), key="k") == vote
    go = GoRecord(4, UID, 2, {1: "a", 10: "b"})
    assert GoRecord.from_bytes(go.to_bytes(), key="k") == go
    loaded = LoadedRecord(1, UID, "fresh", "default", "Newest", "", ranks=4, round=2)
    assert LoadedRecord.from_bytes(loaded.to_bytes(), key="k") == loaded
    with pytest.raises(CorruptRecordError, match="kind 'Go'"):
        VoteRecord.from_bytes(go.to_bytes(), key="k")


def test_votes_lie_beside_the_attempts_and_never_count_as_one() -> None:
    key = vote_key(TASK, 7, UID, 12)
    assert key == f"ns/_/tasks/w/r/main/_/votes/7-{UID}/12"
    assert parse_vote_key(key) == 12
    assert not key.startswith(TASK.attempts)
    assert parse_vote_key(f"ns/_/tasks/w/r/main/_/votes/7-{UID}/012") is None
    assert parse_attempt_key(attempt_key(TASK, 7, UID, "go")) == (7, UID, "go")


def test_a_derived_uid_is_one_of_a_snapshot_and_differs_by_claim_and_sequence() -> None:
    found = {derived_uid(uid, sequence) for uid in (UID, "f" * 16) for sequence in range(1, 50)}
    assert len(found) == 98
    for uid in found:
        assert SnapshotId.parse(f"0-1-{uid}").uid == uid
    assert derived_uid(UID, 1) == "80d45da16f550af9", "other versions of trainpoint, on other ranks, derive the same"
