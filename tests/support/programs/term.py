"""A loop that is asked to end: prints what the handle says at each step. MODE chooses what else goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

from trainpoint import Checkpoint

MODE = os.environ.get("MODE", "")


def worker() -> None:
    """Like a data loader's worker: inherits the handler by fork, and waits for work that never comes."""
    while True:
        time.sleep(60)


def chained(number: int, frame: object) -> None:
    os.write(1, b"chained\n")  # a print could meet another one half-way


def main() -> None:
    if MODE == "chain":
        signal.signal(signal.SIGTERM, chained)
    if MODE == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with Checkpoint(every_steps=1000) as ckpt:
        child = None
        if MODE == "worker":
            child = multiprocessing.get_context("fork").Process(target=worker)
            child.start()
        print(f"start={ckpt.step}", flush=True)
        for step in range(ckpt.step, 20_000):
            time.sleep(0.005)  # the step's work
            if ckpt.should_save(step + 1):
                print(f"save={step + 1} preempted={ckpt.preempted}", flush=True)
                with ckpt.stage(step=step + 1) as folder:
                    (folder / "step").write_text(str(step + 1))
            if ckpt.should_stop:
                print(f"stop={step + 1}", flush=True)
                break
        if child is not None:
            child.terminate()
            child.join(60)
            print(f"worker={child.exitcode}", flush=True)
        if MODE == "raise":
            raise ValueError("the user's own")
        if MODE == "exit":
            sys.exit(0)
    print("unreachable", flush=True)


if __name__ == "__main__":
    main()
