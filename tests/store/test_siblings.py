"""Siblings of one run: a sweep in another order, and a process that a task starts itself."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint, CheckpointInfo, Flow

CHILD = """
from trainpoint import Checkpoint
with Checkpoint(task="evaluate") as ckpt:
    (ckpt.path / "who").write_text("child")
    print(ckpt.save(step=7, name="best").name)
"""


@pytest.fixture(autouse=True)
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process uses the place."""
    for name, value in {**place.environ, "TRAINPOINT_STORE": place.url, "TRAINPOINT_OWNER": "ada"}.items():
        monkeypatch.setenv(name, value)


def sweep(run: str, values: str, *, match: bool) -> list[str]:
    """One task per value, each with a checkpoint of its own; what each found, a dash for nothing."""
    found = []
    for index, value in enumerate(values):
        wanted = {"value": value} if match else None
        with Checkpoint(workflow="sweep", run=run, index=index, load_policy="eager", match=wanted) as ckpt:
            found.append((ckpt.path / "value").read_text() if ckpt.is_loaded else "-")
            (ckpt.path / "value").write_text(value)
            ckpt.save(step=ckpt.step + 1, metadata={"value": value})
    return found


def test_without_match_the_index_alone_says_whose_checkpoint_it_is(place: Place) -> None:
    """Scenario 16, by the rule of the index."""
    assert sweep("one", "ab", match=False) == ["-", "-"]
    assert sweep("two", "bac", match=False) == ["a", "b", "-"]


def test_with_match_nobody_in_a_reordered_sweep_gets_what_is_anothers(place: Place) -> None:
    """Scenario 16, by value: the policy looks at the own index only, the program may look at all."""
    assert sweep("one", "ab", match=True) == ["-", "-"]
    assert sweep("two", "bac", match=True) == ["-", "-", "-"]
    assert sweep("three", "bac", match=True) == ["b", "a", "c"]

    def by_value(value: str) -> CheckpointInfo | None:
        infos = (info for task in Flow("sweep")["one"].tasks for info in task.checkpoints())
        return next((info for info in infos if info.metadata["value"] == value), None)

    with Checkpoint(workflow="sweep", run="four", index=0, load_policy=None) as ckpt:
        chosen = by_value("b")
        assert chosen is not None
        ckpt.load(chosen)
        assert ((ckpt.path / "value").read_text(), chosen.index) == ("b", "1")
    assert by_value("c") is None


def test_a_process_that_a_task_starts_saves_beside_it_under_a_name_of_its_own(place: Place) -> None:
    """Scenario 18: one series, two processes, and neither overwrites the other."""
    with Checkpoint(workflow="w", run="r", task="train") as ckpt:
        (ckpt.path / "who").write_text("parent")
        mine = ckpt.save(step=1, name="best")
        env = place.env(TRAINPOINT_WORKFLOW="w", TRAINPOINT_RUN="r", TRAINPOINT_OWNER="ada")
        child = subprocess.run(
            [sys.executable, "-c", CHILD], env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert child.returncode == 0, child.stderr
        again = ckpt.save(step=2, name="best")
        assert [info.name for info in ckpt.list(name="best")] == [again.name, mine.name]
        (other,) = ckpt.list(task="evaluate", run="r", name="best")
        assert other.name == child.stdout.strip()
        ckpt.load(other)
        assert (ckpt.path / "who").read_text() == "child"
        ckpt.load("latest:best")
        assert (ckpt.path / "who").read_text() == "parent"


def test_the_first_of_a_list_never_goes_back_while_a_task_saves_and_fails(place: Place) -> None:
    """Metaflow program 8: somebody lists all the time."""
    env = {"TRAINPOINT_WORKFLOW": "counter", "TRAINPOINT_OWNER": "ada", "TRAINPOINT_RUN": "r", "TOTAL": "24"}

    def train() -> list[int]:
        return [place.run("counter.py", FAIL_AT="13", **env).returncode for _ in range(2)]

    seen: list[CheckpointInfo] = []
    with ThreadPoolExecutor(1) as pool, Checkpoint() as reader:
        training = pool.submit(train)
        over = False
        while not over:
            over = training.done()  # asked before the last look
            tasks = list(Flow("counter").latest_run) if place.catalog().runs("_", "counter") else []
            newest = next(iter(reader.list(task=tasks[0].task)), None) if tasks else None
            if newest is not None and newest not in seen[-1:]:
                seen.append(newest)
                reader.load(newest)
                assert (reader.path / "counter").read_text() == str(newest.step), "whole as soon as it is listed"
        assert training.result() == [1, 0]
    places = [(info.attempt, info.sequence) for info in seen]
    assert places == sorted(places)
    assert (seen[-1].attempt, seen[-1].step) == (1, 24)
