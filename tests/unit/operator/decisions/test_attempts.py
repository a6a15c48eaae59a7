"""What each attempt did and cost, as the list is carried on from one look to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import checkpoint, claim, end, ended, entry, fine, loaded, pod, running
from tests.support.schemas import objections
from trainpoint.format.digest import JsonObject
from trainpoint_operator.decisions.attempts import KEPT, Account, account, start_failures
from trainpoint_operator.decisions.endings import Ending, Result
from trainpoint_operator.views import CheckpointView

CRASH = Ending("Failed", "Exited", "exit 1", fine(90), 1)
EVICTED = Ending("Disrupted", "EvictionByEvictionAPI", "evicted", fine(90), 143)
DONE = Ending("Completed", "Completed", "completed", fine(90), 0)
UNSEEN = Ending("Unknown", "NotSeen", "pod llm-x7k2p is gone", fine(90))
REFUSED = Ending("Refused", "StoppedByUser", "stopped", fine(90), 86)
OVERTAKEN = Ending("Failed", "Superseded", "a newer attempt took over", fine(90), 87)
DEADLINE = Ending("Failed", "DeadlineExceeded", "too late", fine(90), 143)


def look(
    known: Sequence[JsonObject] = (),
    newest: JsonObject | None = None,
    checkpoints: Sequence[CheckpointView] = (),
    ends: Mapping[int, Ending] | None = None,
    *,
    check: bool = True,
) -> Account:
    """One look; ``ends``: by attempt, those that have ended. What it comes to fits the kind."""
    found = ends or {}
    told = account(
        known,
        claim() if newest is None else newest,
        checkpoints,
        ending_of=lambda entry: found.get(entry["attempt"]),
        start_failures=0,
    )
    assert not check or objections("checkpointruns", "status", {"attempts": list(told.attempts)}) == []
    return told


def life(*ends: Ending, steps: Mapping[int, int] | None = None) -> Account:
    """Attempts that ended so, one after the other; ``steps``: what they committed."""
    saved = [checkpoint(attempt, attempt + 1, step=step) for attempt, step in (steps or {}).items()]
    told = look(newest={})
    for number, how in enumerate(ends):
        mine = [one for one in saved if one.attempt <= number]
        start = max((one.step or 0 for one in mine if one.attempt < number), default=None)
        begun = loaded() if start is None else loaded(checkpoint="c", step=start)
        told = look(told.attempts, claim(number, 5.0 + number, loaded=begun), mine)
        assert told.active
        told = look(told.attempts, claim(number, 5.0 + number, loaded=begun), mine, {number: how})
        assert not told.active
    return told


def test_nothing_was_claimed() -> None:
    assert look(newest={}) == Account((), (), False, 0, 0, 0)


def test_an_attempt_from_its_claim_to_its_end() -> None:
    told = look()
    assert told.active
    assert told.attempts == (entry(),)
    begun = claim(loaded=loaded(checkpoint="old-1", step=300))
    told = look(told.attempts, begun)
    assert told.attempts == (entry(loaded="old-1", fromStep=300),)
    saved = [checkpoint(0, 1, step=310), checkpoint(0, 2, step=320, state="Committed")]
    told = look(told.attempts, begun, saved)
    assert told.attempts[0]["toStep"] == 320
    told = look(told.attempts, {**begun, "end": end("Failed", 1, lastStep=327)}, saved, {0: CRASH})
    assert told.ended == told.attempts
    assert not told.active
    assert told.attempts == (
        entry(
            loaded="old-1",
            fromStep=300,
            toStep=320,
            result="Failed",
            reason="Exited",
            message="exit 1",
            endTime=fine(90),
            exitCode=1,
            lostSteps=7,
            charged=False,
        ),
    )
    assert look(told.attempts, begun, saved, {0: EVICTED}).attempts == told.attempts, "an end is seen once"


def test_what_is_recorded_after_the_end_is_no_loss() -> None:
    newest = claim(end=end("Failed", 1, lastStep=27))
    told = look((), newest, [checkpoint(0, 1, step=10)], {0: CRASH})
    assert (told.attempts[0]["lostSteps"], told.attempts[0]["charged"]) == (17, False)
    told = look(told.attempts, claim(1, 95), [checkpoint(0, 1, step=10), checkpoint(0, 2, step=20)])
    assert (told.attempts[0]["toStep"], told.attempts[0]["lostSteps"]) == (20, 7)
    assert look(told.attempts, claim(1, 95), []).attempts[0] == told.attempts[0], "nor is what is deleted later"


def test_an_attempt_that_said_nothing_has_lost_nobody_knows_what() -> None:
    told = look((), claim(), [checkpoint(0, 1, step=10)], {0: CRASH})
    assert "lostSteps" not in told.attempts[0]


def test_what_is_damaged_or_came_too_late_is_no_progress() -> None:
    for state in ("Corrupt", "Superseded", "Quarantined"):
        told = look((), claim(), [checkpoint(0, 1, step=10, state=state)], {0: CRASH})
        assert "toStep" not in told.attempts[0]
        assert told.charged == 1
    told = look((), claim(), [checkpoint(0, 1, step=10, state="Saving", saved=None)], {0: CRASH})
    assert told.charged == 1


COSTS: list[tuple[str, tuple[Ending, ...], Mapping[int, int], tuple[int, int]]] = [
    # case, ends, steps committed by attempt, (charged, free)
    ("a failure", (CRASH,), {}, (1, 0)),
    ("failures add up", (CRASH, CRASH, CRASH), {}, (3, 0)),
    ("progress is free and starts the count again", (CRASH, CRASH, CRASH), {1: 100}, (1, 1)),
    ("the same steps again are no progress", (CRASH, CRASH), {0: 100, 1: 100}, (1, 1)),
    ("disruptions are free", (EVICTED, CRASH, EVICTED), {}, (1, 2)),
    ("what nobody saw is free", (UNSEEN, CRASH), {}, (1, 1)),
    ("a refusal is free", (CRASH, REFUSED), {}, (1, 1)),
    ("an overtaken one is free", (OVERTAKEN, CRASH), {}, (1, 1)),
    ("its own deadline is not", (DEADLINE,), {}, (1, 0)),
    ("the last one completes", (CRASH, DONE), {1: 100}, (0, 0)),
]


@pytest.mark.parametrize(("ends", "steps", "cost"), [c[1:] for c in COSTS], ids=[c[0] for c in COSTS])
def test_what_attempts_cost(ends: tuple[Ending, ...], steps: Mapping[int, int], cost: tuple[int, int]) -> None:
    told = life(*ends, steps=steps)
    assert (told.charged, told.free) == cost


def test_progress_without_steps_counts_and_is_not_taken_back() -> None:
    told = look((), claim(), [checkpoint(0, 1)], {0: CRASH})
    assert (told.charged, told.free, told.attempts[0]["charged"]) == (0, 1, False)
    told = look(told.attempts, claim(1, 95), [])
    assert (told.charged, told.free, told.attempts[0]["charged"]) == (0, 1, False)


def test_a_claim_that_nobody_saw_leaves_a_gap() -> None:
    told = look((), claim(), (), {0: CRASH})
    told = look(told.attempts, claim(3, 95))
    assert [one["attempt"] for one in told.attempts] == [0, 3]
    assert told.active


def test_only_the_newest_are_kept_and_what_the_older_ones_reached_still_counts() -> None:
    told = life(*[CRASH] * (KEPT + 3), steps={0: 1000})
    assert [one["attempt"] for one in told.attempts] == list(range(3, KEPT + 3))
    assert told.charged == KEPT
    far = [checkpoint(0, 1, step=1000), checkpoint(KEPT + 3, 20, step=500)]
    told = look(told.attempts, claim(KEPT + 3, 99, loaded=loaded()), far, {KEPT + 3: CRASH})
    assert told.attempts[-1]["charged"], "500 is no progress after 1000"


def test_an_old_attempt_that_ends_as_it_leaves_the_list_is_not_told_of() -> None:
    open_ones = [entry(number, number) for number in range(KEPT)]
    told = look(open_ones, claim(KEPT, 50), (), {0: OVERTAKEN, 1: OVERTAKEN})
    assert [one["attempt"] for one in told.ended] == [1]
    assert all("charged" in one for one in told.ended)
    assert told.active


def test_texts_fit_the_kind() -> None:
    long = Ending("Failed", "Exited", "ä" * 5000, fine(90), 1)
    told = look((), claim(), (), {0: long})
    assert len(told.attempts[0]["message"]) == 500


def test_a_process_of_no_pod() -> None:
    told = look((), claim(pod="", uid=""))
    assert told.attempts == ({"attempt": 0, "nonce": "0" * 16, "startTime": fine(5)},)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([CRASH, EVICTED, DONE, UNSEEN, REFUSED, OVERTAKEN, DEADLINE]),
            st.none() | st.integers(0, 50),
            st.booleans(),
        ),
        max_size=14,
    )
)
def test_to_look_again_changes_nothing_and_ends_stay(attempts: list[tuple[Ending, int | None, bool]]) -> None:
    told = look(newest={})
    saved: list[CheckpointView] = []
    seen: dict[int, tuple[Result, str]] = {}
    for number, (how, step, late) in enumerate(attempts):
        newest = claim(number, 5.0 + number, loaded=loaded())
        mine = [checkpoint(number, number + 1, step=step)] if step is not None else []
        told = look(told.attempts, newest, saved if late else [*saved, *mine], {number: how}, check=False)
        saved += mine
        told = look(told.attempts, newest, saved, check=False)
        again = look(told.attempts, newest, saved, check=number == 13)
        assert again.attempts == told.attempts
        assert (again.charged, again.free, again.ended) == (told.charged, told.free, ())
        seen[number] = (how.result, how.reason)
        assert {e["attempt"]: (e["result"], e["reason"]) for e in told.attempts}.items() <= seen.items()
        assert 0 <= told.charged <= KEPT
        assert told.charged <= sum(e["charged"] for e in told.attempts)
        assert not any(e["charged"] for e in told.attempts if e["result"] != "Failed")


# --- pods that never claimed ------------------------------------------------------------------------------------------


def failed(uid: str, over: float = 40, **more: Any) -> Any:
    return pod(ended(over - 1, over, 1), phase="Failed", uid=uid, **more)


def test_start_failures_are_failed_pods_without_a_claim() -> None:
    mine = [entry(result="Failed")]
    assert start_failures([failed("pod-0")], mine, claim()) == 0, "it had claimed"
    assert start_failures([failed("pod-1"), failed("pod-2")], mine, claim()) == 2
    assert start_failures([failed("pod-1")], mine, claim(1, 50)) == 0, "a claim came after it"
    assert start_failures([failed("pod-1", disruption="EvictionByEvictionAPI")], mine, claim()) == 0
    assert start_failures([failed("pod-1", deleted=39)], mine, claim()) == 0
    assert start_failures([pod(running(30), uid="pod-1")], mine, claim()) == 0
    assert start_failures([pod(phase="Failed", reason="Evicted", uid="pod-1")], [], {}) == 0, "not the program's fault"
    assert start_failures([failed("pod-1")], [], {}) == 1, "nor has anybody else claimed"
