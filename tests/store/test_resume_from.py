"""Resume requests: an interrupted run is gone on with in a new one, and a run is rolled back."""

from __future__ import annotations

import subprocess
import sys
from subprocess import CompletedProcess

from tests.support.place import Place
from trainpoint.claim.history import AttemptView, read_attempts
from trainpoint.format.layout import TaskPath
from trainpoint.format.reference import checkpoint_name
from trainpoint.handle.latest import latest_of

MISTAKES = ("cannot be used", "write best, best:<metric>:min or best:<metric>:max")


def count(place: Place, run: str = "r", **more: str) -> CompletedProcess[str]:
    return place.run("counter.py", TRAINPOINT_WORKFLOW="counter", TRAINPOINT_RUN=run, **more)


def start(done: CompletedProcess[str]) -> str:
    return next((line for line in done.stdout.splitlines() if line.startswith("start=")), done.stderr)


def attempts(place: Place, run: str = "r") -> list[AttemptView]:
    return read_attempts(place.store(), TaskPath("counter", run, "main"))


def names(place: Place, run: str = "r") -> dict[int | None, str]:
    """Checkpoints of a run by step; the newest of equal ones."""
    task = TaskPath("counter", run, "main")
    catalog = place.catalog()
    found = [catalog.manifest(task, entry.id).snapshot for entry in catalog.entries(task)]
    return {s.step: checkpoint_name(task, s.id) for s in reversed(found)}


def test_an_interrupted_run_is_gone_on_with_although_another_one_is_newer(place: Place) -> None:
    assert count(place, "a", ARGUMENT="eager", FAIL_AT="7").returncode == 1
    assert start(count(place, "b", TOTAL="8", ARGUMENT="fresh")) == "start=0 loaded=False attempt=0"

    resumed = count(place, "c", ARGUMENT="eager", TRAINPOINT_RESUME_FROM="counter/a")
    assert start(resumed) == "start=6 loaded=True attempt=0"
    assert "newest of run a, as TRAINPOINT_RESUME_FROM=counter/a says" in resumed.stderr
    origin = names(place, "a")[6]
    parents = [
        place.catalog().manifest(TaskPath("counter", "c", "main"), entry.id).snapshot.parents
        for entry in place.catalog().entries(TaskPath("counter", "c", "main"))
    ]
    assert parents == [(origin,)] * 2
    (loaded,) = [view.loaded for view in attempts(place, "c")]
    assert loaded is not None
    assert (loaded.checkpoint, loaded.reason, loaded.request) == (origin, "Requested", "counter/a")
    assert (loaded.request_by, loaded.since) == ("Environment", 0)

    assert start(count(place, "d", ARGUMENT="eager")) == "start=10 loaded=True attempt=0"
    assert start(count(place, "e", ARGUMENT="fresh")) == "start=0 loaded=False attempt=0"


def test_a_resume_repeats_what_it_chose_although_the_origin_has_saved_since(place: Place) -> None:
    count(place, "a", TOTAL="4")
    more = {"TRAINPOINT_RESUME_FROM": "a", "FAIL_AT": "4,4,9"}
    assert start(count(place, "b", **more)) == "start=4 loaded=True attempt=0"
    assert start(count(place, "a", TOTAL="6")) == "start=4 loaded=True attempt=1"
    again = count(place, "b", **more)
    assert start(again) == "start=4 loaded=True attempt=1"
    assert "once more what attempt 0 resumed from (counter/a), since nothing was saved after that" in again.stderr
    assert start(count(place, "b", **more)) == "start=4 loaded=True attempt=2", "it saves 6 and 8"
    since = count(place, "b", **more)
    assert start(since) == "start=8 loaded=True attempt=3"
    assert "newest that verifies, of those since attempt 0 resumed from (counter/a)" in since.stderr
    reasons = [view.loaded.reason for view in attempts(place, "b") if view.loaded]
    assert reasons == ["Requested", "SameAsRequested", "SameAsRequested", "SinceRequest"]


