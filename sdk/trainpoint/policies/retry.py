"""Is a process that ended started again, when, and at whose cost? One pure function, for laptop and operator alike.

Only a failure without progress is charged. Progress is a checkpoint at a higher step than the run ever had, or any
checkpoint where steps are not given; "higher than this attempt began at" would let a crash that throws the run back and
a repeat of the same steps take turns for ever. Disruptions are free: nobody's program is wrong when its node goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons
from trainpoint.errors import EXIT_PREEMPTED, EXIT_REFUSED, EXIT_SUPERSEDED
from trainpoint.policies.settings import RetrySettings

SIGTERM: Final = 15
_LARGEST_EXPONENT: Final = 60


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One process of the run that has ended."""

    number: int
    """of its claim; for messages"""
    exit_code: int | None = None
    signal: int | None = None
    """the signal that killed it; then there is no exit code"""
    disrupted: bool = False
    """who runs it says that it was ended from outside (on a cluster the condition DisruptionTarget)"""
    opened: bool = True
    """whether it opened a Checkpoint at all"""
    loaded: str = ""
    """name of the checkpoint that it began from; empty: from nothing"""
    from_step: int | None = None
    """step of that checkpoint"""
    to_step: int | None = None
    """highest step that it committed"""
    commits: int = 0
    """checkpoints that it committed"""

    @property
    def code(self) -> int:
        """As a shell has it: the exit code, or 128 + the signal."""
        return self.exit_code if self.exit_code is not None else 128 + (self.signal or 0)

    @property
    def start(self) -> str:
        """Where it began, in words."""
        if self.from_step is not None:
            return f"step {self.from_step}"
        return self.loaded or "nothing"


@dataclass(frozen=True, slots=True)
class RetryInput:
    """All that the decision rests on."""

    history: tuple[AttemptView, ...]
    """every process of the run so far, oldest first; the last one has just ended. Never empty"""
    settings: RetrySettings
    jitter: float
    """uniform in [0, 1)"""
    interrupted: bool = False
    """a person asked the run to stop"""


@dataclass(frozen=True, slots=True)
class Retry:
    """Start again."""

    delay_seconds: float
    reason: str
    message: str
    charged: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start again: the run has failed, or was stopped."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Do not start again: the run has done its work."""

    reason: str = reasons.COMPLETED
    message: str = "completed"


