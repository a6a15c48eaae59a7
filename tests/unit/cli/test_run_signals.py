"""``trainpoint run`` and the signals of the person who watches it, with and without a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.supervised import DEADLINE_SECONDS, TRAINPOINT, Supervised, alive, environment
from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.store.url import open_store

PATIENT = """\
import time
from trainpoint import Checkpoint

with Checkpoint(every_steps=1000) as ckpt:
    step = ckpt.step
    while True:
        step += 1
        time.sleep(0.01)
        if step == 3:
            print("training", flush=True)
        if ckpt.should_save(step):
            ckpt.save(step=step)
            print(f"saved={step}", flush=True)
        if ckpt.should_stop:
            break
"""
"""Trains for ever; saves when it is asked to stop."""

STUBBORN = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("training", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def patient(folder: Path) -> list[str]:
    (folder / "train.py").write_text(PATIENT)
    return ["--policy", "policy.yaml", "--", sys.executable, "train.py"]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.01)


def outcome(folder: Path) -> tuple[str, int]:
    """How the run ended, and how many checkpoints it has."""
    catalog = BucketCatalog(
        open_store(str(folder / "store"), environ=os.environ), clock=SystemClock(), chance=SystemChance()
    )
    (run,) = catalog.runs(LOCAL_NAMESPACE, "train")
    (task,) = catalog.tasks(LOCAL_NAMESPACE, "train", run.run)
    end = catalog.run_end(LOCAL_NAMESPACE, "train", run.run)
    return (end.outcome if end else "none"), len(list(catalog.entries(task)))


@contextmanager
def hangs_up() -> Iterator[tuple[str, threading.Event]]:
    """Address of a server that closes every connection, and the event that it has."""
    asked = threading.Event()

    def serve() -> None:
        with suppress(OSError):  # shut down
            while True:
                listener.accept()[0].close()
                asked.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_lets_the_program_save_and_ends_the_run(
    folder: Path, patient: list[str], number: signal.Signals
) -> None:
    with Supervised(patient, environment(folder / "store"), folder) as run:
        run.wait_for("training")
        run.send(number)
        assert run.end() == 143
        said = run.output()
    assert "asked the program to save and stop" in said
    assert "saved=" in said
    assert re.search(r"attempt 0 ended: exit code 143 after step \d+; no work lost", said)
    assert re.search(r"run train-\w{10} stopped; to go on with it: trainpoint run .*--run train-", said)
    assert "attempt 1" not in said
    assert outcome(folder) == ("Stopped", 1)


def test_ctrl_c_twice_kills(folder: Path) -> None:
    (folder / "train.py").write_text(STUBBORN)
    command = ["--retries", "3", "--", sys.executable, "train.py"]
    with Supervised(command, environment(folder / "store"), folder) as run:
        run.wait_for("training")
        run.send(signal.SIGINT)
        run.wait_for("once more kills it")
        run.send(signal.SIGINT)
        assert run.end() == 137
        assert run.output().splitlines()[-1] == "trainpoint  stopped"


def test_a_pause_ends_at_once(folder: Path) -> None:
    (folder / "policy.yaml").write_text(
        (folder / "policy.yaml").read_text().replace("{base: 0s, max: 0s}", "{max: 1h}")
    )
    command = ["--policy", "policy.yaml", "--", sys.executable, "train.py", "30", "15:7"]
    with Supervised(command, environment(folder / "store"), folder) as run:
        run.wait_for("attempt 1 in")
        run.send(signal.SIGINT)
        assert run.end() == 7
    assert outcome(folder) == ("Stopped", 1)


def test_a_store_that_does_not_answer_can_be_left_by_ctrl_c_and_the_exit_code_is_kept(folder: Path) -> None:
    with hangs_up() as (endpoint, asked):
        environ = environment(folder / "store", TRAINPOINT_STORE="s3://nowhere", AWS_ENDPOINT_URL=endpoint)
        environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        with Supervised(["--", "sh", "-c", "echo pid=$$; exit 5"], environ, folder) as run:
            program = int(run.wait_for("pid=").removeprefix("pid="))
            until(lambda: not alive(program), "the program ends")
            asked.clear()
            assert asked.wait(DEADLINE_SECONDS), "the store is asked what the program has committed"
            run.send(signal.SIGINT)
            run.wait_for("Ctrl-C: no further start")
            run.send(signal.SIGINT)
            assert run.end() == 5


def test_what_a_dead_program_leaves_running_is_ended_before_the_next_start(folder: Path) -> None:
    script = 'sleep 1000 & echo "left=$!"; exit 1'
    command = ["--policy", "policy.yaml", "--retries", "1", "--", "sh", "-c", script]
    with Supervised(command, environment(folder / "store"), folder) as run:
        first = int(run.wait_for("left=").removeprefix("left="))
        second = int(run.wait_for("left=").removeprefix("left="))
        assert not alive(first)
        assert run.end() == 1
        assert not alive(second)


def test_what_a_finished_program_leaves_running_is_left_alone(folder: Path) -> None:
    script = 'sleep 1000 >/dev/null 2>&1 & echo "left=$!"'
    with Supervised(["--", "sh", "-c", script], environment(folder / "store"), folder) as run:
        left = int(run.wait_for("left=").removeprefix("left="))
        try:
            assert run.end() == 0
            assert alive(left)
        finally:
            os.kill(left, signal.SIGKILL)


# --- a terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """A person at a terminal."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def see(self, text: str) -> None:
        """Read until ``text`` has appeared."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while text not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {text!r}; seen:\n{self.seen}")
            try:
                self.seen += self._read(1.0)
            except OSError:
                raise AssertionError(f"ended without {text!r}; seen:\n{self.seen}") from None

    def end(self) -> int:
        """The exit code, once it has ended."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError):  # the other side is closed
                self.seen += self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"still running; seen:\n{self.seen}")

    def _read(self, seconds: float) -> str:
        ready, _, _ = select.select([self._fd], [], [], seconds)
        return os.read(self._fd, 65536).decode() if ready else ""


