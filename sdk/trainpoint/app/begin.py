"""What a start of an app begins with, and the handle that finds it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from trainpoint.app import start
from trainpoint.app.state import parse
from trainpoint.app.values import text_of
from trainpoint.catalog.marks import read_pin
from trainpoint.context import Context
from trainpoint.errors import IncompatibleStateError, PinnedError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.checkpoint import Checkpoint
from trainpoint.handle.narrate import logger
from trainpoint.handle.writer import Writer
from trainpoint.policies.app_files import SUFFIX, timestamp_of
from trainpoint.policies.load import PolicyDecision
from trainpoint.policies.request import Asked

MOST_ITERATIONS: Final = 2**62


def context_of_app(context: Context) -> Context:
    """Under the policy none, too, an app goes on from what its run has saved: it does not choose by itself."""
    if context.decision.policy != "none":
        return context
    source = f"{context.decision.source} (none, which for an app is fresh)"
    return replace(context, decision=PolicyDecision("fresh", source))


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
        self.finished = False
        """the app has come to its end; what is left is to write its last state, and SIGTERM changes nothing any more"""
        self._taken = 0
        self._known = context if asked is None else replace(context, asked=asked, find_asked=lambda: self._find(asked))
        super().__init__()

    def _find(self, asked: Asked) -> CheckpointRef | None:
        own, workflow = self._own, asked.workflow or self._own.workflow
        found = start.look_up(asked.text, self._context.catalog, workflow=workflow, namespace=own.namespace)
        self.file = found.path
        return found.stored.ref if found.stored is not None else None

    @property
    def base(self) -> CheckpointRef | None:
        """What this run was taken back to last, if that is its own: what it saved since lies above it."""
        why, writer = self.why, self._writer
        if why is None or not isinstance(writer, Writer):
            return None
        first = next((view.loaded for view in writer.claim.previous if view.number == why.since), why)
        if first is None or first.snapshot is None or first.task != self._own or not why.since:
            return None
        return CheckpointRef(first.task, first.snapshot)

    def pinned_for(self, ref: CheckpointRef) -> str:
        """Why a checkpoint is pinned; empty: it is not."""
        pin = read_pin(self._context.catalog.store, ref.task, ref.id)
        return pin.reason if pin is not None else ""

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
        if self.finished:
            return
        self.preempted_at = self.preempted_at or self._context.clock.monotonic()
        super()._on_preempted()


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
        return said if type(said) is int and 0 <= said <= MOST_ITERATIONS else 0

    @property
    def stopped(self) -> bool:
        """The app had stopped itself, and was told to end before its works had ended."""
        return self.own and self.document.get("stopped") is True

    @property
    def text_if_own(self) -> str:
        """As :class:`Pace` compares states; empty for one from elsewhere."""
        if not self.own:
            return ""
        return text_of({k: v for k, v in self.document.items() if k not in ("time", "iteration", "stopped")})


def begin(ckpt: AppCheckpoint, own: TaskPath) -> Begin | None:
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


_HOLDS: Final = " has begun from it, and has saved nothing yet"


class Hold:
    """Keeps what an app has begun from, if it is another run's, until there is something of its own.

    That run may be at work, and delete its older files by a rule that knows nothing of this one. (On a cluster the
    operator deletes, who knows.)
    """

    def __init__(self, ckpt: AppCheckpoint, own: TaskPath, *, on_cluster: bool) -> None:
        self._ckpt = ckpt
        self._reason = f"{own.workflow}/{own.run}{_HOLDS}"
        self._held: CheckpointRef | None = None
        ref = ckpt.info.ref if ckpt.info is not None else None
        if ref is None or ref.task == own or on_cluster:
            return
        try:
            ckpt.pin(ref, reason=self._reason)
            self._held = ref
        except PinnedError:
            self._share(ref)
        except TrainpointError as error:  # this process may not, say
            logger.info("%s is not pinned, and its own run may delete it: %s", ref, error.message)

    def _share(self, ref: CheckpointRef) -> None:
        """It is pinned already. If that is by another run, it would be unpinned too early for this one."""
        with suppress(TrainpointError):
            if self._ckpt.pinned_for(ref).endswith(_HOLDS):
                self._ckpt.unpin(ref)
                self._ckpt.pin(ref, reason="several runs have begun from it; unpin it once they have saved something")
                logger.info("%s stays pinned: another run has begun from it, too", ref)

    def release(self) -> None:
        """This run has saved something, or has come to its end."""
        held, self._held = self._held, None
        if held is not None:
            try:
                if self._ckpt.pinned_for(held) == self._reason:  # and not for another's, meanwhile
                    self._ckpt.unpin(held)
            except TrainpointError as error:
                logger.info("%s stays pinned: %s", held, error.message)
