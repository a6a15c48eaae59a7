"""May a process start: the table of verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.api import reasons
from trainpoint.policies.start import (
    QUIET_SECONDS,
    YOUNG_SECONDS,
    Allow,
    Conflict,
    Liveness,
    Refuse,
    Rival,
    StartInput,
    Wait,
    is_in_the_way,
    may_start,
)


def rival(
    liveness: Liveness, *, won: bool = True, quiet: float = 0.0, uid: str = "a" * 16, who: str = "process 7 on gpu-7"
) -> Rival:
    return Rival(3, uid, won, liveness, quiet, who, "2026-01-01 00:00:00 UTC")


SPENT = Refuse(reasons.RETRIES_EXHAUSTED, "5 of 5 retries are used")
ME = frozenset({"a" * 16})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(StartInput("t"), Allow, id="nobody there"),
        pytest.param(StartInput("t", [rival("Dead")]), Allow, id="holder gone"),
        pytest.param(StartInput("t", [rival("Dead", won=False)]), Allow, id="intent of a process that is gone"),
        pytest.param(StartInput("t", [rival("Alive")]), Wait, id="holder alive"),
        pytest.param(StartInput("t", [rival("Alive", quiet=1e9)]), Wait, id="holder alive here, however silent"),
        pytest.param(StartInput("t", [rival("Alive", won=False)]), Wait, id="intent of a live process"),
        pytest.param(StartInput("t", [rival("Unknown", quiet=119.9)]), Wait, id="holder elsewhere, silent for a while"),
        pytest.param(StartInput("t", [rival("Unknown", quiet=120.0)]), Allow, id="holder elsewhere, silent too long"),
        pytest.param(StartInput("t", [rival("Unknown", won=False, quiet=119)]), Wait, id="intent elsewhere"),
        pytest.param(StartInput("t", [rival("Unknown", won=False, quiet=120)]), Allow, id="old intent elsewhere"),
        pytest.param(StartInput("t", [rival("Alive")], 59.9), Wait, id="holder alive, still patient"),
        pytest.param(StartInput("t", [rival("Alive")], 60.0), Conflict, id="holder alive for too long"),
        pytest.param(StartInput("t", [rival("Alive", won=False)], 60.0), Conflict, id="intent alive for too long"),
        pytest.param(StartInput("t", [rival("Alive")], 0.0, 0.0), Conflict, id="no patience at all"),
        pytest.param(StartInput("t", [rival("Self")]), Conflict, id="open in this process"),
        pytest.param(StartInput("t", [rival("Self")], takeover=ME), Conflict, id="no takeover of oneself"),
        pytest.param(StartInput("t", [rival("Alive")], takeover=ME), Allow, id="takeover"),
        pytest.param(StartInput("t", [rival("Alive", uid="b" * 16)], takeover=ME), Wait, id="came after the takeover"),
        pytest.param(
            StartInput("t", [rival("Unknown", won=False, quiet=29)], takeover=ME), Wait, id="takeover, young intent"
        ),
        pytest.param(
            StartInput("t", [rival("Alive", won=False, quiet=30)], takeover=ME), Allow, id="takeover, old intent"
        ),
        pytest.param(StartInput("t", refusal=SPENT), Refuse, id="budget spent"),
        pytest.param(
            StartInput("t", [rival("Alive")], refusal=SPENT), Wait, id="budget spent, but somebody is at work"
        ),
        pytest.param(StartInput("t", [rival("Dead")], refusal=SPENT), Refuse, id="budget spent, holder gone"),
    ],
)
def test_may_start(facts: StartInput, expected: type) -> None:
    assert type(may_start(facts)) is expected


def test_a_conflict_names_the_holder_since_when_and_both_ways_out() -> None:
    verdict = may_start(StartInput("w/r/main", [rival("Alive")], 61.0))
    assert isinstance(verdict, Conflict)
    assert verdict.reason == reasons.HOLDER_ALIVE
    for part in ("w/r/main", "process 7 on gpu-7", "2026-01-01 00:00:00 UTC", "61 s"):
        assert part in verdict.message
    assert "own" in verdict.remedy
    assert "--takeover" in verdict.remedy


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (StartInput("t", [rival("Self")]), reasons.OPEN_IN_THIS_PROCESS),
        (StartInput("t", [rival("Alive")]), reasons.HOLDER_ALIVE),
        (StartInput("t", [rival("Alive", won=False)]), reasons.UNRESOLVED_INTENT),
        (StartInput("t", [rival("Alive"), rival("Self", uid="b" * 16)]), reasons.OPEN_IN_THIS_PROCESS),
        (StartInput("t", [rival("Alive", won=False), rival("Alive", uid="b" * 16)]), reasons.HOLDER_ALIVE),
        (StartInput("t", refusal=SPENT), reasons.RETRIES_EXHAUSTED),
    ],
)
def test_the_first_objection_gives_the_reason(facts: StartInput, reason: str) -> None:
    verdict = may_start(facts)
    assert not isinstance(verdict, Allow)
    assert verdict.reason == reason


def test_a_refusal_is_passed_on_as_it_is() -> None:
    assert may_start(StartInput("t", refusal=SPENT)) is SPENT


def test_whoever_was_passed_over_without_proof_is_named() -> None:
    gone, silent = rival("Dead", won=False), rival("Unknown", quiet=QUIET_SECONDS, uid="b" * 16)
    assert may_start(StartInput("t", [gone, silent])) == Allow(overtaken=(silent,))
    assert may_start(StartInput("t", [gone])) == Allow()


@given(
    liveness=st.sampled_from(["Alive", "Dead", "Unknown"]),
    won=st.booleans(),
    quiet=st.floats(-10.0, 1000.0),
    taken=st.booleans(),
)
def test_a_longer_silence_or_a_takeover_never_makes_a_claim_more_of_an_obstacle(
    liveness: Liveness, won: bool, quiet: float, taken: bool
) -> None:
    now = rival(liveness, won=won, quiet=quiet)
    later = rival(liveness, won=won, quiet=quiet + YOUNG_SECONDS)
    takeover = ME if taken else frozenset[str]()
    assert is_in_the_way(now, takeover) or not is_in_the_way(later, takeover)
    if quiet >= YOUNG_SECONDS:
        assert is_in_the_way(now) or not is_in_the_way(now, ME)
