"""Budget, back-off and progress: what follows a process that ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.policies.retry import (
    AttemptView,
    Finished,
    GiveUp,
    Retry,
    RetryInput,
    Verdict,
    is_charged,
    ledger,
    retry,
)
from trainpoint.policies.settings import RetrySettings

SETTINGS = RetrySettings(
    limit=3, no_progress_limit=10, start_failures=4, backoff_base_seconds=2, backoff_max_seconds=20
)


def attempt(from_step: int | None = None, to_step: int | None = None, *, code: int = 1, **more: object) -> AttemptView:
    """An attempt that failed with ``code``; it committed once if it has a last step."""
    view = AttemptView(
        number=0, exit_code=code, from_step=from_step, to_step=to_step, commits=0 if to_step is None else 1
    )
    return replace(view, **more)  # type: ignore[arg-type]


CRASH = attempt(100)
STEP = attempt(100, 200)
UNOPENED = attempt(opened=False)
PREEMPTED = attempt(100, code=143)


def decide(*history: AttemptView, settings: RetrySettings = SETTINGS, interrupted: bool = False) -> Verdict:
    return retry(RetryInput(history=history, settings=settings, jitter=0.0, interrupted=interrupted))


CASES: list[tuple[str, tuple[AttemptView, ...], str]] = [
    ("exit 0", (attempt(0, 300, code=0),), "Completed"),
    ("exit 0 without a Checkpoint", (attempt(code=0, opened=False),), "Completed"),
    ("a first failure without progress", (CRASH,), "NoProgress"),
    ("a failure after progress", (STEP,), "Progress"),
    ("a commit where steps are not given", (attempt(commits=1),), "Progress"),
    ("the same step saved again", (attempt(100, 200), attempt(100, 200)), "NoProgress"),
    (
        "a higher step than it began at, lower than the run once had",
        (attempt(100, 200), attempt(50, 150)),
        "NoProgress",
    ),
    ("killed by signal 9 after progress", (replace(STEP, exit_code=None, signal=9),), "Progress"),
    ("exit 143", (PREEMPTED,), "Disrupted"),
    ("killed by SIGTERM", (replace(CRASH, exit_code=None, signal=15),), "Disrupted"),
    ("a disruption that the cluster reports", (replace(CRASH, disrupted=True),), "Disrupted"),
    ("disrupted, with the code for refused", (attempt(100, code=86, disrupted=True),), "Disrupted"),
    ("exit 87", (attempt(100, code=87),), "Superseded"),
    ("exit 86", (attempt(100, 200, code=86),), "Refused"),
    ("exit 86 before a Checkpoint was opened", (attempt(code=86, opened=False),), "Refused"),
    ("not opened", (UNOPENED,), "StartFailures"),
    ("charged as often as allowed", (CRASH,) * 3, "NoProgress"),
    ("charged once more", (CRASH,) * 4, "RetriesExhausted"),
    ("progress in between begins the count again", (CRASH, CRASH, STEP, attempt(200), attempt(200)), "NoProgress"),
    ("disruptions between are free", (CRASH, PREEMPTED, CRASH, PREEMPTED, CRASH, PREEMPTED), "Disrupted"),
    (
        "disruptions do not begin the count again",
        (CRASH, PREEMPTED, CRASH, CRASH, PREEMPTED, CRASH),
        "RetriesExhausted",
    ),
    ("start failures are not charged", (CRASH, CRASH, CRASH, UNOPENED, UNOPENED, UNOPENED), "StartFailures"),
    ("an opened attempt begins the start failures again", (*(UNOPENED,) * 3, CRASH, UNOPENED), "StartFailures"),
]


@pytest.mark.parametrize(("history", "reason"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_verdict_for(history: tuple[AttemptView, ...], reason: str) -> None:
    assert decide(*history).reason == reason


GIVE_UP: list[tuple[str, tuple[AttemptView, ...], RetrySettings, str]] = [
    ("too many start failures", (UNOPENED,) * 4, SETTINGS, "StartFailures"),
    (
        "a fatal exit code, progress or not",
        (attempt(0, 9, code=2),),
        replace(SETTINGS, fatal_exit_codes=(2,)),
        "FatalExitCode",
    ),
    ("a fatal signal", (attempt(0, 9, code=139),), replace(SETTINGS, fatal_exit_codes=(139,)), "FatalExitCode"),
    ("no progress from the same start", (CRASH,) * 3, replace(SETTINGS, no_progress_limit=3), "NoProgress"),
    ("limit 0 after progress", (STEP,), replace(SETTINGS, limit=0), "RetriesExhausted"),
    ("limit 0 without a Checkpoint", (UNOPENED,), replace(SETTINGS, limit=0), "RetriesExhausted"),
]


@pytest.mark.parametrize(("history", "settings", "reason"), [c[1:] for c in GIVE_UP], ids=[c[0] for c in GIVE_UP])
def test_gives_up_for(history: tuple[AttemptView, ...], settings: RetrySettings, reason: str) -> None:
    verdict = decide(*history, settings=settings)
    assert isinstance(verdict, GiveUp)
    assert verdict.reason == reason


def test_attempts_from_different_starts_do_not_count_as_the_same() -> None:
    settings = replace(SETTINGS, no_progress_limit=2)
    assert isinstance(decide(attempt(100), attempt(90), settings=settings), Retry)
    assert isinstance(decide(attempt(100), attempt(100), settings=settings), GiveUp)


def test_a_disruption_between_leaves_the_same_start_the_same() -> None:
    assert isinstance(decide(CRASH, PREEMPTED, CRASH, settings=replace(SETTINGS, no_progress_limit=2)), GiveUp)


def test_an_interrupted_run_is_not_started_again_but_a_finished_one_is_finished() -> None:
    assert decide(PREEMPTED, interrupted=True) == GiveUp("Interrupted", "stopped by the user")
    assert isinstance(decide(attempt(code=0), interrupted=True), Finished)


def test_limit_0_still_lets_a_disrupted_process_start_again() -> None:
    assert isinstance(decide(PREEMPTED, settings=replace(SETTINGS, limit=0)), Retry)


def test_only_a_failure_without_progress_is_charged() -> None:
    charged = {
        name: v.charged
        for name, last in {"crash": CRASH, "step": STEP, "unopened": UNOPENED, "preempted": PREEMPTED}.items()
        if isinstance(v := decide(last), Retry)
    }
    assert charged == {"crash": True, "step": False, "unopened": False, "preempted": False}


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ((STEP,), "progress since the last start, budget still 3"),
        ((CRASH, CRASH), "no progress since the last start, charged 2 of 3"),
        ((CRASH, PREEMPTED), "ended by SIGTERM, which is free; budget still 2"),
        ((UNOPENED, UNOPENED), "it ended before a Checkpoint was opened, 2 of 4 times in a row"),
        ((CRASH,) * 4, "4 failures without progress, and retry.limit is 3"),
        ((UNOPENED,) * 4, "4 processes in a row ended before a Checkpoint was opened"),
        ((attempt(code=86),), "exit code 86: another start would be refused too"),
    ],
)
def test_the_message_says_what_it_costs(history: tuple[AttemptView, ...], message: str) -> None:
    assert decide(*history).message == message


def test_the_message_without_progress_names_the_start() -> None:
    settings = replace(SETTINGS, no_progress_limit=2)
    said = {
        decide(last, last, settings=settings).message for last in (attempt(100), attempt(loaded="a-0-1"), attempt())
    }
    assert said == {
        "2 attempts in a row began at step 100 and committed nothing beyond it",
        "2 attempts in a row began at a-0-1 and committed nothing beyond it",
        "2 attempts in a row began at nothing and committed nothing beyond it",
    }


def test_the_pause_doubles_without_progress_and_begins_again_with_it() -> None:
    patient = replace(SETTINGS, limit=100, no_progress_limit=100)
    history: list[AttemptView] = []
    pauses = []
    for ended in [CRASH] * 6 + [STEP, attempt(200), attempt(200)]:
        history.append(ended)
        verdict = retry(RetryInput(history=tuple(history), settings=patient, jitter=1.0))
        assert isinstance(verdict, Retry)
        pauses.append(verdict.delay_seconds)
    assert pauses == [2, 4, 8, 16, 20, 20, 2, 2, 4]


def test_the_pause_is_at_least_half_by_chance() -> None:
    verdict = retry(RetryInput(history=(CRASH,), settings=SETTINGS, jitter=0.0))
    assert isinstance(verdict, Retry)
    assert verdict.delay_seconds == 1


# --- properties -------------------------------------------------------------------------------------------------------

steps = st.none() | st.integers(0, 50)
attempts = st.builds(
    AttemptView,
    number=st.integers(0, 9),
    exit_code=st.sampled_from([1, 2, 87, 137, 143]),
    disrupted=st.booleans(),
    opened=st.booleans(),
    from_step=steps,
    to_step=steps,
    commits=st.integers(0, 3),
)
settings_of_any_kind = st.builds(
    RetrySettings,
    limit=st.integers(0, 6),
    no_progress_limit=st.integers(1, 6),
    start_failures=st.integers(1, 6),
    backoff_base_seconds=st.floats(0, 100),
    backoff_max_seconds=st.floats(100, 1000),
)


@given(st.lists(attempts, min_size=1, max_size=200), settings_of_any_kind, st.floats(0, 1, exclude_max=True))
def test_every_pause_is_between_half_the_base_and_the_maximum(
    history: list[AttemptView], settings: RetrySettings, jitter: float
) -> None:
    verdict = retry(RetryInput(history=tuple(history), settings=settings, jitter=jitter))
    if isinstance(verdict, Retry):
        assert settings.backoff_base_seconds / 2 <= verdict.delay_seconds <= settings.backoff_max_seconds


@given(st.lists(attempts, max_size=30), attempts)
def test_a_free_end_changes_no_count(history: list[AttemptView], last: AttemptView) -> None:
    free = replace(last, disrupted=True, to_step=None, commits=0)
    before, after = ledger(history), ledger([*history, free])
    assert (after.charged, after.start_failures, after.same_start) == (
        before.charged,
        before.start_failures,
        before.same_start,
    )


@given(settings_of_any_kind, st.data())
def test_a_program_that_only_fails_without_progress_is_given_up(settings: RetrySettings, data: st.DataObject) -> None:
    history: list[AttemptView] = []
    most = (settings.limit + 1) * settings.start_failures + 1
    while len(history) <= most:
        history.append(data.draw(st.sampled_from([CRASH, attempt(90), UNOPENED])))
        if isinstance(retry(RetryInput(history=tuple(history), settings=settings, jitter=0.5)), GiveUp):
            return
    raise AssertionError(f"still going after {len(history)} failures")


@given(st.lists(attempts, max_size=30), settings_of_any_kind.filter(lambda s: s.limit > 0))
def test_progress_is_always_followed_by_another_start(history: list[AttemptView], settings: RetrySettings) -> None:
    verdict = retry(RetryInput(history=(*history, attempt(50, 51)), settings=settings, jitter=0.5))
    assert isinstance(verdict, Retry)
    assert not verdict.charged


CHARGED: list[tuple[str, tuple[AttemptView, ...], bool]] = [
    ("a failure without progress", (CRASH,), True),
    ("one more", (CRASH, CRASH), True),
    ("a failure after progress of its own", (CRASH, attempt(100, 200)), False),
    ("the same steps once more", (attempt(100, 200), attempt(150, 200)), True),
    ("it completed", (CRASH, attempt(100, code=0)), False),
    ("it was ended from outside", (CRASH, attempt(100, disrupted=True)), False),
    ("it was refused", (CRASH, attempt(code=86)), False),
    ("it was overtaken", (CRASH, attempt(100, code=87)), False),
    ("it opened no Checkpoint", (CRASH, UNOPENED), False),
]


@pytest.mark.parametrize(("history", "expected"), [c[1:] for c in CHARGED], ids=[c[0] for c in CHARGED])
def test_is_charged(history: tuple[AttemptView, ...], expected: bool) -> None:
    assert is_charged(history) is expected


@given(st.lists(attempts, min_size=1, max_size=30), settings_of_any_kind)
def test_what_is_charged_is_what_a_retry_is_charged_for(history: list[AttemptView], settings: RetrySettings) -> None:
    verdict = retry(RetryInput(history=tuple(history), settings=settings, jitter=0.5))
    if isinstance(verdict, Retry):
        assert verdict.charged == is_charged(history)
