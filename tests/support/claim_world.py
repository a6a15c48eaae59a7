"""A small world in which every interleaving of a few claimants is played through.

The world has a store (read-after-write, list-after-write, nothing conditional), processes that claim, commit and end,
and misfortune: a process may die between any two requests, its last request may still arrive later, and a live process
may be taken for dead. Each request is one step. What a process does next is decided by the functions of
``trainpoint.claim.protocol`` and ``trainpoint.policies.start`` themselves; :class:`Rules` holds them, so that a test
can break one and see the model find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import combinations
from typing import Final, NamedTuple

from trainpoint.catalog.entries import entries_of
from trainpoint.claim import protocol
from trainpoint.claim.protocol import Board, Mark, Stock, Try
from trainpoint.format.layout import EVERY_SEQUENCE, SnapshotId, TaskPath, manifest_key
from trainpoint.policies.start import Allow, Rival, StartInput, may_start

TASK: Final = TaskPath("w", "r", "main")
T0: Final = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO: Final = 1e9

Obj = tuple[int, int, str]
"""An object of ``attempts/``: number, uid, suffix."""
Key = tuple[int, int, int, str]
"""An object of ``manifests/``: attempt, sequence, uid, suffix."""
KnownClaim = tuple[int, int, bool]


@dataclass(frozen=True)
class Rules:
    """What is checked: the functions that decide."""

    rivals: Callable[[Board], tuple[Mark, ...]] = protocol.rivals
    looked: Callable[..., Try] = protocol.looked
    checked: Callable[[Try, Board], Try] = protocol.checked
    took_stock: Callable[[Try, Stock], Try] = protocol.took_stock
    take_stock: Callable[[Iterable[str]], Stock] = protocol.take_stock


@dataclass(frozen=True)
class World:
    """How many there are, and how much may go wrong."""

    claimants: int
    crashes: int = 0
    """how many processes may die"""
    ghosts: bool = False
    """whether the last request of one that died may arrive later"""
    suspects: int = 0
    """how many live processes may be taken for dead"""
    commits: bool = False
    """whether winners commit a checkpoint before they end"""
    far: bool = False
    """processes cannot see each other: a dead one is only known by its silence"""
    torn: bool = False
    """listings take time and show any part of what is written meanwhile; whoever gives up leaves"""
    rules: Rules = Rules()


class Proc(NamedTuple):
    """One process."""

    stage: str = "Look"
    """the next request; ``Gone``: dead; ``Done``: it has ended in order"""
    uid: int = 0
    n: int = -1
    floor: int = -1
    known: frozenset[KnownClaim] = frozenset()
    bar: bool = False
    seen: int = 0
    first: int = 0
    """sequence that it would commit next"""
    suspect: bool = False
    snapshot: frozenset[Obj] | None = None
    """of a listing that is under way (torn listings only)"""

    @property
    def running(self) -> bool:
        return self.stage not in ("Gone", "Done")

    @property
    def holds(self) -> bool:
        """Has won, lives, has not ended."""
        return self.stage in ("Before", "Commit", "After", "End")

    @property
    def claiming(self) -> bool:
        return self.running and not self.holds


class State(NamedTuple):
    procs: tuple[Proc, ...]
    objs: frozenset[Obj] = frozenset()
    keys: frozenset[Key] = frozenset()
    reported: frozenset[Key] = frozenset()
    """manifests whose commit was reported as good to their writer"""
    ghosts: frozenset[Obj | Key] = frozenset()
    """requests of the dead that may still arrive"""
    top: int = -1
    """number of a claim that was given up and that every claimant knows, if higher than all others"""
    won: int = -1
    """highest number of a claim that a live process has won"""
    crashes: int = 0
    suspects: int = 0


class BrokenInvariantError(AssertionError):
    """An invariant is broken; the message tells how it came to that."""


# --- the store as the processes see it --------------------------------------------------------------------------------


@cache
def board_of(objs: frozenset[Obj], top: int) -> Board:
    suffixes: dict[tuple[int, str], set[str]] = {}
    for n, uid, suffix in objs:
        suffixes.setdefault((n, str(uid)), set()).add(suffix)
    if top >= 0:
        suffixes[top, "forgotten"] = {"intent", "lost"}
    return Board(tuple(Mark(n, uid, frozenset(s), T0, T0) for (n, uid), s in sorted(suffixes.items())))  # type: ignore[arg-type]


@cache
def listing_of(keys: frozenset[Key]) -> tuple[str, ...]:
    return tuple(sorted(manifest_key(TASK, SnapshotId(a, s, f"{u:016x}"), suffix) for a, s, u, suffix in keys))  # type: ignore[arg-type]


@cache
def superseded_in(keys: frozenset[Key]) -> frozenset[tuple[int, int]]:
    return frozenset((e.id.attempt, e.id.sequence) for e in entries_of(listing_of(keys)) if e.superseded)


# --- one step ---------------------------------------------------------------------------------------------------------


class Model:
    """Successors of a state."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rules = world.rules
        self._stocks: dict[frozenset[Key], Stock] = {}

    def initial(self) -> State:
        return State(
            tuple(Proc(uid=i) for i in range(self.world.claimants)),
            crashes=self.world.crashes,
            suspects=self.world.suspects,
        )

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """What the processes may do: (in words, state afterwards)."""
        for i, proc in enumerate(state.procs):
            if proc.running:
                for name, after in self._step(state, i, proc):
                    yield f"{proc.uid}: {name}", after

    def misfortunes(self, state: State) -> Iterator[tuple[str, State]]:
        """What may befall them."""
        for i, proc in enumerate(state.procs):
            if not proc.running or proc.stage == "Look":  # one that dies there was never there
                continue
            if state.crashes:
                gone = proc._replace(stage="Gone", known=frozenset(), snapshot=None)
                dead = _with(state, i, gone)._replace(crashes=state.crashes - 1)
                yield f"{proc.uid}: dies before {proc.stage}", dead
                pending = self._pending(proc) if self.world.ghosts else None
                if pending is not None:
                    yield f"{proc.uid}: dies in {proc.stage}", dead._replace(ghosts=state.ghosts | {pending})
            if state.suspects and not proc.suspect:
                taken = _with(state, i, proc._replace(suspect=True))._replace(suspects=state.suspects - 1)
                yield f"{proc.uid}: is taken for dead", taken
        for ghost in state.ghosts:
            rest = state._replace(ghosts=state.ghosts - {ghost})
            yield f"arrives late: {ghost}", self._add(rest, ghost)

    def _pending(self, p: Proc) -> Obj | Key | None:
        """What a process that dies in this request may yet have written."""
        match p.stage:
            case "PutIntent":
                return (p.n, p.uid, "intent")
            case "PutBar":
                return (p.n, EVERY_SEQUENCE, p.uid, "fence")
            case "PutFence":
                return (p.n, p.seen, p.uid, "fence")
            case "PutRecord":
                return (p.n, p.uid, "json")
            case "Commit":
                return (p.n, p.first, p.uid, "json")
            case "End":
                return (p.n, p.uid, "end")
        return None

    def _step(self, s: State, i: int, p: Proc) -> Iterator[tuple[str, State]]:
        match p.stage:
            case "Look" | "Check":
                yield from self._listing(s, i, p)
            case "TakeStock":
                yield "takes stock", _with(s, i, self._after(p, self.rules.took_stock(_try(p), self._stock(s.keys))))
            case "PutLost":
                yield "gives up", self._lose(s, i, p)
            case "Before" | "After":
                overtaken = any(key[0] > p.n for key in s.keys)
                if overtaken:
                    yield "finds that it is superseded", _with(s, i, p._replace(stage="Gone"))
                elif p.stage == "Before":
                    yield "may commit", _with(s, i, p._replace(stage="Commit"))
                else:
                    good = s.reported | {(p.n, p.first, p.uid, "json")}
                    yield "reports", _with(s, i, p._replace(stage="End"))._replace(reported=good)
            case _:
                pending = self._pending(p)
                assert pending is not None, p
                following = {"Commit": "After", "End": "Done"}
                if p.stage in following:
                    after = p._replace(stage=following[p.stage])
                else:
                    after = self._after(p, protocol.written(_try(p)))
                added = self._add(_with(s, i, after), pending)
                if p.stage == "PutRecord":
                    if not p.suspect and p.n <= s.won:
                        raise BrokenInvariantError(f"{p.uid} wins number {p.n} although {s.won} was won before")
                    added = added._replace(won=max(s.won, p.n))
                yield f"does {p.stage}", added

    def _listing(self, s: State, i: int, p: Proc) -> Iterator[tuple[str, State]]:
        if not self.world.torn:
            yield from self._listed(s, i, p, s.objs)
        elif p.snapshot is None:
            yield f"begins to {p.stage}", _with(s, i, p._replace(snapshot=s.objs))
        else:
            meanwhile = sorted(s.objs - p.snapshot)
            for size in range(len(meanwhile) + 1):
                for some in combinations(meanwhile, size):
                    yield from self._listed(s, i, p._replace(snapshot=None), p.snapshot | set(some))

    def _listed(self, s: State, i: int, p: Proc, objs: frozenset[Obj]) -> Iterator[tuple[str, State]]:
        board = board_of(objs, s.top)
        if p.stage == "Check":
            yield "checks", _with(s, i, self._after(p, self.rules.checked(_try(p, s.top), board)))
            return
        found = [self._rival(s, mark) for mark in self.rules.rivals(board)]
        verdict = may_start(StartInput("t", found, takeover=frozenset(str(q.uid) for q in s.procs if q.suspect)))
        if isinstance(verdict, Allow):
            yield "looks", _with(s, i, self._after(p, self.rules.looked(_try(p), board, bar=bool(verdict.overtaken))))
        elif self.world.torn:
            yield "has to wait", _with(s, i, p)

    def _rival(self, s: State, mark: Mark) -> Rival:
        owner = next((q for q in s.procs if str(q.uid) == mark.uid), None)
        gone = owner is None or not owner.running
        if self.world.far:
            quiet = LONG_AGO if gone or (owner is not None and owner.suspect) else 0.0
            return Rival(mark.attempt, mark.uid, mark.won, "Unknown", quiet, "", "")
        # With quiet_seconds as long: what a takeover, asked for by a person, passes over.
        return Rival(mark.attempt, mark.uid, mark.won, "Dead" if gone else "Alive", LONG_AGO, "", "")

    def _stock(self, keys: frozenset[Key]) -> Stock:
        if keys not in self._stocks:
            self._stocks[keys] = self.rules.take_stock(listing_of(keys))
        return self._stocks[keys]

    def _after(self, p: Proc, now: Try) -> Proc:
        stage = now.action if now.action != "Won" else ("Before" if self.world.commits else "End")
        # What a stage will not look at again is forgotten, so that fewer states differ.
        return p._replace(
            stage=stage,
            n=now.attempt,
            floor=now.floor,
            known=_known(now) if stage in ("PutIntent", "Check") else frozenset(),
            bar=now.bar and stage in ("PutIntent", "Check", "PutBar", "TakeStock"),
            seen=now.stock.seen if stage == "PutFence" else 0,
            first=now.stock.first_sequence
            if stage in ("PutFence", "PutRecord", "Before") and self.world.commits
            else 0,
        )

    def _lose(self, s: State, i: int, p: Proc) -> State:
        """The number is given up; the next try has a uid of its own."""
        used = {o[1] for o in s.objs} | {q.uid for q in s.procs} | {g[-2] for g in s.ghosts if isinstance(g[-2], int)}
        fresh = max(used) + 1
        again = Proc("Gone" if self.world.torn else "Look", uid=fresh, floor=p.floor, suspect=p.suspect)
        return self._add(_with(s, i, again), (p.n, p.uid, "lost"))

    def _add(self, state: State, written: Obj | Key) -> State:
        if len(written) == 3:
            return state._replace(objs=state.objs | {written})
        return state._replace(keys=state.keys | {written}) if self.world.commits else state

    # --- invariants ---------------------------------------------------------------------------------------------------

    def check(self, state: State) -> None:
        """Raise BrokenInvariantError if the state must not be."""
        trusted = [p for p in state.procs if p.holds and not p.suspect]
        if len(trusted) > 1:
            raise BrokenInvariantError(f"two live winners: {trusted}")
        if state.reported:
            for a, s, *_ in state.reported:
                if (a, s) in superseded_in(state.keys):
                    raise BrokenInvariantError(f"checkpoint {a}-{s} was reported as committed and is superseded")


def _try(p: Proc, top: int = -1) -> Try:
    known = {(n, str(uid), won) for n, uid, won in p.known}
    if top >= 0:
        known.add((top, "forgotten", False))  # known to all who are under way, see `canonical`
    stock = Stock(seen=p.seen, first_sequence=p.first)
    return Try(str(p.uid), p.stage, p.floor, p.n, frozenset(known), p.bar, stock)  # type: ignore[arg-type]


def _known(now: Try) -> frozenset[KnownClaim]:
    return frozenset((n, int(uid), won) for n, uid, won in now.known if uid != "forgotten")


def _with(state: State, i: int, proc: Proc) -> State:
    return state._replace(procs=(*state.procs[:i], proc, *state.procs[i + 1 :]))
