"""People who ask a training at work to save now: looked for behind it, regularly."""

from __future__ import annotations

import threading
from typing import Final

from trainpoint.claim.won import Claim
from trainpoint.clock import Chance
from trainpoint.errors import TrainpointError
from trainpoint.handle import narrate
from trainpoint.handle.rhythm import Rhythm

LOOK_SECONDS: Final = 30.0
"""A request is seen after this time at most; one request to the API server or to the store for each look."""


class SaveRequests:
    """Looks for requests to save, and passes each on once. One that cannot be looked for is looked for later."""

    def __init__(self, claimed: Claim, rhythm: Rhythm, chance: Chance) -> None:
        self._claimed = claimed
        self._rhythm = rhythm
        self._chance = chance
        self._known = claimed.asked_before
        self._stop = threading.Event()

    def start(self) -> None:
        """Look regularly, from a daemon thread. A forked child has none."""
        threading.Thread(target=self._look_until_stopped, name="trainpoint-requests", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        """Look once."""
        try:
            found = self._claimed.save_request()
        except TrainpointError as error:
            narrate.logger.debug("whether somebody asks for a save is not known: %s", error)
            return
        if not found or found == self._known:
            return
        self._known = found
        self._rhythm.request()
        if self._rhythm.can_be_asked:
            narrate.logger.info("asked to save now: at the next step")
        else:
            narrate.logger.warning(
                "asked to save now, which ranks that save by steps alone cannot agree on: give every= a duration, too"
            )

    def _look_until_stopped(self) -> None:
        while not self._stop.wait(LOOK_SECONDS * (0.5 + self._chance.fraction() / 2)):
            self.look()