@contextmanager
def at_a_terminal(folder: Path, program: str) -> Iterator[Terminal]:
    """``trainpoint run --retries 3 -- python -c program`` in the foreground of a terminal of its own."""
    command = [*TRAINPOINT, "run", "--retries", "3", "--", sys.executable, "-c", program]
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(command[0], command, environment(folder / "store"))
    terminal = Terminal(pid, fd)
    try:
        yield terminal
    finally:
        if terminal.pid:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        os.close(fd)


def state(pid: int) -> str:
    """One letter, as ps has it; ``T`` is stopped."""
    command = ["ps", "-o", "stat=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout[:1]


def test_ctrl_c_at_a_terminal_reaches_the_program_as_sigterm(folder: Path) -> None:
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saving\\n'), os._exit(143)))\n"
        "print('training', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    with at_a_terminal(folder, program) as terminal:
        terminal.see("training")
        terminal.type("\x03")
        terminal.see("saving")
        assert terminal.end() == 143
        assert "KeyboardInterrupt" not in terminal.seen


def test_ctrl_z_suspends_the_program_too_and_both_go_on(folder: Path) -> None:
    program = (
        "import os, time\n"
        "print(f'pid={os.getpid()}.', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.02)\n"
        "print('went on', flush=True)\n"
    )
    with at_a_terminal(folder, program) as terminal:
        terminal.see(".")
        pid = int(terminal.seen.partition("pid=")[2].partition(".")[0])
        terminal.type("\x1a")
        assert os.WIFSTOPPED(os.waitpid(terminal.pid, os.WUNTRACED)[1])
        until(lambda: state(pid) == "T", "the program is stopped")
        (folder / "go").touch()
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.see("went on")
        assert terminal.end() == 0


def test_a_program_that_reads_from_the_terminal_gets_it(folder: Path) -> None:
    with at_a_terminal(folder, "print('name?', flush=True); print('hello', input())") as terminal:
        terminal.see("name?")
        terminal.type("ada\n")
        assert terminal.end() == 0
        assert "hello ada" in terminal.seen


def test_ctrl_c_while_the_program_has_the_terminal_is_its_own_and_ends_the_run(folder: Path) -> None:
    program = (
        "import sys, time\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    print('mine', flush=True)\n"
        "    while True: time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n"
        "    print('bye', flush=True)\n"
        "    raise SystemExit(130)\n"
    )
    with at_a_terminal(folder, program) as terminal:
        terminal.type("x\n")
        terminal.see("mine")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "bye" in terminal.seen
        assert "stopped" in terminal.seen
        assert "once more in" not in terminal.seen
