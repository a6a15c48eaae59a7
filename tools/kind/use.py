"""One use of the cluster among several: it is created where it is not there, and goes with the use that had it created.

Each use holds a lock until its process ends, so that no other takes the cluster away under it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Final

from tools.kind.cluster import recorded
from tools.kind.engine import Engine
from tools.kind.hosts import Host, Kind
from tools.kind.places import HERE, Places, ToolError

_USERS: Final = "users.lock"
_TAIL: Final = 5000
_ENDS_WITHIN: Final = 20.0


class Use:
    """For one run of whatever uses the cluster; ``run`` names it."""

    def __init__(self, run: str, *, progress: Callable[[str], None] = lambda line: None) -> None:
        """``progress``: is given each line that the making of the cluster prints."""
        self.places = Places.of()
        self.run = run
        self.progress = progress
        self._engine_was_there = True
        self._lock: IO[str] | None = None

    def begin(self) -> Host:
        """Make sure that the cluster is there. Raises ToolError."""
        self._engine_was_there = Engine(self.places).pid() is not None or bool(recorded(self.places))
        self._tool("up", "--made-by", self.run)
        # Held until this process ends: another use that had the cluster created may be over before.
        self._lock = open(self.places.state / _USERS, "a")  # noqa: SIM115
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return Host(self.places, Kind(recorded(self.places)["engine"]))

    @property
    def made(self) -> bool:
        """Whether the cluster was created for this use."""
        return recorded(self.places).get("made_by") == self.run

    def end(self) -> None:
        """Remove cluster and engine if they were created for this use, and nobody else uses them."""
        if self._lock is not None:
            self._lock.close()
        if not self.places.state.exists():
            return
        with open(self.places.state / _USERS, "a") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            # Ended before there was a cluster: the engine alone is there, and nothing tells whose it is.
            begun = not self._engine_was_there and not recorded(self.places)
            self._tool("down", *(() if begun else ("--only-of", self.run)))

    def _tool(self, verb: str, *words: str) -> None:
        """``tools/kind/VERB`` in a process group of its own, so that all it starts ends with it."""
        said: list[str] = []
        with subprocess.Popen(
            [str(HERE / verb), *words], env={**os.environ, "PYTHON": sys.executable}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as tool:  # fmt: skip
            try:
                for line in tool.stderr or ():
                    said.append(line)
                    self.progress(line.rstrip("\n"))
            except BaseException:
                _end_group(tool)
                raise
        if tool.returncode != 0:
            raise ToolError(f"tools/kind/{verb} failed:\n{''.join(said)[-_TAIL:]}")


def _end_group(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN)
