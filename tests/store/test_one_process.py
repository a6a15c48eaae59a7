"""Several tasks in one process, decorated functions among them: each has its own checkpoints, and they are one run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.place import Place
from trainpoint import Checkpoint, ConflictError, checkpoint, current


@pytest.fixture(autouse=True)
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process uses the place."""
    for name, value in {**place.environ, "TRAINPOINT_STORE": place.url}.items():
        monkeypatch.setenv(name, value)


def count(ckpt: Checkpoint, base: int, steps: int, *, fail_at: int | None = None) -> list[int]:
    """Counts up from ``base``, one checkpoint a step, and returns the numbers it began and ended with."""
    start = int((ckpt.path / "number").read_text()) if ckpt.is_loaded else base
    for step in range(ckpt.step, steps):
        if step == fail_at:
            raise RuntimeError(f"flaky at {step}")
        with ckpt.stage(step=step + 1) as folder:
            (folder / "number").write_text(str(base + step + 1))
    return [start, base + steps]


def test_four_indexes_in_a_pool_of_four_never_see_each_other_and_each_goes_on(place: Place) -> None:
    """Scenario 15: siblings with equal values too, since an index tells them apart."""
    values = ["a", "b", "a", {"lr": 0.1}]
    failed: set[int] = set()

    def train(index: int, policy: str) -> list[int]:
        with Checkpoint(workflow="sweep", run="one", index=index, load_policy=policy) as ckpt:
            assert values[index] is not None
            fails = index == 1 and not failed
            if fails:
                failed.add(index)
            return count(ckpt, 100 * index, 4, fail_at=2 if fails else None)

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(train, index, "fresh") for index in range(4)]
        assert [f.result() for f in first if f is not first[1]] == [[0, 4], [200, 204], [300, 304]]
        with pytest.raises(RuntimeError, match="flaky at 2"):
            first[1].result()
        assert pool.submit(train, 1, "eager").result() == [102, 104], "only its own"
    catalog = place.catalog()
    (run,) = catalog.runs("_", "sweep")
    for task in catalog.tasks("_", "sweep", run.run):
        steps = [catalog.manifest(task, entry.id).snapshot.step for entry in catalog.entries(task)]
        assert steps == [4, 3, 2, 1], task


def test_the_same_task_twice_is_an_error_at_once(place: Place) -> None:
    with Checkpoint(workflow="w", run="r") as ckpt:
        begun = time.monotonic()
        with pytest.raises(ConflictError, match="already open in this process"):
            Checkpoint(workflow="w", run="r")
        assert time.monotonic() - begun < 30, "a holder elsewhere would have been waited for, for 60 s"
        ckpt.save(step=1)
    with Checkpoint(workflow="w", run="r") as ckpt:
        assert ckpt.step == 1


@checkpoint(workflow="flow")
def flaky_count(steps: int, fail_at: int | None) -> list[int]:
    return count(current.checkpoint, 0, steps, fail_at=fail_at)


@checkpoint(workflow="flow")
def end() -> str:
    current.checkpoint.save(step=1)
    return repr(current.checkpoint)


def test_decorated_steps_are_tasks_of_one_run_and_a_retry_is_the_next_attempt(place: Place) -> None:
    for fail_at in (3, 7):
        with pytest.raises(RuntimeError):
            flaky_count(10, fail_at)
    assert flaky_count(10, None) == [7, 10]
    assert "/end attempt 0" in end()
    catalog = place.catalog()
    (run,) = catalog.runs("_", "flow")
    counted, ended = sorted(catalog.tasks("_", "flow", run.run), key=lambda t: t.task, reverse=True)
    assert (counted.task, ended.task) == ("flaky_count", "end")
    attempts = [entry.id.attempt for entry in catalog.entries(counted)]
    assert attempts == [2] * 3 + [1] * 4 + [0] * 3
    over = catalog.run_end("_", "flow", run.run)
    assert over is not None
    assert over.outcome == "Succeeded"
