"""Events: said once, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.support.apidouble import ApiDouble, status
from trainpoint.format.digest import JsonObject
from trainpoint.testing import FakeClock
from trainpoint_operator.engine import events
from trainpoint_operator.engine.events import NOTE_BYTES, Recorder, event_of
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import EVENTS

ABOUT: JsonObject = {
    "apiVersion": "trainpoint.dev/v1alpha1",
    "kind": "CheckpointRun",
    "metadata": {"namespace": "team", "name": "llm-7-0a1b2c3d", "uid": "u-1", "resourceVersion": "5"},
}


def run(scenario: Callable[[ApiDouble, Kube, FakeClock, Recorder], Awaitable[None]]) -> None:
    async def whole() -> None:
        clock = FakeClock()
        async with ApiDouble() as api, api.kube(request_seconds=2) as kube:
            await asyncio.wait_for(scenario(api, kube, clock, Recorder(kube, clock, instance="operator-0")), 30)

    asyncio.run(whole())


def written(api: ApiDouble) -> list[JsonObject]:
    return [obj for path, obj in api.objects.items() if path.startswith(EVENTS.path("team"))]


def test_an_event_says_about_what_by_whom_and_why() -> None:
    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        await recorder.event(ABOUT, "NodeLost", "node-1 is gone", warning=True, action="Watch")
        (event,) = written(api)
        assert event["metadata"]["name"].startswith("llm-7-0a1b2c3d.")
        assert event["metadata"]["namespace"] == "team"
        assert event["regarding"] == {
            "apiVersion": "trainpoint.dev/v1alpha1",
            "kind": "CheckpointRun",
            **ABOUT["metadata"],
        }
        assert {k: v for k, v in event.items() if k not in ("metadata", "regarding", "kind", "apiVersion")} == {
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "trainpoint.dev/operator",
            "reportingInstance": "operator-0",
            "action": "Watch",
            "reason": "NodeLost",
            "note": "node-1 is gone",
            "type": "Warning",
        }

    run(scenario)


def test_the_same_is_not_said_again_within_ten_minutes() -> None:
    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        await recorder.event(ABOUT, "Saved", "step 5")
        clock.advance(599)
        await asyncio.gather(*(recorder.event(ABOUT, "Saved", "step 5") for _ in range(3)))
        assert len(api.log) == 1
        await recorder.event(ABOUT, "Saved", "step 10")
        await recorder.event(ABOUT, "Verified", "step 5")
        other = {**ABOUT, "metadata": {**ABOUT["metadata"], "uid": "u-2"}}
        await recorder.event(other, "Saved", "step 5")
        assert len(written(api)) == 4

    run(scenario)


def test_what_is_said_again_later_goes_on_as_a_series() -> None:
    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        for _ in range(3):
            await recorder.event(ABOUT, "StoreNotReady", "no answer")
            clock.advance(600)
        (event,) = written(api)
        assert event["series"] == {"count": 3, "lastObservedTime": "2026-01-01T00:20:00.000000Z"}
        await Recorder(kube, clock, instance="operator-1").event(ABOUT, "StoreNotReady", "no answer")
        assert written(api)[0]["series"]["lastObservedTime"] == "2026-01-01T00:30:00.000000Z"

    run(scenario)


@pytest.mark.parametrize("code", [403, 404, 422, 500])
def test_a_refused_event_is_logged_raises_nothing_and_is_tried_again(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        return status(code, "Reason", "not today")

    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        api.fault = fault
        await recorder.event(ABOUT, "Saved", "step 5")
        (line,) = [r.message for r in caplog.records]
        assert line.startswith("key=checkpointrun/team/llm-7-0a1b2c3d event=event-not-written reason=Saved error=")
        assert "not today" in line
        api.fault = None
        await recorder.event(ABOUT, "Saved", "step 5")
        assert len(written(api)) == 1

    run(scenario)


@pytest.mark.parametrize("about", [{}, {"metadata": {}}, {"kind": "Checkpoint", "metadata": {"namespace": "team"}}])
def test_an_object_without_a_name_raises_nothing(about: JsonObject, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        await recorder.event(about, "Saved", "step 5")
        assert (api.log, len(caplog.records)) == ([], 1)

    run(scenario)


def test_what_was_said_is_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 3)

    async def scenario(api: ApiDouble, kube: Kube, clock: FakeClock, recorder: Recorder) -> None:
        for step in range(5):
            await recorder.event(ABOUT, "Saved", f"step {step}")
        assert len(recorder._told) == 3
        await recorder.event(ABOUT, "Saved", "step 4")
        assert len(api.log) == 5

    run(scenario)


def of(message: str = "m", **metadata: Any) -> JsonObject:
    about = {"kind": "Checkpoint", "metadata": {**ABOUT["metadata"], **metadata}}
    return event_of(about, "Saved", message, warning=False, action="Reconcile", time="t")


@pytest.mark.parametrize("text", ["x" * 3000, "ä" * 3000, "a" + "日" * 900])
def test_a_long_note_is_cut_to_what_the_server_accepts(text: str) -> None:
    note = of(text)["note"]
    assert NOTE_BYTES - 4 <= len(note.encode()) <= NOTE_BYTES
    assert note.endswith("…")
    assert text.startswith(note[:-1])


def test_a_note_that_fits_is_whole() -> None:
    assert of("x" * NOTE_BYTES)["note"] == "x" * NOTE_BYTES


def test_names_are_deterministic_and_fit() -> None:
    assert of()["metadata"]["name"] == of(resourceVersion="9")["metadata"]["name"]
    assert len({of()["metadata"]["name"], of("n")["metadata"]["name"], of(uid="other")["metadata"]["name"]}) == 3
    assert len(of(name="n" * 253)["metadata"]["name"]) == 253
