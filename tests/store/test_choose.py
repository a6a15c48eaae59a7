"""Programs that choose a checkpoint themselves: of runs that have ended, that go on, that are somebody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.place import PROGRAMS, Place
from trainpoint import Checkpoint, Flow, InvalidArgumentError, NotVisibleError, RunNotFoundError, Workflow


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """This process reaches the place too, as ada."""
    for name, value in {**place.environ, "TRAINPOINT_STORE": place.url, "TRAINPOINT_OWNER": "ada"}.items():
        monkeypatch.setenv(name, value)
    return place


class Training:
    """A process that trains as it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.start = self._answer()

    def tell(self, what: str) -> str:
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        return self._answer()

    def end(self, how: str = "end") -> int:
        _, err = self.process.communicate(how + "\n", timeout=300)
        assert how != "end" or self.process.returncode == 0, err
        return self.process.returncode

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            _, err = self.process.communicate(timeout=300)
            pytest.fail(f"it has ended: {err}")
        return line


@contextmanager
def training(place: Place, run: str, *, owner: str = "ada", policy: str = "fresh") -> Iterator[Training]:
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "talk.py")],
        env=place.env(
            TRAINPOINT_WORKFLOW="talk", TRAINPOINT_RUN=run, TRAINPOINT_OWNER=owner, TRAINPOINT_LOAD_POLICY=policy
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Training(process)
    finally:
        process.kill()
        process.communicate()


def counter(place: Place, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    """CheckpointCounterFlow under the supervisor, which writes down how the run ended."""
    return subprocess.run(
        [sys.executable, "-m", "trainpoint.cli.main", "run", *more, "--", sys.executable, str(PROGRAMS / "counter.py")],
        env=place.env(TRAINPOINT_WORKFLOW="counter", **env),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def loaded_counter(workflow: Workflow) -> int:
    """CounterPolicyFlow: the latest successful run's latest checkpoint."""
    with Checkpoint(workflow="policy", load_policy=None) as ckpt:
        run = workflow.latest_successful_run
        loaded = ckpt.load(run["main"].task["latest_checkpoint"].data)
        assert ckpt.is_loaded
        ckpt.save()
        assert ckpt.list()[0].parents == (loaded.name,)
        return int((ckpt.path / "counter").read_text())


def test_the_latest_successful_run_is_chosen_whatever_failed_later(here: Place) -> None:
    assert counter(here, "--retries", "3", FAIL_AT="3,7", TRAINPOINT_OWNER="ada").returncode == 0
    first = Flow("counter").latest_run
    assert counter(here, "--retries", "0", FAIL_AT="5", TRAINPOINT_OWNER="ada").returncode != 0
    flow = Flow("counter")
    assert flow.latest_run.outcome == "Failed"
    assert flow.latest_successful_run == first
    assert [run.outcome for run in flow.runs()] == ["Failed", "Succeeded"]
    assert loaded_counter(flow) == 10


def test_a_colleague_sees_it_only_by_asking_for_everyone(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counter(here, TRAINPOINT_OWNER="ada").returncode == 0
    monkeypatch.setenv("TRAINPOINT_OWNER", "bob")
    with pytest.raises(NotVisibleError, match=r"1 run, none of bob; owners: ada \(1\)"):
        loaded_counter(Flow("counter"))
    with Checkpoint() as reader:
        with pytest.raises(NotVisibleError):
            reader.list(workflow="counter")
        assert [info.step for info in reader.list(workflow="counter", owner="*")] == [10, 8, 6, 4, 2]
        assert [info.step for info in reader.list(workflow="counter", owner="ada", attempt="0")[:2]] == [10, 8]
        assert reader.list(task=Flow("counter", owner="*").latest_run["main"].task)[0].owner == "ada"
    assert loaded_counter(Flow("counter", owner="*")) == 10


def test_a_run_that_loads_and_saves_nothing_still_has_a_latest(here: Place) -> None:
    assert counter(here, TRAINPOINT_OWNER="ada").returncode == 0
    assert counter(here, TRAINPOINT_OWNER="ada", ARGUMENT="eager").returncode == 0
    newest, older = Flow("counter").runs()
    assert len(newest["main"].task.checkpoints()) == 0
    assert newest["main"].task.latest == older["main"].task.latest
    assert Flow("counter").latest_successful_run == newest
    assert loaded_counter(Flow("counter")) == 10


def test_a_running_task_is_listed_as_it_saves_and_after_a_retry(here: Place) -> None:
    with Checkpoint() as reader:
        with training(here, "r") as first:
            task = Workflow("talk").latest_run["main"].task
            assert len(reader.list(task=task)) == 0, "it has claimed, and saved nothing"
            assert reader.list(task="talk/r/main")[:] == []
            for number in (1, 2):
                name = first.tell("save").removeprefix("saved=")
                newest = reader.list(task=task)[0]
                assert (newest.name, newest.step, newest.attempt) == (name, number, 0)
            first.tell("publish")
            assert task["latest_checkpoint"].data == reader.list(task=task)[0].ref.to_json()
            assert Workflow("talk").latest_run.outcome is None, "it goes on"
            assert first.end("fail") != 0
        with training(here, "r") as second:
            assert second.start == "start=2 attempt=1"
            second.tell("save")
            found = reader.list(task=task)
            assert [(info.attempt, info.step) for info in found] == [(1, 3), (0, 2), (0, 1)]
            assert list(reader.list(task=task, attempt=0)) == list(reader.list(task=task, attempt="0")) == found[1:]
            with pytest.raises(InvalidArgumentError, match="'x' is not a number"):
                reader.list(task=task, attempt="x")
            numbers = []
            for info in found[:2]:
                reader.load(info)
                numbers.append((reader.path / "number").read_text())
            assert numbers == ["3", "2"]
            assert task["latest_checkpoint"].data == found[1].ref.to_json(), "what attempt 0 published"
            second.tell("publish")
            assert task["latest_checkpoint"].data == found[0].ref.to_json()
            second.end()
        assert [info.step for info in reader.list(task=task)] == [3, 2, 1]
        assert [info.step for info in reader.list(task="main", workflow="talk", index=None)] == [3, 2, 1]
        with pytest.raises(RunNotFoundError, match=r"no task talk/r/none .*there: main"):
            reader.list(task="talk/r/none")
        with pytest.raises(RunNotFoundError):
            reader.list(task="talk/r/main/3")


def test_all_workflows_of_a_namespace_are_listed_inside_and_outside_of_a_task(here: Place) -> None:
    for number, (workflow, run, owner) in enumerate(
        [("one", "a", "ada"), ("two", "b", "ada"), ("two", "c", "bob"), ("one", "d", "ada")], 1
    ):
        with Checkpoint(workflow=workflow, run=run, owner=owner, load_policy=None) as ckpt:
            ckpt.save(step=number)
            ckpt.save(step=10 * number)
    with Checkpoint() as reader:
        mine = [info.step for info in reader.list(workflow="*")]
        all_of_them = reader.list(workflow="*", owner="*")
        assert mine == [40, 4, 20, 2, 10, 1]
        assert [info.step for info in all_of_them] == [40, 4, 30, 3, 20, 2, 10, 1]
        assert [info.step for info in reader.list(workflow="*", owner="bob")] == [30, 3]
        assert [info.step for info in reader.list(workflow="*", attempt=0, task="main")[:2]] == [40, 4]
    with Checkpoint(workflow="three", load_policy=None) as ckpt:
        assert [info.step for info in ckpt.list(workflow="*")] == mine
    done = subprocess.run(
        [sys.executable, "-m", "trainpoint.cli.main", "list", "-o", "json"],
        env=here.env(),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert [row["name"] for row in json.loads(done.stdout)] == [info.name for info in all_of_them]


def test_siblings_are_listed_by_index(here: Place) -> None:
    for index in (0, 1, 10):
        with Checkpoint(workflow="sweep", run="r", index=index, load_policy=None) as ckpt:
            ckpt.save(step=100 * index, metrics={"accuracy": index % 10})
    with Checkpoint(workflow="sweep", run="r", index=0, load_policy=None) as ckpt:
        assert [info.step for info in ckpt.list()] == [0]
        assert [info.step for info in ckpt.list(index=10)] == [1000]
        assert sorted(info.index for info in ckpt.list(run="r")) == ["0", "1", "10"]
        with pytest.raises(RunNotFoundError):
            ckpt.list(index=2)
        with pytest.raises(RunNotFoundError):
            ckpt.list(index="1.2")
        best = Workflow("sweep").latest_run.best("accuracy", "max")
        assert best is not None
        assert (best.index, best.step) == ("1", 100)
