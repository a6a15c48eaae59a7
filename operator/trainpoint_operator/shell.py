"""kopf: the shell of the process. It logs in and watches what people write; its handlers only enqueue.

Reconcilers read the caches of :mod:`trainpoint_operator.engine.informer`, which miss no deletion; kopf's watch makes
that a person's change is looked at even where one of those is late.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import kopf

from trainpoint_operator.engine.resources import POLICIES, RUNS, STORES, Key, Resource

logger = logging.getLogger(__name__)

Enqueue = Callable[[Key, float], None]
AGAIN_SECONDS: Final = 10.0
"""Until kopf is started again."""


def registry(enqueue: Enqueue) -> kopf.OperatorRegistry:
    """Login, and one handler for each kind that people write."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    def watch(resource: Resource, key_of: Callable[[str, str], Key]) -> None:
        @kopf.on.event(
            resource.group, resource.version, resource.plural, id=resource.plural, when=unobserved, registry=made
        )
        def changed(*, namespace: str | None, name: str, **_: Any) -> None:
            enqueue(key_of(namespace or "", name), 0.0)

    watch(STORES, lambda namespace, name: Key(STORES.kind, namespace, name))
    watch(POLICIES, lambda namespace, _name: Key(POLICIES.kind, namespace, ""))
    watch(RUNS, lambda namespace, name: Key(RUNS.kind, namespace, name))
    return made


def unobserved(body: kopf.Body, **_: Any) -> bool:
    """Something that a person wrote and that no status answers yet."""
    return body.metadata.get("generation") != body.status.get("observedGeneration")


def settings() -> kopf.OperatorSettings:
    """No scan of all kinds and namespaces, no peering objects, no events but our own, little memory for each object."""
    made = kopf.OperatorSettings()
    made.scanning.disabled = True
    made.peering.standalone = True
    made.posting.enabled = False
    made.posting.level = logging.ERROR
    made.queueing.idle_timeout = 0.2
    made.watching.chunk_size = 500
    made.watching.server_timeout = 290
    made.watching.connect_timeout = 10
    made.watching.reconnect_backoff = 1
    made.networking.request_timeout = 30
    made.process.ultimate_exiting_timeout = None  # else it ends our process after a failure of its own
    return made


async def run(enqueue: Enqueue, namespaces: Sequence[str], stop: asyncio.Event) -> None:
    """Until ``stop`` is set.

    kopf has a thread and an event loop of its own. Where it ends, as it does where a kind is deleted, it cancels every
    task of its loop that is younger than itself, "even if those tasks were created by other means"
    (``kopf._core.reactor.running.run_tasks``): in ours that would be the workers.
    """
    # kopf names itself after the system's user, and an image's numeric user has no name.
    os.environ.setdefault("LOGNAME", "trainpoint")
    loop = asyncio.get_running_loop()
    ending = threading.Event()

    def told(key: Key, after: float) -> None:
        if not ending.is_set():  # else that loop may be closed
            loop.call_soon_threadsafe(enqueue, key, after)

    thread = threading.Thread(target=_watch, args=(told, tuple(namespaces), ending), name="kopf", daemon=True)
    thread.start()
    try:
        await stop.wait()
    finally:
        ending.set()


def _watch(told: Enqueue, namespaces: Sequence[str], ending: threading.Event) -> None:
    """In kopf's thread: until ``ending`` is set, started again where it gives up."""
    while not ending.is_set():
        try:
            asyncio.run(
                kopf.operator(
                    registry=registry(told),
                    settings=settings(),
                    clusterwide=not namespaces,
                    namespaces=list(namespaces),
                    stop_flag=ending,
                )
            )
        except Exception as error:
            # It gives up where a kind is deleted. Then the other kinds still need us: their objects have finalizers.
            text = " ".join(str(_first(error)).split())
            logger.error("event=kopf-ended error=%s: %s", type(_first(error)).__name__, text[:300])
        ending.wait(AGAIN_SECONDS)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
