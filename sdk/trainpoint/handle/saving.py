"""The half of a handle that needs an identity: the rhythm of a training loop, and saving."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainpoint.errors import InvalidArgumentError
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle import artifacts
from trainpoint.handle.arguments import Scalar
from trainpoint.handle.marking import Marking
from trainpoint.handle.reading import StrPath
from trainpoint.handle.writer import Describe, Writer
from trainpoint.transfer.stage import StagingArea


class Saving(Marking):
    """What a :class:`~trainpoint.Checkpoint` of a process with an identity can do besides."""

    _staging: StagingArea
    _writer: Writer | None

    @abstractmethod
    def _need_writer(self, verb: str) -> Writer:
        """The writer; raises NotInJobError in a reader, ClosedError where the handle is not open."""

    # --- the rhythm of a training loop --------------------------------------------------------------------------------

    def should_save(self, step: int | None = None) -> bool:
        """Whether it is time to save, ``step`` being the completed training steps.

        After SIGTERM it says True exactly once more, whatever the rhythm.
        """
        return self._need_writer("should_save").should_save(step)

    @property
    def preempted(self) -> bool:
        """Whether SIGTERM has come."""
        return self._writer is not None and self._writer.preempted

    @property
    def should_stop(self) -> bool:
        """Preempted, and the final save has been taken: leave the loop. Leaving the block then exits with 143."""
        return self._writer is not None and self._writer.should_stop

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
            metadata: at most 2 KiB of plain JSON.
            latest: False for one that no policy may choose.
        Raises:
            NotInJobError, InvalidArgumentError, UnstorableError, SupersededError, SaveFailedError (of an earlier save).
        """
        writer = self._need_writer("stage")
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
        sealed = self._staging.seal(folder)
        writer.save(writer.request(what, sealed, lambda: self._staging.discard(sealed)), wait=False)

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
        """
        writer = self._need_writer("save")
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
        source = Path(path) if path is not None else self.path
        if not source.exists():
            raise InvalidArgumentError(f"{source} does not exist", remedy="pass a directory or a file that does")
        if move and source == self.path:
            raise InvalidArgumentError("the handle's own directory cannot be moved", remedy="leave move out")
        owned = move or not wait
        if owned:
            source = self._staging.take(source, move=move)
        request = writer.request(what, source, (lambda: self._staging.release(source)) if owned else (lambda: None))
        writer.save(request, wait=wait)
        return request.ref

    def publish(self, name: str, value: object) -> None:
        """Make a small value visible under a name, at once, for as long as the store has this run.

        ``Workflow(…).latest_run["task"].task["name"].data`` reads it. Publishing a name again replaces its value.

        Args:
            value: plain JSON of at most 16 KiB, or a checkpoint; one that is still being saved is waited for.
        Raises:
            NotInJobError, InvalidArgumentError, SaveFailedError, SupersededError, StoreError.
        """
        writer = self._need_writer("publish")
        if isinstance(value, CheckpointRef) and not value.committed:
            writer.flush()
        writer.raise_deferred()
        artifacts.publish(self._context.catalog, writer.claim, name, value)

    def wait(self) -> None:
        """Return when every save so far is committed; raise what failed among them."""
        writer = self._need_writer("wait")
        writer.flush()
        writer.raise_deferred()
