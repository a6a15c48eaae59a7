"""The claim off-cluster, as pure steps: what to do next, given what a listing showed.

A store offers read-after-write and list-after-write, nothing conditional, and listings are not atomic: one sees all
that was written before it began, and any part of what is written while it runs. With that alone, at most one live
process at a time may hold a task. A try to claim goes so (``claim.store`` does the requests, in this order):

==========  ============================================================================================================
Look        list ``attempts/``. Somebody holds the task, or has announced that he wants it (an *intent* that is neither
            won nor given up), and is not known to be dead: wait (``policies.start``).
PutIntent   write ``<n>-<uid>.intent``; n is above every number seen.
Check       list again. Any claim that Look did not show: give n up (``.lost``), back off, begin anew.
PutBar      only where a rival was passed over that may yet wake up: a fence that supersedes nothing (see below).
TakeStock   list ``manifests/``: which checkpoints there are.
PutFence    write ``manifests/<~n>-<~seen>-<uid>.fence``: what earlier attempts commit above ``seen`` came too late.
PutRecord   write ``<n>-<uid>.json``. The claim is won.
==========  ============================================================================================================

**Never two live winners.** Take two processes that both pass Check, and let B's intent be written after A's. B's Check
began later still, so it showed A's claim; so B's Look had shown it too, or B would have given up. At that Look A had
neither won nor given up, nor was dead: B had to wait. (The rule "give up if another marker has a number ≥ n" would be
enough if listings were atomic. They are not, in a directory and beyond 1000 keys on S3: a Look that misses A's intent
while it shows a later one takes a higher number, and Check sees nothing ≥ n. Hence "any claim that Look did not show".)

**Numbers rise.** Whoever passes Check later has seen, at Look, all that passed before, and takes a number above it.

**Death.** A process that is provably gone is passed over at once, whatever it left behind. On S3 its last request may
still arrive. An intent: makes somebody's Check fail once. A record: its number is below that of every later winner,
since its intent was seen; only the highest won number counts as holder. A fence: see below. So no waiting is needed for
those, and a script that ``trainpoint run`` restarts on the same host goes on at once.

**A winner who was taken for dead** (elsewhere, silent for two minutes; or a takeover) may be alive. Each commit lists
``manifests/`` before and after; a key of a higher attempt means that it was superseded, and that the commit must not be
reported. That alone is not enough: the successor takes stock, then the old writer commits, checks, finds no fence and
reports success, then the fence goes up, which does not know that commit. Therefore the *bar* goes up before taking
stock. A commit whose second check shows no bar was there before the stock was taken, and the fence covers it; all
others are told. A bar names the highest possible sequence, so that a claimant who dies between bar and fence has
superseded nothing. Where all predecessors have ended, or are provably gone, nobody can be told anything, and the bar
is left out. For the same reason a fence that arrives late, from a claimant that died, cannot supersede what was
reported: it was made from a stock taken when everything reported by earlier attempts was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from trainpoint.catalog.entries import entries_of
from trainpoint.format.layout import EVERY_SEQUENCE, AttemptSuffix, parse_attempt_key, parse_manifest_key
from trainpoint.store.base import ObjectInfo

CLAIM_SUFFIXES: Final[frozenset[AttemptSuffix]] = frozenset({"intent", "lost", "json"})
"""The markers that make a claim. A beat alone is only somebody asking for the server's time."""
STOCK_KEYS: Final = 1000
"""At least so many keys are looked at (one page), more only within the newest attempt; see :func:`newest_keys`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One claim, as a listing of ``attempts/`` shows it."""

    attempt: int
    uid: str
    suffixes: frozenset[AttemptSuffix]
    first: datetime
    """when its first object was written, by the server's clock"""
    last: datetime
    """when its newest object was written: its last sign of life"""

    @property
    def won(self) -> bool:
        """It has a record. With a ``.lost`` beside it its process did not know whether the record had arrived, and
        gave the number up."""
        return "json" in self.suffixes and "lost" not in self.suffixes

    @property
    def ended(self) -> bool:
        return "end" in self.suffixes

    @property
    def unresolved(self) -> bool:
        return "intent" in self.suffixes and not self.suffixes & {"json", "lost"}


Known = tuple[int, str, bool]
"""What must not have changed between Look and Check: number, uid, whether it was won."""


@dataclass(frozen=True, slots=True)
class Board:
    """What a listing of ``attempts/`` shows."""

    marks: tuple[Mark, ...] = ()
    """the claims, by number and uid"""
    stamps: Mapping[str, datetime] = field(default_factory=dict)
    """time by the server's clock of each beat that belongs to no claim, by uid"""

    @property
    def top(self) -> int:
        """The highest number that anybody ever wanted; -1 if none."""
        return self.marks[-1].attempt if self.marks else -1

    @property
    def winners(self) -> tuple[Mark, ...]:
        """The attempts of this task, oldest first."""
        return tuple(m for m in self.marks if m.won)

    @property
    def known(self) -> frozenset[Known]:
        return frozenset((m.attempt, m.uid, m.won) for m in self.marks)


