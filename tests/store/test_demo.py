"""``make demo`` does what it says, and leaves nothing behind, also when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.repository import ROOT

SECONDS = 300


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo, with its temporary files in ``folder``."""
    process = subprocess.Popen(
        [sys.executable, "tools/demo.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def processes_of(folder: Path) -> list[int]:
    """Processes of this machine that were started with ``folder`` for their temporary files."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"TMPDIR={folder}\0".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    with demo(tmp_path, "--steps", "200", "--pause", "0.04", "--kills", "1") as process:
        printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, printed
    assert "ended: killed by signal 9 after step" in printed
    assert "loaded step" in printed
    assert "equal, bit for bit" in printed
    assert not list(tmp_path.iterdir())
    assert not processes_of(tmp_path)


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path, "--steps", "100", "--pause", "0.1", "--kills", "1") as process:
        assert process.stdout is not None
        before: list[str] = []
        for line in process.stdout:
            before.append(line)
            if "3. The same training" in "".join(before) and "load policy" in line:
                break
        assert processes_of(tmp_path), "the demo's processes cannot be recognised, so nothing is shown"
        process.send_signal(signal.SIGINT)
        after, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, "".join(before) + after
    assert "server, data and processes are gone" in after
    assert not list(tmp_path.iterdir())
    assert not processes_of(tmp_path)
