"""A training that is told what to do, a line at a time: ``save``, ``publish``, ``fail``, ``end``. Answers each.

The number that it saves is the step; it goes on from what was loaded.
"""

from __future__ import annotations

import sys

from trainpoint import Checkpoint

with Checkpoint() as ckpt:
    number = int((ckpt.path / "number").read_text()) if ckpt.is_loaded else 0
    ref = None
    print(f"start={number} attempt={ckpt.attempt}", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "save":
                number += 1
                (ckpt.path / "number").write_text(str(number))
                ref = ckpt.save(step=number)
                print(f"saved={ref.name}", flush=True)
            case "publish":
                ckpt.publish("latest_checkpoint", ref)
                print("published", flush=True)
            case "fail":
                raise RuntimeError("as it was told")
            case "end":
                break
