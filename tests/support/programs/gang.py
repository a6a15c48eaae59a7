"""One rank of several: says what it starts from, saves every second step up to TOTAL, says by which references.

Only rank 0 has files. THEN is ``hold`` (wait to be killed), ``term`` (wait for SIGTERM, save once more) or empty
(end); DEADLINE is in seconds.
"""

from __future__ import annotations

import os
import signal

from trainpoint import Checkpoint
from trainpoint.handle import ranks

if "DEADLINE" in os.environ:
    ranks.DEADLINE_SECONDS = float(os.environ["DEADLINE"])


def main() -> None:
    rank, total = int(os.environ["RANK"]), int(os.environ.get("TOTAL", "6"))
    with Checkpoint(every_steps=2, collective=os.environ.get("COLLECTIVE", "1") == "1") as ckpt:
        text = (ckpt.path / "counter").read_text() if ckpt.is_loaded else "nothing"
        name = ckpt.info.ref.name if ckpt.info is not None else "none"
        print(f"start={ckpt.step} file={text} ref={name} attempt={ckpt.attempt}", flush=True)
        print(f"files={','.join(sorted(p.name for p in ckpt.path.iterdir()))}", flush=True)
        assert ckpt.why is not None
        for skipped in ckpt.why.skipped:
            print(f"skipped={skipped.checkpoint} {skipped.message}", flush=True)
        for step in range(ckpt.step, total):
            if not ckpt.should_save(step + 1):
                continue
            if step % 4 == 1:
                with ckpt.stage(step=step + 1) as folder:
                    (folder / "counter").write_text(str(step + 1) if rank == 0 else f"rank {rank} of step {step + 1}")
            else:
                if rank == 0:
                    (ckpt.path / "counter").write_text(str(step + 1))
                print(f"saved={ckpt.save(step=step + 1).name}", flush=True)
        ckpt.wait()
        print("ready", flush=True)
        if os.environ.get("THEN") == "hold":
            while True:
                signal.pause()
        if os.environ.get("THEN") == "term":
            while not ckpt.preempted:
                signal.pause()
            while not ckpt.should_stop:
                if ckpt.should_save(total + 1):
                    if rank == 0:
                        (ckpt.path / "counter").write_text(str(total + 1))
                    print(f"final={ckpt.save(step=total + 1).name}", flush=True)


if __name__ == "__main__":
    main()
