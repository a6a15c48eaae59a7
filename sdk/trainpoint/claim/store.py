"""Claim a task in a bucket or directory: the requests of ``claim.protocol``, and the handle on a claim that was won."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from trainpoint.claim.announce import put_fence, record_run
from trainpoint.claim.history import AttemptView, attempts_on, read_attempts, read_intent, read_won
from trainpoint.claim.liveness import ProcessTable, SystemProcesses, liveness
from trainpoint.claim.protocol import (
    Board,
    Mark,
    Try,
    checked,
    given_up,
    looked,
    read_board,
    rivals,
    take_stock,
    took_stock,
    written,
)
from trainpoint.claim.won import BEAT_SECONDS, Claim, forget, is_open, remember
from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.errors import (
    ConflictError,
    RefusedError,
    StoreError,
    StoreTimeoutError,
    StoreUnreachableError,
)
from trainpoint.format.layout import (
    EVERY_SEQUENCE,
    AttemptSuffix,
    TaskPath,
    attempt_key,
)
from trainpoint.format.records import AttemptRecord, Holder, IntentRecord, claim_mark
from trainpoint.policies.start import Allow, Conflict, Refuse, Rival, StartInput, Wait, may_start
from trainpoint.store.base import Store

__all__ = ["BEAT_SECONDS", "AttemptView", "Claim", "claim", "read_attempts"]

TRY_SECONDS: Final = 60.0
"""A try that took longer gives its number up: others elsewhere will soon take its process for dead."""
STAMP_SECONDS: Final = 10.0
"""How old the server's time may be by which rivals elsewhere are judged; an old one only makes them look younger."""
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0


def claim(
    store: Store,
    task: TaskPath,
    me: Holder,
    *,
    clock: Clock,
    chance: Chance,
    owner: str = "",
    wait_seconds: float = 60.0,
    takeover: bool = False,
    on_wait: Callable[[str], None] | None = None,
    refusal: Callable[[Sequence[AttemptView]], Refuse | None] | None = None,
    processes: ProcessTable | None = None,
) -> Claim:
    """Become the one writer of ``task``, as its next attempt.

    Args:
        me: this process (:func:`~trainpoint.claim.liveness.this_process`).
        owner: of the run, for its record, if this is its first claim; empty: unknown.
        wait_seconds: how long to wait for one and the same other process. The time starts anew when another one holds
            the task, so that a queue of many short ones is served in turn; what is given up on is a holder that stays.
        takeover: pass over whoever holds the task at this moment, or has wanted it for 30 s, although it may be alive.
        on_wait: told once, in words, of each other process that is waited for.
        refusal: asked before the claim what the run's record says against another attempt; gets all attempts so far,
            oldest first.
        processes: the process table of this machine; for tests.

    Raises:
        ConflictError: another live process kept the task, or this very process has it open already.
        RefusedError: ``refusal`` gave one.
        CorruptRecordError: a record that matters for this claim is damaged.
        StoreError: the store failed.
    """
    claiming = _Claiming(
        store, task, me, clock, chance, owner, wait_seconds, takeover, on_wait, refusal, processes or SystemProcesses()
    )
    while True:
        with store.exclusive(task.attempts):
            won = claiming.attempt()
        if won is not None:
            return won
        clock.sleep(claiming.pause_seconds)


