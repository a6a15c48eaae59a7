"""Latest, best, last save, and what the next attempt would load: what a run's checkpoints come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import TASK, checkpoint, claim, entry, fine, loaded
from tests.support.schemas import objections
from trainpoint.format.digest import JsonObject
from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.request import Request, parse_request
from trainpoint_operator.decisions.run_status import Chosen, best_text, chosen
from trainpoint_operator.views import CheckpointView


def choose(
    *checkpoints: CheckpointView,
    newest: JsonObject | None = None,
    default: LoadPolicy | None = None,
    metric: str = "",
    highest: bool = False,
    request: Request | None = None,
    attempts: Sequence[JsonObject] = (),
) -> Chosen:
    given = claim(loaded=loaded()) if newest is None else newest
    found = chosen(
        checkpoints, given, default=default, metric=metric, highest=highest, request=request, attempts=attempts
    )
    status: JsonObject = {"resume": {"reason": found.resume.reason, "message": found.resume.message}}
    parts = {"latest": found.latest, "best": found.best, "lastSaveTime": found.last_save}
    status |= {name: part for name, part in parts.items() if part is not None}
    assert objections("checkpointruns", "status", status) == []
    return found


def name(attempt: int, sequence: int) -> str:
    return checkpoint(attempt, sequence).name


def test_latest_is_the_highest_of_attempt_and_sequence_never_the_last_by_the_clock() -> None:
    found = choose(
        checkpoint(1, 3, saved=100, step=30), checkpoint(0, 9, saved=900, step=90), checkpoint(1, 2, saved=500, step=20)
    )
    assert found.latest == {"checkpoint": name(1, 3), "step": 30}
    assert found.last_save == fine(900)
    assert (found.resume.checkpoint, found.resume.step, found.resume.reason) == (name(1, 3), 30, "Newest")
    assert found.resume.message == "newest of this task, verified"


NOT_CHOSEN: list[tuple[str, CheckpointView, str]] = [
    ("damaged", checkpoint(0, 2, state="Corrupt"), "; 1 newer passed over"),
    ("too late", checkpoint(0, 2, state="Superseded"), "; 1 newer passed over"),
    ("not trusted", checkpoint(0, 2, state="Quarantined"), "; 1 newer passed over"),
    ("under way", checkpoint(0, 2, state="Saving", saved=None), ""),
    ("given up", checkpoint(0, 2, state="Failed", saved=None), ""),
    ("to be deleted", checkpoint(0, 2, state="Deleting", deleted=90), ""),
    ("to be deleted, and nobody looked yet", checkpoint(0, 2, deleted=90), ""),
    ("saved not to be chosen", checkpoint(0, 2, latest=False), ""),
    ("saved not to be chosen, and damaged", checkpoint(0, 2, latest=False, state="Corrupt"), ""),
]


@pytest.mark.parametrize(("newer", "told"), [c[1:] for c in NOT_CHOSEN], ids=[c[0] for c in NOT_CHOSEN])
def test_a_newer_one_is_not_chosen_that_is(newer: CheckpointView, told: str) -> None:
    found = choose(newer, checkpoint(0, 1, step=10))
    assert found.latest == {"checkpoint": name(0, 1), "step": 10}
    assert found.resume.message == f"newest of this task, verified{told}"


def test_what_was_just_committed_counts_before_anybody_has_verified_it() -> None:
    for state in ("", "Saving", "Committed"):
        found = choose(checkpoint(0, 2, state=state, step=20), checkpoint(0, 1, step=10))
        assert found.latest == {"checkpoint": name(0, 2), "step": 20}
        assert found.resume.message == "newest of this task, not verified yet"


def test_the_last_save_was_one_also_where_it_is_damaged() -> None:
    assert choose(checkpoint(0, 2, state="Corrupt", saved=90), checkpoint(0, 1, saved=60)).last_save == fine(90)


def test_nothing_is_there() -> None:
    found = choose()
    assert (found.latest, found.best, found.last_save) == (None, None, None)
    assert (found.resume.reason, found.resume.message) == (
        "NothingFound",
        "nothing to load: this task has no good checkpoint",
    )
    assert choose(checkpoint(0, 1, state="Corrupt")).resume.message.endswith("(1 passed over)")


# --- what the next attempt would load, by policy ----------------------------------------------------------------------

REPEATED = loaded(policy="Eager", reason="NewestOfEarlierRun", checkpoint="llm-old-1", step=400)
OWN = [checkpoint(0, 1, step=10)]
POLICIES: list[tuple[str, Sequence[CheckpointView], JsonObject, LoadPolicy | None, tuple[str, str]]] = [
    ("fresh", OWN, loaded(), None, (name(0, 1), "Newest")),
    ("the program chooses", OWN, loaded(policy="None"), "fresh", ("", "ProgramChooses")),
    ("eager goes on with its own", OWN, REPEATED, None, (name(0, 1), "Newest")),
    ("eager repeats its first choice", [], REPEATED, None, ("llm-old-1", "SameAsFirstAttempt")),
    (
        "and again",
        [],
        {**REPEATED, "reason": "SameAsFirstAttempt"},
        None,
        ("llm-old-1", "SameAsFirstAttempt"),
    ),
    ("eager began from nothing", [], loaded(policy="Eager"), None, ("", "NothingFound")),
    (
        "eager had gone on with one of its own, which was deleted since",
        [],
        loaded(policy="Eager", reason="Newest", checkpoint=name(0, 1), step=10),
        None,
        ("", "NothingFound"),
    ),
    ("nobody has decided yet: by the policy", [], {}, "eager", ("", "NewestOfEarlierRun")),
    ("nobody has decided yet, and there is no policy", [], {}, None, ("", "NothingFound")),
]


@pytest.mark.parametrize(
    ("own", "decided", "default", "expected"), [c[1:] for c in POLICIES], ids=[c[0] for c in POLICIES]
)
def test_the_next_attempt_would_load(
    own: Sequence[CheckpointView], decided: JsonObject, default: LoadPolicy | None, expected: tuple[str, str]
) -> None:
    newest = claim(loaded=decided) if decided else claim()
    found = choose(*own, newest=newest, default=default).resume
    assert (found.checkpoint, found.reason) == expected


# --- resume requests --------------------------------------------------------------------------------------------------

SAVED = [checkpoint(0, 1, step=10), checkpoint(0, 2, step=20), checkpoint(2, 3, step=15)]
BACK = loaded(reason="Requested", checkpoint=name(0, 1), step=10, request=name(0, 1), requestBy="Run", since=1)
AGAIN = {**BACK, "reason": "SameAsRequested"}
SINCE = {**BACK, "reason": "SinceRequest", "checkpoint": name(2, 3), "step": 15}
GONE = {field: value for field, value in BACK.items() if not field.startswith("request")}
FILE = loaded(reason="Requested", request="/old/copy.json", requestBy="Annotation", since=1)
ASKED: list[tuple[str, Sequence[CheckpointView], JsonObject, str, tuple[str, int | None, str]]] = [
    ("asked for, and not followed yet", SAVED[:2], loaded(), name(0, 1), (name(0, 1), 10, "Requested")),
    (
        "before anybody has claimed",
        [],
        {},
        "llm-old-4da09133-0-1-4e8c1",
        ("llm-old-4da09133-0-1-4e8c1", None, "Requested"),
    ),
    ("a run: which one is found when it starts", SAVED[:2], loaded(), "llm/llm-old", ("", None, "Requested")),
    ("latest: of all attempts", SAVED[:2], BACK, "latest", (name(0, 2), 20, "Requested")),
    ("followed, and nothing saved since", SAVED[:2], BACK, name(0, 1), (name(0, 1), 10, "SameAsRequested")),
    ("for the second time", SAVED[:2], AGAIN, name(0, 1), (name(0, 1), 10, "SameAsRequested")),
    ("followed, and saved since", SAVED, BACK, name(0, 1), (name(2, 3), 15, "SinceRequest")),
    ("and gone on with that", SAVED, SINCE, name(0, 1), (name(2, 3), 15, "SinceRequest")),
    ("what was saved since is deleted", SAVED[:2], SINCE, name(0, 1), ("", None, "NothingFound")),
    ("taken away", SAVED[:2], BACK, "", (name(0, 1), 10, "SameAsRequested")),
    (
        "taken away an attempt ago",
        SAVED[:2],
        {**GONE, "reason": "SameAsRequested"},
        "",
        (name(0, 1), 10, "SameAsRequested"),
    ),
    ("taken away, and saved since", SAVED, {**GONE, "reason": "SinceRequest"}, "", (name(2, 3), 15, "SinceRequest")),
    ("changed", SAVED, BACK, name(0, 2), (name(0, 2), 20, "Requested")),
    (
        "the pod asks for the same again, whatever the run says",
        SAVED[:2],
        {**BACK, "requestBy": "Annotation"},
        name(0, 2),
        (name(0, 1), 10, "SameAsRequested"),
    ),
    ("it found nothing", [], loaded(request="llm/llm-old", requestBy="Environment"), "", ("", None, "NothingFound")),
    ("an app's file, and nothing saved since", SAVED[:2], FILE, "", ("", None, "SameAsRequested")),
    ("an app's file, and saved since", SAVED, FILE, "", (name(2, 3), 15, "SinceRequest")),
]


@pytest.mark.parametrize(("saved", "told", "asked", "expected"), [c[1:] for c in ASKED], ids=[c[0] for c in ASKED])
def test_a_resume_request_goes_before_the_policy(
    saved: Sequence[CheckpointView], told: JsonObject, asked: str, expected: tuple[str, int | None, str]
) -> None:
    request = parse_request(asked, "Run", TASK) if asked else None
    found = choose(*saved, newest=claim(loaded=told) if told else claim(), default="eager", request=request)
    assert (found.resume.checkpoint, found.resume.step, found.resume.reason) == expected
    assert objections("checkpointruns", "status", {"claim": claim(loaded=told) if told else claim()}) == []


@pytest.mark.parametrize(
    "told", [SINCE, {**GONE, "reason": "ProgramChooses", "checkpoint": ""}], ids=["deleted", "none"]
)
def test_what_a_rollback_came_to_is_known_from_its_attempt(told: JsonObject) -> None:
    attempts = [entry(1, loaded=name(0, 1), fromStep=10), entry(2, loaded=name(2, 3), fromStep=15)]
    found = choose(*SAVED[:2], newest=claim(loaded=told), attempts=attempts)
    assert (found.resume.checkpoint, found.resume.step, found.resume.reason) == (name(0, 1), 10, "SameAsRequested")


def test_latest_counts_from_the_last_rollback() -> None:
    newest = claim(loaded=BACK)
    assert choose(*SAVED[:2], newest=newest).latest == {"checkpoint": name(0, 1), "step": 10}
    assert choose(*SAVED, newest=newest).latest == {"checkpoint": name(2, 3), "step": 15}
    assert choose(*SAVED[:2]).latest == {"checkpoint": name(0, 2), "step": 20}


# --- best -------------------------------------------------------------------------------------------------------------


def measured(*values: str, **more: Any) -> list[CheckpointView]:
    return [
        checkpoint(0, number, step=number * 10, metrics={"loss": value}, **more)
        for number, value in enumerate(values, start=1)
    ]


def test_best_is_by_value_in_the_direction_of_the_policy() -> None:
    saved = measured("0.04", "0.03125", "0.05")
    found = choose(*saved, metric="loss")
    assert found.best == {"checkpoint": name(0, 2), "step": 20, "metric": "loss", "value": "0.03125"}
    assert best_text(found.best) == "0.03125 (20)"
    found = choose(*saved, metric="loss", highest=True)
    assert best_text(found.best) == "0.05 (30)"
    assert choose(*saved).best is None, "no metric is named"
    assert choose(*saved, metric="accuracy").best is None
    assert best_text(None) == ""


def test_ties_go_to_the_newer_and_what_is_no_number_is_never_best() -> None:
    found = choose(*measured("0.03", "3e-2", "NaN", "-Infinity", "Infinity"), metric="loss")
    assert found.best is not None
    assert found.best["checkpoint"] == name(0, 2)
    assert choose(*measured("NaN"), metric="loss").best is None


def test_only_good_ones_are_best_also_those_that_are_never_latest() -> None:
    found = choose(
        checkpoint(0, 1, metrics={"loss": "0.01"}, state="Corrupt"),
        checkpoint(0, 2, metrics={"loss": "0.02"}, latest=False),
        checkpoint(0, 3, metrics={"loss": "0.03"}),
        metric="loss",
    )
    assert found.best is not None
    assert best_text(found.best) == "0.02"


@given(st.lists(st.floats() | st.sampled_from([0.5, 0.25]), max_size=8), st.booleans())
def test_no_good_checkpoint_is_better_than_the_best(values: list[float], highest: bool) -> None:
    texts = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
    saved = measured(*(texts.get(v, "NaN" if v != v else repr(v)) for v in values))
    found = choose(*saved, metric="loss", highest=highest)
    finite = [v for v in values if v - v == 0]
    assert (found.best is None) == (not finite)
    if found.best is not None:
        assert float(found.best["value"]) == (max(finite) if highest else min(finite))
