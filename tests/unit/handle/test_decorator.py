"""@checkpoint: one handle a call, the task named after the function, the call's outcome as its end."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from pathlib import Path

import pytest

from trainpoint import Checkpoint, ConflictError, InvalidArgumentError, NotInJobError, checkpoint, current
from trainpoint.claim.history import read_attempts
from trainpoint.format.layout import TaskPath
from trainpoint.handle.decorator import CheckpointOptions
from trainpoint.testing import MemoryStore


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As ``trainpoint run`` starts a script."""
    monkeypatch.setenv("TRAINPOINT_STORE", url)
    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "w")
    monkeypatch.setenv("TRAINPOINT_RUN", "r")


@checkpoint
def train(steps: int, fail_at: int = -1) -> list[int]:
    """Trains."""
    ckpt, done = current.checkpoint, []
    for step in range(ckpt.step, steps):
        if step == fail_at:
            raise ValueError(f"flaky at {step}")
        done.append(step)
        ckpt.save(step=step + 1)
    return done


def test_a_second_call_is_the_next_attempt_and_goes_on_where_the_first_failed(store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="flaky at 3"):
        train(5, fail_at=3)
    assert train(5) == [3, 4]
    attempts = read_attempts(store, TaskPath("w", "r", "train"))
    assert [a.end.how for a in attempts if a.end] == ["Failed", "Completed"]
    assert attempts[0].end is not None
    assert attempts[0].end.message == "ValueError: flaky at 3"


def test_the_decorated_function_looks_like_itself() -> None:
    assert (train.__name__, train.__doc__) == ("train", "Trains.")
    assert list(inspect.signature(train).parameters) == ["steps", "fail_at"]


def task_of(ckpt: Checkpoint) -> str:
    own = ckpt.why
    assert own is not None
    return repr(ckpt).split()[1]


@checkpoint(load_policy=None)
def by_default() -> str:
    return task_of(current.checkpoint)


@checkpoint(task="fit")
def by_argument() -> str:
    return task_of(current.checkpoint)


def test_the_task_is_the_argument_then_the_environment_then_the_functions_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_default() == "w/r/by_default"
    assert by_argument() == "w/r/fit"
    monkeypatch.setenv("TRAINPOINT_TASK", "outside")
    assert by_default() == "w/r/outside"
    assert by_argument() == "w/r/fit"


def test_a_name_that_no_key_can_hold_is_made_one_that_can() -> None:
    def _train_() -> str:
        return task_of(current.checkpoint)

    assert checkpoint(_train_)() == "w/r/train"


def test_options_are_those_of_a_checkpoint(tmp_path: Path) -> None:
    @checkpoint(temp_dir_root=tmp_path, index=(2, 1), load_policy="none", every_steps=7)
    def step() -> tuple[str, bool, bool]:
        ckpt = current.checkpoint
        assert ckpt.path.is_relative_to(tmp_path)
        return task_of(ckpt), ckpt.should_save(6), ckpt.should_save(7)

    assert step() == ("w/r/step/2.1", False, True)
    for_tests = {"self", "clock", "chance"}
    assert set(CheckpointOptions.__annotations__) == set(inspect.signature(Checkpoint.__init__).parameters) - for_tests


class Trainer:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    @checkpoint
    def fit(self) -> int:
        current.checkpoint.save(step=self.steps)
        return self.steps

    @staticmethod
    @checkpoint
    def apart() -> str:
        return task_of(current.checkpoint)


def test_a_method_is_decorated_as_well() -> None:
    assert Trainer(4).fit() == 4
    assert Trainer.apart() == "w/r/apart"
    with Checkpoint(task="fit") as ckpt:
        assert ckpt.step == 4


def test_coroutines_are_told_apart_by_their_context() -> None:
    @checkpoint
    async def one() -> str:
        await asyncio.sleep(0)
        return task_of(current.checkpoint)

    @checkpoint(task="other")
    async def two() -> str:
        await asyncio.sleep(0)
        return task_of(current.checkpoint)

    async def both() -> list[str]:
        return list(await asyncio.gather(one(), two()))

    assert inspect.iscoroutinefunction(one)
    assert asyncio.run(both()) == ["w/r/one", "w/r/other"]


def test_what_cannot_be_decorated_is_refused_at_once() -> None:
    def numbers() -> object:
        yield 1

    with pytest.raises(InvalidArgumentError, match="cannot decorate the generator numbers"):
        checkpoint(numbers)
    with pytest.raises(InvalidArgumentError, match="functions and methods"):
        checkpoint("eager")  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="functions and methods"):
        checkpoint(Trainer)
    with pytest.raises(InvalidArgumentError, match="stands above @staticmethod"):
        checkpoint(staticmethod(by_default))
    with pytest.raises(InvalidArgumentError, match="no option policy") as caught:
        checkpoint(policy="eager")  # type: ignore[call-overload]
    assert "load_policy" in caught.value.remedy


def test_a_call_within_itself_is_refused_at_once() -> None:
    @checkpoint
    def again(deeper: bool) -> None:
        if deeper:
            again(False)

    with pytest.raises(ConflictError, match="already open in this process"):
        again(True)


def test_after_sigterm_the_call_ends_with_143_and_not_with_success() -> None:
    previous = signal.getsignal(signal.SIGTERM)

    @checkpoint
    def preempted() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        ckpt = current.checkpoint
        assert ckpt.should_save(1)
        ckpt.save(step=1)
        assert ckpt.should_stop
        return "left the loop"

    with pytest.raises(SystemExit) as caught:
        preempted()
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is previous


def test_where_no_workflow_is_named_the_function_runs_as_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINPOINT_WORKFLOW")
    monkeypatch.delenv("TRAINPOINT_RUN")

    @checkpoint
    def reads() -> None:
        current.checkpoint.save()

    with pytest.raises(NotInJobError) as caught:
        reads()
    assert "workflow=" in caught.value.remedy
    assert "trainpoint run" in caught.value.remedy
