"""The handle: what users import."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from trainpoint.api.names import DEFAULT_TASK, ENV_TEMP_DIR
from trainpoint.catalog.base import CheckpointInfo, info_of
from trainpoint.clock import Chance, Clock
from trainpoint.context import Context, open_context
from trainpoint.errors import (
    EXIT_PREEMPTED,
    ClosedError,
    IdentityError,
    InvalidArgumentError,
    NotInJobError,
    TrainpointError,
)
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle import current, exits, narrate, signals
from trainpoint.handle.arguments import match_json
from trainpoint.handle.reading import StrPath
from trainpoint.handle.role import Role, take_part
from trainpoint.handle.saving import Saving
from trainpoint.identity import Identity, IndexArgument
from trainpoint.policies.duration import parse_duration
from trainpoint.policies.load import UNSET, LoadPolicyArgument
from trainpoint.transfer.stage import StagingArea


class Checkpoint(Saving):
    """Checkpoints of one task: loaded at the start, saved on the way, listed and loaded by name.

    Identity, store and policy come from where the process runs: arguments, then ``TRAINPOINT_*``, then defaults. A
    process without a workflow is a reader: it lists and loads, and is refused to save.

    Every method raises ClosedError once it is closed, and StoreError (its subclasses say what is wrong) where the store
    cannot be reached or refuses; what else a method raises stands with it.

    >>> with Checkpoint(every_steps=1) as ckpt:
    ...     for step in range(ckpt.step, total):
    ...         train_one(step)
    ...         if ckpt.should_save(step + 1):
    ...             with ckpt.stage(step=step + 1) as folder:
    ...                 save_state(folder / "state.npz")
    ...         if ckpt.should_stop:
    ...             break

    Args:
        load_policy: ``"fresh"`` (this run's own checkpoints), ``"eager"`` (also those of the newest earlier run) or
            ``None`` (nothing is loaded by itself).
        resume_from: what to start from instead: a checkpoint's name, ``"workflow/run"``, ``"workflow/run/task"`` (other
            tasks follow their policy), ``"latest"``, ``"best"`` or ``"best:<metric>:<min|max>"``. Later attempts go on
            from what was saved since.
        match: what the ``metadata`` of a checkpoint must say, such as ``{"lr": 0.1}``; policies pass over all others,
            and this task's own checkpoints get it into their metadata.
        workflow, run, task, index: who this is; see the reference of the environment.
        owner: the person who launched the run.
        store: ``s3://bucket/prefix``, ``file:///path`` or a path.
        namespace: of Kubernetes, for a reader: whose checkpoints it reads. Outside of the cluster, without a store, a
            kubeconfig finds the store of that namespace.
        every_steps, every: when ``should_save`` says yes: a number of steps; seconds, or a duration such as ``"10m"``.
            Either suffices; neither means what the policy says, else every 5 minutes.
        temp_dir_root: where ``directory`` and staged saves live until they are uploaded; the system's by default.
        on_error: ``"raise"`` or ``"warn"``: what a failed background save does at the next call.
        signals: whether SIGTERM asks for a final save (main thread only).
        collective: where several ranks train together, all open one and load the same; False: rank 0 alone does.
        clock, chance: time and randomness, for tests; see ``trainpoint.testing``.

    Raises:
        PolicyError, IdentityError, StoreUrlError: mistakes, before the store is asked.
        ConflictError: another live process writes this task.
        RanksError: another rank did not open it, or could not load.
        RefusedError: the run's record says that no start can succeed.
        StoreError: the store cannot be read or written; its subclasses say how.
    """

    _default_task = DEFAULT_TASK
    """where neither argument nor environment nor label names the task"""
    _known: Context | None = None
    """what open_context has found, where that was asked before: no second look at the environment and the cluster"""

    def __init__(
        self,
        *,
        load_policy: LoadPolicyArgument = UNSET,
        resume_from: str | CheckpointRef | None = None,
        match: Mapping[str, object] | None = None,
        workflow: str | None = None,
        run: str | None = None,
        task: str | None = None,
        index: IndexArgument | None = None,
        owner: str | None = None,
        store: str | None = None,
        namespace: str | None = None,
        every_steps: int | None = None,
        every: float | str | None = None,
        temp_dir_root: StrPath | None = None,
        on_error: Literal["raise", "warn"] = "raise",
        signals: bool = True,
        collective: bool = True,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        exits.install()
        narrate.speak()
        seconds = parse_duration(every, what="every") if isinstance(every, str) else every
        if (every_steps is not None and every_steps < 1) or (seconds is not None and seconds < 0):
            raise InvalidArgumentError(
                "every_steps and every have to be positive", remedy="leave them out for 5 minutes"
            )
        if on_error not in ("raise", "warn"):
            raise InvalidArgumentError(f'on_error={on_error!r} is neither "raise" nor "warn"')
        self._context = self._known or open_context(
            load_policy=load_policy,
            workflow=workflow,
            run=run,
            task=task,
            index=index,
            owner=owner,
            store=store,
            resume_from=resume_from.name if isinstance(resume_from, CheckpointRef) else resume_from,
            match=match_json(match),
            default_task=self._default_task,
            namespace=namespace,
            clock=clock,
            chance=chance,
        )
        own = self._context.identity
        if own is not None and namespace not in (None, own.task.namespace):
            raise IdentityError(
                f"namespace={namespace!r} is for reading, and this process trains: it is {own.task}",
                remedy=f"leave it out, and look elsewhere by: list(namespace={namespace!r}, workflow=…)",
            )
        self._closed = ""
        self._info: CheckpointInfo | None = None
        self._writer: Role | None = None
        root = temp_dir_root or self._context.environ.get(ENV_TEMP_DIR) or None
        self._staging = StagingArea(Path(root) if root else None, chance=self._context.chance)
        try:
            self._open(self._context.identity, every_steps, seconds, on_error, listen=signals, collective=collective)
        except BaseException as error:
            self._give_up(error)
            raise
        atexit.register(self._close_at_exit)
        current.opened(self)

    def _open(
        self,
        identity: Identity | None,
        every_steps: int | None,
        every_seconds: float | None,
        on_error: Literal["raise", "warn"],
        *,
        listen: bool,
        collective: bool,
    ) -> None:
        self._context.first_contact(reads_only=identity is None or identity.rank > 0)
        if identity is None:
            signals.register(self, listen=False)
            return
        self._writer = take_part(
            self._context,
            identity,
            every_steps=every_steps,
            every_seconds=every_seconds,
            on_error=on_error,
            collective=collective,
        )
        # Before the load, which may take minutes: a SIGTERM in it must not end in exit code 0 either.
        if not signals.register(self, listen=listen) and listen:
            narrate.deaf()
        found = self._writer.resume(self._staging.current)
        if found is not None:
            self._info = info_of(found)

    def _give_up(self, error: BaseException) -> None:
        signals.unregister(self)
        if self._writer is not None:
            if isinstance(error, SystemExit) and error.code == EXIT_PREEMPTED:
                self._writer.end("Preempted", "SIGTERM", EXIT_PREEMPTED)
            else:
                code = error.exit_code if isinstance(error, TrainpointError) else 1
                self._writer.end("Failed", f"{type(error).__name__}: {error}", code)
        self._staging.close()
        self._closed = "failed to open"

    # --- what was loaded ----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The one directory of this handle, the same for its whole life: holds what was loaded, or is empty."""
        return self._staging.current

    @property
    def directory(self) -> str:
        """:attr:`path` as text."""
        return str(self._staging.current)

    @property
    def is_loaded(self) -> bool:
        """Whether :attr:`directory` holds a checkpoint.

        >>> ckpt.is_loaded
        False
        >>> info = ckpt.load(ref)
        >>> ckpt.is_loaded, (ckpt.path / "model.txt").read_text()
        (True, 'weights')
        """
        return self._info is not None

    @property
    def info(self) -> CheckpointInfo | None:
        """The checkpoint that was loaded last; None if none was."""
        return self._info

    @property
    def step(self) -> int:
        """Completed training steps of what was loaded, else 0: ``range(ckpt.step, total)`` repeats and skips none."""
        return self._info.step if self._info is not None and self._info.step is not None else 0

    @property
    def why(self) -> LoadedRecord | None:
        """What this attempt started from, by which policy, why, and what was passed over; None in a reader.

        >>> print(ckpt.why.policy, ckpt.why.reason)
        fresh NothingFound
        """
        return self._writer.why if self._writer is not None else None

    @property
    def attempt(self) -> int | None:
        """Which claim of this task this process is, from 0; None in a reader."""
        return self._writer.attempt if self._writer is not None else None

    @property
    def is_open(self) -> bool:
        """Whether it can be used: not closed, and not opened by the parent of this forked process."""
        return not self._closed

    def __repr__(self) -> str:
        if self._writer is None:
            who = f"reader of {self._context.catalog.store.url}"
        else:
            who = f"{self._writer.identity.task} attempt {self._writer.attempt}"
        return f"<Checkpoint {who}{'' if self.is_open else ', closed'}>"

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Wait for saves in flight, write down the end, remove the temporary directory. Safe to repeat.

        >>> ckpt.close()
        >>> ckpt.is_open
        False
        """
        self._close(None)

    def _close_at_exit(self) -> None:
        """The program ends and has not closed it. What nobody caught is how it ended: a crash has completed nothing."""
        interactive = hasattr(sys, "ps1") or sys.flags.interactive  # there an error of before is not the end
        self._close(None if interactive else getattr(sys, "last_value", None))

    def __enter__(self) -> Self:
        self._need_open()
        current.entered(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        preempted = self.preempted
        current.left(self)
        self._close(error)
        # Never 0 after SIGTERM: a Job would count itself complete. A user's own exception is never masked.
        if preempted and (error is None or (isinstance(error, SystemExit) and not error.code)):
            raise SystemExit(EXIT_PREEMPTED)

    def _close(self, error: BaseException | None) -> None:
        if self._closed:
            return
        self._closed = "is closed"
        current.closed(self)
        atexit.unregister(self._close_at_exit)
        deferred: TrainpointError | None = None
        try:
            if self._writer is not None:
                self._writer.flush()
                try:
                    self._writer.raise_deferred()
                except TrainpointError as late:
                    deferred = late
                self._writer.close_records()
                self._end(self._writer, error or deferred)
        finally:
            signals.unregister(self)
            self._staging.close()
        if deferred is not None and deferred is not error:
            if error is None:
                raise deferred
            narrate.logger.warning("%s", deferred)

    def _end(self, writer: Role, error: BaseException | None) -> None:
        code = error.code if isinstance(error, SystemExit) else 0 if error is None else 1
        if isinstance(error, TrainpointError):
            code = error.exit_code
        number = code if isinstance(code, int) else 0 if code is None else 1
        if writer.rhythm.preempted and not number:
            writer.end("Preempted", "SIGTERM", EXIT_PREEMPTED)
        elif number:
            writer.end("Failed", f"{type(error).__name__}: {error}", number)
        else:
            writer.end("Completed", "", 0)

    # --- what other modules call --------------------------------------------------------------------------------------

    def _on_preempted(self) -> None:
        """SIGTERM came (called in a signal handler: sets a flag, nothing else)."""
        if self._writer is not None:
            self._writer.rhythm.preempted = True

    def _on_forked(self) -> None:
        """This is a forked child's copy: closed, and nothing of the parent's is touched."""
        self._closed = "was opened by the parent of this forked process"
        atexit.unregister(self._close_at_exit)
        if self._writer is not None:
            self._writer.abandon()

    @property
    def _marks(self) -> bool:
        return self._writer is not None

    def _note_loaded(self, found: Manifest, own: CheckpointInfo | None) -> None:
        self._info = own or self._info
        if self._writer is not None:
            self._writer.note_loaded(found, own=own is not None)

    def _need_open(self) -> None:
        if self._closed:
            raise ClosedError(f"this Checkpoint {self._closed}", remedy="open one: with Checkpoint() as ckpt")

    def _need_writer(self, verb: str) -> Role:
        self._need_open()
        if self._writer is None:
            raise NotInJobError(
                f"{verb}() needs to know which workflow this is, and nothing says so: this process only reads",
                remedy='pass Checkpoint(workflow="name"), or start with: trainpoint run -- python ' + _script(),
            )
        return self._writer


def _script() -> str:
    """The program's file; a notebook's is that of its kernel, which nobody starts by hand."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    return name if name.endswith(".py") and not name.startswith("ipykernel") else "script.py"


__all__ = ["Checkpoint"]
