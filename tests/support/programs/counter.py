"""Counts to TOTAL, saves at even numbers, fails at FAIL_AT ("3,7": at 3 in attempt 0, at 7 in attempt 1)."""

from __future__ import annotations

import os

from trainpoint import Checkpoint
from trainpoint.policies.load import UNSET

POLICIES = {"fresh": "fresh", "eager": "eager", "None": None, "": UNSET}


def main() -> None:
    policy = os.environ.get("ARGUMENT", "")
    fails = [int(text) for text in os.environ.get("FAIL_AT", "").split(",") if text]
    with Checkpoint(load_policy=POLICIES.get(policy, policy)) as ckpt:
        attempt = ckpt.attempt
        assert attempt is not None
        number = int((ckpt.path / "counter").read_text()) if ckpt.is_loaded else 0
        print(f"start={number} loaded={ckpt.is_loaded} attempt={attempt}", flush=True)
        while number < int(os.environ.get("TOTAL", "10")):
            if attempt < len(fails) and number == fails[attempt]:
                raise RuntimeError(f"flaky at {number}")
            number += 1
            if number % 2 == 0:
                with ckpt.stage(step=number) as folder:
                    (folder / "counter").write_text(str(number))
        print(f"end={number}", flush=True)


if __name__ == "__main__":
    main()
