"""The life of an app: its start, its loop, its saves, its end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from trainpoint.api.names import ENV_TEMP_DIR
from trainpoint.app import start
from trainpoint.app.notices import Notices, listed
from trainpoint.app.saver import Keeper, Offer, Pace, Saver
from trainpoint.app.scheduler import GLANCE_SECONDS, Scheduler
from trainpoint.app.state import Report, capture, parse, restore
from trainpoint.app.tree import CheckpointContext, Flow, install
from trainpoint.app.values import text_of
from trainpoint.clock import Clock, SystemClock
from trainpoint.context import Context, open_context
from trainpoint.errors import IncompatibleStateError, NotInJobError, TrainpointError, UnsupportedStateError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.checkpoint import Checkpoint
from trainpoint.handle.narrate import logger, speak
from trainpoint.policies.app_files import SUFFIX, timestamp_of, told
from trainpoint.policies.request import Asked

FINAL_SECONDS: Final = 20.0
"""How long after SIGTERM a final save waits for running works at most: a pod has 30 s by default until it is killed."""
FINAL_LEAST_SECONDS: Final = 5.0
"""How long it waits for them anyway, where the round itself has taken that time: the pod may have more."""


def run_app(
    root: Flow,
    *,
    checkpoint: str | None = None,
    checkpoint_from: str | None = None,
    strict: bool = True,
    clock: Clock | None = None,
) -> Report | None:
    """Run an app in this process until it stops itself, or is stopped.

    The first start of a run begins with what ``checkpoint`` says, else with what its load policy says (``fresh``:
    nothing). Later attempts of the same run go on from what the run has saved since.

    Args:
        root: as its constructor made it.
        checkpoint: ``latest``, a path or a name; by default ``TRAINPOINT_CHECKPOINT``, then the pod's annotation.
        checkpoint_from: the workflow whose checkpoints are meant; this app's own by default.
        strict: False drops what the code has no place for, instead of not starting.
    Returns:
        What became of the state that it began with, such as what was dropped; None where it began with none.
    Raises:
        ResumeRequestError: what is named cannot be found.
        IncompatibleStateError: the state does not fit the code. ``run`` was never called.
        NotInJobError: no workflow is named, so nothing could be saved.
        SystemExit: with 143 after SIGTERM, once the state is saved.
        Exception: what ``run`` of the flow, or of a work, has raised.
    """
    clock = clock or SystemClock()
    speak()
    context = open_context(clock=clock)
    if context.identity is None:
        raise NotInJobError(
            "an app saves its state, and nothing says which workflow this is",
            remedy="start it by: trainpoint run app FILE, or set TRAINPOINT_WORKFLOW",
        )
    own = context.identity.task
    with AppCheckpoint(context, own, start.asked(checkpoint, context, workflow=checkpoint_from)) as ckpt:
        begin, notices = _begin(ckpt, own), Notices(root)
        known = start.saved_by(context.catalog, own.namespace, own.workflow)
        mine = start.committed(context.catalog, (one for one in known if one.ref.task == own))
        refs = {one.timestamp: one.ref for one in mine}
        baseline, report = "", None
        if begin is not None:
            report = restore(root, begin.document, strict=strict)
            _tell(begin, report)
            baseline = begin.text_if_own
        with tempfile.TemporaryDirectory(
            prefix="trainpoint-app-", dir=context.environ.get(ENV_TEMP_DIR) or None, ignore_cleanup_errors=True
        ) as folder:
            keeper = Keeper(ckpt.delete, context.settings.app_files, refs)
            if keeper.too_many and context.cluster is None:  # on a cluster the operator applies the rule
                rule, source = told(keeper.rule), context.settings.source
                logger.info(
                    "with the next save %d older checkpoints go, if not pinned: there stay %s, by %s",
                    keeper.too_many,
                    rule,
                    source,
                )
            saver = Saver(
                ckpt=ckpt,
                folder=Path(folder),
                keeper=keeper,
                clock=clock,
                last_timestamp=known[0].timestamp if known else None,
                pace=Pace(saved_text=baseline),
                last_name=begin.name if begin is not None and begin.own else None,
            )
            Loop(root, ckpt, saver, Scheduler(), clock, notices, begin.iteration if begin else 0).run()
    return report


class AppCheckpoint(Checkpoint):
    """The handle of an app: what it is to start from is looked up by an app's rules, where this attempt is to load it.

    Raises, besides what a Checkpoint raises: ResumeRequestError, where what is named cannot be found.
    """

    def __init__(self, context: Context, own: TaskPath, asked: Asked | None) -> None:
        self._own = own
        self.file: Path | None = None
        """what this attempt starts from, where that is no checkpoint of the store"""
        self.preempted_at = 0.0
        """when SIGTERM came; monotonic"""
        self._taken = 0
        self._known = context if asked is None else replace(context, asked=asked, find_asked=lambda: self._find(asked))
        super().__init__()

    def _find(self, asked: Asked) -> CheckpointRef | None:
        own, workflow = self._own, asked.workflow or self._own.workflow
        found = start.look_up(asked.text, self._context.catalog, workflow=workflow, namespace=own.namespace, own=own)
        self.file = found.path
        return found.stored.ref if found.stored is not None else None

    @property
    def requests(self) -> int:
        """How often somebody has asked for a save now: ``trainpoint save``."""
        return self._writer.rhythm.requests if self._writer is not None else 0

    @property
    def save_requested(self) -> bool:
        """Somebody has asked since the newest state that :meth:`taken` speaks of."""
        return self.requests > self._taken

    def taken(self, requests: int) -> None:
        """A state that answers so many requests is on its way into the store. (That an earlier one is saved meanwhile
        answers none.)"""
        self._taken = requests

    def _on_preempted(self) -> None:
        self.preempted_at = self.preempted_at or self._context.clock.monotonic()
        super()._on_preempted()


# --- what it begins with ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """A state to begin with."""

    name: str
    document: JsonObject
    own: bool = False
    """this run has saved it, so that the same state needs no new file"""

    @property
    def iteration(self) -> int:
        """Iterations that were complete when it was saved; 0 where the file does not say."""
        said = self.document.get("iteration")
        return said if type(said) is int and said >= 0 else 0

    @property
    def text_if_own(self) -> str:
        """As :class:`Pace` compares states; empty for one from elsewhere."""
        if not self.own:
            return ""
        return text_of({k: v for k, v in self.document.items() if k not in ("time", "iteration")})


def _begin(ckpt: AppCheckpoint, own: TaskPath) -> Begin | None:
    """What this attempt begins with; None: what the constructor made."""
    if ckpt.file is not None:
        return Begin(str(ckpt.file), parse(start.read_local(ckpt.file), str(ckpt.file)))
    if ckpt.info is None:
        return None
    file = next((f for f in sorted(ckpt.path.glob(f"*{SUFFIX}")) if timestamp_of(f.name) is not None), None)
    if file is None:
        raise IncompatibleStateError(
            f"checkpoint {ckpt.info.name} holds no state of an app: it has no file lightningapp_checkpoint_….json",
            remedy="start from another one: trainpoint app checkpoints",
        )
    return Begin(file.name, parse(file.read_bytes(), file.name), own=ckpt.info.ref.task == own)


def _tell(begin: Begin, report: Report) -> None:
    logger.info("started from %s, saved after iteration %d", begin.name, begin.iteration)
    for what, names in (
        ("migrated", report.migrations),
        ("dropped, since the code has no place for it", report.dropped),
        ("new in the code, keeps its default", report.kept_default),
    ):
        if names:
            level = logger.warning if names is report.dropped else logger.info
            level("%s: %s", what, listed(names))


# --- the loop ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Loop:
    """``run``, works, the hook, a save: again and again."""

    root: Flow
    ckpt: AppCheckpoint
    saver: Saver
    scheduler: Scheduler
    clock: Clock
    notices: Notices
    iteration: int = 0
    """complete ones, over all starts"""
    skipped: int = 0
    """saves that were skipped, since works did not end in time"""
    _begun: int = field(default=0, init=False)
    _final_by: float | None = field(default=None, init=False)
    """until when works are waited for after SIGTERM; monotonic"""
    _final_taken: bool = field(default=False, init=False)
    """after SIGTERM a state was taken, or cannot be"""

    def run(self) -> None:
        """Until the app stops or this process is asked to end. What is pending is saved, whatever happened."""
        install(self.root, self.scheduler)
        self._begun = self.iteration
        try:
            while not self.ckpt.preempted and self._once():
                pass
            if self.ckpt.preempted and self.iteration > self._begun and not self._final_taken:
                self._capture(last=True)  # whatever the hook says: what was done is not to be done again
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def _once(self) -> bool:
        """One iteration; whether another one follows."""
        root, scheduler = self.root, self.scheduler
        before = scheduler.changes
        root._tp_context = self._facts()
        root.run()
        if root._tp_stopped:
            scheduler.finish(stop=lambda: self.ckpt.preempted)
        scheduler.raise_failed()
        self.saver.raise_failed()
        self.iteration += 1
        self.ckpt.should_save(self.iteration)  # tells whoever supervises this process how far it has come
        root._tp_context = self._facts()
        wanted = bool(root.should_save_checkpoint())
        if wanted or self.ckpt.save_requested:
            self._capture()
        if root._tp_stopped:
            return False
        if scheduler.changes == before and scheduler.busy:
            scheduler.wait(since=before, seconds=GLANCE_SECONDS)
        return True

    def _capture(self, *, last: bool = False) -> None:
        # Where none is at work, no call begins meanwhile: it is this thread that makes them.
        if not self.root.consistent or not self.scheduler.busy:
            self._take()
            return
        patience = float(self.root.consistent_seconds)
        with self.scheduler.still(self._time_left(patience), anew=last) as running:
            if not running:
                self._take()
                return
        if self.ckpt.preempted and not last:
            return  # the last one follows
        self.skipped += 1
        if self.skipped == 1 or last:
            logger.warning(
                "the state after iteration %d is not saved, since %s did not end %s; with consistent = False "
                "the root flow is saved at once, and running works start again",
                self.iteration, listed(running), "in time after SIGTERM" if last else f"within {patience:g} s",
            )  # fmt: skip

    def _time_left(self, patience: float) -> Callable[[], float]:
        """How long a capture goes on to wait for works; all that wait after SIGTERM have one limit together."""
        until = self.clock.monotonic() + patience

        def left() -> float:
            now = self.clock.monotonic()
            if not self.ckpt.preempted:
                return until - now
            if self._final_by is None:
                self._final_by = max(self.ckpt.preempted_at + FINAL_SECONDS, now + FINAL_LEAST_SECONDS)
            return min(until, self._final_by) - now

        return left

    def _take(self) -> None:
        """The state as it is now, given to whoever writes it."""
        preempted, requests, asked = self.ckpt.preempted, self.ckpt.requests, self.ckpt.save_requested
        try:
            captured = capture(self.root)
        except UnsupportedStateError as error:
            if not self.ckpt.preempted:
                raise
            # It was told to end, no more: another process may go on from what was saved before.
            logger.error("the state after iteration %d is not saved: %s", self.iteration, error.message)
            self._final_taken = True
            return
        self.notices.look(self.clock.monotonic())
        self.saver.offer(Offer(captured, captured.object_text, self.iteration, asked))
        self.ckpt.taken(requests)
        self._final_taken = preempted

    def _facts(self) -> CheckpointContext:
        at = self.saver.saved_at
        return CheckpointContext(
            iteration=self.iteration,
            seconds_since_save=None if at is None else self.clock.monotonic() - at,
            last_name=self.saver.last_name,
            preempted=self.ckpt.preempted,
        )

    def _end(self, error: BaseException | None) -> None:
        """No call begins any more; what is pending is written. Never masks ``error``."""
        self.scheduler.close()
        with suppress(Exception):
            install(self.root, None)
        self.saver.close()
        try:
            self.saver.raise_failed()
        except Exception as late:
            if error is None:
                raise
            text = late.message if isinstance(late, TrainpointError) else str(late)
            logger.warning("the last state could not be saved: %s", text)
        finally:
            self._account()

    def _account(self) -> None:
        pace, saver = self.saver.pace, self.saver
        done = self.iteration - self._begun
        logger.info(
            "%d iterations, %d checkpoints%s%s%s%s",
            done,
            saver.saved,
            f", the last one {saver.last_name}" if saver.saved else "",
            f"; {pace.coalesced} states came within a second and were replaced by later ones" if pace.coalesced else "",
            f"; {pace.unchanged} were unchanged" if pace.unchanged else "",
            f"; {self.skipped} were skipped while works ran" if self.skipped else "",
        )
