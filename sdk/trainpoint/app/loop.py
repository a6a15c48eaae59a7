"""The life of an app: its start, its loop, its saves, its end."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from trainpoint.api.names import ENV_TEMP_DIR
from trainpoint.app import start
from trainpoint.app.begin import AppCheckpoint, Begin, Hold, begin, context_of_app
from trainpoint.app.notices import Notices, listed
from trainpoint.app.saver import Keeper, Offer, Pace, Saver
from trainpoint.app.scheduler import GLANCE_SECONDS, Scheduler
from trainpoint.app.state import Report, capture, restore
from trainpoint.app.tree import SETTLING, CheckpointContext, Flow, call_pending, install
from trainpoint.clock import Clock, SystemClock
from trainpoint.context import open_context
from trainpoint.errors import ComponentError, NotInJobError, TrainpointError, UnsupportedStateError
from trainpoint.handle.narrate import logger, speak
from trainpoint.policies.app_files import told

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
    own, context = context.identity.task, context_of_app(context)
    with AppCheckpoint(context, own, start.asked(checkpoint, context, workflow=checkpoint_from)) as ckpt:
        begun, notices = begin(ckpt, own), Notices(root)
        known = start.saved_by(context.catalog, own.namespace, own.workflow)
        mine = start.committed(context.catalog, (one for one in known if one.ref.task == own))
        base = ckpt.base
        refs = {one.timestamp: one.ref for one in mine if base is None or one.ref.id != base.id}
        baseline, report = "", None
        if begun is not None:
            report = restore(root, begun.document, strict=strict)
            _tell(begun, report, root)
            baseline = begun.text_if_own
        with tempfile.TemporaryDirectory(
            prefix="trainpoint-app-", dir=context.environ.get(ENV_TEMP_DIR) or None, ignore_cleanup_errors=True
        ) as folder:
            hold = Hold(ckpt, own, on_cluster=context.cluster is not None)
            keeper = Keeper(ckpt.delete, context.settings.app_files, refs, hold.release)
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
                last_name=begun.name if begun is not None and begun.own else None,
            )
            loop = Loop(root, ckpt, saver, clock, notices)
            if begun is not None:
                loop.iteration, loop.was_stopped = begun.iteration, begun.stopped
            loop.run()
            if not ckpt.preempted:
                hold.release()
    return report


def _tell(begun: Begin, report: Report, root: Flow) -> None:
    logger.info("started from %s, saved after iteration %d", begun.name, begun.iteration)
    saved, name = begun.document["app"].get("name"), type(root).__name__
    if saved != name:
        logger.warning("it is the state of the app %s, and this one is %s", saved, name)
    for what, names in (
        ("migrated", report.migrations),
        ("dropped, since the code has no place for it", report.dropped),
        ("load_state_dict has not called super()'s, so nothing but what it has set is restored", report.by_hand),
        ("new in the code, keeps its default", report.kept_default),
    ):
        if names:
            level = logger.warning if names in (report.dropped, report.by_hand) else logger.info
            level("%s: %s", what, listed(names))


# --- the loop ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Loop:
    """``run``, works, the hook, a save: again and again."""

    root: Flow
    ckpt: AppCheckpoint
    saver: Saver
    clock: Clock
    notices: Notices
    iteration: int = 0
    """complete ones, over all starts"""
    was_stopped: bool = False
    """the attempt before had stopped itself, and was told to end before its works had ended"""
    scheduler: Scheduler = field(init=False)
    _in_round: bool = field(default=False, init=False)
    _begun: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)
    """calls that had been taken on or had ended when the hook was asked last"""
    _told_running: bool = field(default=False, init=False)
    _final_by: float | None = field(default=None, init=False)
    """until when works are waited for after SIGTERM; monotonic"""
    _final_taken: bool = field(default=False, init=False)
    """after SIGTERM a state was taken, or cannot be"""

    def __post_init__(self) -> None:
        # A flow may wait in its round for what it has called; after the round no call begins that would be torn.
        self.scheduler = Scheduler(
            ending=lambda: self.ckpt.preempted and not self._in_round, consistent=lambda: self.root.consistent
        )

    def run(self) -> None:
        """Until the app stops or this process is asked to end. What is pending is saved, whatever happened."""
        install(self.root, self.scheduler)
        self._begun = self.iteration
        try:
            self._try()
            if self.was_stopped:
                logger.info("the app had stopped before; its works come to their end")
                self.root.stop()
                call_pending(self.root)
                self._finish()
            while not self.root._tp_stopped and not self.ckpt.preempted:
                self._once()
            if self.root._tp_stopped and not self.ckpt.preempted:
                self.ckpt.finished = True
            worked = self.iteration > self._begun or self.was_stopped
            if self.ckpt.preempted and worked and not self._final_taken:
                self._capture()  # whatever the hook says: what was done is not to be done again
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def _try(self) -> None:
        """What could not be saved is told before anything is done; the app may mend it before it saves."""
        try:
            capture(self.root)
        except UnsupportedStateError as error:
            logger.warning("as it is now, the state could not be saved: %s", error.message)
        except Exception as error:  # of the app's own state_dict
            logger.warning("as it is now, the state could not be saved: %s: %s", type(error).__name__, error)

    def _once(self) -> None:
        """One iteration."""
        root, scheduler = self.root, self.scheduler
        before = scheduler.changes
        root._tp_context = self._facts()
        self._in_round = True
        root.run()
        self._in_round = False
        if self.iteration == self._begun:
            call_pending(root)  # the flow has made ready what they need, and has called what it calls itself
        self._raise_failed()
        self.iteration += 1
        self.ckpt.should_save(self.iteration)  # tells whoever supervises this process how far it has come
        self._save_if_wanted()
        if root._tp_stopped:
            self._finish()
        elif scheduler.changes == before and scheduler.busy:
            scheduler.wait(since=before, seconds=GLANCE_SECONDS)

    def _finish(self) -> None:
        """The app has stopped: its works come to their end, and what they have done is saved meanwhile."""
        while True:
            self._raise_failed()
            changes = self.scheduler.changes
            if self.ckpt.preempted:
                return
            if changes != self._seen:
                self._save_if_wanted()
            elif self.ckpt.save_requested:
                self._capture()
            if self.scheduler.busy:
                self.scheduler.wait(since=changes, seconds=GLANCE_SECONDS)
            elif self.scheduler.changes == self._seen:
                return

    def _raise_failed(self) -> None:
        try:
            self.scheduler.raise_failed()
        except Exception:
            if not self.ckpt.preempted:  # what ends this process may have ended a work's; it is called again next time
                raise
        self.saver.raise_failed()

    def _save_if_wanted(self) -> None:
        self._seen = self.scheduler.changes
        self.root._tp_context = self._facts()
        wanted: object = self.root.should_save_checkpoint()
        if isinstance(wanted, Coroutine | Generator | AsyncGenerator):  # which would always be true
            if not isinstance(wanted, AsyncGenerator):
                wanted.close()
            raise ComponentError(
                f"should_save_checkpoint of {type(self.root).__qualname__} returns a {type(wanted).__name__}",
                remedy="return True or False; it is no async function, and has no yield",
            )
        if wanted or self.ckpt.save_requested:
            self._capture()

    def _capture(self) -> None:
        """Take the state once no call runs; of a work whose call takes longer, what it was before."""
        # Where none is at work, no call begins meanwhile: it is this thread that makes them.
        if not self.root.consistent or not self.scheduler.busy:
            self._take()
            return
        patience = float(self.root.consistent_seconds)
        with self.scheduler.still(self._time_left(patience), anew=self.ckpt.preempted) as running:
            if running and (self.ckpt.preempted or not self._told_running):
                self._told_running = True
                logger.info(
                    "%s did not end %s: saved as it was before that call, which a restart makes again",
                    listed(running), "in time after SIGTERM" if self.ckpt.preempted else f"within {patience:g} s",
                )  # fmt: skip
            self._take()

    def _time_left(self, patience: float) -> Callable[[], float]:
        """How long a capture goes on to wait for works; all that wait after SIGTERM have one limit together."""
        until = self.clock.monotonic() + patience

        def left() -> float:
            now = self.clock.monotonic()
            if not self.ckpt.preempted:
                return until - now
            if self._final_by is None:
                self._final_by = max(self.ckpt.preempted_at + FINAL_SECONDS, now + FINAL_LEAST_SECONDS)
            return self._final_by - now if patience > 0 else 0.0

        return left

    def _take(self) -> None:
        """The state as it is now, given to whoever writes it."""
        self._raise_failed()  # before what has failed becomes part of it
        preempted, requests, asked = self.ckpt.preempted, self.ckpt.requests, self.ckpt.save_requested
        try:
            with SETTLING:
                captured = capture(self.root)
        except UnsupportedStateError as error:
            if not self.ckpt.preempted:
                raise
            # It was told to end, no more: another process may go on from what was saved before.
            logger.error("the state after iteration %d is not saved: %s", self.iteration, error.message)
            self._final_taken = True
            return
        self.notices.look(self.clock.monotonic())
        stopped = self.root._tp_stopped and preempted
        text = f"{captured.object_text} stopped" if stopped else captured.object_text
        self.saver.offer(Offer(captured, text, self.iteration, asked, stopped))
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
            "%d iterations, %d checkpoints%s%s%s",
            done,
            saver.saved,
            f", the last one {saver.last_name}" if saver.saved else "",
            f"; {pace.coalesced} states came within a second and were replaced by later ones" if pace.coalesced else "",
            f"; {pace.unchanged} were unchanged" if pace.unchanged else "",
        )
