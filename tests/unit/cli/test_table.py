"""Tables for people, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

LONG = "a-very-long-name-" * 12
PROGRAM = (
    "from trainpoint.cli.table import show_table\n"
    f"show_table(['RUN', 'STEP'], [['{LONG}', '7'], ['[red]b[/red] 重', '100']], right=['STEP'])\n"
)


def piped(**more: str) -> str:
    environ = {**os.environ, "COLUMNS": "40", **more}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True, env=environ
    ).stdout


@pytest.mark.parametrize("more", [{}, {"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}])
def test_elsewhere_than_on_a_terminal_the_text_is_plain_and_whole(more: dict[str, str]) -> None:
    assert piped(**more).splitlines() == [
        f"RUN{' ' * (len(LONG) - 3)}  STEP",
        f"{LONG}     7",
        f"[red]b[/red] 重{' ' * (len(LONG) - 15)}   100",
    ]


def at_a_terminal(**more: str) -> str:
    """What a terminal of the default width receives."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM], {**os.environ, "TERM": "xterm", **more})
    seen = b""
    try:
        while data := os.read(fd, 65536):
            seen += data
    except OSError:
        pass  # Linux: the other side is closed
    finally:
        os.waitpid(pid, 0)
        os.close(fd)
    return seen.decode()


def test_on_a_terminal_titles_are_bold_and_long_names_are_folded_not_cut() -> None:
    seen = at_a_terminal(COLUMNS="60")
    assert "\x1b[1mRUN" in seen
    assert "…" not in seen
    assert max(len(line) for line in seen.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()) <= 60


def test_no_color_is_respected_on_a_terminal() -> None:
    assert "\x1b[" not in at_a_terminal(NO_COLOR="1")
