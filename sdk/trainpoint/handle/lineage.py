"""Where a checkpoint comes from: what its task had loaded, what that one's task had loaded, and so on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from trainpoint.catalog.base import CheckpointInfo, info_of
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.claim.protocol import Mark, read_board
from trainpoint.errors import (
    CheckpointDeletedError,
    CheckpointNotFoundError,
    CorruptRecordError,
    InvalidArgumentError,
    ObjectNotFoundError,
    UnsafePathError,
)
from trainpoint.format.layout import TaskPath, attempt_key
from trainpoint.format.records import LoadedRecord
from trainpoint.format.reference import CheckpointRef, parse_checkpoint_name, run_object_name

DEPTH: Final = 50
"""Loads that are followed back unless the caller says otherwise."""
ENTRIES_LIMIT: Final = 1000
"""Entries at most: a checkpoint has up to eight parents, and each of those has."""
BY_PROGRAM: Final = "named by the program"
"""Why a checkpoint was loaded that no policy chose."""

State = Literal["there", "deleted", "gone", "unreadable"]
"""``gone``: nothing in the store says what became of it. ``unreadable``: its manifest is damaged."""


@dataclass(frozen=True, slots=True)
class LineageEntry:
    """One checkpoint of a lineage. Of one that is not there any more, only what others say of it is known.

    >>> entry = ckpt.lineage(ref)[0]
    >>> entry.state, entry.depth, entry.step, entry.parents
    ('there', 0, 200, ())
    """

    name: str
    ref: CheckpointRef | None
    """None: nobody knows where it lay"""
    state: State
    """whether it can still be loaded"""
    depth: int
    """loads between this and what was asked for; 0 for that itself"""
    why: str
    """why it was loaded, by the first task of this lineage that did; empty for what was asked for"""
    step: int | None
    """completed training steps"""
    owner: str
    """who launched its run; empty: unknown"""
    time: datetime | None
    """when it was committed, by the writer's clock (UTC)"""
    parents: tuple[str, ...]
    """names of what its own task had loaded, the last one first"""

    @property
    def run(self) -> str:
        return self.ref.task.run if self.ref is not None else ""

    @property
    def attempt(self) -> int | None:
        return self.ref.id.attempt if self.ref is not None else None


@dataclass(frozen=True, slots=True)
class Loaded:
    """That somebody loaded a checkpoint."""

    name: str
    why: str = ""
    ref: CheckpointRef | None = None
    """where it lay, if that was written down"""
    step: int | None = None
    near: TaskPath | None = None
    """the task that loaded it"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup makes of it."""

    state: State
    ref: CheckpointRef | None = None
    info: CheckpointInfo | None = None
    parents: tuple[Loaded, ...] = ()
    """the last one first"""


def assemble(
    starts: Sequence[Loaded], lookup: Callable[[Loaded], Found], *, depth: int = DEPTH
) -> tuple[LineageEntry, ...]:
    """The lineage of ``starts``: nearest first, each checkpoint once, whatever points at what.

    ``lookup`` is called once for each entry. Pure but for that.
    """
    found: list[LineageEntry] = []
    waiting = deque((start, 0) for start in starts)
    known = {start.name for start in starts}
    while waiting and len(found) < ENTRIES_LIMIT:
        loaded, level = waiting.popleft()
        looked = lookup(loaded)
        info = looked.info
        found.append(
            LineageEntry(
                name=loaded.name,
                ref=looked.ref,
                state=looked.state,
                depth=level,
                why=loaded.why,
                step=info.step if info is not None else loaded.step,
                owner=info.owner if info is not None else "",
                time=info.time if info is not None else None,
                parents=tuple(parent.name for parent in looked.parents),
            )
        )
        for parent in looked.parents if level < depth else ():
            if parent.name not in known:
                known.add(parent.name)
                waiting.append((parent, level + 1))
    return tuple(found)


def is_cut(entries: Sequence[LineageEntry]) -> bool:
    """Whether there is more than the limit of depth has let through."""
    names = {entry.name for entry in entries}
    return any(parent not in names for entry in entries for parent in entry.parents)


def lineage_of(catalog: BucketCatalog, ref: CheckpointRef, *, depth: int = DEPTH) -> tuple[LineageEntry, ...]:
    """The lineage of a checkpoint, itself first. About three requests for each entry.

    Raises:
        StoreError: the store does not answer, or refuses. Whatever is missing or damaged is a gap, and no error.
    """
    return assemble([Loaded(ref.name, ref=ref)], InBucket(catalog).look, depth=_checked(depth))


