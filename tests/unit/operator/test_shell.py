"""kopf's part: which changes of what people write it hands on."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import kopf
import pytest

from trainpoint_operator import shell
from trainpoint_operator.engine.resources import Key


@pytest.fixture(autouse=True)
def a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf is given one where a container has none; other tests have to see the real one again."""
    monkeypatch.setenv("LOGNAME", "trainpoint")


@pytest.mark.parametrize(
    ("case", "generation", "status", "expected"),
    [
        ("just created", 1, {}, True),
        ("changed by a person", 3, {"observedGeneration": 2}, True),
        ("answered", 3, {"observedGeneration": 3}, False),
        ("the operator or a pod wrote into its status", 3, {"observedGeneration": 3, "claim": {"attempt": 4}}, False),
    ],
)
def test_only_what_no_status_answers_yet(case: str, generation: int, status: dict[str, Any], expected: bool) -> None:
    written: Any = {"metadata": {"generation": generation}, "status": status}
    body = kopf.Body(written)
    assert shell.unobserved(body) is expected, case


def test_kopf_scans_posts_and_peers_nothing() -> None:
    made = shell.settings()
    assert made.scanning.disabled
    assert made.peering.standalone
    assert not made.posting.enabled


def handlers(woken: list[tuple[Key, float]]) -> dict[str, Any]:
    """By kind, what is called on an event of it."""
    made = shell.registry(lambda key, after: woken.append((key, after)))
    return {str(handler.id): handler.fn for handler in made._watching.get_all_handlers()}


def test_each_kind_that_people_write_has_one_handler() -> None:
    assert set(handlers([])) == {"checkpointstores", "checkpointpolicies", "checkpointruns"}


def test_a_handler_enqueues_a_key_and_nothing_else() -> None:
    woken: list[tuple[Key, float]] = []
    for handler in handlers(woken).values():
        handler(namespace="team-a", name="x")
    assert sorted(woken) == [
        (Key("CheckpointPolicy", "team-a", ""), 0.0),
        (Key("CheckpointRun", "team-a", "x"), 0.0),
        (Key("CheckpointStore", "team-a", "x"), 0.0),
    ]


def test_kopf_is_started_again_where_it_gives_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As it does where one of the kinds is deleted; the objects of the others still need the operator."""
    starts: list[int] = []

    async def scenario() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        async def operator(**_: Any) -> None:
            starts.append(len(starts))
            if len(starts) < 3:
                raise ExceptionGroup("unhandled errors in a TaskGroup", [LookupError("404 page not found")])
            loop.call_soon_threadsafe(stop.set)

        monkeypatch.setattr(kopf, "operator", operator)
        await asyncio.wait_for(shell.run(lambda key, after: None, (), stop), 20)

    monkeypatch.setattr(shell, "AGAIN_SECONDS", 0.01)
    asyncio.run(scenario())
    assert starts[:3] == [0, 1, 2]
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert said == ["event=kopf-ended error=LookupError: 404 page not found"] * 2


def test_where_kopf_gives_up_the_tasks_of_our_loop_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf cancels every task of its loop that began after it did, its own or not."""

    async def scenario() -> list[Key]:
        stop, woken, begun = asyncio.Event(), list[Key](), asyncio.Event()
        loop = asyncio.get_running_loop()
        failed = threading.Event()

        async def operator(**given: Any) -> None:
            handler = next(iter(given["registry"]._watching.get_all_handlers())).fn
            handler(namespace="team-a", name="x")
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            failed.set()
            raise LookupError("404 page not found")

        async def worker() -> str:
            begun.set()
            await asyncio.to_thread(failed.wait, 20)
            await asyncio.sleep(0)
            return "still at work"

        monkeypatch.setattr(kopf, "operator", operator)
        working = loop.create_task(worker())
        await begun.wait()
        running = loop.create_task(shell.run(lambda key, after: woken.append(key), (), stop))
        assert await asyncio.wait_for(working, 20) == "still at work"
        stop.set()
        await asyncio.wait_for(running, 20)
        return woken

    assert asyncio.run(scenario()) == [Key("CheckpointStore", "team-a", "x")]


def test_nothing_starts_again_once_it_is_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []

    async def scenario() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        async def operator(**given: Any) -> None:
            starts.append(1)
            loop.call_soon_threadsafe(stop.set)
            given["stop_flag"].wait(20)
            raise LookupError("404 page not found")

        monkeypatch.setattr(kopf, "operator", operator)
        await asyncio.wait_for(shell.run(lambda key, after: None, (), stop), 20)

    asyncio.run(scenario())
    assert starts == [1]
