"""All interleavings of a few claimants, played through; see ``tests.support.claim_world`` for the world they live in.

What each world holds is in its name. Four claimants may all crash, each between any two of its requests, and retry
without bound. Commits, late requests of dead processes and processes wrongly taken for dead are played with two and
three claimants: those faults add states faster than a fourth claimant adds new situations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.support.claim_model import explore
from tests.support.claim_world import BrokenInvariantError, Rules, World
from trainpoint.claim import protocol
from trainpoint.claim.protocol import Board, Mark, Stock, Try

WORLDS = {
    "two that may crash": World(2, crashes=2),
    "three that may crash": World(3, crashes=3),
    "four that may crash": World(4, crashes=4),
    "three, last requests arrive late": World(3, crashes=3, ghosts=True),
    "three that cannot see each other": World(3, crashes=3, far=True),
    "three with listings that are not atomic": World(3, crashes=1, torn=True),
    "two that commit, all goes wrong": World(2, crashes=2, suspects=2, ghosts=True, commits=True),
    "two that commit, all goes wrong, unseen": World(2, crashes=2, suspects=2, ghosts=True, commits=True, far=True),
    "three that commit, one taken for dead": World(3, suspects=1, commits=True),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_no_interleaving_breaks_the_protocol(world: World) -> None:
    """One live winner at most, rising numbers, nobody stuck, and what was reported as committed stays eligible."""
    seen = explore(world)
    assert seen.states > 50
    assert seen.wins > 0, "else nothing was checked"
    assert (seen.reports > 0) == world.commits


# --- the same model finds what is wrong with a broken protocol --------------------------------------------------------


def without_intents(board: Board) -> tuple[Mark, ...]:
    return tuple(mark for mark in protocol.rivals(board) if mark.won)


def without_check(now: Try, _: Board) -> Try:
    return protocol.checked(now, Board())


def check_of_higher_numbers(now: Try, board: Board) -> Try:
    """Give up if another marker has the same or a higher number, and only then."""
    others = [mark for mark in board.marks if mark.attempt >= now.attempt and mark.uid != now.uid]
    return protocol.checked(replace(now, known=frozenset()), Board(tuple(others)))


def without_bar(now: Try, board: Board, *, bar: bool) -> Try:
    return protocol.looked(now, board, bar=False)


def seeing_nothing(_: Iterable[str]) -> Stock:
    return Stock()


BROKEN = {
    "a Look that ignores intents": (World(2, rules=Rules(rivals=without_intents)), "was won before"),
    "no Check": (World(2, rules=Rules(checked=without_check)), "was won before"),
    "a Check of numbers alone, listings not atomic": (
        World(3, torn=True, rules=Rules(checked=check_of_higher_numbers)),
        "was won before|two live winners",
    ),
    "no bar before taking stock": (
        World(2, suspects=1, commits=True, rules=Rules(looked=without_bar)),
        "reported as committed and is superseded",
    ),
    "a fence that has seen nothing": (
        World(2, commits=True, rules=Rules(take_stock=seeing_nothing)),
        "reported as committed and is superseded",
    ),
}


@pytest.mark.parametrize(("world", "finding"), BROKEN.values(), ids=BROKEN.keys())
def test_the_model_finds_what_is_wrong_with(world: World, finding: str) -> None:
    with pytest.raises(BrokenInvariantError, match=finding):
        explore(world)


def test_the_model_finds_a_protocol_in_which_somebody_waits_for_ever() -> None:
    def never(now: Try, _: Board) -> Try:
        return replace(now, action="PutLost")

    with pytest.raises(BrokenInvariantError, match="nobody can ever win"):
        explore(World(2, rules=Rules(checked=never)))


def test_a_check_of_numbers_alone_would_do_if_listings_were_atomic() -> None:
    """What the docstring of the protocol says of the simpler rule."""
    assert explore(World(3, rules=Rules(checked=check_of_higher_numbers))).wins > 0