def test_a_rollback_survives_a_process_that_dies_before_its_first_save(place: Place) -> None:
    assert start(count(place)) == "start=0 loaded=False attempt=0"
    four = names(place)[4]
    back = {"TRAINPOINT_RESUME_FROM": four, "FAIL_AT": "0,4,4,5"}
    assert start(count(place, **back)) == "start=4 loaded=True attempt=1"
    assert start(count(place, **back)) == "start=4 loaded=True attempt=2", "10 is still there, and not gone on from"
    # The request is taken away: the rollback goes on, whichever policy is in force.
    assert start(count(place, FAIL_AT="0,4,4,7")) == "start=4 loaded=True attempt=3"
    assert start(count(place, FAIL_AT="0,4,4,7,6")) == "start=6 loaded=True attempt=4"
    since = {view.number: view.loaded.since for view in attempts(place) if view.loaded}
    assert since == {0: 0, 1: 1, 2: 1, 3: 1, 4: 1}


def test_a_changed_request_is_a_new_rollback(place: Place) -> None:
    count(place)
    at = names(place)
    assert start(count(place, TRAINPOINT_RESUME_FROM=at[4], TOTAL="6")) == "start=4 loaded=True attempt=1"
    assert start(count(place, TRAINPOINT_RESUME_FROM=at[8], TOTAL="8")) == "start=8 loaded=True attempt=2"
    assert start(count(place, TRAINPOINT_RESUME_FROM=at[8], TOTAL="8")) == "start=8 loaded=True attempt=3"
    assert start(count(place, TRAINPOINT_RESUME_FROM=at[4], TOTAL="4")) == "start=4 loaded=True attempt=4"
    # latest undoes it: the newest of all attempts.
    assert start(count(place, TRAINPOINT_RESUME_FROM="latest", TOTAL="6")) == "start=6 loaded=True attempt=5"


def test_what_does_not_exist_ends_with_86_before_any_user_code(place: Place) -> None:
    count(place, "run-a", TOTAL="2")
    (name,) = names(place, "run-a").values()
    for request, message in (
        ("counter/run-b", "there is no run counter/run-b in"),
        ("run-b", "did you mean counter/run-a?"),
        (name[:-1] + ("0" if name[-1] != "0" else "1"), "no checkpoint is named"),
        ("best", "the policy names no metric"),
        ("best:loss:min", "no checkpoint of this task has the metric 'loss'"),
        *(("a b", MISTAKES[0]), ("best:loss", MISTAKES[1])),
    ):
        done = count(place, TRAINPOINT_RESUME_FROM=request)
        assert (done.returncode, done.stdout) == (86, ""), request
        assert message in done.stderr
        assert f"[{'TP150' if message in MISTAKES else 'TP023'}]: TRAINPOINT_RESUME_FROM=" in done.stderr
    assert [view.end.exit_code for view in attempts(place) if view.end] == [86] * 5, "a mistake does not even claim"


def test_latest_is_the_own_one_else_that_of_the_newest_earlier_run(place: Place) -> None:
    none = count(place, "first", TRAINPOINT_RESUME_FROM="latest")
    assert none.returncode == 86
    assert "neither this run nor an earlier run of" in none.stderr
    count(place, "old", TOTAL="4", TRAINPOINT_OWNER="ada")
    count(place, "foreign", TOTAL="8", TRAINPOINT_OWNER="bob")
    more = {"TRAINPOINT_OWNER": "ada", "TRAINPOINT_RESUME_FROM": "latest"}
    assert start(count(place, "new", TOTAL="6", **more)) == "start=4 loaded=True attempt=0"
    count(place, "other", TOTAL="10", TRAINPOINT_OWNER="ada")
    assert start(count(place, "new", TOTAL="8", **more)) == "start=6 loaded=True attempt=1"


