"""``trainpoint run`` as a person starts it: a process of its own, watched by what it prints."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

DEADLINE_SECONDS = 120.0
TRAINPOINT = (sys.executable, "-m", "trainpoint.cli.main")

IMPATIENT = """\
apiVersion: trainpoint.dev/v1alpha1
kind: CheckpointPolicy
metadata: {name: impatient}
spec:
  retry: {limit: 3, noProgressLimit: 10, backoff: {base: 0s, max: 0s}}
"""
"""A policy file for tests: no pause between attempts."""

SCRIPT = """\
import os, pathlib, signal, sys
from trainpoint import Checkpoint

total, *accidents = sys.argv[1:]
with Checkpoint(every_steps=10) as ckpt:
    print(f"start={ckpt.step}", flush=True)
    for done in range(ckpt.step + 1, int(total) + 1):
        for accident in accidents:
            step, _, what = accident.partition(":")
            once = pathlib.Path(f"{accident}.once".replace(":", "-"))
            if int(step) == done and not (once.exists() and not what.endswith("!")):
                once.touch()
                what = what.rstrip("!")
                if what == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(int(what))
        if ckpt.should_save(done):
            (ckpt.path / "n").write_text(str(done))
            ckpt.save(step=done)
"""
"""``train.py TOTAL [STEP:kill|STEP:CODE]…``: saves every ten steps. An accident happens before its step is done: once,
or with a ``!`` each time."""


def environment(store: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")}
    return {**kept, "TRAINPOINT_STORE": f"file://{store}", **more}


class Supervised:
    """One ``trainpoint run``, in the background."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [*TRAINPOINT, "run", *arguments],
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.lines: list[str] = []
        self._arrived: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self._arrived.put(line.rstrip("\n"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(timeout=DEADLINE_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def wait_for(self, text: str) -> str:
        """The first line from here on that holds ``text``."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                line = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {text!r}; seen:\n" + "\n".join(self.lines)) from None
            self.lines.append(line)
            if text in line:
                return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code, once it has ended."""
        try:
            code = self.process.wait(timeout=DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running; seen:\n" + self.output()) from None
        for reader in self._readers:
            reader.join(timeout=DEADLINE_SECONDS)
        return code

    def output(self) -> str:
        """Everything that was printed so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.lines.append(self._arrived.get_nowait())
        return "\n".join(self.lines)


def supervise(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``trainpoint run …`` to its end; the store is ``cwd/store`` unless the environment says otherwise."""
    return subprocess.run(
        [*TRAINPOINT, "run", *arguments],
        env=dict(environ or environment(cwd / "store")),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is only not yet waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except ProcessLookupError:  # between opening and reading
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
