"""What an attempt that started now would load; the texts that people read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainpoint.policies.load import LoadPolicy
from trainpoint.policies.resume import Candidate, forecast

OWN = Candidate("own", 30, True)
FIRST = Candidate("first", 7, True)
POLICIES: st.SearchStrategy[LoadPolicy] = st.sampled_from(["fresh", "eager", "none"])


def test_the_newest_of_its_own_goes_before_everything_else() -> None:
    for policy in ("fresh", "eager"):
        found = forecast("fresh" if policy == "fresh" else "eager", [OWN, FIRST], first=FIRST, newer_bad=2)
        assert (found.checkpoint, found.step, found.reason) == ("own", 30, "Newest")
        assert found.message == "newest of this task, verified; 2 newer passed over"


def test_eager_repeats_the_first_choice_and_looks_at_earlier_runs_only_once() -> None:
    assert forecast("eager", [], first=FIRST).checkpoint == "first"
    assert forecast("fresh", [], first=FIRST).checkpoint == ""
    open_ = forecast("eager", [], first=None, decided=False)
    assert (open_.checkpoint, open_.reason) == ("", "NewestOfEarlierRun")
    assert "if there is one when it starts" in open_.message
    assert forecast("eager", [], first=None, decided=True).reason == "NothingFound"


@given(
    POLICIES,
    st.lists(st.builds(Candidate, st.text(min_size=1), st.none() | st.integers(0), st.booleans()), max_size=3),
    st.none() | st.just(FIRST),
    st.booleans(),
    st.integers(0, 5),
)
def test_it_is_always_one_of_those_there_are_and_has_a_reason(
    policy: LoadPolicy, own: list[Candidate], first: Candidate | None, decided: bool, bad: int
) -> None:
    found = forecast(policy, own, first=first, decided=decided, newer_bad=bad)
    assert found.reason
    assert found.message
    there = {(c.name, c.step) for c in (*own, *([first] if first else []))} | {("", None)}
    assert (found.checkpoint, found.step) in there
    if policy == "none":
        assert found.checkpoint == ""
