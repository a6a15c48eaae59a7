"""A training whose every byte depends on every step before: one lost, repeated or torn step shows in the end.

Environment: STEPS, SAVE_EVERY, LEDGER (what has been promised: one line per committed save), RESULT (the final state's
digest). Every fourth save waits; the others are staged and waited for now and then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from blake3 import blake3

from trainpoint import Checkpoint

STATE_BYTES = 3_000_000  # more than one pack's worth, so that a checkpoint is several objects


def advance(state: bytes, step: int) -> bytes:
    digest = blake3(state)
    digest.update(step.to_bytes(8, "little"))
    return digest.digest(length=STATE_BYTES)


def write(folder: Path, state: bytes, step: int) -> None:
    (folder / "weights.bin").write_bytes(state[: STATE_BYTES // 2])
    (folder / "optimizer.bin").write_bytes(state[STATE_BYTES // 2 :])
    (folder / "nested").mkdir()
    (folder / "nested" / "step.txt").write_text(str(step))


def read(folder: Path) -> bytes:
    return (folder / "weights.bin").read_bytes() + (folder / "optimizer.bin").read_bytes()


def promise(ref_name: str, step: int) -> None:
    line = json.dumps({"name": ref_name, "step": step}) + "\n"
    with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:
        ledger.write(line.encode())


def main() -> None:
    total, every = int(os.environ["STEPS"]), int(os.environ["SAVE_EVERY"])
    with Checkpoint(every_steps=every) as ckpt:
        state = bytes(STATE_BYTES)
        if ckpt.is_loaded:
            assert int((ckpt.path / "nested" / "step.txt").read_text()) == ckpt.step
            state = read(ckpt.path)
        print(f"start={ckpt.step} attempt={ckpt.attempt}", flush=True)
        saves = 0
        for step in range(ckpt.step, total):
            state = advance(state, step)
            done = step + 1
            if not ckpt.should_save(done):
                continue
            saves += 1
            if saves % 4 == 0:
                folder = Path(ckpt.path).parent / "mine"
                folder.mkdir()
                write(folder, state, done)
                ref = ckpt.save(folder, step=done, metrics={"loss": 1.0 / done}, move=True)
                assert ref.committed
                promise(ref.name, done)
            else:
                with ckpt.stage(step=done, metrics={"loss": 1.0 / done}) as folder:
                    write(folder, state, done)
                if saves % 4 == 2:
                    ckpt.wait()
                    found = ckpt.latest()
                    assert found is not None and found.step == done
                    promise(found.name, done)
    Path(os.environ["RESULT"]).write_text(blake3(state).hexdigest())


if __name__ == "__main__":
    main()