@dataclass(slots=True)
class _Claiming:
    """One call of :func:`claim`: what it remembers from one try to the next."""

    store: Store
    task: TaskPath
    me: Holder
    clock: Clock
    chance: Chance
    owner: str
    wait_seconds: float
    takeover: bool
    on_wait: Callable[[str], None] | None
    refusal: Callable[[Sequence[AttemptView]], Refuse | None] | None
    processes: ProcessTable

    pause_seconds: float = 0.0
    """before the next try"""
    _floor: int = -1
    _pauses: int = 0
    _obstacle: tuple[str, bool] | None = None
    _obstacle_since: float = 0.0
    _holders: dict[tuple[str, bool], Holder] = field(default_factory=dict)
    _overridden: frozenset[str] | None = None
    _stamp_uid: str = ""
    _stamped: float = 0.0

    # --- one try ------------------------------------------------------------------------------------------------------

    def attempt(self) -> Claim | None:
        """One try. None: somebody was in the way, or came at the same time; try again after the pause."""
        board, found = self._look()
        verdict = self._verdict(board, found)
        match verdict:
            case Conflict():
                raise ConflictError(verdict.message, remedy=verdict.remedy)
            case Refuse():
                raise RefusedError(verdict.message, remedy=verdict.remedy)
            case Wait():
                self._pause(longest=self._obstacle_since + self.wait_seconds - self.clock.monotonic())
                return None
        self._obstacle = None
        now = Try(uid=self.chance.uid(), floor=self._floor)
        remember(now.uid)
        try:
            return self._try(looked(now, board, bar=bool(verdict.overtaken)), board)
        except BaseException:
            forget(now.uid)
            raise

    def _try(self, now: Try, board: Board) -> Claim | None:
        deadline = self.clock.monotonic() + TRY_SECONDS
        record = None
        try:
            while now.action not in ("Won", "Lost"):
                match now.action:
                    case "PutIntent":
                        wanted = IntentRecord(self.task, now.attempt, now.uid, self.me, self._time())
                        self._put(now, "intent", wanted.to_bytes())
                    case "Check":
                        now = checked(now, self._list())
                        continue
                    case "PutBar":
                        self._put_fence(now, EVERY_SEQUENCE)
                    case "TakeStock":
                        now = took_stock(now, take_stock(row.key for row in self.store.list(self.task.manifests)))
                        continue
                    case "PutFence":
                        self._put_fence(now, now.stock.seen)
                    case "PutRecord":
                        if not board.winners:
                            record_run(self.store, self.task, owner=self.owner, time=self._time())
                        if self.clock.monotonic() > deadline:
                            now = given_up(now)
                            continue
                        record = self._record(now)
                        self._put(now, "json", record.to_bytes())
                    case "PutLost":
                        self._put_lost(now)
                now = written(now)
        except (StoreUnreachableError, StoreTimeoutError):
            raise  # not to wait as long again for another request; the end of this process will tell the others
        except BaseException:
            with suppress(StoreError):  # nobody shall wait for a number that will not be used
                self._put_lost(now)
            raise
        if now.action == "Lost" or record is None:
            forget(now.uid)
            self._floor = now.floor
            self._pause()
            return None
        return Claim(self.store, record, board=board, clock=self.clock)

    def _record(self, now: Try) -> AttemptRecord:
        return AttemptRecord(
            task=self.task,
            attempt=now.attempt,
            uid=now.uid,
            holder=self.me,
            time=self._time(),
            seen=now.stock.by_attempt,
            first_sequence=now.stock.first_sequence,
        )

    def _put(self, now: Try, suffix: AttemptSuffix, body: bytes) -> None:
        self.store.put(attempt_key(self.task, now.attempt, now.uid, suffix), body)

    def _put_lost(self, now: Try) -> None:
        self._put(now, "lost", claim_mark("Lost", attempt=now.attempt, uid=now.uid, time=self._time()))

    def _put_fence(self, now: Try, seen: int) -> None:
        put_fence(self.store, self.task, attempt=now.attempt, uid=now.uid, seen=seen, time=self._time())

    def _time(self) -> str:
        return rfc3339(self.clock.now())

    # --- who else -----------------------------------------------------------------------------------------------------

    def _list(self) -> Board:
        return read_board(self.store.list(self.task.attempts))

    def _look(self) -> tuple[Board, list[Rival]]:
        """List the claims, and find out about those that matter; ask the server for its time only if it matters."""
        board = self._list()
        found = [self._rival(mark, None) for mark in rivals(board)]
        if self._overridden is None:
            self._overridden = frozenset(r.uid for r in found) if self.takeover else frozenset()
        if not any(r.liveness == "Unknown" or r.uid in self._overridden for r in found):
            return board, found
        if not self._stamp_uid or self.clock.monotonic() - self._stamped > STAMP_SECONDS:
            self._stamp_uid = self._stamp_uid or self.chance.uid()
            self._stamped = self.clock.monotonic()
            body = claim_mark("Beat", attempt=0, uid=self._stamp_uid, time=self._time())
            self.store.put(attempt_key(self.task, 0, self._stamp_uid, "beat"), body)
            board = self._list()
        stamp = board.stamps.get(self._stamp_uid)
        return board, [self._rival(mark, stamp) for mark in rivals(board)]

    def _rival(self, mark: Mark, server_time: datetime | None) -> Rival:
        holder = self._holder(mark)
        known = liveness(holder, self.me, self.processes)
        if known == "Self" and not is_open(mark.uid):
            known = "Dead"  # an earlier claim of this process, closed or failed without a record of its end
        return Rival(
            attempt=mark.attempt,
            uid=mark.uid,
            won=mark.won,
            liveness=known,
            quiet_seconds=(server_time - mark.last).total_seconds() if server_time else 0.0,
            who=str(holder),
            since=f"{mark.first:%Y-%m-%d %H:%M:%S} UTC",
        )

    def _holder(self, mark: Mark) -> Holder:
        if (mark.uid, mark.won) not in self._holders:
            read = read_won if mark.won else read_intent
            self._holders[mark.uid, mark.won] = read(self.store, self.task, mark).holder
        return self._holders[mark.uid, mark.won]

    def _verdict(self, board: Board, found: list[Rival]) -> Allow | Wait | Conflict | Refuse:
        facts = StartInput(
            task=str(self.task),
            rivals=found,
            wait_limit_seconds=self.wait_seconds,
            takeover=self._overridden or frozenset(),
        )
        verdict = may_start(facts)
        if isinstance(verdict, Wait):
            now = self.clock.monotonic()
            obstacle = (verdict.rival.uid, verdict.rival.won)
            if obstacle != self._obstacle:
                self._obstacle, self._obstacle_since, self._pauses = obstacle, now, 0
                if self.on_wait is not None:
                    self.on_wait(verdict.message)
            return may_start(replace(facts, waited_seconds=now - self._obstacle_since))
        if isinstance(verdict, Allow) and self.refusal is not None:
            return may_start(replace(facts, refusal=self.refusal(attempts_on(self.store, self.task, board))))
        return verdict

    def _pause(self, longest: float = LONGEST_PAUSE_SECONDS) -> None:
        """Longer each time, and never the same for two that met."""
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._pauses)
        self.pause_seconds = max(0.0, min(longest, bound * (0.5 + self.chance.fraction())))
        self._pauses += 1
