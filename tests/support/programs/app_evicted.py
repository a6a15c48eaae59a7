"""An app that goes on until it is started from what it has saved: its pod has been evicted, the next one ends it."""

import time
from typing import Any

from trainpoint import app


class Main(app.Flow):
    def __init__(self) -> None:
        super().__init__()
        self.rounds = 0
        self.starts = 1

    def run(self) -> None:
        self.rounds += 1
        print(f"round {self.rounds}", flush=True)
        time.sleep(0.25)
        if self.starts > 1:
            self.stop()

    def should_save_checkpoint(self) -> bool:
        return True

    def load_state_dict(
        self, flow_state: dict[str, Any], children_states: dict[str, dict[str, Any]], strict: bool = True
    ) -> None:
        super().load_state_dict(flow_state, children_states, strict)
        self.starts += 1
        print(f"goes on after round {self.rounds}", flush=True)
