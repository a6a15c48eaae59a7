"""One program after another, in the foreground, with our own stdio; and the signals of the person who watches it.

The program gets a process group of its own, so that Ctrl-C reaches only us: the first one becomes SIGTERM to the
program (one final save), the second SIGKILL to all of its group. SIGTERM goes to the program alone, as a kubelet
sends it; data loaders' workers are its own affair. A program in the background of its terminal is stopped by the
system when it reads from it; then it is lent the terminal, and Ctrl-C is its own until it ends.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

from trainpoint.clock import Clock

LEFTOVER_SECONDS: Final = 10.0
"""How long what a dead program leaves running in its group may take to end by SIGTERM, before SIGKILL."""
_POLL_SECONDS: Final = 0.02
_STOPPING: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    exit_code: int | None = None
    signal: int | None = None
    """that killed it; then there is no exit code"""

    @property
    def code(self) -> int:
        """As a shell has it."""
        return self.exit_code if self.exit_code is not None else 128 + (self.signal or 0)

    def __str__(self) -> str:
        return f"exit code {self.exit_code}" if self.exit_code is not None else f"killed by signal {self.signal}"


class Foreground:
    """Runs programs one at a time; while it is entered, signals to this process are about the program.

    Use it in the main thread, as a context manager.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stopped_by: int | None = None
        """the first signal that asked for an end"""
        self._pid: int | None = None
        self._killed = False
        self._previous: dict[int, object] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._terminal = _Terminal()

    def __enter__(self) -> Self:
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                self._previous[number] = signal.signal(number, self._on_stop)
        if self._terminal.there and signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            self._previous[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._on_suspend)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._terminal.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def run(self, command: Sequence[str], environ: Mapping[str, str]) -> Ended:
        """Start a program and wait for its end, and for that of what it leaves behind if it failed.

        Raises:
            OSError: it cannot be started.
        """
        with subprocess.Popen(command, env=environ, process_group=0) as process:
            self._pid = process.pid
            if self.stopped_by is not None:  # asked for between the last program and this one
                self._ask()
            ended = self._wait(process.pid)
            process.returncode = ended.exit_code if ended.exit_code is not None else -(ended.signal or 0)
        if ended.code != 0:
            self._clear_group(process.pid)
        self._pid = None
        self._terminal.take_back()
        return ended

    def pause(self, seconds: float) -> None:
        """Wait; ends at once when an end is asked for."""
        if self.stopped_by is None:
            select.select([self._wake_read], [], [], seconds)

    # --- the end of a program -----------------------------------------------------------------------------------------

    def _wait(self, pid: int) -> Ended:
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                self._terminal.on_stopped(pid, os.WSTOPSIG(status))
            elif os.WIFSIGNALED(status):
                return Ended(signal=os.WTERMSIG(status))
            else:
                return Ended(exit_code=os.WEXITSTATUS(status))

    def _clear_group(self, group: int) -> None:
        """End what a dead program left running: its successor could not claim the task, nor have the device."""
        deadline = self._clock.monotonic() + LEFTOVER_SECONDS
        if not _signal_group(group, signal.SIGTERM):
            return
        while self._clock.monotonic() < deadline and not self._killed:
            with suppress(ChildProcessError):  # as process 1 of a container, orphans are ours to wait for
                os.waitpid(-group, os.WNOHANG)
            if not _signal_group(group, 0):
                return
            self._clock.sleep(_POLL_SECONDS)
        _signal_group(group, signal.SIGKILL)

    # --- signals ------------------------------------------------------------------------------------------------------

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        name = _STOPPING[signal.Signals(number)]
        if self.stopped_by is None:
            self.stopped_by = number
            with suppress(BlockingIOError):
                os.write(self._wake_write, b"x")
            more = "; once more kills it" if number == signal.SIGINT else ""
            say(f"{name}: asked the program to save and stop{more}" if self._pid else f"{name}: no further start")
        elif number == signal.SIGINT and self._pid:
            say(f"{name} again: killed the program")
            self._killed = True
            _signal_group(self._pid, signal.SIGKILL)
            return
        elif number == signal.SIGINT:
            raise KeyboardInterrupt  # only our own book-keeping is left
        self._ask()

    def _ask(self) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def _on_suspend(self, number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the program stops with us, and goes on with us."""
        if self._pid is not None:
            _signal_group(self._pid, signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGSTOP)
        if self._pid is not None:
            _signal_group(self._pid, signal.SIGCONT)


class _Terminal:
    """The terminal, if we are in its foreground; lent to a program that asks for it."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._lent = False
        with suppress(OSError):
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)

    @property
    def there(self) -> bool:
        return self._fd is not None

    @property
    def ours(self) -> bool:
        try:
            return self._fd is not None and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def on_stopped(self, group: int, number: int) -> None:
        """The program was stopped. By the terminal: lend it. By Ctrl-Z while it had it: stop with it."""
        if number in (signal.SIGTTIN, signal.SIGTTOU) and self._fd is not None:
            if not self.ours:
                os.kill(os.getpid(), signal.SIGSTOP)  # a background job as a whole; goes on with the shell's fg
            self._lend(group)
        elif number == signal.SIGTSTP and self._lent:
            self.take_back()
            os.kill(os.getpid(), signal.SIGSTOP)
            self._lend(group)

    def _lend(self, group: int) -> None:
        if self.ours:
            self._give(group)
            self._lent = True
        _signal_group(group, signal.SIGCONT)

    def take_back(self) -> None:
        if self._lent:
            self._lent = False
            self._give(os.getpgrp())

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _give(self, group: int) -> None:
        with _ignored(signal.SIGTTOU), suppress(OSError):  # the terminal may be gone
            if self._fd is not None:
                os.tcsetpgrp(self._fd, group)


@contextmanager
def _ignored(number: int) -> Iterator[None]:
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, previous)


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody to send it to."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody who changed user; macOS also says so of zombies
        return False
    return True


def say(line: str) -> None:
    """One line of narration on stderr. Unbuffered, since a signal may come in the middle of a buffered write."""
    with suppress(OSError):
        os.write(2, f"trainpoint  {line}\n".encode())
