"""Where an attempt looks for its starting point: policies, sticky resume requests, and what match= passes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Snapshot
from trainpoint.policies.choice import (
    EarlierChoice,
    Scope,
    Search,
    last_rollback,
    mismatch,
    search_order,
    skip_snapshot,
)
from trainpoint.policies.load import LOAD_POLICIES, LoadPolicy
from trainpoint.policies.request import Request, parse_request
from trainpoint.policies.resume import Candidate, Rollback, forecast

OWN = TaskPath("llm", "r", "main")
OTHER = TaskPath("llm", "q", "main")
UID = "4e8c1a7b90d2f365"
ONE = f"{'llm'}-4da09133-0-1-4e8c1"
TWO = f"{'llm'}-4da09133-0-2-4e8c1"


def request(text: str) -> Request:
    found = parse_request(text, "Environment", OWN)
    assert found is not None
    return found


def chose(attempt: int, asked: str = "", task: TaskPath | None = OTHER) -> EarlierChoice:
    return EarlierChoice(attempt, task, SnapshotId(0, 1, UID) if task else None, request(asked).text if asked else "")


def order(
    policy: LoadPolicy = "fresh",
    *earlier: EarlierChoice,
    asked: str = "",
    owner: str = "ada",
    attempt: int | None = None,
) -> Search:
    number = attempt if attempt is not None else earlier[-1].attempt + 1 if earlier else 0
    return search_order(policy, attempt=number, owner=owner, earlier=earlier, request=request(asked) if asked else None)


RUN = request("q")
NAMED = request(ONE)
own = Scope(own=True)
earlier_runs = Scope(own=False, earlier_runs=True)
CASES: list[tuple[str, Search, tuple[Scope, ...], int]] = [
    ("fresh", order(), (own,), 0),
    ("eager", order("eager"), (own, earlier_runs), 0),
    ("eager of nobody", order("eager", owner=""), (own,), 0),
    ("eager again", order("eager", chose(0)), (own, Scope(own=False, repeat=chose(0))), 0),
    ("none", order("none", chose(0)), (), 0),
    ("asked for a run", order(asked="q"), (Scope(own=False, requested=RUN),), 0),
    ("the program would choose", order("none", asked="q"), (Scope(own=False, requested=RUN),), 0),
    ("eager: the origin, then others", order("eager", asked="q"), (Scope(own=False, requested=RUN), earlier_runs), 0),
    ("eager, and a checkpoint", order("eager", asked=ONE), (Scope(own=False, requested=NAMED),), 0),
    (
        "the same again",
        order("fresh", chose(0, "q"), chose(1, "q"), asked="llm/q"),
        (Scope(own=True), Scope(own=False, repeat=chose(0, "q"))),
        0,
    ),
    (
        "the same checkpoint again: that one",
        order("fresh", chose(0), chose(1), chose(2, ONE), asked=ONE),
        (Scope(own=True, since=2), Scope(own=False, repeat=chose(2, ONE), exact=True)),
        2,
    ),
    ("another one", order("fresh", chose(0, ONE), asked=TWO), (Scope(own=False, requested=request(TWO)),), 1),
    (
        "back and forth",
        order("fresh", chose(0, ONE), chose(1, TWO), asked=ONE),
        (Scope(own=False, requested=NAMED),),
        2,
    ),
    (
        "taken away and set again",
        order("fresh", chose(0, ONE), chose(1), asked=ONE),
        (Scope(own=False, requested=NAMED),),
        2,
    ),
    (
        "taken away",
        order("fresh", chose(0), chose(1, ONE), chose(2, ONE), chose(3)),
        (Scope(own=True, since=1), Scope(own=False, repeat=chose(1, ONE))),
        1,
    ),
    (
        "taken away, and eager",
        order("eager", chose(0), chose(1, "q"), chose(2)),
        (Scope(own=True, since=1), Scope(own=False, repeat=chose(1, "q"))),
        1,
    ),
    ("taken away, and the program chooses", order("none", chose(0), chose(1, ONE)), (), 1),
    (
        "found nothing then",
        order("fresh", chose(0, "q", None), asked="q"),
        (Scope(own=True), Scope(own=False, repeat=chose(0, "q", None))),
        0,
    ),
]


@pytest.mark.parametrize(("found", "scopes", "since"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_where_it_looks(found: Search, scopes: tuple[Scope, ...], since: int) -> None:
    assert (found.scopes, found.since) == (scopes, since)
    assert found.nothing
    assert found.message


# --- any history ------------------------------------------------------------------------------------------------------


@dataclass
class World:
    """A run whose attempts start, save or die before that, while people ask for this and that."""

    saved: list[tuple[int, int]] = field(default_factory=list)
    """(attempt, step) of its own checkpoints, oldest first"""
    choices: list[EarlierChoice] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    """what each attempt started from, as text"""
    origin: int = 100
    """newest step of the run that is asked for; it goes on"""

    def attempt(self, policy: LoadPolicy, asked: str, saves: int) -> Search:
        number = len(self.choices)
        wanted = request(asked) if asked else None
        search = search_order(policy, attempt=number, owner="ada", earlier=self.choices, request=wanted)
        found = next((text for scope in search.scopes if (text := self.look(scope))), "")
        task = None if not found else OWN if found.startswith("own") else OTHER
        self.choices.append(EarlierChoice(number, task, None, wanted.text if wanted else ""))
        self.loaded.append(found)
        start = int(found.rpartition(" ")[2]) if found else 0
        self.saved += [(number, start + step) for step in range(1, saves + 1)]
        self.origin += 1
        return search

    def look(self, scope: Scope) -> str:
        if scope.own:
            return next((f"own {a} {s}" for a, s in reversed(self.saved) if a >= scope.since), "")
        if scope.repeat is not None:
            return self.loaded[scope.repeat.attempt]
        if scope.requested is not None and scope.requested.kind == "Run":
            return f"origin {self.origin}"
        if scope.requested is not None:
            return f"named {scope.requested.text} {scope.requested.text.split('-')[3]}"
        return ""


attempts = st.lists(
    st.tuples(st.sampled_from(LOAD_POLICIES), st.sampled_from(["", "", "q", ONE, TWO]), st.integers(0, 2)), max_size=8
)


@given(attempts)
def test_a_rollback_holds_until_another_one_whatever_dies_in_between(
    history: list[tuple[LoadPolicy, str, int]],
) -> None:
    world = World()
    base: tuple[int, str] | None = None  # attempt of the last rollback, and what it loaded
    before = ""
    for number, (policy, asked, saves) in enumerate(history):
        search = world.attempt(policy, asked, saves)
        found = world.loaded[-1]
        if asked and asked != before:
            base = (number, found)
            assert found.startswith("origin" if asked == "q" else f"named {asked}"), "loaded now"
        elif policy == "none" and not asked:
            assert found == ""
        elif base is not None:
            since = [(a, s) for a, s in world.saved if base[0] <= a < number]
            assert found == (f"own {since[-1][0]} {since[-1][1]}" if since else base[1])
        before = asked
        assert search.since == (base[0] if base is not None else 0)
        rollback = last_rollback(world.choices)
        assert (rollback.attempt if rollback else None) == (base[0] if base else None)


@given(attempts, st.sampled_from(LOAD_POLICIES), st.sampled_from(["", "q", ONE, TWO]))
def test_the_forecast_says_what_the_search_finds(
    history: list[tuple[LoadPolicy, str, int]], policy: LoadPolicy, asked: str
) -> None:
    """What a run's status shows, from the newest claim alone, is what the next attempt does."""
    world = World()
    search = None
    for one in history:
        search = world.attempt(*one)
    if search is None or (policy == "eager" and not last_rollback(world.choices) and not asked):
        return  # eager's first choice is another story (tests/unit/policies/test_resume.py)
    newest, last = world.choices[-1], world.loaded[-1]
    known = newest.request or search.since or last.startswith(("origin", "named"))
    own_since = bool(search.scopes) and last.startswith("own") and bool(search.rollback)
    chosen = Candidate(last, None, True) if last and not own_since else None
    told = forecast(
        policy,
        [Candidate(f"own {a} {s}", s, True, a) for a, s in reversed(world.saved)],
        first=None,
        decided=True,
        request=request(asked) if asked else None,
        rollback=Rollback(newest.request, search.since, chosen) if known else None,
    )
    program_chose = history[-1][0] == "none" and not history[-1][1]
    world.attempt(policy, asked, 0)
    actual = world.loaded[-1]
    if told.reason == "Requested":
        assert actual.startswith("origin" if asked == "q" else f"named {told.checkpoint} ")
    elif not program_chose:  # which loaded nothing, so that it cannot tell what the rollback before it had loaded
        assert told.checkpoint == actual


