"""Programs that the test cluster's tools start: their output where they fail, nothing where they do not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from tools.kind.places import ToolError

_TAIL = 3000


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | str | None = None,
    timeout: float | None = None,
) -> str:
    """Standard output; ToolError with the end of both streams where the exit code is not 0 or the time (s) is over."""
    words = [str(word) for word in command]
    source: dict[str, Any] = {"stdin": stdin or subprocess.DEVNULL}
    if isinstance(stdin, str):
        source = {"input": stdin.encode()}
    try:
        done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, timeout=timeout, check=False, **source)
    except FileNotFoundError as error:
        raise ToolError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(words)}: not done after {timeout:.0f} s") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()[-_TAIL:]
        raise ToolError(f"{' '.join(words)[:400]}: exit code {done.returncode}\n{said}")
    return str(done.stdout, errors="replace")


def works(*command: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60) -> bool:
    """Whether the program ends with 0 in that time (s)."""
    try:
        run(*command, env=env, timeout=timeout)
    except ToolError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, seen: Callable[[], str] = str) -> None:
    """Until the condition holds; ToolError with what was seen last where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ToolError(f"{what}: not within {seconds:.0f} s\n{seen()}".rstrip())
        time.sleep(0.1)
