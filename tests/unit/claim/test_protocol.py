"""The pure steps of a claim, one by one; ``test_model`` plays them together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trainpoint.claim.protocol import (
    STOCK_KEYS,
    Board,
    Stock,
    Try,
    checked,
    given_up,
    looked,
    newest_keys,
    read_board,
    rivals,
    take_stock,
    took_stock,
    written,
)
from trainpoint.format.layout import (
    EVERY_SEQUENCE,
    AttemptSuffix,
    ManifestSuffix,
    SnapshotId,
    TaskPath,
    attempt_key,
    manifest_key,
)
from trainpoint.store.base import ObjectInfo

TASK = TaskPath("w", "r", "main")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C, ME = ("a" * 16, "b" * 16, "c" * 16, "f" * 16)


def row(attempt: int, uid: str, suffix: AttemptSuffix, seconds: float = 0) -> ObjectInfo:
    return ObjectInfo(attempt_key(TASK, attempt, uid, suffix), 1, T0 + timedelta(seconds=seconds))


def board(*claims: tuple[int, str, str]) -> Board:
    """From (number, uid, suffixes joined by blanks)."""
    return read_board(row(n, uid, s) for n, uid, suffixes in claims for s in suffixes.split())  # type: ignore[arg-type]


def key(attempt: int, sequence: int, suffix: ManifestSuffix = "json", uid: str = A) -> str:
    return manifest_key(TASK, SnapshotId(attempt, sequence, uid), suffix)


# --- the board --------------------------------------------------------------------------------------------------------


def test_a_board_gathers_the_objects_of_each_claim_with_their_first_and_last_time() -> None:
    seen = read_board([row(0, A, "json", 1), row(0, A, "beat", 60), row(0, A, "intent", 0), row(1, B, "intent", 70)])
    first, second = seen.marks
    assert (first.attempt, first.uid) == (0, A)
    assert first.suffixes == {"intent", "json", "beat"}
    assert (first.first, first.last) == (T0, T0 + timedelta(seconds=60))
    assert (second.attempt, second.unresolved, second.won) == (1, True, False)
    assert seen.top == 1


def test_a_beat_of_no_claim_is_a_stamp_and_counts_as_no_number() -> None:
    seen = read_board([row(7, B, "beat", 5)])
    assert (seen.marks, seen.top, seen.stamps) == ((), -1, {B: T0 + timedelta(seconds=5)})


def test_numbers_are_ordered_as_numbers() -> None:
    seen = board((10, A, "intent json"), (9, B, "intent json"))
    assert [m.attempt for m in seen.winners] == [9, 10]


def test_what_else_lies_in_the_folder_is_left_alone() -> None:
    assert read_board([ObjectInfo(f"{TASK.attempts}notes.txt", 1, T0)]) == Board()


def test_a_number_that_was_given_up_was_not_won_even_if_its_record_arrived() -> None:
    assert board((0, A, "intent json lost")).winners == ()


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([], []),
        ([(0, A, "intent json")], [A]),
        ([(0, A, "intent json end")], []),
        ([(0, A, "intent json"), (1, B, "intent json end")], []),
        ([(0, A, "intent json"), (1, B, "intent json")], [B]),
        ([(0, A, "intent")], [A]),
        ([(0, A, "intent lost")], []),
        ([(0, A, "intent"), (1, B, "intent json end")], []),
        ([(0, A, "intent json end"), (1, B, "intent"), (1, C, "intent")], [B, C]),
        ([(0, A, "intent json"), (1, B, "intent")], [A, B]),
    ],
    ids=lambda v: " ".join(f"{n}:{s.replace(' ', '+')}" for n, _, s in v) if v and isinstance(v[0], tuple) else None,
)
def test_rivals_are_the_newest_winner_without_an_end_and_the_intents_above_it(
    claims: list[tuple[int, str, str]], expected: list[str]
) -> None:
    assert [m.uid for m in rivals(board(*claims))] == expected


# --- one try ----------------------------------------------------------------------------------------------------------


def test_a_try_goes_through_its_steps_in_order() -> None:
    now = looked(Try(ME), board((4, A, "intent json end")), bar=False)
    steps = [now.action]
    while now.action != "Won":
        match now.action:
            case "Check":
                now = checked(now, board((4, A, "intent json end"), (5, ME, "intent")))
            case "TakeStock":
                now = took_stock(now, Stock(top=4, seen=9, first_sequence=12))
            case _:
                now = written(now)
        steps.append(now.action)
    assert steps == ["PutIntent", "Check", "TakeStock", "PutFence", "PutRecord", "Won"]
    assert (now.attempt, now.stock.seen, now.stock.first_sequence) == (5, 9, 12)


def test_the_number_is_above_all_that_anybody_wanted_and_all_in_the_manifests() -> None:
    assert looked(Try(ME), Board(), bar=False).attempt == 0
    assert looked(Try(ME), board((3, A, "intent lost")), bar=False).attempt == 4
    assert looked(Try(ME, floor=8), board((3, A, "intent lost")), bar=False).attempt == 9


def test_the_bar_goes_up_before_the_stock_is_taken_where_a_rival_may_wake_up() -> None:
    now = looked(Try(ME), Board(), bar=True)
    now = checked(written(now), board((0, ME, "intent")))
    assert now.action == "PutBar"
    assert written(now).action == "TakeStock"


@pytest.mark.parametrize(
    ("after", "passes"),
    [
        ([(1, A, "intent"), (2, ME, "intent")], True),
        ([(1, A, "intent"), (2, ME, "intent"), (2, B, "intent")], False),
        ([(1, A, "intent"), (2, ME, "intent"), (3, B, "intent lost")], False),
        ([(0, B, "intent"), (1, A, "intent"), (2, ME, "intent")], False),
        ([(1, A, "intent json"), (2, ME, "intent")], False),
        ([(1, A, "intent beat"), (2, ME, "intent")], True),
    ],
    ids=[
        "nothing new",
        "same number",
        "higher, given up",
        "lower, unseen",
        "a rival that was passed over won",
        "a beat",
    ],
)
def test_a_check_passes_only_where_no_claim_came_or_was_won_since_the_look(
    after: list[tuple[int, str, str]], passes: bool
) -> None:
    now = looked(Try(ME), board((1, A, "intent")), bar=False)
    assert now.attempt == 2
    assert checked(written(now), board(*after)).action == ("TakeStock" if passes else "PutLost")


@pytest.mark.parametrize(("top", "expected"), [(4, "PutFence"), (5, "PutLost"), (6, "PutLost")])
def test_a_try_gives_up_where_the_manifests_know_its_number_or_a_higher_one(top: int, expected: str) -> None:
    now = Try(ME, "TakeStock", attempt=5)
    after = took_stock(now, Stock(top=top))
    assert after.action == expected
    assert after.floor == top


def test_its_own_bar_does_not_make_a_try_give_up() -> None:
    now = Try(ME, "TakeStock", attempt=5, bar=True)
    assert took_stock(now, Stock(top=5)).action == "PutFence"
    assert took_stock(now, Stock(top=6)).action == "PutLost"


def test_giving_up_leads_to_lost() -> None:
    assert written(given_up(Try(ME, "PutRecord", attempt=5))).action == "Lost"


# --- stock ------------------------------------------------------------------------------------------------------------


def test_an_empty_task_has_no_stock() -> None:
    assert take_stock([]) == Stock(top=-1, seen=0, by_attempt={}, first_sequence=1)


def test_stock_is_the_highest_sequence_of_each_attempt() -> None:
    keys = sorted([key(0, 1), key(0, 2), key(1, 3), key(0, 0, "fence"), key(1, 2, "fence")])
    assert take_stock(keys) == Stock(top=1, seen=3, by_attempt={0: 2, 1: 3}, first_sequence=4)


def test_superseded_checkpoints_are_not_seen_but_their_sequences_are_not_used_again() -> None:
    late = [key(0, 1), key(0, 7), key(1, 1, "fence"), key(1, 2)]
    assert take_stock(sorted(late)) == Stock(top=1, seen=2, by_attempt={0: 1, 1: 2}, first_sequence=8)


def test_a_bar_is_no_sequence() -> None:
    keys = [key(1, EVERY_SEQUENCE, "fence"), key(0, 5), key(0, 0, "fence")]
    assert take_stock(sorted(keys)) == Stock(top=1, seen=5, by_attempt={0: 5}, first_sequence=6)


def test_deleting_checkpoints_never_lowers_the_fence() -> None:
    assert take_stock([key(2, 9, "fence")]).seen == 9
    assert take_stock(sorted([key(2, 9, "fence"), key(1, 9, "tombstone")])).seen == 9


def test_corrupt_and_pinned_checkpoints_are_seen_like_others() -> None:
    keys = sorted([key(0, 4), key(0, 4, "corrupt"), key(0, 3), key(0, 3, "pin")])
    assert take_stock(keys).seen == 4


def test_taking_stock_reads_no_further_than_the_newest_claims_fence_once_a_page_is_read() -> None:
    old = [key(0, s) for s in range(1, 3 * STOCK_KEYS)] + [key(0, 0, "fence")]
    last = 3 * STOCK_KEYS - 1
    few = sorted([*old, key(1, last, "fence"), key(1, last + 1)])
    assert len(list(newest_keys(few))) == STOCK_KEYS
    assert take_stock(few) == Stock(top=1, seen=last + 1, by_attempt={0: last, 1: last + 1}, first_sequence=last + 2)
    unfenced = sorted(old)
    assert list(newest_keys(unfenced)) == unfenced, "the first attempt's own checkpoints are all above its fence"
