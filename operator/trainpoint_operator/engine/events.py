"""Events: what ``kubectl describe`` tells of an object's story. Best effort, said once."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final

from trainpoint.clock import Clock, rfc3339
from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject, digest_of
from trainpoint_operator.engine.kube import Kube
from trainpoint_operator.engine.resources import EVENTS

logger = logging.getLogger(__name__)

CONTROLLER: Final = "trainpoint.dev/operator"
NOTE_BYTES: Final = 1024
"""The server refuses a longer note."""
SAME_AGAIN_SECONDS: Final = 600.0
REMEMBERED: Final = 4096
"""Events whose last time is kept, the newest; about a megabyte."""
_INSTANCE_LIMIT: Final = 128
_NAME_LIMIT: Final = 253


class Recorder:
    """Writes events. The same one (object, reason and note) is not written again within ten minutes."""

    def __init__(self, kube: Kube, clock: Clock, *, instance: str) -> None:
        """``instance``: which process reports, usually the pod's name."""
        self._kube = kube
        self._clock = clock
        self._instance = (instance or "unknown")[:_INSTANCE_LIMIT]
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """by name of the event: when it was last written, and how often"""

    async def event(
        self, about: JsonObject, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> None:
        """Tell something about an object; never raises.

        Args:
            about: the object: apiVersion, kind, metadata.
            reason: one word in CamelCase; stable, since people filter by it.
            message: cut at 1 KiB.
            action: what was being done, one word.
        """
        try:
            event = event_of(about, reason, message, warning=warning, action=action, time=rfc3339(self._clock.now()))
            await self._tell({**event, "reportingInstance": self._instance})
        except Exception as error:  # a story that cannot be told stops nobody's work
            said = error.message if isinstance(error, TrainpointError) else repr(error)
            metadata = about.get("metadata", {})
            logger.warning(
                "key=%s/%s/%s event=event-not-written reason=%s error=%s",
                str(about.get("kind", "")).lower(),
                metadata.get("namespace", ""),
                metadata.get("name", ""),
                reason,
                said,
            )

    async def _tell(self, event: JsonObject) -> None:
        name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
        now = self._clock.monotonic()
        last, count = self._told.get(name, (None, 0))
        if last is not None and now - last < SAME_AGAIN_SECONDS:
            return
        self._remember(name, now, count + 1)  # at once: another worker may be about to say the same
        try:
            if await self._kube.create(EVENTS, namespace, event) is None:
                # Said before, by this process or one before it, and not yet forgotten by the server: it goes on.
                series = {"count": max(2, count + 1), "lastObservedTime": event["eventTime"]}
                await self._kube.patch(EVENTS, namespace, name, {"series": series})
        except BaseException:
            self._told.pop(name, None)
            raise

    def _remember(self, name: str, now: float, count: int) -> None:
        self._told[name] = (now, count)
        self._told.move_to_end(name)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)


def event_of(about: JsonObject, reason: str, message: str, *, warning: bool, action: str, time: str) -> JsonObject:
    """The event as events.k8s.io wants it, but for who reports it.

    Its name is the same for the same object, reason and text: ``<object>.<16 hexadecimal digits>``.
    """
    metadata = about["metadata"]
    note = _cut(message)
    told = "\0".join([str(metadata.get("uid", "")), str(metadata["name"]), reason, note])
    suffix = "." + digest_of(told.encode())[:16]
    name = str(metadata["name"])[: _NAME_LIMIT - len(suffix)].rstrip(".-") + suffix
    regarding = {"apiVersion": about.get("apiVersion"), "kind": about.get("kind")} | {
        field: metadata.get(field) for field in ("namespace", "name", "uid", "resourceVersion")
    }
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": str(metadata.get("namespace") or "default")},
        "eventTime": time,
        "reportingController": CONTROLLER,
        "action": action,
        "reason": reason,
        "regarding": {field: value for field, value in regarding.items() if value},
        "note": note,
        "type": "Warning" if warning else "Normal",
    }


def _cut(text: str) -> str:
    data = text.encode()
    if len(data) <= NOTE_BYTES:
        return text
    ellipsis = "…"
    return data[: NOTE_BYTES - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
