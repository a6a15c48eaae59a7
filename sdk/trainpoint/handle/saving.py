"""The half of a handle that needs an identity: the rhythm of a training loop, and saving."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.arguments import Scalar
from trainpoint.handle.marking import Marking
from trainpoint.handle.reading import StrPath
from trainpoint.handle.role import Role
from trainpoint.handle.save import Source
from trainpoint.handle.writer import Describe
from trainpoint.transfer.stage import StagingArea


class Saving(Marking):
    """What a :class:`~trainpoint.Checkpoint` of a process with an identity can do besides."""

    _staging: StagingArea
    _writer: Role | None

    @abstractmethod
    def _need_writer(self, verb: str) -> Role:
        """The writer; raises NotInJobError in a reader, ClosedError where the handle is not open."""

    # --- the rhythm of a training loop --------------------------------------------------------------------------------

    def should_save(self, step: int | None = None) -> bool:
        """Whether it is time to save, ``step`` being the completed training steps.

        It goes on to say True until something is saved. After SIGTERM it says True exactly once more, whatever the
        rhythm. Raises NotInJobError in a reader.

        >>> with Checkpoint(every_steps=100) as ckpt:
        ...     for step in range(300):
        ...         if ckpt.should_save(step + 1):
        ...             ref = ckpt.save(step=step + 1)
        ...     [info.step for info in ckpt.list()]
        [300, 200, 100]
        """
        return self._need_writer("should_save").rhythm.should_save(step)

    @property
    def preempted(self) -> bool:
        """Whether SIGTERM has come."""
        return self._writer is not None and self._writer.rhythm.preempted

    @property
    def should_stop(self) -> bool:
        """Preempted, and the final save has been taken: leave the loop. Leaving the block then exits with 143.

        >>> ckpt.should_stop
        False
        """
        return self._writer is not None and self._writer.rhythm.should_stop

    # --- saving -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def stage(
        self,
        *,
        name: str | None = None,
        step: int | None = None,
        epoch: int | None = None,
        metrics: Mapping[str, Scalar] | None = None,
        metadata: Mapping[str, object] | None = None,
        latest: bool = True,
    ) -> Iterator[Path]:
        """An empty folder to write into; sealed by a rename at the block's end, uploaded while training goes on.

        Waits only while an earlier save is still in flight and another one queued. An exception in the block discards
        the folder. A failed upload surfaces once, at the next call.

        Args:
            name: series of the checkpoint, such as ``"best"`` kinds of one's own.
            step: completed training steps; describes, orders nothing.
            metrics: at most 32 numbers by name; tensors with ``.item()`` are fine; NaN is kept and never best.
            metadata: at most 2 KiB of plain JSON; comes back as ``info.metadata``.
            latest: False for one that no policy may choose.
        Raises:
            NotInJobError, InvalidArgumentError, UnstorableError, SupersededError, SaveFailedError (of an earlier save).

        >>> with ckpt.stage(step=300, metrics={"loss": 0.125}) as folder:
        ...     save_state(folder / "model.txt")
        >>> ckpt.wait()
        >>> ckpt.latest().step
        300
        """
        writer = self._need_writer("stage")
        with _counted(writer):
            writer.raise_deferred()
            what = Describe.of(
                name=name,
                step=step,
                epoch=epoch,
                metrics=metrics,
                metadata=metadata,
                latest=latest,
                match=self._context.match,
            )
            folder = self._staging.new_stage()
            try:
                yield folder
            except BaseException:
                self._staging.discard(folder)
                raise
        source = Source(
            take=lambda: self._staging.seal(folder), release=lambda taken: self._staging.discard(taken or folder)
        )
        writer.save(what, source, wait=False)

    def save(
        self,
        path: StrPath | None = None,
        *,
        name: str | None = None,
        step: int | None = None,
        epoch: int | None = None,
        metrics: Mapping[str, Scalar] | None = None,
        metadata: Mapping[str, object] | None = None,
        latest: bool = True,
        wait: bool = True,
        move: bool = False,
    ) -> CheckpointRef:
        """Commit a snapshot of ``path``, a directory or a file; :attr:`directory` by default.

        The tree is stored exactly: modes, empty directories, links within it (links out of it are followed).

        Args:
            wait: True returns when the checkpoint is committed. False copies the tree, uploads in the background, and
                ``ref.committed`` tells; a failure surfaces once, at the next call.
            move: take ``path`` away instead of copying it.
            name, step, epoch, metrics, metadata, latest: as for :meth:`stage`.
        Returns:
            A reference that stays valid across versions, and wherever the store can be reached.
        Raises:
            NotInJobError: this process has no identity; the message says how to get one.
            SupersededError: a newer attempt has claimed this task; nothing was committed.
            ChangedDuringSaveError, UnstorableError, InvalidArgumentError, StoreError.

        >>> save_state(ckpt.path / "model.txt")
        >>> ref = ckpt.save(step=300, metrics={"loss": 0.125})
        >>> ref.name, ref.committed
        ('digits-2-...', True)
        """
        writer = self._need_writer("save")
        with _counted(writer):
            writer.raise_deferred()
            what = Describe.of(
                name=name,
                step=step,
                epoch=epoch,
                metrics=metrics,
                metadata=metadata,
                latest=latest,
                match=self._context.match,
            )
            given = Path(path) if path is not None else self.path
            if move and given == self.path:
                raise InvalidArgumentError("the handle's own directory cannot be moved", remedy="leave move out")
        return writer.save(what, self._source(given, move=move, copied=move or not wait), wait=wait)

    def _source(self, given: Path, *, move: bool, copied: bool) -> Source:
        def take() -> Path:
            if not given.exists():
                raise InvalidArgumentError(f"{given} does not exist", remedy="pass a directory or a file that does")
            return self._staging.take(given, move=move) if copied else given

        def release(taken: Path | None) -> None:
            if copied and taken is not None:
                self._staging.release(taken)

        return Source(take, release)

    def publish(self, name: str, value: object) -> None:
        """Make a small value visible under a name, at once, for as long as the store has this run.

        ``Workflow(…).latest_run["task"].task["name"].data`` reads it. Publishing a name again replaces its value. Where
        several ranks call it, rank 0's value counts.

        Args:
            value: plain JSON of at most 16 KiB, or a checkpoint; one that is still being saved is waited for.
        Raises:
            NotInJobError, InvalidArgumentError, SaveFailedError, SupersededError, StoreError.

        >>> ckpt.publish("best", ref)
        >>> task = Workflow("digits")["digits-2"]["main"].task
        >>> task["best"].data == ref.to_json()
        True
        """
        self._need_writer("publish").publish(name, value)

    def wait(self) -> None:
        """Return when every save so far is committed.

        Raises:
            NotInJobError: this process has no identity.
            SaveFailedError, SupersededError: what failed among them, once.

        >>> ref = ckpt.save(step=300, wait=False)
        >>> ckpt.wait()
        >>> ref.committed
        True
        """
        self._need_writer("wait").wait()


@contextlib.contextmanager
def _counted(writer: Role) -> Iterator[None]:
    """What fails before a save begins: other ranks have counted the call, or will, and number theirs accordingly."""
    try:
        yield
    except BaseException:
        writer.skip()
        raise
