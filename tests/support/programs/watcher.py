"""Lists the checkpoints of WORKFLOW's task until step UNTIL is there; prints each list, and what two of them hold.

A line ``listed <when> <name>@<time> …`` a list, newest first, times in seconds since 1970.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from trainpoint import Checkpoint, CheckpointInfo, CheckpointNotFoundError, RunNotFoundError, Workflow

UNTIL = int(os.environ["UNTIL"])


def number(folder: Path) -> str:
    return (folder / "number").read_text()


with Checkpoint() as ckpt:
    while True:
        begun = time.time()
        found: Sequence[CheckpointInfo] = ()
        with suppress(CheckpointNotFoundError, RunNotFoundError):  # the run has not begun
            found = ckpt.list(task=Workflow(os.environ["WATCHED"], owner="*").latest_run["main"].task)
        rows = [f"{info.attempt}-{info.sequence}@{info.time.timestamp():.3f}" for info in found]
        print("listed", f"{begun:.3f}", *rows, flush=True)
        if found and found[0].step is not None and found[0].step >= UNTIL:
            break
        time.sleep(0.25)
    task = Workflow(os.environ["WATCHED"], owner="*").latest_run["main"].task
    for attempt in (0, "0"):
        print("of attempt 0:", len(ckpt.list(task=task, attempt=attempt)), flush=True)
    with TemporaryDirectory() as scratch:
        for place, info in enumerate(ckpt.list(task=task)[:2]):
            ckpt.load(info, Path(scratch, str(place)))
            print(f"loaded {place}:", number(Path(scratch, str(place))), flush=True)
    ckpt.load(found[0])
    ckpt.load(found[1])
    print("directory:", number(ckpt.path), sorted(path.name for path in ckpt.path.iterdir()), flush=True)
