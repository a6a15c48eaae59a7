"""The loop of ``trainpoint run``: start, wait, ask the store what came of it, let ``policies.retry`` decide, again."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from trainpoint.api import reasons
from trainpoint.api.names import ENV_PROGRESS_FILE, ENV_TAKEOVER, LOCAL_NAMESPACE
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.cli.account import Account, Claimed, read_account, record_ends, stored_bytes
from trainpoint.cli.child import Ended, Foreground, say
from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.errors import EXIT_PREEMPTED, EXIT_REFUSED, TrainpointError
from trainpoint.format.layout import run_end_key
from trainpoint.format.records import EndRecord, RunEndRecord
from trainpoint.handle.narrate import size_text
from trainpoint.policies.duration import show_duration
from trainpoint.policies.retry import AttemptView, Finished, GiveUp, Retry, RetryInput, Verdict, retry
from trainpoint.policies.settings import RetrySettings

NOT_EXECUTABLE: Final = 126
"""Exit code where the program cannot be started, as a shell has it."""
NOT_FOUND: Final = 127
"""The same where there is no such program."""
SIGINT: Final = 2
_OUTCOMES: Final[dict[str, Literal["Succeeded", "Failed", "Stopped"]]] = {
    reasons.COMPLETED: "Succeeded",
    reasons.INTERRUPTED: "Stopped",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """What was asked for on the command line."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    """of every process of the run"""
    workflow: str
    run: str
    again: str
    """the command that goes on with this run"""
    settings: RetrySettings
    retries: bool
    """whether a program is started again at all"""
    takeover: bool
    """the first process claims its task even from a live holder"""
    existing: bool
    """the run was named, so that there may be attempts of it already"""


class Progress:
    """The file through which a training process tells the step it has reached; it survives a kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reset()

    def reset(self) -> None:
        self.path.write_bytes(struct.pack("<q", -1))

    def read(self) -> int | None:
        """None: it has told none, or the file was taken away."""
        try:
            (step,) = struct.unpack("<q", self.path.read_bytes()[:8])
        except (OSError, struct.error):
            return None
        return None if step < 0 else int(step)

    def workflow(self) -> str:
        """That of the task which the process has claimed; empty: it has claimed none."""
        try:
            return self.path.read_bytes()[8:].partition(b"\0")[0].decode(errors="replace")
        except OSError:
            return ""