Verdict = Retry | GiveUp | Finished


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the history comes to. All counts begin again with progress."""

    charged: int = 0
    """failures without progress"""
    start_failures: int = 0
    """processes in a row that died before they opened a Checkpoint"""
    same_start: int = 0
    """charged failures in a row that began where the last one did"""
    fruitless: int = 0
    """ended processes without progress, free ones too: what the pause grows with"""
    progressed: bool = False
    """whether the last one made progress"""


def ledger(history: Sequence[AttemptView]) -> Ledger:
    """Add up a history, oldest first."""
    charged = start_failures = same_start = fruitless = 0
    progressed = False
    best: int | None = None
    last_start: str | None = None
    for attempt in history:
        progressed = _progressed(attempt, best)
        best = max((s for s in (best, attempt.from_step, attempt.to_step) if s is not None), default=None)
        if progressed:
            charged = start_failures = same_start = fruitless = 0
            last_start = None
            continue
        fruitless += 1
        if _is_free(attempt):
            continue
        if not attempt.opened:
            start_failures += 1
            continue
        start_failures = 0
        charged += 1
        same_start = same_start + 1 if attempt.start == last_start else 1
        last_start = attempt.start
    return Ledger(charged, start_failures, same_start, fruitless, progressed)


def _progressed(attempt: AttemptView, best: int | None) -> bool:
    if attempt.to_step is None:
        return attempt.commits > 0
    known = [s for s in (best, attempt.from_step) if s is not None]
    return attempt.commits > 0 and all(attempt.to_step > s for s in known)


def is_charged(history: Sequence[AttemptView]) -> bool:
    """Whether the last one of a history counts against ``retry.limit``."""
    return ledger(history).charged > ledger(history[:-1]).charged


def _is_free(attempt: AttemptView) -> bool:
    return attempt.disrupted or attempt.code in (0, EXIT_REFUSED, EXIT_SUPERSEDED, EXIT_PREEMPTED)


# --- the chain: the first that has an opinion decides -----------------------------------------------------------------


def completed(i: RetryInput, _so_far: Ledger) -> Verdict | None:
    return Finished() if i.history[-1].code == 0 else None


def interrupted(i: RetryInput, _so_far: Ledger) -> Verdict | None:
    return GiveUp(reasons.INTERRUPTED, "stopped by the user") if i.interrupted else None


def disrupted(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if i.history[-1].disrupted:
        return _again(i, so_far, reasons.DISRUPTED, f"a disruption, which is free; {_budget(i, so_far)}")
    return None


def superseded(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if i.history[-1].code == EXIT_SUPERSEDED:
        return _again(i, so_far, reasons.SUPERSEDED, f"a newer attempt took over, which is free; {_budget(i, so_far)}")
    return None


def refused(i: RetryInput, _so_far: Ledger) -> Verdict | None:
    if i.history[-1].code == EXIT_REFUSED:
        return GiveUp(reasons.REFUSED, f"exit code {EXIT_REFUSED}: another start would be refused too")
    return None


def fatal_exit_code(i: RetryInput, _so_far: Ledger) -> Verdict | None:
    code = i.history[-1].code
    if code in i.settings.fatal_exit_codes:
        return GiveUp(reasons.FATAL_EXIT_CODE, f"exit code {code} is one of retry.fatalExitCodes")
    return None


def terminated(i: RetryInput, so_far: Ledger) -> Verdict | None:
    # Off-cluster nobody else tells a disruption; SIGTERM is how schedulers and shut-downs end a process.
    if i.history[-1].code == EXIT_PREEMPTED:
        return _again(i, so_far, reasons.DISRUPTED, f"ended by SIGTERM, which is free; {_budget(i, so_far)}")
    return None


def retries_are_off(i: RetryInput, _so_far: Ledger) -> Verdict | None:
    if i.settings.limit == 0:
        return GiveUp(reasons.RETRIES_EXHAUSTED, "retry.limit is 0: every failure is final")
    return None


def never_opened(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if i.history[-1].opened:
        return None
    limit = i.settings.start_failures
    if so_far.start_failures >= limit:
        times = f"{so_far.start_failures} processes in a row" if so_far.start_failures > 1 else "the process"
        return GiveUp(reasons.START_FAILURES, f"{times} ended before a Checkpoint was opened")
    message = f"it ended before a Checkpoint was opened, {so_far.start_failures} of {limit} times in a row"
    return _again(i, so_far, reasons.START_FAILURES, message)


def without_progress(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if so_far.same_start < i.settings.no_progress_limit:
        return None
    start = i.history[-1].start
    times = f"{so_far.same_start} attempts in a row" if so_far.same_start > 1 else "the attempt"
    return GiveUp(reasons.NO_PROGRESS, f"{times} began at {start} and committed nothing beyond it")


def budget_spent(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if so_far.charged > i.settings.limit:
        return GiveUp(
            reasons.RETRIES_EXHAUSTED,
            f"{so_far.charged} failures without progress, and retry.limit is {i.settings.limit}",
        )
    return None


def progressed(i: RetryInput, so_far: Ledger) -> Verdict | None:
    if so_far.progressed:
        return _again(i, so_far, reasons.PROGRESS, f"progress since the last start, {_budget(i, so_far)}")
    return None


RETRY: Final[tuple[Callable[[RetryInput, Ledger], Verdict | None], ...]] = (
    completed,
    interrupted,
    disrupted,
    superseded,
    refused,
    fatal_exit_code,
    terminated,
    retries_are_off,
    never_opened,
    progressed,
    without_progress,
    budget_spent,
)


def retry(i: RetryInput) -> Verdict:
    """First verdict of the chain, in the order above; a charged retry if none objects."""
    so_far = ledger(i.history)
    message = f"no progress since the last start, charged {so_far.charged} of {i.settings.limit}"
    charged = _again(i, so_far, reasons.NO_PROGRESS, message, charged=True)
    return next((verdict for rule in RETRY if (verdict := rule(i, so_far)) is not None), charged)


def _budget(i: RetryInput, so_far: Ledger) -> str:
    return f"budget still {max(0, i.settings.limit - so_far.charged)}"


def _again(i: RetryInput, so_far: Ledger, reason: str, message: str, *, charged: bool = False) -> Retry:
    """Base, doubled with every process without progress, capped; then between a half and the whole of it."""
    exponent = min(max(0, so_far.fruitless - 1), _LARGEST_EXPONENT)
    pause = min(i.settings.backoff_base_seconds * 2**exponent, i.settings.backoff_max_seconds)
    return Retry(pause * (0.5 + i.jitter / 2), reason, message, charged)
