"""Every rung of the tests, as `make test` runs them: ends at the first that fails and names it.

One process after the other would leave a machine idle half of the time: what needs the cluster to itself mostly waits,
and an API server without nodes is slow to answer. So rungs run in three lines, side by side. What each has printed
is shown when it is over. The last one follows when the lines have ended, since its many pods want the whole machine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Final

LINES: Final = (("check", "unit", "chart", "api"), ("store", "faults"), ("cluster-alone",))
LAST: Final = "cluster-together"
RUN: Final = "TRAINPOINT_CLUSTER_RUN"


class RungError(Exception):
    """A rung has failed; the message is its name."""


def main() -> int:
    """Exit code: 0 if every rung has passed, 1 where one has failed, 130 where somebody has interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background would ignore it
    environ = {**os.environ, RUN: f"{os.getpid()}-{secrets.token_hex(4)}"}
    try:
        Lines({**environ, "CLUSTER": "--keep-cluster"}).run()
        print(f"\nbegins: {LAST}", flush=True)
        if subprocess.run(["make", "--no-print-directory", LAST], env=environ, check=False).returncode != 0:
            raise RungError(LAST)
    except RungError as error:
        print(f"\nrung failed: {error}   (again: make {error})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        # Gone already where the last rung has ended; of another run's nothing is touched.
        down = ["tools/kind/down", "--only-of", environ[RUN]]
        subprocess.run(down, env={**environ, "PYTHON": sys.executable}, check=False)
    print(f"\nall rungs passed: {', '.join((*itertools.chain(*LINES), LAST))}")
    return 0


class Lines:
    """Rungs side by side."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._ended = False

    def run(self) -> None:
        """Until all have passed. Where one fails, or somebody interrupts, the others are ended and tidy up first."""
        with concurrent.futures.ThreadPoolExecutor(len(LINES)) as threads:
            try:
                for line in concurrent.futures.as_completed([threads.submit(self._line, names) for names in LINES]):
                    line.result()
            finally:
                self._end()

    def _line(self, names: tuple[str, ...]) -> None:
        for name in names:
            if not self._passes(name):
                self._end()
                raise RungError(name)

    def _passes(self, name: str) -> bool:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
            with self._lock:
                if self._ended:
                    return True  # the rung that has failed says so
                print(f"begins: {name}", flush=True)
                process = subprocess.Popen(
                    ["make", "--no-print-directory", name], env=dict(self._environ),
                    stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                self._running.add(process.pid)
            code = process.wait()
            with self._lock:
                self._running.remove(process.pid)
                printed.seek(0)
                print(printed.read(), flush=True)
                return code == 0 or self._ended

    def _end(self) -> None:
        """No rung begins any more, and those that run end in their own time."""
        with self._lock:
            self._ended = True
            for group in self._running:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(group, signal.SIGINT)  # pytest tidies up after that


if __name__ == "__main__":
    sys.exit(main())
