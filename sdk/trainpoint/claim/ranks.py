"""How the ranks of one task come to load the same checkpoint, as pure steps: what to do next, given what was read.

Rank 0 claims the task as any process does. The others find its claim in the listing of ``attempts/``, load what it
names, and say so; when all have, rank 0 says *go*. Nothing is conditional, and no launch has a name: launchers repeat
theirs. What makes it safe:

- A follower believes only a *go* that names its own nonce, drawn when it started. An attempt that ended before, or
  whose rank 0 is dead, can never say that; so a follower that is quicker than the new claim waits, and goes over to the
  newer attempt as soon as it sees one.
- Votes lie beneath the claim's uid and name a round, so that an earlier attempt's, or an earlier round's, never count.
- Until *go* no rank has shown its directory to the program. So all can still discard it together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainpoint.claim.protocol import Mark
from trainpoint.format.ranks import GoRecord, VoteRecord
from trainpoint.format.records import LoadedRecord

NAMED_RANKS: Final = 8
"""How many ranks a message names; it counts the others."""


def ranks_text(ranks: Sequence[int]) -> str:
    """``rank 3``, ``ranks 1, 2``, ``ranks 1, 2, 3 … (61 in all)``."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    some = ", ".join(map(str, ranks[:NAMED_RANKS]))
    return f"ranks {some}" + (f" … ({len(ranks)} in all)" if len(ranks) > NAMED_RANKS else "")


# --- rank 0 -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Missing:
    """Wait: these have said nothing about this round."""

    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rank cannot use the checkpoint: choose another one."""

    vote: VoteRecord


@dataclass(frozen=True, slots=True)
class Broken:
    """A rank could not load anything, for a reason of its own: this start has failed."""

    vote: VoteRecord


@dataclass(frozen=True, slots=True)
class Go:
    """All have it."""

    nonces: Mapping[int, str]


def heard(world_size: int, round: int, votes: Mapping[int, VoteRecord]) -> Missing | Rejected | Broken | Go:
    """What rank 0 does with the votes that lie there. One objection suffices, whoever is still loading."""
    others = range(1, world_size)
    said = {rank: votes[rank] for rank in others if rank in votes and votes[rank].round == round}
    for rank in others:
        if rank in said and said[rank].word == "Failed":
            return Broken(said[rank])
    for rank in others:
        if rank in said and said[rank].word == "Unusable":
            return Rejected(said[rank])
    missing = tuple(rank for rank in others if rank not in said)
    return Missing(missing) if missing else Go({rank: said[rank].nonce for rank in others})


# --- the others -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """A follower, and what it has said last."""

    rank: int
    world_size: int
    nonce: str
    claim_uid: str = ""
    """of the claim that it has voted for; empty: none yet"""
    round: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a follower read: the newest claim that was won, and what its rank 0 has written."""

    newest: Mark | None
    loaded: LoadedRecord | None = None
    go: GoRecord | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait, and say for what."""

    message: str
    alive: bool
    """whether a sign of life of that claim's process is a reason to wait longer"""


@dataclass(frozen=True, slots=True)
class Load:
    """Load what this record names, then vote."""

    mark: Mark
    loaded: LoadedRecord


@dataclass(frozen=True, slots=True)
class Begin:
    """Rank 0 has counted this very process: go."""

    mark: Mark


def follow(me: Standing, seen: Seen) -> Hold | Load | Begin:
    """What a follower does next."""
    mark = seen.newest
    if mark is None:
        return Hold("rank 0 has not claimed the task", alive=False)
    attempt = f"attempt {mark.attempt}"
    voted = me.claim_uid == mark.uid
    if seen.go is not None:
        mine = seen.go.nonces.get(me.rank) == me.nonce
        if voted and mine and seen.go.round == me.round:
            return Begin(mark)
        return Hold(f"rank 0 has not claimed the task anew; {attempt} has begun without this process", alive=False)
    if mark.ended:
        return Hold(f"rank 0 has not claimed the task anew; {attempt} has ended", alive=False)
    if seen.loaded is None:
        return Hold(f"rank 0 has not decided what {attempt} starts from", alive=True)
    if seen.loaded.ranks == 1:
        return Hold(f"rank 0 has opened {attempt} for itself alone (with collective=False?)", alive=False)
    if seen.loaded.ranks != me.world_size:
        return Hold(
            f"rank 0 has not claimed the task anew; {attempt} is one of {seen.loaded.ranks} ranks, not of "
            f"{me.world_size}",
            alive=False,
        )
    if voted and seen.loaded.round == me.round:
        return Hold(f"rank 0 has not heard all other ranks of {attempt}", alive=True)
    return Load(mark, seen.loaded)


def lost_in_order(pending: Sequence[int], committed: Sequence[int]) -> tuple[int, ...]:
    """Sequences that will never be committed: rank 0 commits in order, and a later one is there."""
    newest = max(committed, default=0)
    return tuple(sequence for sequence in pending if sequence < newest and sequence not in committed)
