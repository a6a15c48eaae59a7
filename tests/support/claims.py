"""Claims by processes that need not exist: who they are, and who of them is said to live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trainpoint.claim.store import AttemptView, Claim, claim
from trainpoint.format.layout import SnapshotId, TaskPath, attempt_key, manifest_key, parse_manifest_key
from trainpoint.format.records import AttemptRecord, EndRecord, Holder, claim_mark
from trainpoint.policies.start import Refuse
from trainpoint.store.base import Store
from trainpoint.testing import FakeChance, FakeClock, MemoryStore

TASK = TaskPath("w", "r", "main")
BOOT = "boot/1"


def process(pid: int, *, host: str = "here", boot: str = BOOT) -> Holder:
    return Holder(host=host, pid=pid, started=f"start-{pid}", boot=boot, uid=f"{pid:016x}", user="ada")


def elsewhere(pid: int) -> Holder:
    return process(pid, host="gpu-9", boot="other/1")


@dataclass
class Processes:
    """A process table: the pids in ``alive`` are there."""

    alive: set[int] = field(default_factory=set)

    def started(self, pid: int) -> str | None:
        return f"start-{pid}" if pid in self.alive else None


@dataclass
class Machine:
    """A store, a clock and the processes of one host."""

    clock: FakeClock = field(default_factory=FakeClock)
    chance: FakeChance = field(default_factory=FakeChance)
    processes: Processes = field(default_factory=Processes)
    store: Store = field(init=False)
    waits: list[str] = field(default_factory=list)
    """what ``on_wait`` was told"""

    def __post_init__(self) -> None:
        self.store = self.memory = MemoryStore(clock=self.clock)

    def claim(
        self,
        me: Holder,
        *,
        task: TaskPath = TASK,
        wait_seconds: float = 60.0,
        takeover: bool = False,
        refusal: Callable[[Sequence[AttemptView]], Refuse | None] | None = None,
    ) -> Claim:
        return claim(
            self.store,
            task,
            me,
            clock=self.clock,
            chance=self.chance,
            owner="ada",
            wait_seconds=wait_seconds,
            takeover=takeover,
            on_wait=self.waits.append,
            refusal=refusal,
            processes=self.processes,
        )


def forge(store: Store, holder: Holder, attempt: int, uid: str = "e" * 16, *, task: TaskPath = TASK) -> AttemptRecord:
    """A claim that was won, as another process would have left it."""
    record = AttemptRecord(task, attempt, uid, holder, "2026-01-01T00:00:00.000000Z")
    mark = claim_mark("Fence", attempt=attempt, uid=uid, time=record.time)
    store.put(manifest_key(task, SnapshotId(attempt, 0, uid), "fence"), mark)
    store.put(attempt_key(task, attempt, uid), record.to_bytes())
    return record


def ended(claimed: Claim) -> EndRecord:
    return EndRecord(claimed.attempt, claimed.uid, "Completed", exit_code=0)


def put_manifest(store: Store, attempt: int, sequence: int, uid: str = "d" * 16, *, task: TaskPath = TASK) -> str:
    """Something that looks like a checkpoint in a listing. Returns its key."""
    key = manifest_key(task, SnapshotId(attempt, sequence, uid))
    store.put(key, b"{}")
    return key


def suffixes(machine: Machine) -> list[str]:
    """What kinds of objects the attempts have left, sorted."""
    return sorted(row.key.rpartition(".")[2] for row in machine.store.list(TASK.attempts))


def fences(machine: Machine) -> list[tuple[int, int]]:
    """(attempt, sequence) of each fence, newest first."""
    parsed = [parse_manifest_key(row.key) for row in machine.store.list(TASK.manifests)]
    return [(p[0].attempt, p[0].sequence) for p in parsed if p is not None and p[1] == "fence"]
