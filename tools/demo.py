"""``make demo``: a training on a real S3 server that is killed at random moments, and ends as if nothing had happened.

Two trainings of ``examples/digits.py``, from the same random seed. The first is left alone. The second runs under
``trainpoint run`` and is killed with SIGKILL several times; each time it resumes from its last checkpoint. At the end
the weights of both are compared bit for bit; the exit code is 1 if they differ.

Leaves nothing behind, also after Ctrl-C: server, data and temporary files live in one temporary directory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.demo_display import Display, display  # noqa: E402
from tools.s3server import S3Server, ServerError  # noqa: E402

BIN = Path(sys.executable).parent
SCRIPT = "examples/digits.py"
EARLIEST_SECONDS = 2.0
"""A training is killed so long after its start at the earliest: after its first save, so that it makes progress."""
LAST_SECONDS = 5.0
"""Kills are planned to come before so little is left to do."""
TOO_LATE_SECONDS = 2.0
"""One that is late, on a busy machine, is still done unless this little is left: then the training may just be over."""

BEGINS = re.compile(r"process (\d+) begins at step (\d+) of \d+")
RUN = re.compile(r"trainpoint +run (\S+) ")
STEP = re.compile(r"step (\d+) of \d+, loss ([0-9.]+)")
RESULT = re.compile(r"accuracy ([0-9.]+), weights ([0-9a-f]{64})")


class DemoError(RuntimeError):
    """Something did not go as it should; the message is for the person who watches."""


@dataclass(frozen=True)
class Options:
    """What the demo does."""

    steps: int
    kills: int
    pause: float
    """seconds after each step, so that there is something to watch"""
    seed: int


@dataclass
class Training:
    """One ``trainpoint run`` of the example, and what it has said so far."""

    name: str
    process: subprocess.Popen[str]
    lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    pid: int | None = None
    """of the process that trains now; None while there is none"""
    step: int = 0
    run: str = ""
    accuracy: str = ""
    weights: str = ""
    killed_after: list[int] = field(default_factory=list)
    """the last step that was seen before each kill"""

    def read(self) -> None:
        """Take over the output line by line, until the last process that holds the pipe has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def stop(self) -> None:
        """End it: in order first, then not. Nothing of it is alive afterwards."""
        # First as a preemption, which makes it save and end; then as Ctrl-C, which kills the program at once.
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGINT, 5)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(seconds)
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def training(
    name: str, environ: Mapping[str, str], arguments: Sequence[str], steps: int, pause: float
) -> Iterator[Training]:
    """Start one, in a process group of its own: a Ctrl-C in the terminal is for the demo, which then ends it."""
    script = [sys.executable, "-u", SCRIPT, "--steps", str(steps), "--pause", str(pause)]
    process = subprocess.Popen(
        [str(BIN / "trainpoint"), "run", *arguments, "--", *script],
        cwd=ROOT,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started = Training(name, process)
    threading.Thread(target=started.read, daemon=True).start()
    try:
        yield started
    finally:
        started.stop()


def next_kill(now: float, left_seconds: float, kills: int, chance: random.Random) -> float | None:
    """When to kill next: at random, and so that all ``kills`` fit into what is left; None for no more."""
    if kills < 1 or left_seconds < EARLIEST_SECONDS:
        return None
    latest = min(2 * left_seconds / (kills + 1), left_seconds - EARLIEST_SECONDS * (kills - 1))
    return now + chance.uniform(EARLIEST_SECONDS, max(EARLIEST_SECONDS, latest))


def watch(run: Training, show: Display, options: Options, chance: random.Random, kills: int) -> None:
    """Follow a training to its end, and kill it ``kills`` times on the way, each time at a moment drawn anew."""
    kill_at: float | None = None
    while True:
        left = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        try:
            line = run.lines.get(timeout=left)
        except queue.Empty:
            kill_at = None
            if run.pid is not None and (options.steps - run.step) * options.pause > TOO_LATE_SECONDS:
                os.kill(run.pid, signal.SIGKILL)
                show.say(f"kill -9 {run.pid}, after step {run.step}")
                run.killed_after.append(run.step)
                run.pid = None
            continue
        if line is None:
            break
        if begins := BEGINS.fullmatch(line):
            run.pid, run.step = int(begins[1]), int(begins[2])
            left_to_do = (options.steps - run.step) * options.pause - LAST_SECONDS
            kill_at = next_kill(time.monotonic(), left_to_do, kills - len(run.killed_after), chance)
        elif step := STEP.fullmatch(line):
            run.step = int(step[1])
            note = f"loss {step[2]}" + (f", killed {len(run.killed_after)} of {kills} times" if kills else "")
            show.progress(run.step, options.steps, note)
        elif result := RESULT.fullmatch(line):
            run.accuracy, run.weights = result[1], result[2]
        else:
            run.run = found[1] if (found := RUN.match(line)) else run.run
            show.say(line)
    show.no_progress()
    code = run.process.wait()
    if code != 0 or not run.weights:
        raise DemoError(f"the {run.name} training ended with exit code {code}")


def command(environ: Mapping[str, str], *arguments: str) -> str:
    """What ``trainpoint …`` prints."""
    done = subprocess.run(
        [str(BIN / "trainpoint"), *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"trainpoint {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout.rstrip("\n")


def shortened(table: str, rows: int) -> str:
    """The first rows of a table, and how many more there are."""
    lines = table.splitlines()
    return "\n".join([*lines[: rows + 1], *([f"… {len(lines) - rows - 1} more"] if len(lines) > rows + 1 else [])])


def play(show: Display, options: Options, folder: Path) -> bool:
    """The whole demo, in ``folder``; whether both trainings ended with the same weights."""
    chance = random.Random(options.seed)
    (folder / "tmp").mkdir()
    show.heading("1. A real S3 server")
    with S3Server(folder / "s3", buckets=["demo"]) as server:
        show.say(f"SeaweedFS answers at {server.endpoint}")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TRAINPOINT_", "AWS_"))}
        environ = {
            **kept,
            **server.env(),
            "TRAINPOINT_STORE": "s3://demo/trainpoint",
            "TRAINPOINT_TEMP_DIR": str(folder / "tmp"),
            # The order of additions in a matrix product depends on the number of threads; equal bits need equal orders.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        show.heading(f"2. A training of {options.steps} steps, undisturbed")
        with training("undisturbed", environ, [], options.steps, 0.0) as calm:
            watch(calm, show, options, chance, kills=0)
        show.say(f"accuracy {calm.accuracy}, weights {calm.weights[:16]}…")

        show.heading(f"3. The same training, killed {options.kills} times at random moments (seed {options.seed})")
        with training("disturbed", environ, ["--retries", "3"], options.steps, options.pause) as wild:
            watch(wild, show, options, chance, kills=options.kills)
        show.say(f"accuracy {wild.accuracy}, weights {wild.weights[:16]}…")

        show.heading("4. What happened")
        show.command(f"trainpoint why {wild.run}", command(environ, "why", wild.run))
        show.command(f"trainpoint list {wild.run}", shortened(command(environ, "list", wild.run), rows=8))
        show.heading("5. The result")
        for name, run in (("undisturbed", calm), (f"killed {len(wild.killed_after)} times", wild)):
            show.say(f"{name:<15} accuracy {run.accuracy}, weights {run.weights}")
    if len(wild.killed_after) < options.kills:
        raise DemoError(
            f"only {len(wild.killed_after)} of {options.kills} kills happened; try: --steps {2 * options.steps}"
        )
    return (calm.accuracy, calm.weights) == (wild.accuracy, wild.weights)


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description="A training that is killed, and ends as if nothing had happened.")
    parser.add_argument("--steps", type=int, default=1200, help="training steps in all")
    parser.add_argument("--kills", type=int, default=5, help="how often the training is killed")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds after each step of the disturbed training")
    parser.add_argument("--seed", type=int, help="of the moments of the kills; drawn anew without it")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10_000)
    return Options(given.steps, given.kills, given.pause, seed)


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: through every ``finally``."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="trainpoint-demo-") as folder, display() as show:
            same = play(show, options, Path(folder))
            show.say("equal, bit for bit" if same else "NOT EQUAL: this is a bug of trainpoint")
    except KeyboardInterrupt:
        print("\ninterrupted; server, data and processes are gone", file=sys.stderr)
        return 130
    except (DemoError, ServerError) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - begun:.0f} s; nothing is left behind. Your turn: docs/tutorial/laptop.md")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
