"""The attempts of a task, read back: who, from what, how it ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from trainpoint.claim.protocol import Board, Mark, read_board
from trainpoint.errors import CorruptRecordError
from trainpoint.format.layout import TaskPath, attempt_key
from trainpoint.format.records import AttemptRecord, EndRecord, Holder, IntentRecord, LoadedRecord
from trainpoint.store.base import Store

_PARALLEL_READS: Final = 8
_Record = TypeVar("_Record", AttemptRecord, IntentRecord)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt, with all that its records say."""

    number: int
    uid: str
    """of the claim"""
    record: AttemptRecord
    loaded: LoadedRecord | None
    """None: it ended before it had loaded anything, or is about to"""
    end: EndRecord | None
    """None: it runs, or was killed and nobody was there to write it down"""
    started: datetime
    """by the server's clock"""
    last_sign: datetime
    """when the newest of its objects was written, by the server's clock"""

    @property
    def holder(self) -> Holder:
        return self.record.holder


def read_attempts(store: Store, task: TaskPath) -> list[AttemptView]:
    """All attempts of ``task``, oldest first.

    Raises:
        CorruptRecordError: a record of an attempt is damaged; the message names its key.
    """
    return attempts_on(store, task, read_board(store.list(task.attempts)))


def attempts_on(store: Store, task: TaskPath, board: Board) -> list[AttemptView]:
    """The attempts that a listing showed, oldest first."""
    winners = board.winners
    if len(winners) < 2:
        return [_read(store, task, mark) for mark in winners]
    with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="trainpoint-attempts") as pool:
        return list(pool.map(lambda mark: _read(store, task, mark), winners))


def _read(store: Store, task: TaskPath, mark: Mark) -> AttemptView:
    loaded = end = None
    if "loaded" in mark.suffixes:
        key = attempt_key(task, mark.attempt, mark.uid, "loaded")
        loaded = LoadedRecord.from_bytes(store.get(key), key=key)
    if "end" in mark.suffixes:
        key = attempt_key(task, mark.attempt, mark.uid, "end")
        end = EndRecord.from_bytes(store.get(key), key=key)
    return AttemptView(
        number=mark.attempt,
        uid=mark.uid,
        record=read_won(store, task, mark),
        loaded=loaded,
        end=end,
        started=mark.first,
        last_sign=mark.last,
    )


def read_won(store: Store, task: TaskPath, mark: Mark) -> AttemptRecord:
    """The record of a claim that was won. Raises CorruptRecordError, also where it is that of another claim."""
    key = attempt_key(task, mark.attempt, mark.uid, "json")
    return _belonging(AttemptRecord.from_bytes(store.get(key), key=key), task, mark, key)


def read_intent(store: Store, task: TaskPath, mark: Mark) -> IntentRecord:
    """The record of an intent. Raises CorruptRecordError, also where it is that of another claim."""
    key = attempt_key(task, mark.attempt, mark.uid, "intent")
    return _belonging(IntentRecord.from_bytes(store.get(key), key=key), task, mark, key)


def _belonging(record: _Record, task: TaskPath, mark: Mark, key: str) -> _Record:
    if (record.task, record.attempt, record.uid) != (task, mark.attempt, mark.uid):
        raise CorruptRecordError(
            f"{key} is the record of another claim: {record.task}, attempt {record.attempt}",
            remedy="an object was copied there by hand; restore the right one from a backup",
        )
    return record
