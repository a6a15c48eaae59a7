"""CounterPolicyFlow of Metaflow's documentation: chooses a checkpoint of another workflow itself, and loads it.

    trainpoint run --workflow CounterPolicyFlow -- python counter_policy.py            # of a run that has succeeded
    trainpoint run --workflow CounterPolicyFlow -- python counter_policy.py --list     # of one that may still go on

Where more than a name differs, Metaflow's line stands behind ours or above it.
"""

from __future__ import annotations

import os
import sys

from trainpoint import (
    Flow,
    checkpoint,
    current,
)  # from metaflow import FlowSpec, Flow, checkpoint, current, namespace, …


class CounterPolicyFlow:  # class CounterPolicyFlow(FlowSpec):
    @checkpoint(load_policy=None)
    # @step
    def start(self) -> None:
        flow = Flow("CheckpointCounterFlow", owner="*")  # namespace(None), for all of the program
        if "--list" in sys.argv:
            run = flow.latest_run
            cp = current.checkpoint.list(task=run["flaky_count"].task)[0]
            current.checkpoint.load(cp)
        else:
            run = flow.latest_successful_run
            print(f"Accessing checkpoints from run {run.pathspec}")
            current.checkpoint.load(run["flaky_count"].task["latest_checkpoint"].data)
        with open(os.path.join(current.checkpoint.directory, "counter")) as f:
            self.counter = int(f.read())
        # self.next(self.end)

    # @step
    def end(self) -> None:
        print("Loaded counter", self.counter)


if __name__ == "__main__":
    flow = CounterPolicyFlow()
    flow.start()
    flow.end()
