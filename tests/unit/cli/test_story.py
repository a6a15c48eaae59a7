"""``kubectl trainpoint why``: the lines that a run object comes to."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import at, checkpoint_object, claim, coarse, end, entry, loaded, run_object
from tests.support.schemas import objections
from trainpoint.catalog.base import CheckpointInfo
from trainpoint.catalog.cluster import info_of_object
from trainpoint.cli.story import story
from trainpoint.format.digest import JsonObject

LATEST = info_of_object(checkpoint_object(2, 84, step=8400, saved=31000))
DAMAGED = info_of_object(checkpoint_object(1, 80, step=8000, saved=20000, state="Corrupt"))
GOOD = info_of_object(checkpoint_object(1, 79, step=7900, saved=19900))
SAVED = [LATEST, DAMAGED, GOOD]
LOST = entry(
    0,
    5,
    result="Disrupted",
    reason="DeletionByTaintManager",
    message="its node was lost or drained (DeletionByTaintManager)",
    endTime=coarse(23300),
    toStep=6200,
    charged=False,
    lostSteps=38,
)
CRASHED = entry(
    1,
    23500,
    result="Failed",
    reason="Exited",
    message="exit 1",
    exitCode=1,
    endTime=coarse(31400),
    fromStep=6200,
    toStep=8000,
    charged=True,
    lostSteps=1,
)
TRAINS = entry(2, 31405, fromStep=7900, toStep=8400)
CHOICE = loaded(
    checkpoint=GOOD.name,
    step=7900,
    reason="Newest",
    message="newest that verifies",
    source="CheckpointPolicy default (argument, environment and label not set)",
    skipped=[
        {
            "checkpoint": DAMAGED.name,
            "step": 8000,
            "reason": "Corrupt",
            "message": "corrupt, files/optim.bin differs at part 3 of 91",
        }
    ],
)
RESUME = {
    "checkpoint": LATEST.name,
    "step": 8400,
    "reason": "Newest",
    "message": "newest of this task, verified",
}
NOTHING = {"reason": "NothingFound", "message": "nothing to load: this task has no good checkpoint"}


def active(reason: str, message: str, status: str = "False") -> JsonObject:
    told = {"type": "Active", "status": status, "reason": reason, "message": message}
    return {**told, "lastTransitionTime": coarse(0), "observedGeneration": 1}


def run(**status: Any) -> JsonObject:
    assert objections("checkpointruns", "status", status) == []
    return run_object(status=status)


def retries(charged: int, *, limit: int = 5, failed: int = 0) -> JsonObject:
    return {"charged": charged, "free": 0, "startFailures": failed, "limit": limit}


def told(value: JsonObject, saved: list[CheckpointInfo] | None = None, *, now: float = 31520) -> list[str]:
    return story(value, SAVED if saved is None else saved, now=at(now), zone=UTC)


TRAINING: JsonObject = {
    "state": "Running",
    "claim": claim(2, 31405, loaded=CHOICE),
    "attempts": [LOST, CRASHED, TRAINS],
    "resume": RESUME,
    "latest": {"checkpoint": LATEST.name, "step": 8400},
    "retries": retries(1),
    "conditions": [active("Training", "attempt 2 trains", "True")],
}


def test_a_run_that_trains_after_a_lost_node_and_a_crash() -> None:
    assert told(run(**TRAINING)) == [
        "run llm-4c1d9e02ab, task main    now: attempt 2, running, step 8400",
        "  attempt 0  09:12:05 → 15:40:20  0 → 6200     its node was lost or drained (disruption, free)  lost 38 steps",
        "  attempt 1  15:43:40 → 17:55:20  6200 → 8000  exit 1 (charged 1 of 5)                          lost 1 step",
        "  attempt 2  17:55:25 → now       7900 → 8400",
        "     pod      llm-x7k2p on node gpu-7",
        f"     loaded   {GOOD.name} (step 7900): newest that verifies",
        f"     skipped  {DAMAGED.name} (step 8000): corrupt, files/optim.bin differs at part 3 of 91",
        "     policy   fresh, from CheckpointPolicy default (argument, environment and label not set)",
        f"if it died now: would load {LATEST.name} (step 8400): newest of this task, verified; "
        "about 8m of work lost; 4 of 5 retries left",
    ]


def test_a_run_that_waits_says_for_what() -> None:
    lines = told(
        run(
            **TRAINING
            | {
                "state": "Waiting",
                "attempts": [LOST, CRASHED],
                "claim": claim(1, 23500, loaded=loaded()),
                "retries": retries(1, failed=2),
                "conditions": [active("NodeLost", "waits for pod llm-x7k2p on node gpu-7, which should have ended")],
            }
        )
    )
    assert lines[0] == "run llm-4c1d9e02ab, task main    now: waiting after attempt 1, step 8400"
    assert lines[-3:] == [
        "     waits    for pod llm-x7k2p on node gpu-7, which should have ended",
        "     failed   2 pods ended before a Checkpoint was opened",
        f"if it started now: would load {LATEST.name} (step 8400): newest of this task, verified; 4 of 5 retries left",
    ]


def test_a_run_that_is_over_says_how() -> None:
    done = entry(2, 31405, result="Completed", reason="Completed", message="completed", endTime=coarse(31500),
                 fromStep=7900, toStep=8400, charged=False, lostSteps=3)  # fmt: skip
    lines = told(
        run(
            **TRAINING
            | {
                "state": "Succeeded",
                "attempts": [done],
                "outcome": {"result": "Succeeded", "message": "Job llm is complete", "time": coarse(31501)},
                "conditions": [active("Completed", "Job llm is complete")],
            }
        )
    )
    assert lines[0].endswith("now: succeeded after attempt 2, step 8400")
    assert lines[1] == "  … 2 earlier attempts"
    assert lines[2] == "  attempt 2  17:55:25 → 17:57:00  7900 → 8400  completed", "its work is done, nothing is lost"
    assert lines[-2] == "     ended    Job llm is complete"
    assert lines[-1] == f"if it started again: would load {LATEST.name} (step 8400): newest of this task, verified"


COSTS: list[tuple[str, JsonObject, int, str]] = [
    # case, members of the attempt, failures since the last progress, the end of its line
    ("charged", {}, 2, "exit 1 (charged 2 of 5)"),
    ("charged before the last progress", {}, 0, "exit 1 (charged, and made good since)"),
    ("made progress", {"charged": False}, 0, "exit 1 (progress, free)"),
    (
        "overtaken",
        {"reason": "Superseded", "message": "a newer attempt took over", "charged": False},
        0,
        "a newer attempt took over (free)",
    ),
    (
        "nobody saw it",
        {"result": "Unknown", "reason": "NotSeen", "message": "its pod is gone", "charged": False},
        0,
        "its pod is gone (free)",
    ),
    (
        "refused",
        {"result": "Refused", "reason": "StoppedByUser", "message": "stopped by a person", "charged": False},
        1,
        "refused: stopped by a person",
    ),
    ("a message is missing", {"message": ""}, 1, "failed (charged 1 of 5)"),
]


@pytest.mark.parametrize(("members", "charged", "expected"), [c[1:] for c in COSTS], ids=[c[0] for c in COSTS])
def test_what_an_attempt_cost(members: JsonObject, charged: int, expected: str) -> None:
    one = {**CRASHED, "attempt": 0, "lostSteps": 0, **members}
    lines = told(
        run(**TRAINING | {"state": "Waiting", "attempts": [one], "claim": claim(1), "retries": retries(charged)})
    )
    assert lines[1].endswith(expected)


def test_failures_are_numbered_from_the_last_progress_on() -> None:
    many = [{**CRASHED, "attempt": n, "nonce": f"{n:016x}", "charged": n != 2} for n in range(5)]
    lines = told(run(**TRAINING | {"state": "Waiting", "attempts": many, "claim": claim(4), "retries": retries(2)}))
    assert [line.partition("exit 1 ")[2].split("  ")[0] for line in lines[1:6]] == [
        "(charged, and made good since)",
        "(charged, and made good since)",
        "(progress, free)",
        "(charged 1 of 5)",
        "(charged 2 of 5)",
    ]


REACHED: list[tuple[str, JsonObject, list[CheckpointInfo], str]] = [
    ("nothing", {}, [], "0 → nothing saved"),
    ("nothing new", {"fromStep": 30}, [], "30 → nothing saved"),
    ("what the operator has not noted yet", {}, [info_of_object(checkpoint_object(0, 1, step=7))], "0 → 7"),
    ("checkpoints without steps", {}, [info_of_object(checkpoint_object(0, n)) for n in (2, 1)], "2 saved"),
    ("what is damaged", {}, [info_of_object(checkpoint_object(0, 1, step=7, state="Corrupt"))], "0 → nothing saved"),
]


@pytest.mark.parametrize(("members", "saved", "expected"), [c[1:] for c in REACHED], ids=[c[0] for c in REACHED])
def test_how_far_an_attempt_came(members: JsonObject, saved: list[CheckpointInfo], expected: str) -> None:
    lines = told(run(state="Running", claim=claim(), attempts=[entry(**members)], resume=NOTHING), saved)
    assert lines[1] == f"  attempt 0  09:12:05 → now  {expected}"


def test_other_indexes_of_the_task_are_not_its_own() -> None:
    value = run(state="Running", claim=claim(), attempts=[entry()], resume=NOTHING)
    value["spec"]["identity"]["index"] = "2.1"
    lines = told(value)
    assert lines[0] == "run llm-4c1d9e02ab, task main[2.1]    now: attempt 0, running"
    assert lines[1].endswith("0 → nothing saved")


def test_nothing_to_load_is_told_as_the_operator_says_it() -> None:
    lines = told(run(state="Running", claim=claim(), attempts=[entry()], resume=NOTHING, retries=retries(0)), [])
    assert lines[-1] == ("if it died now: nothing to load: this task has no good checkpoint; 5 of 5 retries left")


def test_more_failures_than_retries_leave_none() -> None:
    assert told(run(**TRAINING | {"retries": retries(7)}))[-1].endswith("; 0 of 5 retries left")


# --- where no operator has written anything, or it is behind ----------------------------------------------------------


def test_a_run_that_nobody_claimed() -> None:
    assert told(run()) == ["run llm-4c1d9e02ab, task main    never claimed"]
    assert told(run(state="Stopped"))[0].endswith("    stopped")


def test_the_claim_tells_alone_where_no_operator_runs() -> None:
    assert told(run(claim=claim(0, 5, loaded=CHOICE))) == [
        "run llm-4c1d9e02ab, task main    now: attempt 0, running, or ended without a word",
        "  attempt 0  09:12:05  7900 → nothing saved  running, or ended without a word",
        "     pod      llm-x7k2p on node gpu-7",
        f"     loaded   {GOOD.name} (step 7900): newest that verifies",
        f"     skipped  {DAMAGED.name} (step 8000): corrupt, files/optim.bin differs at part 3 of 91",
        "     policy   fresh, from CheckpointPolicy default (argument, environment and label not set)",
        f"if it started now: would load {LATEST.name} (step 8400)",
    ]
    assert told(run(claim=claim()), [])[-1] == "if it started now: nothing to load; it would begin at step 0"


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (end("Completed", 0), "completed"),
        (end("Preempted", 143), "preempted (SIGTERM)"),
        (end("Failed", 1, message="KeyError:\n  'loss'"), "exit 1: KeyError: 'loss'"),
        (end("Killed"), "killed"),
    ],
)
def test_an_end_that_only_the_attempt_itself_has_told(ended: JsonObject, words: str) -> None:
    lines = told(run(claim=claim(end=ended)))
    assert lines[0].endswith(f"now: attempt 0, {words}")
    assert lines[1].endswith(words)


def test_a_refused_start() -> None:
    lines = told(run(claim=claim(refused={"reason": "StoppedByUser", "message": "stopped by a person"})))
    assert lines[0].endswith("now: attempt 0, refused")
    assert "     refused  StoppedByUser: stopped by a person" in lines


def test_a_claim_that_the_operator_has_not_seen_yet_is_listed_too() -> None:
    lines = told(run(**TRAINING | {"claim": claim(3, 31500, loaded=CHOICE), "state": "Waiting"}))
    assert lines[0].endswith("now: attempt 3, running, or ended without a word, step 8400")
    assert lines[3].endswith("at work still, although a later attempt has taken over")
    assert " ".join(lines[4].split()) == "attempt 3 17:57:00 7900 → nothing saved running, or ended without a word"


def test_times_are_those_of_the_reader_and_another_day_is_told_once() -> None:
    value = run(**TRAINING)
    lines = story(value, SAVED, now=at(31520), zone=timezone(timedelta(hours=9)))
    assert "  11-22 18:12:05 → 00:40:20  " in lines[1], "it is the 23rd there"
    later = told(value, now=200_000)
    assert "  11-22 09:12:05 → 15:40:20  " in later[1]


@given(
    st.lists(st.sampled_from([LOST, CRASHED, TRAINS]), max_size=10),
    st.sampled_from(["", "Pending", "Running", "Waiting", "Succeeded", "Failed", "Exhausted", "Stopped"]),
    st.sampled_from([None, claim(9), claim(9, loaded=CHOICE, end=end("Failed", 1))]),
    st.booleans(),
)
def test_whatever_is_written_is_told_in_lines(
    attempts: list[JsonObject], state: str, newest: JsonObject | None, whole: bool
) -> None:
    status: JsonObject = {"attempts": [{**a, "attempt": n, "nonce": f"{n:016x}"} for n, a in enumerate(attempts)]}
    status |= {"state": state} if state else {}
    status |= {"claim": newest} if newest else {}
    if whole:
        status |= {"resume": RESUME, "retries": retries(2), "conditions": [active("JobBackOff", "waits for Godot")]}
    lines = story(run_object(status=status), SAVED, now=at(31520), zone=UTC)
    assert lines
    assert all(line == line.rstrip() and "\n" not in line and line for line in lines)
    listed = len(attempts) + (newest is not None and not any(a["nonce"] == newest["nonce"] for a in status["attempts"]))
    assert sum(line.startswith("  attempt ") for line in lines) == listed
