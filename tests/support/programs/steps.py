"""A training of STEPS steps that saves every 5 and prints each. HOLD_AT: attempt 0 waits there, to be killed.

SAVE_EVERY: another number of steps; empty for what the policy says. FIRST_STEP_SECONDS: one of attempt 0 takes so long.
"""

from __future__ import annotations

import os
import time

from trainpoint import Checkpoint

STEPS = int(os.environ.get("STEPS", "40"))
HOLD_AT = int(os.environ.get("HOLD_AT", "0"))
SECONDS = float(os.environ.get("STEP_SECONDS", "0.02"))
FIRST_SECONDS = float(os.environ.get("FIRST_STEP_SECONDS", SECONDS))
EVERY = os.environ.get("SAVE_EVERY", "5")

with Checkpoint(every_steps=int(EVERY) if EVERY else None) as ckpt:
    number = int((ckpt.path / "number").read_text()) if ckpt.is_loaded else 0
    assert number == ckpt.step
    print(f"start={ckpt.step} attempt={ckpt.attempt}", flush=True)
    for step in range(ckpt.step, STEPS):
        time.sleep(SECONDS if ckpt.attempt else FIRST_SECONDS)  # the step's work
        done = step + 1
        if ckpt.should_save(done):
            with ckpt.stage(step=done, metrics={"loss": 1 / done}) as folder:
                (folder / "number").write_text(str(done))
        if done == HOLD_AT and ckpt.attempt == 0:
            ckpt.wait()
        print(f"step={done}", flush=True)
        while done == HOLD_AT and ckpt.attempt == 0 and not ckpt.preempted:
            time.sleep(0.05)
        if ckpt.should_stop:
            print(f"stop={done}", flush=True)
            break
print("end", flush=True)
