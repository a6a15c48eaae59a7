"""Starts PROGRAM as WORLD_SIZE ranks with torchrun's variables; where one fails all anew, up to MAX_RESTARTS times.

As `torchrun --nproc-per-node WORLD_SIZE --max-restarts MAX_RESTARTS PROGRAM`: in one process, so that a container that
runs it is never started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SIZE = int(os.environ["WORLD_SIZE"])
MAX_RESTARTS = int(os.environ["MAX_RESTARTS"])
GRACE_SECONDS = 30.0


def start(rank: int, restarts: int) -> subprocess.Popen[bytes]:
    told = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(SIZE),
        "LOCAL_WORLD_SIZE": str(SIZE),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29400",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": str(restarts),
        "TORCHELASTIC_MAX_RESTARTS": str(MAX_RESTARTS),
    }
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / os.environ["PROGRAM"])], env={**os.environ, **told}
    )


def run(restarts: int) -> int:
    """The first exit code that is not 0; the other ranks are ended then, as torchrun does."""
    ranks = [start(rank, restarts) for rank in range(SIZE)]
    while True:
        codes = [process.poll() for process in ranks]
        if all(code == 0 for code in codes):
            return 0
        failed = [code for code in codes if code]
        if failed:
            break
        time.sleep(0.05)
    for process in ranks:
        process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in ranks:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return failed[0]


def main() -> int:
    code = 1
    for restarts in range(MAX_RESTARTS + 1):
        code = run(restarts)
        print(f"group {restarts} ended: {code}", flush=True)
        if code == 0:
            break
    return code


if __name__ == "__main__":
    sys.exit(main())
