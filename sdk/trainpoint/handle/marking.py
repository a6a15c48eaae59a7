"""What is said of a checkpoint after it was committed: later metrics, pins, deletion."""

from __future__ import annotations

from trainpoint.handle.reading import Reading


class Marking(Reading):
    """What every :class:`~trainpoint.Checkpoint` can say of a checkpoint that exists."""
