"""When a training loop saves and when it stops; the same on every rank."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

from trainpoint.clock import Clock
from trainpoint.handle.together import Answer, Together, agreed, torch_together
from trainpoint.policies.save import Due, SaveInput, is_due
from trainpoint.policies.settings import SaveSettings

NO_STEP = -1
"""What the progress file holds before training has completed a step."""


class Rhythm:
    """Counts steps and time since the last save, and remembers whether SIGTERM has come."""

    def __init__(
        self,
        settings: SaveSettings,
        clock: Clock,
        *,
        progress_file: str | None = None,
        rank: int = 0,
        world_size: int = 1,
        find_together: Callable[[int], Together | None] = torch_together,
    ) -> None:
        """
        Args:
            progress_file: of the process that supervises this one; it learns from there how far training has come.
            world_size: how many ranks have to save at the same steps; 1 where this one saves for itself.
            find_together: looks for the channel between them when it is needed; gets the world size.
        """
        self.preempted = False
        self.requests = 0
        """how often somebody has asked for a save now"""
        self.last_step: int | None = None
        """the last step that training is known to have completed"""
        self._settings = settings
        self._clock = clock
        self._progress = _opened(progress_file)
        self._rank = rank
        self._world_size = world_size
        self._find_together = find_together
        self._timed = settings.every_seconds is not None or settings.every_steps is None
        self._last_saved_step = 0
        self._calls = 0  # of should_save without a step: they count as steps
        self._calls_at_save = 0
        self._last_saved_at = clock.monotonic()
        self._asked = False  # the program uses should_save
        self._answered = 0  # of the requests
        self._final_asked = False  # should_save has said True for the last time
        self._final_taken = False  # and a save has begun since the signal

    def begun(self) -> None:
        """Training begins now."""
        self._last_saved_at = self._clock.monotonic()

    def loaded(self, step: int | None) -> None:
        """Steps are counted on from what was loaded."""
        self._last_saved_step = step or 0
        self.reached(step)

    def reached(self, step: int | None) -> None:
        """Training has completed ``step``: for the account of what a kill has cost."""
        if step is None or step == self.last_step:
            return
        self.last_step = step
        if self._progress is not None:
            os.pwrite(self._progress, struct.pack("<q", step), 0)

    def of_workflow(self, workflow: str) -> None:
        """Whose training it is: a program may name its workflow itself, and not as its supervisor does."""
        if self._progress is not None:
            os.pwrite(self._progress, workflow.encode() + b"\0", struct.calcsize("<q"))

    @property
    def can_be_asked(self) -> bool:
        """Whether :meth:`request` has an effect: ranks that go by steps alone do not talk to each other."""
        return self._world_size == 1 or self._timed

    def request(self) -> None:
        """Save at the next step, whatever the rhythm. May be called from another thread."""
        self.requests += self.can_be_asked

    def saved(self, step: int | None) -> None:
        """A save begins."""
        self._answered = self.requests
        self._last_saved_step = step if step is not None else self._last_saved_step
        self._calls_at_save = self._calls
        self._last_saved_at = self._clock.monotonic()
        self._final_taken = self._final_taken or self.preempted
        self.reached(step)

    def should_save(self, step: int | None) -> bool:
        """Whether it is time to save; see :meth:`trainpoint.Checkpoint.should_save`."""
        self._asked = True
        self._calls += 1
        self.reached(step)
        preempted = self.preempted  # read once: a signal may come at any moment
        due = self._is_due(step, preempted)
        if self._world_size > 1 and self._timed:
            together = self._find_together(self._world_size)
            said = agreed(Answer(due, preempted), rank=self._rank, together=together)
            if said.preempted and not preempted:  # another rank was told first; all stop at the same step
                preempted = self.preempted = True
            due = self._is_due(step, preempted) if preempted else said.due
        self._final_asked = self._final_asked or preempted
        return due

    def _is_due(self, step: int | None, preempted: bool) -> bool:
        verdict = is_due(
            SaveInput(
                settings=self._settings,
                step=self._calls if step is None else step,
                last_step=self._calls_at_save if step is None else self._last_saved_step,
                seconds_since_save=self._clock.monotonic() - self._last_saved_at,
                requested=self.requests > self._answered,
                preempted=preempted,
                final_save_due=not self._final_asked,
            )
        )
        return isinstance(verdict, Due)

    @property
    def should_stop(self) -> bool:
        """Preempted, and the final save has been taken; or asked for twice without one, or never asked for."""
        return self.preempted and (self._final_taken or self._final_asked or not self._asked)

    def close(self) -> None:
        if self._progress is not None:
            os.close(self._progress)
            self._progress = None

    def abandon(self) -> None:
        """In a forked child: the parent's file stays open."""
        self._progress = None


def _opened(path: str | None) -> int | None:
    if not path:
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return None  # the supervisor is gone; nobody is left to tell
