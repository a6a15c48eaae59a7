"""What the demo of the cluster reads from a job's log."""

from __future__ import annotations

import pytest

from tests.support.repository import ROOT
from tools.demo_cluster import KILL_AFTER, STEPS, Progress, progress_of

SDK_LINE = "trainpoint  attempt 1  loaded step 15 (attempt 0, sequence 3, 39 B in 0.0 s, verified)"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", None),
        (f"{SDK_LINE}\n", None),
        ("attempt 0 begins at step 0\n", Progress(0, 0, 0, "", ())),
        (f"{SDK_LINE}\nattempt 1 begins at step 15\n", Progress(1, 15, 15, "", (SDK_LINE,))),
        (
            f"{SDK_LINE}\nattempt 1 begins at step 15\nstep 16 of 40, loss 0.0250\nstep 17 of 40, loss 0.0231\nstep 1",
            Progress(1, 15, 17, "0.0231", (SDK_LINE,)),
        ),
    ],
)
def test_progress_is_that_of_the_last_whole_line(log: str, expected: Progress | None) -> None:
    assert progress_of(log) == expected


def test_the_demo_knows_the_program_that_it_runs() -> None:
    program = (ROOT / "examples/cluster/train.py").read_text(encoding="utf-8")
    assert f"STEPS = {STEPS}\n" in program
    assert 5 < KILL_AFTER < STEPS
    assert 'print(f"attempt {ckpt.attempt} begins at step {ckpt.step}"' in program
    assert 'print(f"step {step + 1} of {STEPS}, loss {loss:.4f}"' in program
