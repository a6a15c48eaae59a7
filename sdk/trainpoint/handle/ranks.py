"""Several ranks of one task, rank 0's side: it offers what it has loaded, hears the others, and says go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.claim.ranks import Broken, Go, Missing, Rejected, heard, ranks_text
from trainpoint.claim.won import Claim
from trainpoint.clock import Chance, Clock
from trainpoint.errors import EXIT_PREEMPTED, IdentityError, InvalidArgumentError, RanksError
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key, parse_vote_key, vote_key, votes_prefix
from trainpoint.format.ranks import GoRecord, VoteRecord
from trainpoint.format.records import Skipped
from trainpoint.handle import narrate
from trainpoint.handle.resume import Resumed
from trainpoint.identity import Identity
from trainpoint.transfer.local import local_error, remove_tree

DEADLINE_SECONDS = 600.0
"""How long ranks wait for each other without any sign of progress."""
NOTICE_SECONDS: Final = 10.0
"""After so long, one line in the log says for whom."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 5.0
"""How often a waiting rank 0 looks whether a later attempt has claimed the task."""
LOAD_FACTOR: Final = 4.0
"""What rank 0 loaded in a second may take another rank so many, when all of them read at the same time."""
PARALLEL_READS: Final = 8

Part = Literal["Alone", "First", "Follower"]
Refused = Mapping[tuple[TaskPath, SnapshotId], str]
"""Checkpoints that another rank could not use, and why."""


def part_of(identity: Identity, *, collective: bool) -> Part:
    """What this process plays in its task.

    Raises:
        InvalidArgumentError: another rank than 0 opens what is for rank 0 alone.
        IdentityError: each rank would take a run of its own.
    """
    if identity.world_size == 1:
        return "Alone"
    if not collective:
        if identity.rank == 0:
            return "Alone"
        raise InvalidArgumentError(
            f"collective=False means that rank 0 alone opens a Checkpoint, and this is rank {identity.rank} of "
            f"{identity.world_size}",
            remedy="open it behind `if rank == 0:`, or leave collective out, so that all ranks load the same",
        )
    if identity.launched:
        raise IdentityError(
            f"this is rank {identity.rank} of {identity.world_size}, and no run is named: each would begin its own",
            remedy="name one for all of them: trainpoint run -- torchrun …, TRAINPOINT_RUN, or Checkpoint(run=…)",
        )
    return "First" if identity.rank == 0 else "Follower"


def empty(target: Path) -> None:
    """Discard what was loaded. Raises LocalFileError."""
    try:
        remove_tree(target)
        target.mkdir(0o700)
    except OSError as error:
        raise local_error("write", error.filename or target, error) from error


class Waiting:
    """Pauses that grow, one line in the log, and a deadline that starts anew with each sign of progress or of life."""

    def __init__(
        self, clock: Clock, chance: Chance, *, who: str, seconds: float, stop: Callable[[], bool], remedy: str
    ) -> None:
        """
        Args:
            who: waits, for the log.
            stop: whether this process was asked to end.
            remedy: what to do where the deadline passes.
        """
        self._clock = clock
        self._chance = chance
        self._who = who
        self._seconds = seconds
        self._stop = stop
        self._remedy = remedy
        self._progress: object = None
        self._life: object = None
        self._since = clock.monotonic()
        self._pauses = 0
        self._told = False

    def sign(self, progress: object, life: object = None) -> None:
        """What is other than before shows that waiting is worthwhile; after progress, more may come soon."""
        if progress != self._progress:
            self._progress, self._pauses = progress, 0
        elif life == self._life:
            return
        self._life, self._since = life, self._clock.monotonic()

    def pause(self, message: str) -> None:
        """Sleep a little; ``message`` says what has not happened yet.

        Raises:
            RanksError: the deadline has passed.
            SystemExit: with 143, where this process was asked to end; nothing is at stake before training begins.
        """
        if self._stop():
            raise SystemExit(EXIT_PREEMPTED)
        waited = self._clock.monotonic() - self._since
        if waited >= self._seconds:
            raise RanksError(f"{self._who}: {message} (waited {waited:.0f} s)", remedy=self._remedy)
        if waited >= NOTICE_SECONDS and not self._told:
            self._told = True
            narrate.logger.info("%s is waiting: %s", self._who, message)
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._pauses, 10))
        self._pauses += 1
        self._clock.sleep(min(bound * (0.5 + self._chance.fraction()), self._seconds - waited))


