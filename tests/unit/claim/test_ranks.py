"""What rank 0 makes of the votes, and the others of what rank 0 has written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from trainpoint.claim.protocol import Mark
from trainpoint.claim.ranks import (
    Begin,
    Broken,
    Go,
    Hold,
    Load,
    Missing,
    Rejected,
    Seen,
    Standing,
    follow,
    heard,
    lost_in_order,
    ranks_text,
)
from trainpoint.format.layout import AttemptSuffix
from trainpoint.format.ranks import GoRecord, VoteRecord, Word
from trainpoint.format.records import LoadedRecord

THEN = datetime(2026, 1, 1, tzinfo=UTC)
UID = "a" * 16


def vote(rank: int, word: Word = "Loaded", *, round: int = 1) -> VoteRecord:
    return VoteRecord(rank, f"nonce-{rank}", round, word, "told")


@pytest.mark.parametrize(
    ("case", "size", "round", "votes", "expected"),
    [
        ("nobody yet", 3, 1, [], Missing((1, 2))),
        ("one is there", 3, 1, [vote(1)], Missing((2,))),
        ("all have it", 3, 1, [vote(1), vote(2)], Go({1: "nonce-1", 2: "nonce-2"})),
        ("an earlier round does not count", 3, 2, [vote(1), vote(2, round=2)], Missing((1,))),
        ("an earlier objection does not count either", 2, 2, [vote(1, "Unusable")], Missing((1,))),
        ("one objection suffices", 4, 1, [vote(2, "Unusable")], Rejected(vote(2, "Unusable"))),
        (
            "who could not load ends it, whatever others say",
            4,
            1,
            [vote(1, "Unusable"), vote(3, "Failed")],
            Broken(vote(3, "Failed")),
        ),
        ("a vote from beyond the world", 2, 1, [vote(1), vote(7, "Failed")], Go({1: "nonce-1"})),
    ],
)
def test_rank_0_waits_for_all_and_goes_on_only_with_all(
    case: str, size: int, round: int, votes: list[VoteRecord], expected: object
) -> None:
    assert heard(size, round, {v.rank: v for v in votes}) == expected, case


ME = Standing(rank=2, world_size=4, nonce="mine")
VOTED = replace(ME, claim_uid=UID, round=1)
LOADED = LoadedRecord(3, UID, "fresh", "default", "Newest", "newest that verifies", ranks=4, round=1)


def mark(*suffixes: AttemptSuffix, uid: str = UID) -> Mark:
    return Mark(3, uid, frozenset({"json", *suffixes}), THEN, THEN)


def go(nonce: str, *, round: int = 1) -> GoRecord:
    return GoRecord(3, UID, round, {1: "other", 2: nonce, 3: "another"})


@pytest.mark.parametrize(
    ("case", "me", "seen", "said", "alive"),
    [
        ("no attempt at all", ME, Seen(None), "rank 0 has not claimed the task", False),
        ("claimed, and still loading", ME, Seen(mark()), "has not decided what attempt 3 starts from", True),
        ("ended", ME, Seen(mark("loaded", "end")), "attempt 3 has ended", False),
        ("ended after our vote", VOTED, Seen(mark("loaded", "end"), LOADED), "attempt 3 has ended", False),
        ("rank 0 alone", ME, Seen(mark("loaded"), replace(LOADED, ranks=1)), "for itself alone", False),
        ("another world", ME, Seen(mark("loaded"), replace(LOADED, ranks=8)), "one of 8 ranks, not of 4", False),
        ("voted, others are missing", VOTED, Seen(mark("loaded"), LOADED), "has not heard all other ranks", True),
        ("begun before this process", ME, Seen(mark("go"), go=go("former")), "begun without this process", False),
        (
            "begun with the process of this rank that died after its vote",
            VOTED,
            Seen(mark("go"), go=go("former")),
            "begun without this process",
            False,
        ),
        ("go for another round than ours", VOTED, Seen(mark("go"), go=go("mine", round=2)), "without this", False),
    ],
)
def test_a_follower_waits(case: str, me: Standing, seen: Seen, said: str, alive: bool) -> None:
    found = follow(me, seen)
    assert isinstance(found, Hold), case
    assert said in found.message
    assert found.alive is alive


def test_a_follower_loads_what_is_offered_and_again_with_each_round_and_each_claim() -> None:
    offered = mark("loaded")
    assert follow(ME, Seen(offered, LOADED)) == Load(offered, LOADED)
    next_round = replace(LOADED, round=2)
    assert follow(VOTED, Seen(offered, next_round)) == Load(offered, next_round)
    newer = mark("loaded", uid="b" * 16)
    assert follow(VOTED, Seen(newer, replace(LOADED, uid="b" * 16))) == Load(newer, replace(LOADED, uid="b" * 16))


def test_a_follower_begins_only_where_rank_0_has_counted_its_own_vote() -> None:
    seen = Seen(mark("loaded", "go"), go=go("mine"))
    assert follow(VOTED, seen) == Begin(mark("loaded", "go"))
    assert isinstance(follow(ME, seen), Hold), "it has loaded nothing"
    assert isinstance(follow(replace(VOTED, claim_uid="b" * 16), seen), Hold), "it has loaded for another claim"


@pytest.mark.parametrize(
    ("pending", "committed", "lost"),
    [
        ([1, 2], [], ()),
        ([2, 3], [1], ()),
        ([1, 2, 3], [2], (1,)),
        ([4], [2, 6], (4,)),
        ([2], [2, 3], ()),
    ],
)
def test_what_a_later_commit_has_overtaken_never_comes(
    pending: list[int], committed: list[int], lost: tuple[int, ...]
) -> None:
    assert lost_in_order(pending, committed) == lost


def test_messages_name_a_few_ranks_and_count_the_others() -> None:
    assert ranks_text([3]) == "rank 3"
    assert ranks_text([1, 2]) == "ranks 1, 2"
    assert ranks_text(range(1, 64)) == "ranks 1, 2, 3, 4, 5, 6, 7, 8 … (63 in all)"
