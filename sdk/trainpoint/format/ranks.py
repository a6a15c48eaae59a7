"""Records by which the ranks of one task agree on what they load, and the uid that each of them knows by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trainpoint.format.digest import digest_of
from trainpoint.format.records import reading_record, write_record

Word = Literal["Loaded", "Unusable", "Failed"]
"""Of a rank: has it; found that it cannot be used by anybody; could not load it, which says nothing about it."""


def derived_uid(claim_uid: str, sequence: int) -> str:
    """The uid of a checkpoint of several ranks: 16 hex digits that all of them derive, with no message per save."""
    return digest_of(f"{claim_uid}\0{sequence}".encode())[:16]


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """``votes/<n>-<uid>/<rank>``: what one rank says of the checkpoint that rank 0 has chosen."""

    rank: int
    nonce: str
    """drawn by the process at its start: tells it from an earlier process of the same rank"""
    round: int
    """which of rank 0's choices this is about"""
    word: Word
    message: str = ""
    reason: str = ""
    """one of :mod:`trainpoint.api.reasons` where it is unusable"""

    def to_bytes(self) -> bytes:
        return write_record(
            "Vote",
            {
                "rank": self.rank,
                "nonce": self.nonce,
                "round": self.round,
                "word": self.word,
                "message": self.message,
                "reason": self.reason,
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> VoteRecord:
        with reading_record("Vote", data, key=key) as value:
            return cls(
                rank=int(value["rank"]),
                nonce=str(value["nonce"]),
                round=int(value["round"]),
                word=value["word"],
                message=str(value["message"]),
                reason=str(value["reason"]),
            )


@dataclass(frozen=True, slots=True)
class GoRecord:
    """``attempts/<n>-<uid>.go``: all ranks have what rank 0 has chosen; those that are named may begin."""

    attempt: int
    uid: str
    """of the claim"""
    round: int
    nonces: Mapping[int, str]
    """of each rank but 0"""

    def to_bytes(self) -> bytes:
        return write_record(
            "Go",
            {
                "attempt": self.attempt,
                "uid": self.uid,
                "round": self.round,
                "nonces": {str(rank): nonce for rank, nonce in self.nonces.items()},
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, key: str) -> GoRecord:
        with reading_record("Go", data, key=key) as value:
            return cls(
                attempt=int(value["attempt"]),
                uid=str(value["uid"]),
                round=int(value["round"]),
                nonces={int(rank): str(nonce) for rank, nonce in value["nonces"].items()},
            )
