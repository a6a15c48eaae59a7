"""What the kubelet and Prometheus are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import pytest

from trainpoint.clock import SystemClock
from trainpoint.testing import FakeClock
from trainpoint_operator.health import Health
from trainpoint_operator.metrics import Metrics


@dataclass
class Sign:
    name: str = "pods"
    limit: float = 400.0
    silent: float = 1.0
    filled: bool = True
    wrong: str = ""

    def silence(self) -> float:
        return self.silent

    def synced(self) -> bool:
        return self.filled

    def trouble(self) -> str:
        return self.wrong


def health(*signs: Sign, clock: FakeClock | None = None, leads: bool = True, leader: str = "one") -> Health:
    return Health(
        clock=clock or FakeClock(),
        informers=signs,
        leads=lambda: leads,
        leader=lambda: leader,
        metrics=Metrics(),
    )


def test_all_is_well() -> None:
    found = health(Sign(), Sign("jobs"))
    assert (found.unhealthy(), found.unready()) == ([], [])


def test_an_informer_that_is_silent_for_too_long_is_unhealthy_and_says_why() -> None:
    found = health(Sign(), Sign("jobs", silent=401, wrong="jobs is forbidden"))
    assert found.unhealthy() == ["jobs: nothing from the API server for 401 s: jobs is forbidden"]


@pytest.mark.parametrize(
    ("sign", "lacking"),
    [
        (Sign(filled=False), ["pods: not listed yet"]),
        (Sign(filled=False, wrong="forbidden"), ["pods: not listed yet: forbidden"]),
        (Sign(wrong="forbidden", silent=61), ["pods: trouble: forbidden"]),
        (Sign(wrong="cut", silent=2), []),
        (Sign(silent=300), []),
    ],
)
def test_readiness_waits_for_the_caches_and_tells_of_trouble_that_lasts(sign: Sign, lacking: list[str]) -> None:
    assert health(sign).unready() == lacking


def test_an_event_loop_that_does_not_come_to_its_pulse_is_unhealthy() -> None:
    clock = FakeClock()
    found = health(clock=clock)
    clock.advance(15)
    assert found.unhealthy() == []
    clock.advance(2)
    assert found.unhealthy() == ["the event loop is stuck: its last pulse was 17 s ago"]


def ask(found: Callable[[Metrics], Health], *paths: str) -> list[tuple[int, str]]:
    """Status and text of each path, from the server itself."""

    async def whole() -> list[tuple[int, str]]:
        ports: asyncio.Queue[int] = asyncio.Queue()
        serving = asyncio.create_task(found(Metrics()).serve("127.0.0.1", 0, listening=ports.put_nowait))
        try:
            port = await asyncio.wait_for(ports.get(), 10)
            answers = []
            async with aiohttp.ClientSession() as session:
                for path in paths:
                    async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                        answers.append((response.status, await response.text()))
            return answers
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    return asyncio.run(whole())


def test_the_endpoints_of_a_replica_that_is_well() -> None:
    def leading(metrics: Metrics) -> Health:
        metrics.deleted(7)
        return Health(clock=SystemClock(), informers=[Sign()], leads=lambda: True, leader=lambda: "", metrics=metrics)

    healthz, readyz, metrics, other = ask(leading, "/healthz", "/readyz", "/metrics", "/")
    assert (healthz, readyz) == ((200, "ok\n"), (200, "ok; this replica leads\n"))
    assert metrics[0] == 200
    assert "trainpoint_deleted_bytes_total 7.0" in metrics[1]
    assert other[0] == 404


def test_the_endpoints_of_a_standby_and_of_one_in_trouble() -> None:
    def health_of(sign: Sign, leader: str) -> Callable[[Metrics], Health]:
        return lambda metrics: Health(
            clock=SystemClock(), informers=[sign], leads=lambda: False, leader=lambda: leader, metrics=metrics
        )

    assert ask(health_of(Sign(), "pod-1"), "/readyz") == [(200, "ok; leader: pod-1\n")]
    assert ask(health_of(Sign(), ""), "/readyz") == [(200, "ok; leader: nobody\n")]
    silent = health_of(Sign(silent=500, filled=False), "pod-1")
    assert ask(silent, "/healthz", "/readyz") == [
        (503, "pods: nothing from the API server for 500 s\n"),
        (503, "pods: not listed yet\n"),
    ]