def lineage_of_task(catalog: BucketCatalog, task: TaskPath, *, depth: int = DEPTH) -> tuple[LineageEntry, ...]:
    """What the attempts of a task started from, the newest attempt first, whether it saved anything or not."""
    lookup = InBucket(catalog)
    starts = [
        start
        for attempt in sorted(lookup.attempts(task), reverse=True)
        if (start := lookup.started_from(task, attempt, f"attempt {attempt}: ")) is not None
    ]
    first = {start.name: start for start in reversed(starts)}  # the newest attempt that started from it
    return assemble([s for s in starts if first[s.name] is s], lookup.look, depth=_checked(depth))


def _checked(depth: int) -> int:
    if depth < 0:
        raise InvalidArgumentError(f"depth={depth} is below 0", remedy="0 is the checkpoint itself")
    return depth


class InBucket:
    """Looks checkpoints up in a store, and asks for nothing twice."""

    def __init__(self, catalog: BucketCatalog) -> None:
        self._catalog = catalog
        self._attempts: dict[TaskPath, dict[int, Mark]] = {}
        self._records: dict[tuple[TaskPath, int], LoadedRecord | None] = {}
        self._tasks: dict[str, TaskPath | None] = {}

    def look(self, loaded: Loaded) -> Found:
        """One checkpoint, and what its task had loaded; a gap where it is not there any more."""
        ref, task, attempt = loaded.ref, None, None
        if ref is None:
            parsed = parse_checkpoint_name(loaded.name)
            task = self._task(parsed.run_object, loaded.near) if parsed is not None else None
            if parsed is not None and task is not None:
                attempt = parsed.attempt
                ref = self._catalog.find_in(task, parsed)
        if ref is None:  # its attempt may have left word all the same
            start = self.started_from(task, attempt) if task is not None and attempt is not None else None
            return Found("gone", parents=(start,) if start is not None else ())
        self._tasks.setdefault(run_object_name(ref.task), ref.task)
        start = self.started_from(ref.task, ref.id.attempt)
        left = (start,) if start is not None else ()
        try:
            info = info_of(self._catalog.manifest(ref.task, ref.id))
        except CheckpointDeletedError:
            return Found("deleted", ref, parents=left)
        except CheckpointNotFoundError:
            return Found("gone", ref, parents=left)
        except (CorruptRecordError, UnsafePathError):
            return Found("unreadable", ref, parents=left)
        named = [
            start if start is not None and start.name == name else Loaded(name, BY_PROGRAM, near=ref.task)
            for name in reversed(info.parents)
        ]
        if start is not None and start not in named and start.name != loaded.name:
            named.append(start)  # a manifest lists the last few loads only
        return Found("there", ref, info, tuple(named))

    def attempts(self, task: TaskPath) -> dict[int, Mark]:
        """The attempts of a task by number."""
        if task not in self._attempts:
            board = read_board(self._catalog.store.list(task.attempts))
            self._attempts[task] = {mark.attempt: mark for mark in board.winners}
        return self._attempts[task]

    def started_from(self, task: TaskPath, attempt: int, said: str = "") -> Loaded | None:
        """What an attempt loaded when it started; None: nothing, or nobody knows."""
        if (task, attempt) not in self._records:
            self._records[task, attempt] = self._record(task, attempt)
        record = self._records[task, attempt]
        if record is None or not record.checkpoint:
            return None
        place = CheckpointRef(record.task, record.snapshot) if record.task and record.snapshot else None
        return Loaded(record.checkpoint, f"{said}{record.policy}: {record.message}", place, record.step, task)

    def _record(self, task: TaskPath, attempt: int) -> LoadedRecord | None:
        mark = self.attempts(task).get(attempt)
        if mark is None or "loaded" not in mark.suffixes:
            return None
        key = attempt_key(task, mark.attempt, mark.uid, "loaded")
        try:
            return LoadedRecord.from_bytes(self._catalog.store.get(key), key=key)
        except (ObjectNotFoundError, CorruptRecordError):
            return None

    def _task(self, run_object: str, near: TaskPath | None) -> TaskPath | None:
        """The task that a name speaks of."""
        if run_object not in self._tasks:
            namespace = near.namespace if near is not None else ""
            named = self._catalog.tasks_named(run_object, namespace=namespace, near=near) if namespace else iter(())
            self._tasks[run_object] = next(named, None)
        return self._tasks[run_object]
