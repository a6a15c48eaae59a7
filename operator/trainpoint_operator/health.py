"""What the kubelet and Prometheus ask: ``/healthz``, ``/readyz``, ``/metrics``. Plain text, the reason in the body."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from trainpoint.clock import Clock
from trainpoint_operator.engine.informer import SignOfLife
from trainpoint_operator.metrics import Metrics

PULSE_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 15.0
"""The event loop has not come to its pulse for so long: it does not do its work either."""
TROUBLE_SECONDS: Final = 60.0
"""A watch that breaks is taken up again in seconds; one that is forbidden stays silent."""
_WORST_OF: Final = 60


class Health:
    """Answers while :meth:`serve` runs."""

    def __init__(
        self,
        *,
        clock: Clock,
        informers: Sequence[SignOfLife],
        leads: Callable[[], bool],
        leader: Callable[[], str],
        metrics: Metrics,
    ) -> None:
        """``leader``: identity of the replica that holds the Lease, as last seen."""
        self._clock = clock
        self._informers = informers
        self._leads = leads
        self._leader = leader
        self._metrics = metrics
        self._pulse = clock.monotonic()
        self._lags: deque[float] = deque(maxlen=_WORST_OF)

    def unhealthy(self) -> list[str]:
        """Why this process should be started again; empty when it is well."""
        late = self._clock.monotonic() - self._pulse
        stuck = [f"the event loop is stuck: its last pulse was {late:.0f} s ago"] if late > STUCK_SECONDS else []
        return stuck + [
            f"{informer.name}: nothing from the API server for {informer.silence():.0f} s" + _because(informer)
            for informer in self._informers
            if informer.silence() > informer.limit
        ]

    def unready(self) -> list[str]:
        """What is still lacking; empty when the caches are filled and no watch has been in trouble for a minute."""
        return [
            f"{informer.name}: " + ("not listed yet" if not informer.synced() else "trouble") + _because(informer)
            for informer in self._informers
            if not informer.synced() or (informer.trouble() and informer.silence() > TROUBLE_SECONDS)
        ]

    async def serve(self, host: str, port: int, *, listening: Callable[[int], None] = lambda port: None) -> None:
        """Until cancelled. Port 0: any free one; ``listening`` is told which."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._text)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            listening(int(runner.addresses[0][1]))
            await self._beat()
        finally:
            await runner.cleanup()

    async def _beat(self) -> None:
        """Measure how late the loop wakes: what it was kept from."""
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(PULSE_SECONDS)
            self._pulse = self._clock.monotonic()
            self._lags.append(max(0.0, self._pulse - before - PULSE_SECONDS))
            self._metrics.lag.set(max(self._lags))

    async def _healthz(self, request: web.Request) -> web.Response:
        return _answer(self.unhealthy(), "ok")

    async def _readyz(self, request: web.Request) -> web.Response:
        who = "this replica leads" if self._leads() else f"leader: {self._leader() or 'nobody'}"
        return _answer(self.unready(), f"ok; {who}")

    async def _text(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _because(informer: SignOfLife) -> str:
    trouble = informer.trouble()
    return f": {trouble}" if trouble else ""


def _answer(lacking: Sequence[str], fine: str) -> web.Response:
    return web.Response(status=503 if lacking else 200, text="\n".join(lacking or [fine]) + "\n")
