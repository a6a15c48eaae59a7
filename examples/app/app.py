"""The app of Lightning's checkpointing page: a work that is created as the app runs, and restored.

trainpoint run app examples/app/app.py
trainpoint run app examples/app/app.py --checkpoint latest
"""

import time
from typing import Any

from trainpoint import app

State = dict[str, Any]


class Work(app.Work):
    def __init__(self) -> None:
        super().__init__()
        self.counter = 0

    def run(self) -> None:
        self.counter += 1
        print("the work runs", flush=True)


class MyLightningApp(app.Flow):
    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0

    def run(self) -> None:
        # dynamically create a work.
        if not getattr(self, "w", None):
            self.w = Work()

        self.w.run()  # once; also after a restart

        self.rounds += 1
        time.sleep(0.1)
        if self.rounds % 10 == 0 and self.w.has_succeeded:
            print(f"rounds: {self.rounds}, counter: {self.w.counter}", flush=True)
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return True

    def load_state_dict(self, flow_state: State, children_states: State, strict: bool = True) -> None:
        # 1: Re-instantiate the dynamic work component
        self.w = Work()

        # 2: Make any states modification / migration.
        children_states["w"]["vars"].setdefault("counter", 0)

        # 3: Call the parent ``load_state_dict`` to
        # recursively reload the states.
        super().load_state_dict(
            flow_state,
            children_states,
            strict,
        )
