"""Which replica works: one Lease, held by one process at a time.

Safe whatever the clocks of the machines say. How long the record has not changed is measured here, by our own monotonic
clock, from when we saw it; the times in the record are for people. The holder stops leading by itself when it could
not renew for a time that is shorter than the others wait, also when its event loop hangs meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final

from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.errors import ObjectChangedError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import LEASES

logger = logging.getLogger(__name__)

NAME: Final = "trainpoint-operator"
DURATION_SECONDS: Final = 15.0
DEADLINE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 2.0


class NotLeadingError(RuntimeError):
    """This replica does not hold the Lease just now: what it was about to do is for whoever does, or for later."""


class Elector:
    """One candidate. :meth:`run` until it ends, which is when leadership was lost; then the process is to end too."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        identity: str,
        *,
        clock: Clock,
        chance: Chance,
        name: str = NAME,
        duration: float = DURATION_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        renew: float = RENEW_SECONDS,
        retry: float = RETRY_SECONDS,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            identity: of this process; never that of another one, nor of a former one of the same pod.
            duration: seconds without a change after which others take over; rounded up to whole ones.
            deadline: seconds without success after which the holder stops leading; below ``duration``.
            renew: seconds between renewals.
            retry: seconds between attempts to acquire, or to renew after a failure.
            lost: called once when leadership was lost.
        """
        if not (0 < retry <= renew < deadline < duration):
            raise ValueError(f"not retry {retry} ≤ renew {renew} < deadline {deadline} < duration {duration}")
        self.identity = identity
        self.acquired = asyncio.Event()
        """set from the moment on at which this process first leads"""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._chance = chance
        self._duration = max(1, math.ceil(duration))  # the record knows whole seconds only
        self._deadline = deadline
        self._renew = renew
        self._retry = retry
        self._lost = lost
        self._renewed: float | None = None
        """when we asked for what was last granted, by our monotonic clock; None: we do not hold it"""
        self._seen: JsonObject = {}
        """the record as last seen; which version it was, and since when it has not changed"""
        self._version = ""
        self._seen_at = 0.0
        self._stale = True
        """whether it must be read before it is written"""

    def leads(self) -> bool:
        """Whether this process may act. Nothing needs to run for this to become False in time."""
        return self._renewed is not None and self._clock.monotonic() < self._renewed + self._deadline

    def leader(self) -> str:
        """Identity of the holder as last seen; empty: nobody's."""
        return str(self._seen.get("holderIdentity") or "")

    async def run(self) -> None:
        """Acquire and renew; returns when leadership was lost. To stop cleanly cancel it, then :meth:`release`."""
        while True:
            held = self._renewed is not None
            succeeded = await self.attempt()
            if held and not self.leads():
                self._renewed = None
                logger.error("lease=%s/%s event=lost identity=%s", self._namespace, self._name, self.identity)
                self._lost()
                return
            if not held and self.leads():
                logger.info("lease=%s/%s event=acquired identity=%s", self._namespace, self._name, self.identity)
                self.acquired.set()
            await asyncio.sleep(self._renew if succeeded else self._pause())

    async def attempt(self) -> bool:
        """Acquire or renew, once. Never raises for what the server does."""
        asked = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._patience()):
                granted = await self._try()
        except (TrainpointError, TimeoutError) as error:
            said = error.message if isinstance(error, TrainpointError) else "no answer in time"
            self._stale = True
            level = logging.DEBUG if isinstance(error, ObjectChangedError) else logging.WARNING
            logger.log(level, "lease=%s/%s event=attempt-failed error=%s", self._namespace, self._name, said)
            return False
        if granted:
            self._renewed = asked  # when we asked, not when we heard: the others count from about then
        elif self._renewed is not None:
            self._renewed = asked - self._deadline  # somebody else holds it
        return granted

    async def release(self) -> None:
        """Stop leading and let a successor take over at once. Call it when nothing acts any more."""
        held, self._renewed = self._renewed is not None, None
        if not held:
            return
        try:
            async with asyncio.timeout(self._patience()):
                self._see(await self._kube.get(LEASES, self._namespace, self._name))  # a renewal may have been cut off
                if self.leader() == self.identity:
                    now = rfc3339(self._clock.now())
                    nobody: JsonObject = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now}
                    await self._kube.patch(LEASES, self._namespace, self._name, self._body(nobody))
        except (TrainpointError, TimeoutError) as error:
            logger.warning("lease=%s/%s event=release-failed error=%r", self._namespace, self._name, error)
        else:
            logger.info("lease=%s/%s event=released identity=%s", self._namespace, self._name, self.identity)

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _try(self) -> bool:
        now = rfc3339(self._clock.now())
        if self._stale:
            found = await self._kube.get(LEASES, self._namespace, self._name)
            if found is None:
                return self._renewed is None and await self._create(now)
            self._see(found)
            self._stale = self._renewed is None  # who does not hold it reads it each time
        holder = self.leader()
        change = self._claim(now)
        if holder != self.identity:
            if self._renewed is not None or (holder and self._until_expiry() > 0):
                return False
            change |= {"acquireTime": now, "leaseTransitions": int(self._seen.get("leaseTransitions") or 0) + 1}
        taken = await self._kube.patch(LEASES, self._namespace, self._name, self._body(change))
        self._see(taken)
        self._stale = taken is None
        return taken is not None

    async def _create(self, now: str) -> bool:
        body: JsonObject = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {"acquireTime": now, "leaseTransitions": 0} | self._claim(now),
        }
        made = await self._kube.create(LEASES, self._namespace, body)
        self._see(made)
        self._stale = made is None
        return made is not None

    def _claim(self, now: str) -> JsonObject:
        return {"holderIdentity": self.identity, "leaseDurationSeconds": self._duration, "renewTime": now}

    def _body(self, spec: JsonObject) -> JsonObject:
        """A patch that fails where the record is no longer the one we saw."""
        return {"metadata": {"resourceVersion": self._version}, "spec": spec}

    def _see(self, found: JsonObject | None) -> None:
        if found is None:
            return
        version = str(found["metadata"]["resourceVersion"])
        if version != self._version:
            self._version = version
            self._seen = dict(found.get("spec") or {})
            self._seen_at = self._clock.monotonic()

    def _until_expiry(self) -> float:
        """Seconds until another's hold is over; by the longer of its duration and ours."""
        duration = max(float(self._seen.get("leaseDurationSeconds") or 0), self._duration)
        return self._seen_at + duration - self._clock.monotonic()

    def _patience(self) -> float:
        """Seconds for one attempt, so that a holder has a second one before its deadline."""
        return min(self._retry * 2, self._deadline / 2)

    def _pause(self) -> float:
        """Until the next attempt; not past the moment at which the other's hold is over, nor our own."""
        pause = self._retry * (0.8 + 0.2 * self._chance.fraction())
        if self._renewed is not None:
            return max(0.0, min(pause, self._renewed + self._deadline - self._clock.monotonic()))
        if self.leader() and (left := self._until_expiry()) > 0:
            return min(pause, left)
        return pause
