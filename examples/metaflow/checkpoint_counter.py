"""CheckpointCounterFlow of Metaflow's documentation: counts to 10, fails on the way, and goes on where it saved last.

    trainpoint run --workflow CheckpointCounterFlow --retries 3 -- python checkpoint_counter.py

``--retries 3`` is Metaflow's ``@retry``. Where more than a name differs, Metaflow's line stands behind or above ours.
"""

from __future__ import annotations

import os

from trainpoint import checkpoint, current  # from metaflow import FlowSpec, checkpoint, current, retry, step

FAILS_AT = (3, 7)
"""in the first attempt, in the second; Metaflow's own program leaves it to chance"""


class CheckpointCounterFlow:  # class CheckpointCounterFlow(FlowSpec):
    # @step
    def start(self) -> None:
        self.counter = 0
        # self.next(self.flaky_count)

    @checkpoint
    # @retry
    # @step
    def flaky_count(self) -> None:
        cp_path = os.path.join(current.checkpoint.directory, "counter")

        def save_counter() -> None:
            print("Checkpointing counter value", self.counter)
            with open(cp_path, "w") as f:
                f.write(str(self.counter))
            # self.latest_checkpoint = current.checkpoint.save()
            current.checkpoint.publish("latest_checkpoint", current.checkpoint.save(step=self.counter))

        def load_counter() -> None:
            if current.checkpoint.is_loaded:
                with open(cp_path) as f:
                    self.counter = int(f.read())
                print("Checkpoint loaded!")

        load_counter()
        info, attempt = current.checkpoint.info, current.checkpoint.attempt or 0  # …, current.retry_count
        print("Counter is now", self.counter, "in attempt", attempt, "from attempt", info.attempt if info else None)

        while self.counter < 10:
            self.counter += 1
            if self.counter % 2 == 0:
                save_counter()
            if self.counter in FAILS_AT[attempt : attempt + 1]:  # if random.random() < 0.2:
                raise RuntimeError("Bad luck! Try again!")

        # self.next(self.end)

    # @step
    def end(self) -> None:
        print("Final counter", self.counter)


if __name__ == "__main__":
    flow = CheckpointCounterFlow()
    flow.start()
    flow.flaky_count()
    flow.end()
