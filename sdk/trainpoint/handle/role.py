"""What a handle asks of the part that its process plays: the one writer of its task, or a rank that follows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from trainpoint.context import Context
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import LoadedRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.follower import Follower
from trainpoint.handle.ranks import part_of
from trainpoint.handle.rhythm import Rhythm
from trainpoint.handle.save import Source
from trainpoint.handle.writer import Describe, Writer
from trainpoint.identity import Identity

How = Literal["Completed", "Failed", "Preempted", "Refused"]


class Role(Protocol):
    """:class:`~trainpoint.handle.writer.Writer` and :class:`~trainpoint.handle.follower.Follower`."""

    @property
    def identity(self) -> Identity: ...
    @property
    def attempt(self) -> int | None: ...
    @property
    def why(self) -> LoadedRecord | None: ...
    @property
    def rhythm(self) -> Rhythm: ...

    def resume(self, target: Path) -> Manifest | None:
        """Load the starting point into ``target``, on all ranks the same."""
        ...

    def note_loaded(self, found: Manifest, *, own: bool) -> None:
        """The program has loaded another one; ``own``: into the handle's own directory."""
        ...

    def raise_deferred(self) -> None:
        """Surface what failed in the background, once."""
        ...

    def skip(self) -> None:
        """A call of ``save`` or ``stage`` has failed before it began a save: the other ranks have counted it."""
        ...

    def save(self, what: Describe, source: Source, *, wait: bool) -> CheckpointRef: ...
    def publish(self, name: str, value: object) -> None: ...
    def wait(self) -> None: ...

    def flush(self) -> None:
        """Wait until nothing of this process is in flight."""
        ...

    def close_records(self) -> None: ...
    def end(self, how: How, message: str, exit_code: int) -> None: ...
    def abandon(self) -> None: ...


def take_part(
    context: Context,
    identity: Identity,
    *,
    every_steps: int | None,
    every_seconds: float | None,
    on_error: Literal["raise", "warn"],
    collective: bool,
) -> Role:
    """Claim the task, or follow whoever does. Raises what :meth:`Writer.open` and :func:`part_of` raise."""
    part = part_of(identity, collective=collective)
    save = context.settings.save
    if every_steps is not None or every_seconds is not None:  # the program's own rhythm replaces the policy's
        save = replace(save, every_steps=every_steps, every_seconds=every_seconds)
    if part == "Follower":
        return Follower(context, identity, save)
    return Writer.open(context, identity, save, on_error=on_error, ranks=identity.world_size if part == "First" else 1)
