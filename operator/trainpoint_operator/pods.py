"""The last sight of pods that are gone: a pod object disappears a second after its pod ended. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from trainpoint_operator.views import PodView

REMEMBERED: Final = 10_000


class LastSights:
    """Pods by UID, as they were when they were last seen; the newest ``REMEMBERED`` that are gone."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._gone: OrderedDict[str, PodView] = OrderedDict()

    def on_change(self, old: PodView | None, new: PodView | None) -> None:
        """A listener of the cache of pods."""
        if old is None or (new is not None and new.uid == old.uid):
            return
        self._gone[old.uid] = old
        while len(self._gone) > self._limit:
            self._gone.popitem(last=False)

    def of(self, uid: str) -> PodView | None:
        """A pod that is gone; None if it was never seen, or too long ago."""
        return self._gone.get(uid)