def read_board(rows: Iterable[ObjectInfo]) -> Board:
    """Sort the rows of a listing of ``attempts/`` by claim."""
    suffixes: dict[tuple[int, str], set[AttemptSuffix]] = {}
    times: dict[tuple[int, str], list[datetime]] = {}
    for row in rows:
        parsed = parse_attempt_key(row.key)
        if parsed is not None:
            number, uid, suffix = parsed
            suffixes.setdefault((number, uid), set()).add(suffix)
            times.setdefault((number, uid), []).append(row.modified)
    marks: list[Mark] = []
    stamps: dict[str, datetime] = {}
    for (number, uid), found in sorted(suffixes.items()):
        first, last = min(times[number, uid]), max(times[number, uid])
        if found & CLAIM_SUFFIXES:
            marks.append(Mark(number, uid, frozenset(found), first, last))
        elif "beat" in found:
            stamps[uid] = last
    return Board(tuple(marks), stamps)


def rivals(board: Board) -> tuple[Mark, ...]:
    """The claims whose process must be known to be dead before another claim may start.

    The newest won one, unless its end is recorded; and the unresolved intents above it. Earlier winners are superseded
    already. An unresolved intent below a won number can only have been passed over as dead, or will fail its Check.
    """
    newest = board.winners[-1:]
    above = newest[0].attempt if newest else -1
    held = tuple(m for m in newest if not m.ended)
    return held + tuple(m for m in board.marks if m.unresolved and m.attempt > above)


# --- what earlier attempts have committed -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stock:
    """What a listing of ``manifests/`` says to a claim."""

    top: int = -1
    """highest attempt of anything there; above those of ``attempts/`` only where that folder was lost"""
    seen: int = 0
    """highest sequence among checkpoints that are not superseded; 0 if there is none: what the fence says"""
    by_attempt: Mapping[int, int] = field(default_factory=dict)
    """the same of each attempt; very old attempts may be missing"""
    first_sequence: int = 1
    """above every sequence that occurs, superseded and fences included"""


def newest_keys(keys: Iterable[str]) -> Iterator[str]:
    """The keys that taking stock needs, from a listing of ``manifests/``; so it costs no more as a run grows old.

    What lies below the newest claim's fence is either superseded, or within what that fence has seen.
    """
    fenced: int | None = None
    for count, key in enumerate(keys):
        parsed = parse_manifest_key(key)
        if parsed is not None:
            snapshot, suffix = parsed
            if count >= STOCK_KEYS and fenced is not None and snapshot.attempt < fenced:
                return
            if fenced is None and suffix == "fence" and snapshot.sequence != EVERY_SEQUENCE:
                fenced = snapshot.attempt
        yield key


def take_stock(keys: Iterable[str]) -> Stock:
    """Read a listing of ``manifests/``, newest first as it comes."""
    needed = list(newest_keys(keys))
    parsed = [p for p in map(parse_manifest_key, needed) if p is not None]
    # Of the newest claim, whose stock held all before; kept, so that deleting a checkpoint never lowers a fence.
    fences = [s.sequence for s, suffix in parsed if suffix == "fence" and s.sequence != EVERY_SEQUENCE]
    by_attempt: dict[int, int] = {}
    for entry in entries_of(needed):
        if not entry.superseded:
            by_attempt.setdefault(entry.id.attempt, entry.id.sequence)  # descending: the first is the highest
    numbers = [s.sequence for s, _ in parsed if s.sequence != EVERY_SEQUENCE]
    return Stock(
        top=max((s.attempt for s, _ in parsed), default=-1),
        seen=max([*by_attempt.values(), *fences[:1]], default=0),
        by_attempt=by_attempt,
        first_sequence=max(numbers, default=0) + 1,
    )


# --- one try ----------------------------------------------------------------------------------------------------------

Action = Literal["Look", "PutIntent", "Check", "PutBar", "TakeStock", "PutFence", "PutRecord", "Won", "PutLost", "Lost"]
"""The next request to make; ``Won`` and ``Lost`` are the two ends."""


@dataclass(frozen=True, slots=True)
class Try:
    """Where one try to claim stands. The functions below lead from one to the next."""

    uid: str
    action: Action = "Look"
    floor: int = -1
    """highest attempt known from ``manifests/``"""
    attempt: int = -1
    """the number it wants, once that is chosen"""
    known: frozenset[Known] = frozenset()
    """what Look showed"""
    bar: bool = False
    """whether a rival was passed over that may wake up"""
    stock: Stock = Stock()


def looked(now: Try, board: Board, *, bar: bool) -> Try:
    """Look found nobody in the way: choose the number."""
    number = max(board.top, now.floor) + 1
    return replace(now, action="PutIntent", attempt=number, known=board.known, bar=bar)


def checked(now: Try, board: Board) -> Try:
    """Go on if nothing is there but what Look had shown, and the claim itself."""
    if board.known - now.known - {(now.attempt, now.uid, False)}:
        return replace(now, action="PutLost")
    return replace(now, action="PutBar" if now.bar else "TakeStock")


def took_stock(now: Try, stock: Stock) -> Try:
    """Give up where something in ``manifests/`` has this number already, or a higher one."""
    others = stock.top > now.attempt or (stock.top == now.attempt and not now.bar)
    return replace(now, action="PutLost" if others else "PutFence", stock=stock, floor=max(now.floor, stock.top))


def written(now: Try) -> Try:
    """The object that ``now.action`` names was written."""
    following: dict[Action, Action] = {
        "PutIntent": "Check",
        "PutBar": "TakeStock",
        "PutFence": "PutRecord",
        "PutRecord": "Won",
        "PutLost": "Lost",
    }
    return replace(now, action=following[now.action])


def given_up(now: Try) -> Try:
    """The number will not be used, since the try took too long or failed; nobody need wait for it."""
    return replace(now, action="PutLost")