# --- match ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "match", "told"),
    [
        ({"lr": 0.1}, {}, ""),
        ({"lr": 0.1, "seed": 7}, {"lr": 0.1}, ""),
        ({"lr": 1}, {"lr": 1.0}, ""),
        ({"lr": 0.2}, {"lr": 0.1}, "has lr=0.2, not 0.1"),
        ({}, {"lr": 0.1}, "does not say its lr, which has to be 0.1"),
        ({"on": 1}, {"on": True}, "has on=1, not True"),
        ({"layers": [1, 2]}, {"layers": [1, 2]}, ""),
        ({"layers": {"a": 1}}, {"layers": {"a": 2}}, "has layers={'a': 1}, not {'a': 2}"),
    ],
)
def test_metadata_have_to_say_what_is_asked_for(
    metadata: dict[str, object], match: dict[str, object], told: str
) -> None:
    assert mismatch(metadata, match) == told
    skip = skip_snapshot(Snapshot(OWN, SnapshotId(0, 1, UID), metadata=metadata), match=match)
    assert (skip.reason, skip.message, skip.worth_telling) == ("NotMatching", told, True) if told and skip else not skip


def test_series_and_latest_are_asked_for_first() -> None:
    def reasons(found: Sequence[Snapshot], series: str | None = None) -> list[str]:
        skips = [skip_snapshot(one, series, match={"lr": 1}) for one in found]
        return [skip.message if skip else "" for skip in skips]

    snapshots = [
        Snapshot(OWN, SnapshotId(0, 1, UID), series="best", latest=False, metadata={"lr": 1}),
        Snapshot(OWN, SnapshotId(0, 2, UID), metadata={"lr": 1}),
    ]
    assert reasons(snapshots) == ["was saved with latest=False", ""]
    assert reasons(snapshots, "best") == ["", "is of another series, ''"]