@dataclass(slots=True)
class Supervisor:
    """One run, from its first process to its last."""

    launch: Launch
    catalog: BucketCatalog
    progress: Progress
    clock: Clock
    chance: Chance

    _account: Account = field(default_factory=Account)
    _history: list[AttemptView] = field(default_factory=list)
    _reached: int | None = None
    """last step that the process before is known to have completed"""
    _repeated: int = 0
    """steps that were done twice"""

    def run(self) -> int:
        """Supervise to the end; the exit code of the last process.

        Raises:
            TrainpointError: the store of a run that was named cannot be read at the start.
        """
        if self.launch.existing:
            self._account = self._read()
            if self.catalog.run_end(LOCAL_NAMESPACE, self.launch.workflow, self.launch.run) is not None:
                self.catalog.store.delete(self._end_key)  # it goes on
        code = 128 + SIGINT
        try:
            with Foreground(self.clock) as foreground:
                while True:
                    self.progress.reset()
                    try:
                        ended = foreground.run(self.launch.command, self._environ())
                    except OSError as error:
                        say(f"{self.launch.command[0]} cannot be started: {error.strerror}")
                        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
                    code = ended.code
                    verdict = self._after(ended, foreground)
                    if not isinstance(verdict, Retry):
                        self._finish(verdict)
                        return code
        except KeyboardInterrupt:  # while nothing ran but ourselves
            return code

    def _after(self, ended: Ended, foreground: Foreground) -> Verdict:
        """What follows the end of a process; a Retry, once its pause is over."""
        view = self._settle(ended)
        self._history.append(view)
        verdict = self._decide(ended, foreground)
        if isinstance(verdict, Retry):
            what = f"attempt {view.number + 1}" if view.opened else "once more"
            say(f"{what} in {show_duration(verdict.delay_seconds)} ({verdict.message})")
            foreground.pause(verdict.delay_seconds)
            if foreground.stopped_by is not None:
                return GiveUp(reasons.INTERRUPTED, "stopped by the user")
        return verdict

    # --- one process --------------------------------------------------------------------------------------------------

    def _environ(self) -> dict[str, str]:
        environ = {**self.launch.environ, ENV_PROGRESS_FILE: str(self.progress.path)}
        if self.launch.takeover and not self._history:
            environ[ENV_TAKEOVER] = "1"
        return environ

    def _settle(self, ended: Ended) -> AttemptView:
        """Find out what a process has done; say and write down how it ended."""
        reached = self.progress.read()
        before = self._account
        try:
            self._account = self._read()
            own = self.progress.workflow()
            if own and own != self.launch.workflow and not self._account.claims:  # the program has named it itself
                self.launch = replace(self.launch, workflow=own)
                self._account = self._read()
        except TrainpointError as error:
            say(f"the program ended: {ended}; what it committed is not known: {error.message}")
            return AttemptView(number=len(self._history), exit_code=ended.exit_code, signal=ended.signal)
        claims = self._account.since(before)
        sole = claims[0] if len(claims) == 1 else None
        if sole is not None and self._reached is not None:
            self._repeated += max(0, self._reached - (sole.from_step or 0))
        if claims:
            self._reached = reached
        if ended.code != 0:
            say(_how_it_ended(ended, claims, reached))
        self._record_end(ended, claims, reached)
        return _view(ended, claims, before, self._account, opened=bool(claims) or reached is not None)

    def _record_end(self, ended: Ended, claims: tuple[Claimed, ...], reached: int | None) -> None:
        """For a process that could not do so itself."""
        end = EndRecord(
            attempt=0,
            uid="",
            how=_how(ended),
            exit_code=ended.exit_code,
            signal=ended.signal,
            message=str(ended),
            last_step=reached,
            time=rfc3339(self.clock.now()),
        )
        try:
            record_ends(self.catalog, claims, end, self.chance)
        except TrainpointError as error:
            say(f"how the attempt ended could not be written down: {error.message}")

    def _decide(self, ended: Ended, foreground: Foreground) -> Verdict:
        # A program that had the terminal, or was sent SIGINT by somebody, was stopped by a person too.
        interrupted = foreground.stopped_by is not None or SIGINT in (ended.signal, ended.code - 128)
        verdict = retry(
            RetryInput(
                history=tuple(self._history),
                settings=self.launch.settings,
                jitter=self.chance.fraction(),
                interrupted=interrupted,
            )
        )
        if isinstance(verdict, Retry) and not self.launch.retries:
            return GiveUp(reasons.RETRIES_EXHAUSTED, "no retries were asked for (--retries 3)")
        return verdict

    # --- the end of the run -------------------------------------------------------------------------------------------

    def _finish(self, verdict: Finished | GiveUp) -> None:
        if not self._account.claims:
            if isinstance(verdict, GiveUp) and verdict.reason == reasons.INTERRUPTED:
                say("stopped")
            elif isinstance(verdict, GiveUp) and self.launch.retries:
                say(f"gave up: {verdict.message}")
            return  # nothing of this run is in the store, so nothing is put there
        try:
            end = RunEndRecord(_OUTCOMES.get(verdict.reason, "Failed"), verdict.message, rfc3339(self.clock.now()))
            self.catalog.store.put(self._end_key, end.to_bytes())
        except TrainpointError as error:
            say(f"the end of run {self.launch.run} could not be written down: {error.message}")
        if isinstance(verdict, Finished):
            say(f"done: {self._summary()}")
            return
        said = "stopped" if verdict.reason == reasons.INTERRUPTED else f"failed: {verdict.message}"
        say(f"run {self.launch.run} {said}; to go on with it: {self.launch.again}")

    def _summary(self) -> str:
        claims = self._account.claims
        steps = self._reached if self._reached is not None else self._account.step
        try:
            size = stored_bytes(self.catalog, sorted({c.task for c in claims}))
        except TrainpointError:
            size = None
        parts = [
            _count(steps, "step") if steps is not None else "",
            _count(len(claims), "attempt"),
            f"{_count(self._repeated, 'step')} repeated" if steps is not None else "",
            _count(self._account.checkpoints, "checkpoint"),
            f"{size_text(size)} stored" if size is not None else "",
        ]
        return ", ".join(part for part in parts if part)

    # --- the store ----------------------------------------------------------------------------------------------------

    def _read(self) -> Account:
        return read_account(self.catalog, LOCAL_NAMESPACE, self.launch.workflow, self.launch.run)

    @property
    def _end_key(self) -> str:
        return run_end_key(LOCAL_NAMESPACE, self.launch.workflow, self.launch.run)


def again_command(options: list[str], command: tuple[str, ...]) -> str:
    """A line for a shell."""
    return shlex.join(["trainpoint", "run", *options, "--", *command])


def _view(ended: Ended, claims: tuple[Claimed, ...], before: Account, after: Account, *, opened: bool) -> AttemptView:
    commits = sum(c.commits for c in claims)
    if len(claims) == 1 and len({c.task for c in after.claims}) == 1:
        from_step, to_step, loaded = claims[0].from_step, claims[0].to_step, claims[0].loaded
    else:  # steps of several tasks cannot be compared, their sum can
        from_step, to_step, loaded = before.step, after.step, " ".join(c.loaded for c in claims)
        if any(c.commits and c.to_step is None for c in claims):
            to_step = None
    return AttemptView(
        number=max((c.number for c in claims), default=0),
        exit_code=ended.exit_code,
        signal=ended.signal,
        opened=opened,
        loaded=loaded,
        from_step=from_step,
        to_step=to_step,
        commits=commits,
    )


def _how(ended: Ended) -> Literal["Completed", "Failed", "Preempted", "Killed", "Refused"]:
    if ended.code == 0:
        return "Completed"
    if ended.code == EXIT_PREEMPTED:
        return "Preempted"
    if ended.signal is not None:
        return "Killed"
    return "Refused" if ended.exit_code == EXIT_REFUSED else "Failed"


def _how_it_ended(ended: Ended, claims: tuple[Claimed, ...], reached: int | None) -> str:
    """``attempt 0 ended: killed by signal 9 after step 1740; 40 steps of work lost``"""
    if not claims:
        return f"the program ended: {ended}" + ("" if reached is not None else ", before it opened a Checkpoint")
    if len(claims) > 1:
        return f"the program ended: {ended}; it had made {len(claims)} claims"
    who = f"attempt {claims[0].number} ended: {ended}"
    if reached is None:
        return who
    lost = reached - claims[0].safe_step
    return f"{who} after step {reached}; " + (f"{_count(lost, 'step')} of work lost" if lost > 0 else "no work lost")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
