"""Saving an app's state: at most one file a second, the last state always, an unchanged one never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from trainpoint.app.state import Captured
from trainpoint.clock import Clock, rfc3339
from trainpoint.errors import (
    CheckpointNotFoundError,
    ClusterPermissionError,
    PinnedError,
    StorePermissionError,
    TrainpointError,
)
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.checkpoint import Checkpoint
from trainpoint.handle.narrate import logger
from trainpoint.policies.app_files import file_name, next_timestamp, series_name, superfluous, told
from trainpoint.policies.settings import AppFileSettings

INTERVAL_SECONDS: Final = 1.0
"""Names have a resolution of one second; so do files."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A state that is to be saved."""

    captured: Captured
    text: str
    """of the state alone, by which two are compared"""
    iteration: int
    asked: bool = False
    """somebody waits for a file of it, also where nothing has changed"""
    stopped: bool = False
    """the app has stopped itself, and is told to end"""


@dataclass(slots=True)
class Pace:
    """Which of the states that are offered are written, and when. Pure; times are monotonic seconds."""

    saved_text: str = ""
    """of the newest file; empty before there is one"""
    pending: Offer | None = None
    written_at: float | None = None
    """when the newest file was begun"""
    offered: int = 0
    coalesced: int = 0
    """states that were replaced by a later one before they were written"""
    unchanged: int = 0
    """states that were those of the newest file"""

    def offer(self, new: Offer) -> bool:
        """Take in a state; whether it is to be written, now or within a second."""
        self.offered += 1
        before = self.pending
        asked = new.asked or (before is not None and before.asked)
        if before is not None and new.text == before.text:
            self.unchanged += 1
            self.pending = replace(before, asked=asked) if asked else before
            return True
        if before is not None:
            self.coalesced += 1
        if new.text == self.saved_text and not asked:
            self.pending = None
            self.unchanged += 1
            return False
        self.pending = replace(new, asked=asked) if asked else new
        return True

    def due_in(self, now: float) -> float | None:
        """Seconds until the pending state is written, 0 for now; None: there is none."""
        if self.pending is None:
            return None
        return 0.0 if self.written_at is None else max(0.0, self.written_at + INTERVAL_SECONDS - now)

    def take(self, now: float) -> Offer | None:
        """The pending state, which is written now."""
        taken, self.pending = self.pending, None
        if taken is not None:
            self.written_at = now
            self.saved_text = taken.text
        return taken


@dataclass(slots=True)
class Keeper:
    """The files of this task, and the rule of which of them stay."""

    delete: Callable[[CheckpointRef], None]
    rule: AppFileSettings
    refs: dict[int, CheckpointRef]
    """by the timestamps in their names"""
    saved: Callable[[], None] = lambda: None
    """called at each save"""
    allowed: bool = True

    @property
    def too_many(self) -> int:
        """Files that an earlier rule, or a pin, has kept, and this rule does not."""
        return len(superfluous(self.refs, self.rule))

    def add(self, timestamp: int, ref: CheckpointRef) -> None:
        """One more good checkpoint is there; those that the rule does not keep go."""
        self.refs[timestamp] = ref
        self.saved()
        if not self.allowed:
            return
        for old in superfluous(self.refs, self.rule):
            doomed = self.refs.pop(old)
            try:
                self.delete(doomed)
            except (PinnedError, CheckpointNotFoundError):
                continue  # pinned: stays, whatever the rule says; or somebody else was quicker
            except (StorePermissionError, ClusterPermissionError) as error:
                self.allowed = False
                logger.info(
                    "older checkpoints stay, since this process may not delete (else there would stay %s): %s",
                    told(self.rule),
                    error.message,
                )
                return
            except TrainpointError as error:
                self.refs[old] = doomed  # once more, after the next save
                logger.warning("%s could not be deleted: %s", file_name(old), error.message)
                return


@dataclass(slots=True)
class Saver:
    """A thread that writes what the loop offers."""

    ckpt: Checkpoint
    folder: Path
    """for the file on its way into the store"""
    keeper: Keeper
    clock: Clock
    last_timestamp: int | None
    """of the newest name of this workflow"""
    pace: Pace = field(default_factory=Pace)
    last_name: str | None = None
    """of the newest file that this process has saved, or has started from"""
    saved_at: float | None = None
    """when this process saved last; monotonic"""
    saved: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _changed: threading.Condition = field(init=False)
    _thread: threading.Thread | None = None
    _closing: bool = False
    _error: BaseException | None = None

    def __post_init__(self) -> None:
        self._changed = threading.Condition(self._lock)

    def offer(self, new: Offer) -> None:
        """Have a state written, at most a second from now."""
        with self._lock:  # as it is called in each iteration, not the condition, which takes three times as long
            waited_for = self.pace.pending is not None  # then the thread knows when; it takes the newest one
            if not self.pace.offer(new) or waited_for:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="trainpoint-app-save", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def raise_failed(self) -> None:
        """Raise what a save has met; once."""
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Write what is pending, and end. Does not raise: ask :meth:`raise_failed`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    # --- within -------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (offer := self._next()) is not None:
                self._write(offer)
        except BaseException as error:
            with self._changed:
                self._error = error

    def _next(self) -> Offer | None:
        """The state to be written now, once it is time; None: the app ends, and nothing is left."""
        with self._changed:
            while True:
                now = self.clock.monotonic()
                due = self.pace.due_in(now)
                if due is not None and (due == 0 or self._closing):
                    return self.pace.take(now)
                if self._closing:
                    return None
                self._changed.wait(due)

    def _write(self, offer: Offer) -> None:
        now = self.clock.now()
        timestamp = next_timestamp(now, self.last_timestamp)
        self.last_timestamp = timestamp
        file = self.folder / file_name(timestamp)
        more = {"stopped": True} if offer.stopped else {}
        text = offer.captured.text(time=rfc3339(now), iteration=offer.iteration, **more)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # cleaners of /tmp take what seems old
        file.write_text(text, encoding="utf-8")
        try:
            ref = self.ckpt.save(file, name=series_name(timestamp), step=offer.iteration)
        finally:
            with suppress(OSError):
                file.unlink()
        with self._changed:
            self.last_name, self.saved_at = file.name, self.clock.monotonic()
            self.saved += 1
        logger.debug("saved %s after iteration %d", file.name, offer.iteration)
        self.keeper.add(timestamp, ref)
