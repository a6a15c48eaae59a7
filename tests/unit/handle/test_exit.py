"""How a program ended that opened a handle without ``with``, as the attempt's record has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainpoint.claim.history import read_attempts
from trainpoint.format.layout import TaskPath
from trainpoint.store.directory import DirectoryStore

OPEN = "from trainpoint import Checkpoint\nckpt = Checkpoint(workflow='w', run='r')\n"


@pytest.mark.parametrize(
    ("end", "code", "expected"),
    [
        ("raise ValueError('shapes differ')", 1, ("Failed", 1, "ValueError: shapes differ")),
        ("", 0, ("Completed", 0, "")),
        ("try:\n    raise ValueError('known')\nexcept ValueError:\n    pass", 0, ("Completed", 0, "")),
        ("ckpt.close()\nraise ValueError('afterwards')", 1, ("Completed", 0, "")),
    ],
    ids=["an error that nobody caught", "the last line", "an error that was caught", "closed before"],
)
def test_the_end_of_a_program(tmp_path: Path, end: str, code: int, expected: tuple[str, int, str]) -> None:
    environ = {"TRAINPOINT_STORE": f"file://{tmp_path}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN + end], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    (attempt,) = read_attempts(DirectoryStore(tmp_path), TaskPath("w", "r", "main"))
    assert attempt.end is not None
    assert (attempt.end.how, attempt.end.exit_code, attempt.end.message) == expected
