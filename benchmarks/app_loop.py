"""What saving costs an app's loop: a hook that always says yes against one that never does.

    python -m benchmarks.app_loop

Each iteration computes for a while and changes the state. A hook that says yes has the whole tree captured each time;
at most one file a second is written, by a thread beside the loop. Times are CPU time of the loop's own thread, so that
other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from statistics import median

from trainpoint.app import Dict, Flow, Work
from trainpoint.app.loop import run_app
from trainpoint.app.state import capture


class Part(Work):
    def __init__(self, variables: int) -> None:
        super().__init__()
        for number in range(variables):
            setattr(self, f"v{number}", number)


class Bench(Flow):
    """A tree with ``works`` works of ten variables each."""

    def __init__(self, works: int, iterations: int, seconds: float, *, saves: bool) -> None:
        super().__init__()
        self._left, self._seconds, self._saves = iterations, seconds, saves
        self.n = 0
        self.parts = Dict(**{f"w{number}": Part(10) for number in range(works)})

    def run(self) -> None:
        until = time.thread_time() + self._seconds
        self.n += 1
        while time.thread_time() < until:
            pass
        self._left -= 1
        if not self._left:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return self._saves


def loop_seconds(works: int, iterations: int, seconds: float, *, saves: bool) -> float:
    """Of one iteration, without the start and the end of the process."""
    app = Bench(works, iterations, seconds, saves=saves)
    times: list[float] = []
    run = app.run

    def timed() -> None:
        times.append(time.thread_time())
        run()

    app.__dict__["run"] = timed
    run_app(app)
    return (times[-1] - times[0]) / (len(times) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="What saving costs an app's loop.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of computing in each loop")
    given = parser.parse_args()
    logging.getLogger("trainpoint").setLevel(logging.ERROR)
    print(f"median of {given.repeats}, {given.seconds:g} s of computing each, store in a directory\n")
    print("| works (of 10 variables) | state, bytes | iteration | capture | slow-down, hook always yes |")
    print("|---|---|---|---|---|")
    for works in (1, 10, 100):
        sample = Bench(works, 1, 0, saves=True)
        begun = time.thread_time()
        for _ in range(20):
            text = capture(sample).text()
        captured = (time.thread_time() - begun) / 20
        for seconds in (0.001, 0.01, 0.1):
            slow = [slow_down(works, seconds, given.seconds) for _ in range(given.repeats)]
            print(
                f"| {works} | {len(text)} | {seconds * 1000:g} ms | {captured * 1000:.2f} ms | {median(slow):+.1%} |",
                flush=True,
            )


def slow_down(works: int, seconds: float, total: float) -> float:
    iterations = max(10, round(total / seconds))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(TRAINPOINT_STORE=f"file://{folder}", TRAINPOINT_WORKFLOW="bench")
        never = loop_seconds(works, iterations, seconds, saves=False)
        always = loop_seconds(works, iterations, seconds, saves=True)
    return always / never - 1


if __name__ == "__main__":
    main()
