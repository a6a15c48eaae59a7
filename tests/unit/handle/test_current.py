"""Which handle current.checkpoint is: by block, by thread, by being the only one. And several handles at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context

import pytest

from trainpoint import Checkpoint, ClosedError, ConflictError, NoCurrentCheckpointError, current
from trainpoint.testing import MemoryStore


def in_a_thread() -> Checkpoint:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: current.checkpoint).result()


def test_it_is_the_innermost_block(url: str) -> None:
    with Checkpoint(workflow="w", run="r", task="outer", store=url) as outer:
        assert current.checkpoint is outer
        with Checkpoint(workflow="w", run="r", task="inner", store=url) as inner:
            assert current.checkpoint is inner
        assert current.checkpoint is outer


def test_a_thread_gets_the_only_one_that_is_open(url: str) -> None:
    with Checkpoint(workflow="w", run="r", store=url) as ckpt:
        assert in_a_thread() is ckpt


def test_an_opened_handle_without_a_block_counts_and_a_closed_one_does_not(url: str) -> None:
    first = Checkpoint(workflow="w", run="r", task="a", store=url)
    second = Checkpoint(workflow="w", run="r", task="b", store=url)
    second.close()
    assert current.checkpoint is first
    with first:
        first.close()
        with pytest.raises(NoCurrentCheckpointError):
            _ = current.checkpoint


def test_where_several_are_open_a_thread_is_told_which_and_can_bring_its_own(url: str) -> None:
    with (
        Checkpoint(workflow="w", run="r", index=0, store=url),
        Checkpoint(workflow="w", run="r", index=1, store=url) as second,
    ):
        with pytest.raises(NoCurrentCheckpointError, match=r"w/r/main/0.*w/r/main/1"):
            in_a_thread()
        brought = copy_context()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: brought.run(lambda: current.checkpoint)).result() is second


def test_without_any_the_error_says_how() -> None:
    with pytest.raises(NoCurrentCheckpointError) as caught:
        _ = current.checkpoint
    assert "@checkpoint" in caught.value.remedy
    assert isinstance(caught.value, LookupError)


def test_another_attribute_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'run_id'; it has: checkpoint"):
        _ = current.run_id
    assert dir(current) == ["checkpoint"]


def test_a_forked_child_has_no_current_handle(url: str) -> None:
    with Checkpoint(workflow="w", run="r", store=url):
        pid = os.fork()
        if pid == 0:
            try:
                current.checkpoint.save()
            except (NoCurrentCheckpointError, ClosedError):
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- several at once --------------------------------------------------------------------------------------------------


def test_the_same_task_twice_is_an_error_at_the_second_and_the_first_goes_on(url: str) -> None:
    with Checkpoint(workflow="w", run="r", index=1, store=url) as ckpt:
        with pytest.raises(ConflictError, match="w/r/main/1 is already open in this process") as caught:
            Checkpoint(workflow="w", run="r", index=1, store=url)
        assert "index of its own" in caught.value.remedy
        assert ckpt.save(step=1).committed
    with Checkpoint(workflow="w", run="r", index=1, store=url) as again:
        assert (again.attempt, again.step) == (1, 1)


@pytest.mark.parametrize("main_thread_has_one", [False, True])
def test_a_handle_that_sigterm_will_not_reach_says_so(
    url: str, caplog: pytest.LogCaptureFixture, main_thread_has_one: bool
) -> None:
    def open_it(signals: bool) -> None:
        with Checkpoint(workflow="w", run="r", index=1, store=url, signals=signals):
            pass

    around = Checkpoint(workflow="w", run="r", index=0, store=url) if main_thread_has_one else nullcontext()
    with caplog.at_level(logging.INFO, logger="trainpoint"), around, ThreadPoolExecutor(1) as pool:
        pool.submit(open_it, True).result()
        pool.submit(open_it, False).result()
    told = [r for r in caplog.records if "SIGTERM will not ask" in r.getMessage()]
    assert len(told) == (0 if main_thread_has_one else 1)


def test_of_many_threads_that_open_one_task_at_once_exactly_one_gets_it(url: str, store: MemoryStore) -> None:
    together = threading.Barrier(8)
    done = threading.Barrier(8)

    def open_it(_: int) -> bool:
        together.wait(60)
        try:
            ckpt = Checkpoint(workflow="w", run="r", store=url)
        except ConflictError as error:
            assert "already open in this process" in str(error)
            done.wait(60)
            return False
        done.wait(60)
        ckpt.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(open_it, range(8))) == [False] * 7 + [True]


def test_sigterm_reaches_the_handles_of_all_threads_while_others_open_and_close(url: str) -> None:
    preempted, open_all = threading.Barrier(4), threading.Barrier(4)

    def train(index: int) -> bool:
        ckpt = Checkpoint(workflow="w", run="r", index=index, store=url)
        open_all.wait(60)
        preempted.wait(60)
        told = ckpt.preempted and ckpt.should_save(1)
        with pytest.raises(SystemExit) as ended, ckpt:
            pass
        return told and ended.value.code == 143

    def busy(stop: threading.Event) -> None:
        while not stop.is_set():
            Checkpoint(store=url).close()

    over = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        ckpt = Checkpoint(workflow="w", run="r", store=url)  # the main thread's, which installs the handler
        noise = pool.submit(busy, over)
        others = [pool.submit(train, index) for index in range(3)]
        open_all.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)
        assert ckpt.preempted
        preempted.wait(60)
        assert [other.result() for other in others] == [True] * 3
        over.set()
        noise.result()
        ckpt.close()