def test_a_deleted_or_damaged_one_is_told_and_nothing_else_is_taken(place: Place) -> None:
    count(place, "a", TOTAL="4")
    at = names(place, "a")
    catalog, task = place.catalog(), TaskPath("counter", "a", "main")
    four, two = [entry.id for entry in catalog.entries(task)]
    (data,) = [row.key for row in catalog.store.list(task.data) if str(four) in row.key]
    catalog.store.put(data, b"damaged")
    done = count(place, "b", TRAINPOINT_RESUME_FROM=at[4])
    assert (done.returncode, done.stdout) == (86, "")
    assert f"TRAINPOINT_RESUME_FROM={at[4]}: checkpoint {at[4]} is corrupt" in done.stderr
    # A run means its newest good one.
    older = count(place, "c", TRAINPOINT_RESUME_FROM="a", TOTAL="2")
    assert start(older) == "start=2 loaded=True attempt=0"
    assert f"skipped {at[4]}" in older.stderr
    catalog.delete(task, two, by="test")
    done = count(place, "d", TRAINPOINT_RESUME_FROM=at[2])
    assert (done.returncode, done.stdout) == (86, "")
    assert "was deleted" in done.stderr
    done = count(place, "e", TRAINPOINT_RESUME_FROM="a")
    assert (done.returncode, done.stdout) == (86, "")
    assert "none of its checkpoints of this task can be loaded" in done.stderr


def test_a_run_that_has_saved_nothing_of_this_task_is_told_and_started_from_nothing(place: Place) -> None:
    assert count(place, "a", FAIL_AT="1").returncode == 1
    count(place, "a", TRAINPOINT_TASK="prepare", TOTAL="2")
    done = count(place, "b", TRAINPOINT_RESUME_FROM="a", TOTAL="2")
    assert start(done) == "start=0 loaded=False attempt=0"
    assert "TRAINPOINT_RESUME_FROM=counter/a: that run has no checkpoint of this task; its tasks: main, prepare" in (
        done.stderr
    )
    # Of another task only: this one follows its policy.
    done = count(place, "c", TRAINPOINT_RESUME_FROM="counter/a/prepare", TOTAL="4")
    assert start(done) == "start=0 loaded=False attempt=0"
    done = count(place, "c", TRAINPOINT_RESUME_FROM="counter/a/prepare", TRAINPOINT_TASK="prepare", TOTAL="4")
    assert start(done) == "start=2 loaded=True attempt=0"
    assert start(count(place, "c", TRAINPOINT_RESUME_FROM="counter/a/prepare", TOTAL="4")) == (
        "start=4 loaded=True attempt=1"
    )


def test_a_rollback_whose_checkpoint_is_deleted_afterwards(place: Place) -> None:
    count(place)
    at = names(place)
    back = {"TRAINPOINT_RESUME_FROM": at[4]}
    assert start(count(place, FAIL_AT="0,4", **back)) == "start=4 loaded=True attempt=1"
    catalog, task = place.catalog(), TaskPath("counter", "r", "main")
    (four,) = [entry.id for entry in catalog.entries(task) if checkpoint_name(task, entry.id) == at[4]]
    catalog.delete(task, four, by="test")
    # Who still asks for that one is told, before any code of the program runs ...
    done = count(place, **back)
    assert (done.returncode, done.stdout) == (86, "")
    assert f"TRAINPOINT_RESUME_FROM={at[4]}: checkpoint {at[4]} was deleted" in done.stderr
    # ... else the next older one stands in for it, never a newer one, from which somebody has gone back.
    found = latest_of(catalog, task)
    assert found is None, "the request was never taken away"
    assert start(count(place)) == "start=2 loaded=True attempt=3"


def test_latest_is_what_the_next_attempt_would_load(place: Place) -> None:
    count(place)
    at = names(place)
    catalog = place.catalog()

    def latest() -> str:
        found = latest_of(catalog, TaskPath("counter", "r", "main"))
        assert found is not None
        return found.name

    assert latest() == at[10]
    count(place, FAIL_AT="0,10")
    assert latest() == at[10], "a later attempt that has saved nothing changes nothing"
    back = {"TRAINPOINT_RESUME_FROM": at[4]}
    count(place, FAIL_AT="0,0,4", **back)
    assert latest() == at[4]
    why = subprocess.run(
        [sys.executable, "-m", "trainpoint.cli.main", "why", "counter/r/main"],
        env=place.env(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert f"loaded   {at[4]} (step 4): as TRAINPOINT_RESUME_FROM={at[4]} says" in why
    assert f"if it started now: would load {at[4]} (step 4)" in why
    assert start(count(place, FAIL_AT="0,0,4,6")) == "start=4 loaded=True attempt=3"
    assert latest() == names(place)[6] != at[6]
