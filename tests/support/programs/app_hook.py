"""An app of the seed's shape: a root whose hook says yes as long as ``n`` is below ``HOOK_BELOW``."""

from __future__ import annotations

import os
import time

from trainpoint.app import Flow, Work


class Count(Work):
    """Runs once for each set of arguments, and notes each run in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = 0

    def run(self, tens: int) -> None:
        self.counter += 1
        if "LEDGER" in os.environ:
            with open(os.environ["LEDGER"], "a", encoding="utf-8") as ledger:
                ledger.write(f"work {tens}\n")


class Child(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.seen = 0

    def run(self, n: int) -> None:
        self.seen = n

    def should_save_checkpoint(self) -> bool:
        self.asked += 1
        return True


class Main(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0
        self.child = Child()
        self.w = Count()

    def run(self) -> None:
        if self.n == 0 or "SAY_START" in os.environ:
            print(f"start={self.n}", flush=True)
            os.environ.pop("SAY_START", None)
        self.n += 1
        self.child.run(self.n)
        self.w.run(self.n // 10)
        time.sleep(float(os.environ.get("PAUSE", "0")))
        if self.n == int(os.environ.get("TELL_AT", "-1")):
            print(f"reached={self.n}", flush=True)
        if self.n == int(os.environ.get("BREAK_AT", "-1")):
            raise RuntimeError(f"broken at {self.n}")
        if self.n >= int(os.environ.get("TOTAL", "10")):
            print(f"end={self.n} asked={self.child.asked}", flush=True)
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return self.n < int(os.environ.get("HOOK_BELOW", "1000000000"))


app = Main()
