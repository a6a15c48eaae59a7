"""Fit a line to points by gradient descent, slowly enough to be watched; a checkpoint every 5 steps."""

import json
import random
import time

from trainpoint import Checkpoint

STEPS = 40
chance = random.Random(7)
points = [(x, 2 * x + 1 + chance.gauss(0, 0.1)) for x in (chance.random() for _ in range(200))]
slope, offset = 0.0, 0.0

with Checkpoint(every_steps=5) as ckpt:
    if ckpt.is_loaded:
        slope, offset = json.loads((ckpt.path / "line.json").read_text())
    print(f"attempt {ckpt.attempt} begins at step {ckpt.step}", flush=True)
    for step in range(ckpt.step, STEPS):
        errors = [slope * x + offset - y for x, y in points]
        slope -= sum(e * x for e, (x, _) in zip(errors, points, strict=True)) / len(points)
        offset -= sum(errors) / len(points)
        loss = sum(e * e for e in errors) / len(points)
        time.sleep(0.5)
        if ckpt.should_save(step + 1):
            with ckpt.stage(step=step + 1, metrics={"loss": loss}) as folder:
                (folder / "line.json").write_text(json.dumps([slope, offset]))
        print(f"step {step + 1} of {STEPS}, loss {loss:.4f}", flush=True)
        if ckpt.should_stop:
            break

print(f"the line is y = {slope:.3f} x + {offset:.3f}", flush=True)
