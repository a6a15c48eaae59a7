"""Several ranks of one task, as processes with a launcher's variables."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.place import DEADLINE_SECONDS, Place
from trainpoint.claim.history import read_attempts
from trainpoint.format.layout import TaskPath, parse_vote_key, votes_prefix

SIZE = 4
TASK = TaskPath("gang", "r", "main")


class Gang:
    """The ranks of one task, started and ended together."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *ranks: int, **more: str) -> list[subprocess.Popen[str]]:
        started = [
            self.place.start(
                "gang.py",
                TRAINPOINT_WORKFLOW="gang",
                TRAINPOINT_RUN="r",
                RANK=str(rank),
                WORLD_SIZE=str(SIZE),
                **more,
            )
            for rank in ranks
        ]
        self.processes += started
        return started

    def run(self, *ranks: int, **more: str) -> list[subprocess.CompletedProcess[str]]:
        """To their ends."""
        return [ended(process) for process in self.start(*ranks, **more)]

    def run_until_ready_and_kill(self, **more: str) -> list[list[str]]:
        """The lines of each rank up to ``ready``; all are killed then, none by the end of another."""
        started = self.start(*range(SIZE), THEN="hold", **more)
        lines = [until_ready(process) for process in started]
        for process in started:
            process.kill()
        for process in started:
            process.communicate(timeout=DEADLINE_SECONDS)
        return lines


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until_ready(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line == "ready\n":
            return lines
        lines.append(line.rstrip())
    pytest.fail(f"ended before it was ready, after {lines}: {process.communicate()[1]}")


@pytest.fixture
def gang(place: Place) -> Iterator[Gang]:
    gang = Gang(place)
    yield gang
    for process in gang.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_all_ranks_load_the_same_and_save_returns_the_same_on_each(gang: Gang) -> None:
    first = gang.run_until_ready_and_kill(TOTAL="8")
    assert first == [first[0]] * SIZE, "every rank says the same, references included"
    assert first[0][0] == "start=0 file=nothing ref=none attempt=0"
    assert len([line for line in first[0] if line.startswith("saved=")]) == 2
    catalog = gang.place.catalog()
    found = [catalog.manifest(TASK, entry.id) for entry in catalog.entries(TASK)]
    assert [m.snapshot.step for m in found] == [8, 6, 4, 2], "one checkpoint per save, whatever the number of ranks"
    assert {m.snapshot.world_size for m in found} == {SIZE}

    second = [done.stdout.splitlines() for done in gang.run(*range(SIZE), TOTAL="8")]
    newest = catalog.manifest(TASK, next(catalog.entries(TASK)).id).snapshot
    assert newest.step == 8
    assert second == [second[0]] * SIZE
    assert second[0][0].startswith("start=8 file=8 ref=")
    assert second[0][0].endswith("attempt=1")
    assert [view.number for view in read_attempts(gang.place.store(), TASK)] == [0, 1], "only rank 0 claims"


def test_a_damaged_checkpoint_is_passed_over_by_all(gang: Gang) -> None:
    gang.run_until_ready_and_kill(TOTAL="4")
    catalog = gang.place.catalog()
    newest = catalog.manifest(TASK, next(catalog.entries(TASK)).id)
    damage(gang.place, newest.objects[newest.files[0].extents[0].object].key)

    again = [done.stdout.splitlines() for done in gang.run(*range(SIZE), TOTAL="4")]
    assert again[0][0].startswith("start=2 file=2 ref=")
    assert all(lines[0] == again[0][0] for lines in again)
    assert [line for line in again[0] if line.startswith("skipped=") and "is corrupt" in line]
    assert again == [again[0]] * SIZE


def damage(place: Place, key: str) -> None:
    store = place.store()
    body = bytearray(store.get(key))
    body[0] ^= 1
    store.put(key, bytes(body))


def test_sigterm_to_all_ranks_is_one_final_checkpoint_and_143_on_each(gang: Gang) -> None:
    started = gang.start(*range(SIZE), TOTAL="2", THEN="term")
    for process in started:
        until_ready(process)
    for process in started:
        process.send_signal(signal.SIGTERM)
    done = [ended(process) for process in started]
    assert [d.returncode for d in done] == [143] * SIZE, [d.stderr for d in done]
    assert len({d.stdout for d in done}) == 1
    assert done[0].stdout.startswith("final=")
    (view,) = read_attempts(gang.place.store(), TASK)
    assert view.end is not None
    assert view.end.how == "Preempted"
    again = gang.run(*range(SIZE), TOTAL="2")
    assert {d.stdout.splitlines()[0].split(" ref=")[0] for d in again} == {"start=3 file=3"}


def test_ranks_that_are_quicker_than_the_claim_leave_a_dead_attempt_alone(gang: Gang) -> None:
    gang.run_until_ready_and_kill(TOTAL="4")
    quick = gang.start(1, 2, 3, TOTAL="4")
    # The last attempt is dead, and said go to others: nothing may begin before rank 0 has claimed anew.
    with pytest.raises(subprocess.TimeoutExpired):
        quick[0].wait(timeout=3)
    (slow,) = gang.start(0, TOTAL="4")
    done = [ended(process) for process in (slow, *quick)]
    assert [d.returncode for d in done] == [0] * SIZE, [d.stderr for d in done]
    starts = {d.stdout.splitlines()[0] for d in done}
    assert len(starts) == 1
    assert starts.pop().endswith("attempt=1")


def test_rank_0_names_the_ranks_that_did_not_come(gang: Gang) -> None:
    zero, one = gang.run(0, 1, DEADLINE="2")
    assert zero.returncode == 1, zero.stderr
    assert "TP045" in zero.stderr
    assert "ranks 2, 3 of 4 did not open this task's Checkpoint" in zero.stderr
    assert "collective=False" in zero.stderr
    assert one.returncode == 1, one.stderr
    assert "rank 1 of 4: rank 0 has not" in one.stderr
    assert zero.stdout == one.stdout == "", "the program has not seen the directory"


def test_a_rank_without_rank_0_says_so(gang: Gang) -> None:
    (two,) = gang.run(2, DEADLINE="1")
    assert two.returncode == 1
    assert "rank 2 of 4: rank 0 has not claimed the task" in two.stderr
    assert list(gang.place.store().list(TASK.attempts)) == [], "it claims nothing"


def test_where_only_rank_0_opens_one_nobody_is_waited_for(gang: Gang) -> None:
    (zero,) = gang.run(0, COLLECTIVE="0", TOTAL="4")
    assert zero.returncode == 0, zero.stderr
    store = gang.place.store()
    (view,) = read_attempts(store, TASK)
    assert list(store.list(votes_prefix(TASK, view.number, view.uid))) == []
    (one,) = gang.run(1, COLLECTIVE="0")
    assert one.returncode == 86
    assert "collective=False means that rank 0 alone opens a Checkpoint, and this is rank 1 of 4" in one.stderr


def test_the_other_ranks_leave_a_vote_each_and_nothing_else(gang: Gang) -> None:
    done = gang.run(*range(SIZE), TOTAL="2")
    assert [d.returncode for d in done] == [0] * SIZE, [d.stderr for d in done]
    store = gang.place.store()
    (view,) = read_attempts(store, TASK)
    votes = [parse_vote_key(row.key) for row in store.list(votes_prefix(TASK, view.number, view.uid))]
    assert votes == [1, 2, 3]
    assert view.end is not None
    assert view.end.how == "Completed"
    assert sum(row.key.endswith(".end") for row in store.list(TASK.attempts)) == 1


def test_ranks_without_a_run_between_them_are_refused(place: Place) -> None:
    done = place.run("gang.py", TRAINPOINT_WORKFLOW="gang", RANK="1", WORLD_SIZE="2")
    assert done.returncode == 86
    assert "no run is named: each would begin its own" in done.stderr
    assert "trainpoint run -- torchrun" in done.stderr
