"""The handle on a claim that was won."""

from __future__ import annotations

import os
import threading
from typing import Final

from trainpoint.claim.history import AttemptView, attempts_on
from trainpoint.claim.protocol import Board
from trainpoint.clock import Clock, rfc3339
from trainpoint.errors import ObjectNotFoundError, SupersededError
from trainpoint.format.layout import AttemptSuffix, TaskPath, attempt_key, parse_manifest_key, save_request_key
from trainpoint.format.marks import SaveRequestRecord
from trainpoint.format.records import AttemptRecord, EndRecord, LoadedRecord, claim_mark
from trainpoint.store.base import Store

BEAT_SECONDS: Final = 30.0
"""How often a holder writes a sign of life; a quarter of what makes it count as dead."""

_open: set[tuple[int, str]] = set()
"""(pid, uid) of the claims that this process is making or holds; the pid leaves out what a fork inherited."""
_open_lock: Final = threading.Lock()


def remember(uid: str) -> None:
    """This process is making that claim."""
    with _open_lock:
        _open.add((os.getpid(), uid))


def forget(uid: str) -> None:
    """That claim is over."""
    with _open_lock:
        _open.discard((os.getpid(), uid))


def is_open(uid: str) -> bool:
    """Is this process making or holding that claim?"""
    with _open_lock:
        return (os.getpid(), uid) in _open


def check_superseded(store: Store, task: TaskPath, attempt: int) -> None:
    """Raise SupersededError if a later attempt than this has claimed the task. One request."""
    for row in store.list(task.manifests):
        parsed = parse_manifest_key(row.key)
        if parsed is None:
            continue
        newest = parsed[0].attempt
        if newest <= attempt:
            return
        raise SupersededError(
            f"attempt {attempt} of {task} was superseded: attempt {newest} has claimed the task",
            remedy="nothing to do here: the later attempt goes on from the last checkpoint that was committed",
        )


class Claim:
    """A claim that was won: this process is the one writer of its task, until it ends or is superseded.

    Methods may be called from several threads.
    """

    __slots__ = (
        "_beat_stop",
        "_board",
        "_clock",
        "_ended",
        "_previous",
        "asked_before",
        "beat_error",
        "record",
        "resume_from",
        "store",
    )

    def __init__(self, store: Store, record: AttemptRecord, *, board: Board, clock: Clock) -> None:
        self.store = store
        self.record = record
        self.resume_from = ""
        """what a person wants the run to resume from, where the claim is told so (``spec.resumeFrom``)"""
        self.asked_before = ""
        """the request to save that was there when this attempt began: it was made to another one"""
        self.beat_error: Exception | None = None
        """why the last sign of life could not be written; None if it was"""
        self._board = board
        self._clock = clock
        self._previous: list[AttemptView] | None = None
        self._beat_stop: threading.Event | None = None
        self._ended = False

    @property
    def task(self) -> TaskPath:
        return self.record.task

    @property
    def attempt(self) -> int:
        return self.record.attempt

    @property
    def uid(self) -> str:
        return self.record.uid

    @property
    def previous(self) -> list[AttemptView]:
        """The attempts before this one, oldest first; read when first asked for. Raises CorruptRecordError."""
        if self._previous is None:
            self._previous = attempts_on(self.store, self.task, self._board)
        return self._previous

    def check_superseded(self) -> None:
        """Raise SupersededError if a later attempt has claimed the task. One request.

        Asked before and after each commit: a commit counts only if the second answer is good as well
        (``claim.protocol`` says why).
        """
        check_superseded(self.store, self.task, self.attempt)

    def offer_loaded(self, loaded: LoadedRecord) -> None:
        """Say what this attempt would start from, to the other ranks alone: one of them may not be able to use it."""
        self.store.put(self._key("loaded"), loaded.to_bytes())

    def record_loaded(self, loaded: LoadedRecord) -> None:
        """Write down what this attempt starts from."""
        self.store.put(self._key("loaded"), loaded.to_bytes())

    def end(self, end: EndRecord) -> None:
        """Write down how this attempt ended, and let the task go. The first call counts, others do nothing.

        Nothing may be committed afterwards. If writing fails, the error is raised, and others wait until they see
        that this process is gone.
        """
        self.stop_beat()
        if self._ended:
            return
        try:
            self.store.put(self._key("end"), end.to_bytes())
            self._ended = True
        finally:
            forget(self.uid)

    def save_request(self) -> str:
        """The newest request of a person to save now, whatever it says; empty: there was none. One request.

        Raises:
            StoreError, CorruptRecordError.
        """
        key = save_request_key(self.task, self.attempt, self.uid)
        try:
            return SaveRequestRecord.from_bytes(self.store.get(key), key=key).uid
        except ObjectNotFoundError:
            return ""

    # --- signs of life ------------------------------------------------------------------------------------------------

    def start_beat(self, every_seconds: float = BEAT_SECONDS, *, for_ranks: bool = False) -> None:
        """Write a sign of life regularly, from a daemon thread, so that other hosts see that this process lives.

        ``for_ranks``: other ranks of this task look at it too, while they wait for this one.

        An error is kept in :attr:`beat_error` and the next beat is tried all the same. A forked child has no such
        thread; its handle must not go on with the claim.
        """
        if self._beat_stop is not None:
            return
        stop = self._beat_stop = threading.Event()

        def beat_until_stopped() -> None:
            while not stop.wait(every_seconds):
                try:
                    self.beat()
                except Exception as error:
                    self.beat_error = error
                else:
                    self.beat_error = None

        threading.Thread(target=beat_until_stopped, name="trainpoint-beat", daemon=True).start()

    def stop_beat(self) -> None:
        """No more signs of life; one that is on its way may still arrive."""
        if self._beat_stop is not None:
            self._beat_stop.set()
            self._beat_stop = None

    def beat(self) -> None:
        """Write one sign of life now."""
        body = claim_mark("Beat", attempt=self.attempt, uid=self.uid, time=rfc3339(self._clock.now()))
        self.store.put(self._key("beat"), body)

    def _key(self, suffix: AttemptSuffix) -> str:
        return attempt_key(self.task, self.attempt, self.uid, suffix)