@dataclass(slots=True)
class First:
    """Rank 0, until training begins."""

    claim: Claim
    world_size: int
    clock: Clock
    chance: Chance
    stop: Callable[[], bool]
    _heard: dict[int, tuple[datetime, VoteRecord]] = field(default_factory=dict)

    def agree(self, search: Callable[[Refused], Resumed], target: Path) -> Resumed:
        """Load what all ranks can load, the newest such; return when all of them have it.

        Args:
            search: loads the next candidate into ``target``, other than those it is given.

        Raises:
            RanksError: a rank did not come, or could not load anything.
            SupersededError: a later attempt has claimed the task.
        """
        refused: dict[tuple[TaskPath, SnapshotId], str] = {}
        told: dict[str, Skipped] = {}  # the next search sees only that they are marked
        number = 0
        while True:
            number += 1
            found = search(refused)
            skipped = tuple(told.get(s.checkpoint, s) for s in found.record.skipped)
            offer = replace(found.record, ranks=self.world_size, round=number, skipped=skipped)
            self.claim.offer_loaded(offer)
            outcome = self._hear(number, DEADLINE_SECONDS + LOAD_FACTOR * found.seconds)
            if isinstance(outcome, Go):
                self._say_go(number, outcome.nonces)
                return replace(found, record=offer)
            why = f"{ranks_text([outcome.vote.rank])} could not use it: {outcome.vote.message}"
            if offer.task is None or offer.snapshot is None:
                raise RanksError(f"nothing was to be loaded, and {why}")
            refused[offer.task, offer.snapshot] = why
            told[offer.checkpoint] = Skipped(offer.checkpoint, offer.step, reasons.CORRUPT, f"is corrupt: {why}")
            empty(target)

    def _hear(self, number: int, seconds: float) -> Rejected | Go:
        waiting = Waiting(
            self.clock,
            self.chance,
            who="rank 0",
            seconds=seconds,
            stop=self.stop,
            remedy="look at the logs of those ranks: all have to open the Checkpoint, with the same store, run, task "
            "and index; where only rank 0 does: Checkpoint(collective=False)",
        )
        looked = self.clock.monotonic()
        while True:
            outcome = heard(self.world_size, number, self._votes(number))
            if isinstance(outcome, Broken):
                rank = ranks_text([outcome.vote.rank])
                raise RanksError(f"{rank} could not load: {outcome.vote.message}", remedy=f"look at the log of {rank}")
            if not isinstance(outcome, Missing):
                return outcome
            if self.clock.monotonic() - looked >= LOOK_SECONDS:
                looked = self.clock.monotonic()
                self.claim.check_superseded()
            waiting.sign(outcome.ranks)
            waiting.pause(f"{ranks_text(outcome.ranks)} of {self.world_size} did not open this task's Checkpoint")

    def _votes(self, number: int) -> dict[int, VoteRecord]:
        """All votes that lie there; those of this round are not read again until they are written again."""
        rows: dict[int, datetime] = {}
        for row in self.claim.store.list(votes_prefix(self.claim.task, self.claim.attempt, self.claim.uid)):
            rank = parse_vote_key(row.key)
            if rank is not None and rank < self.world_size:
                rows[rank] = row.modified
        known = {
            rank: (at, vote)
            for rank, (at, vote) in self._heard.items()
            if vote.round == number and rows.get(rank) == at
        }
        unread = [rank for rank in rows if rank not in known]
        if len(unread) > 1:
            with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="trainpoint-ranks") as pool:
                read = list(pool.map(self._vote, unread))
        else:
            read = [self._vote(rank) for rank in unread]
        self._heard = known | {vote.rank: (rows[vote.rank], vote) for vote in read}
        return {rank: vote for rank, (_, vote) in self._heard.items()}

    def _vote(self, rank: int) -> VoteRecord:
        key = vote_key(self.claim.task, self.claim.attempt, self.claim.uid, rank)
        return replace(VoteRecord.from_bytes(self.claim.store.get(key), key=key), rank=rank)

    def _say_go(self, number: int, nonces: Mapping[int, str]) -> None:
        go = GoRecord(self.claim.attempt, self.claim.uid, number, nonces)
        self.claim.store.put(attempt_key(self.claim.task, self.claim.attempt, self.claim.uid, "go"), go.to_bytes())
