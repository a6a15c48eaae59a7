"""Every rung of the tests, as `make test` runs them; ends at the first that fails and names it.

Tests that need the cluster to themselves mostly wait, and disturb nobody outside of it: they run beside the rungs that
need no cluster. What is left of the cluster rung follows, on the same cluster.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Final

FIRST: Final = "check"
BESIDE: Final = ("unit", "chart", "store", "faults", "api")
ALONE: Final = "cluster-alone"
LAST: Final = "cluster-together"
RUN: Final = "TRAINPOINT_CLUSTER_RUN"


class RungError(Exception):
    """A rung has failed; the message is its name."""


def main() -> int:
    """Exit code: 0 if every rung has passed, 1 where one has failed, 130 where somebody has interrupted."""
    environ = {**os.environ, RUN: f"{os.getpid()}-{secrets.token_hex(4)}"}
    try:
        rung(FIRST, environ)
        try:
            with in_background(ALONE, {**environ, "CLUSTER": "--keep-cluster"}) as (alone, printed):
                for name in BESIDE:
                    rung(name, environ)
                print(f"\n== {ALONE}, which ran meanwhile ==", flush=True)
                code = alone.wait()
                printed.seek(0)
                print(printed.read(), flush=True)
                if code != 0:
                    raise RungError(ALONE)
            rung(LAST, environ)
        finally:
            # Gone already where the last rung has ended; of another run's nothing is touched.
            subprocess.run(
                ["tools/kind/down", "--only-of", environ[RUN]], env={**environ, "PYTHON": sys.executable}, check=False
            )
    except RungError as error:
        print(f"\nrung failed: {error}   (again: make {error})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nall rungs passed: {', '.join((FIRST, *BESIDE, ALONE, LAST))}")
    return 0


def rung(name: str, environ: Mapping[str, str]) -> None:
    if subprocess.run(["make", "--no-print-directory", name], env=environ, check=False).returncode != 0:
        raise RungError(name)


@contextlib.contextmanager
def in_background(name: str, environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A rung whose output is read when it is over. It ends, in its own time, where the block is left before."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed,
        subprocess.Popen(
            ["make", "--no-print-directory", name], env=environ, text=True,
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield process, printed
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)  # pytest tidies up after that
                process.wait()


if __name__ == "__main__":
    sys.exit(main())
