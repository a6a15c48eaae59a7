"""Programs that fail, and what the next attempt starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.place import Place


def starts(*outputs: str) -> list[str]:
    return [line for out in outputs for line in out.splitlines() if line.startswith("start=")]


def test_a_counter_that_fails_twice_goes_on_where_it_saved_last(place: Place) -> None:
    env = {"TRAINPOINT_WORKFLOW": "counter", "TRAINPOINT_RUN": "run-a", "FAIL_AT": "3,7"}
    attempts = [place.run("counter.py", **env) for _ in range(3)]
    assert starts(*(a.stdout for a in attempts)) == [
        "start=0 loaded=False attempt=0",
        "start=2 loaded=True attempt=1",
        "start=6 loaded=True attempt=2",
    ]
    assert [a.returncode for a in attempts] == [1, 1, 0]
    assert "end=10" in attempts[2].stdout
    assert "flaky at 3" in attempts[0].stderr, "the user's own exception is what one sees"

    new = place.run("counter.py", TRAINPOINT_WORKFLOW="counter", TRAINPOINT_RUN="run-b")
    assert starts(new.stdout) == ["start=0 loaded=False attempt=0"]
    assert "5 checkpoints of run run-a exist and are not loaded" in new.stderr

    eager = place.run("counter.py", TRAINPOINT_WORKFLOW="counter", TRAINPOINT_RUN="run-c", ARGUMENT="eager", TOTAL="14")
    assert starts(eager.stdout) == ["start=10 loaded=True attempt=0"]


def test_none_loads_nothing_on_any_attempt(place: Place) -> None:
    env = {"TRAINPOINT_WORKFLOW": "counter", "TRAINPOINT_RUN": "r", "FAIL_AT": "3,7", "ARGUMENT": "None"}
    attempts = [place.run("counter.py", **env) for _ in range(2)]
    assert starts(*(a.stdout for a in attempts)) == [
        "start=0 loaded=False attempt=0",
        "start=0 loaded=False attempt=1",
    ]


def test_eager_repeats_what_attempt_0_chose_even_if_another_run_has_saved_since(place: Place) -> None:
    def run(name: str, **more: str) -> str:
        done = place.run("counter.py", TRAINPOINT_WORKFLOW="counter", TRAINPOINT_RUN=name, **more)
        return starts(done.stdout)[0]

    run("old", TOTAL="4")
    assert run("new", ARGUMENT="eager", FAIL_AT="4,4") == "start=4 loaded=True attempt=0"
    run("rival", TOTAL="8")
    assert run("new", ARGUMENT="eager", FAIL_AT="4,4") == "start=4 loaded=True attempt=1"
    # One that never ran attempt 0 takes the newest run there is.
    assert run("other", ARGUMENT="eager") == "start=8 loaded=True attempt=0"


def test_eager_leaves_the_runs_of_other_owners_alone(place: Place) -> None:
    def run(name: str, owner: str) -> str:
        done = place.run(
            "counter.py",
            TRAINPOINT_WORKFLOW="counter",
            TRAINPOINT_RUN=name,
            TRAINPOINT_OWNER=owner,
            ARGUMENT="eager",
            TOTAL="4",
        )
        return starts(done.stdout)[0]

    run("ada-1", "ada")
    assert run("bob-1", "bob") == "start=0 loaded=False attempt=0"
    assert run("ada-2", "ada") == "start=4 loaded=True attempt=0"


def test_two_people_who_agree_on_an_owner_go_on_with_each_others_progress(place: Place) -> None:
    """A shared scope is an owner's name: as long as bob has not agreed, he starts at 0."""

    def run(name: str, owner: str, total: str) -> str:
        done = place.run(
            "counter.py",
            TRAINPOINT_WORKFLOW="counter",
            TRAINPOINT_RUN=name,
            TRAINPOINT_OWNER=owner,
            ARGUMENT="eager",
            TOTAL=total,
        )
        assert done.returncode == 0, done.stderr
        return starts(done.stdout)[0]

    alone, shared = "start=0 loaded=False attempt=0", "Team Vision / Köln"
    assert run("alice-1", "alice", "4") == alone
    assert run("bob-1", "bob", "2") == alone
    assert run("alice-2", shared, "4") == alone, "alice's own runs are not the team's"
    assert run("bob-2", shared, "6") == "start=4 loaded=True attempt=0"
    assert run("alice-3", shared, "8") == "start=6 loaded=True attempt=0"
    assert run("bob-3", "bob", "4") == "start=2 loaded=True attempt=0", "each still has runs of his own"


@pytest.mark.parametrize("how", ["ARGUMENT", "TRAINPOINT_LOAD_POLICY"])
def test_an_unknown_policy_ends_with_86_before_any_user_code(place: Place, how: str) -> None:
    done = place.run("counter.py", TRAINPOINT_WORKFLOW="counter", **{how: "newest"})
    assert done.returncode == 86
    assert done.stdout == ""
    assert '"newest"' in done.stderr.replace("'", '"')
    assert 'choose "fresh", "eager" or None' in done.stderr
    assert "TP021" in done.stderr
    assert "Traceback" not in done.stderr
    assert place.catalog().runs("_", "counter") == []


def test_ten_concurrent_runs_never_see_each_other(place: Place) -> None:
    names = [f"run-{n}" for n in range(10)]
    started = {
        name: place.start("counter.py", TRAINPOINT_WORKFLOW="counter", TRAINPOINT_RUN=name, TOTAL="6") for name in names
    }
    for name, process in started.items():
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, f"{name}: {err}"
        assert starts(out) == ["start=0 loaded=False attempt=0"]
    catalog = place.catalog()
    for name in names:
        (task,) = catalog.tasks("_", "counter", name)
        found = [catalog.manifest(task, entry.id) for entry in catalog.entries(task)]
        assert [m.snapshot.step for m in found] == [6, 4, 2]
        assert all(m.snapshot.parents == () for m in found)


def test_twenty_processes_of_one_identity_are_served_in_turn(place: Place, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    env = {"TRAINPOINT_WORKFLOW": "queue", "TRAINPOINT_RUN": "r", "LEDGER": str(ledger)}
    processes = [place.start("once.py", **env) for _ in range(20)]
    for process in processes:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    lines = [line.split() for line in ledger.read_text().splitlines()]
    begun = [int(number) for _, what, number in lines if what == "begin"]
    assert [what for _, what, _ in lines] == ["begin", "end"] * 20, "never two at one time"
    assert begun == sorted(set(begun)), "distinct and rising"
    if place.url.startswith("file:"):
        assert begun == list(range(20))
    (task,) = place.catalog().tasks("_", "queue", "r")
    assert [entry.id.attempt for entry in place.catalog().entries(task)] == begun[::-1]
