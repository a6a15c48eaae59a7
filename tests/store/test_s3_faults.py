"""Connections that break, servers that are overloaded, and one that is killed and started again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.proxy import Answer, Cut, Drop, Fault, Flip, Proxy, Request, times
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint.clock import SystemClock
from trainpoint.errors import StoreError, StoreUnreachableError
from trainpoint.store.s3 import S3Store

MIB = 2**20
DEADLINE_SECONDS = 60.0


FAULTS: dict[str, Fault] = {
    "overloaded": Answer(503, "SlowDown"),
    "starting": Answer(500, "InternalError"),
    "too many requests": Answer(429, "TooManyRequests"),
    "dropped": Drop(),
    "dropped after it acted": Drop(forwarded=True),
    "cut in the body": Cut(40),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("verb", ["put", "get", "read", "list", "children", "delete"])
def test_a_fault_that_passes_is_survived(
    s3_store: S3Store, proxied_store: S3Store, proxy: Proxy, verb: str, fault: Fault
) -> None:
    data = bytes(range(256))
    s3_store.put("a/b", data)
    proxy.fault = times(4, fault)  # more than obstore's own tries
    outcome: dict[str, Callable[[], object]] = {
        "put": lambda: proxied_store.put("a/b", data + data),
        "get": lambda: proxied_store.get("a/b"),
        "read": lambda: bytes(proxied_store.read("a/b", 16, 240)),
        "list": lambda: [row.key for row in proxied_store.list("a/")],
        "children": lambda: proxied_store.children(""),
        "delete": lambda: proxied_store.delete("a/b"),
    }
    expected = {"get": data, "read": data[16:], "list": ["a/b"], "children": ["a"]}
    assert outcome[verb]() == expected.get(verb)
    if verb == "put":
        assert s3_store.get("a/b") == data + data
    if verb == "delete":
        assert list(s3_store.list("a/")) == []
    if not isinstance(fault, Cut):  # answers without a body cannot be cut
        assert sum(proxy.requests.values()) == 5


def test_a_part_that_fails_is_sent_again(proxied_store: S3Store, s3_store: S3Store, proxy: Proxy) -> None:
    proxy.fault = times(3, Drop(forwarded=True), "PUT")
    proxied_store.put_stream("large", (bytes([i]) * (5 * MIB) for i in range(9)))
    assert s3_store.get("large") == b"".join(bytes([i]) * (5 * MIB) for i in range(9))
    assert proxy.requests["PUT"] == 3 + 3


def test_a_listing_that_breaks_off_goes_on_behind_the_last_key(
    s3_store: S3Store, proxied_store: S3Store, proxy: Proxy
) -> None:
    keys = [f"many/{i:04}" for i in range(1500)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3_store.put(key, b""), keys))
    rows = proxied_store.list("many/")
    found = [next(rows).key]
    proxy.fault = times(5, Cut(5000), "LIST")
    found += [row.key for row in rows]
    assert found == keys
    assert "start-after" in proxy.log[-1].query


def test_a_bit_flipped_on_the_way_arrives_flipped(s3_store: S3Store, proxied_store: S3Store, proxy: Proxy) -> None:
    """Plain HTTP has no checksum of the answer: it is the digests of trainpoint that tell."""
    s3_store.put("a", b"\x00")
    proxy.fault = times(1, Flip(3), "GET")
    assert proxied_store.get("a") == b"\x08"
    assert proxied_store.get("a") == b"\x00"


def test_the_first_repetition_is_logged_once_with_what_is_wrong(
    proxied_store: S3Store, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.fault = times(7, Answer(503, "SlowDown"))
    with caplog.at_level(logging.WARNING, "trainpoint.store"):
        proxied_store.put("a/b", b"")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"store={proxied_store.url} action='write a/b' problem='SlowDown': trying again for 30 s"
    )


# --- a server that dies -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[S3Server]:
    """A server to be killed; each test starts it again."""
    with S3Server() as server:
        yield server


class Away(SystemClock):
    """Notes that a store has met the dead server, and waits for the other thread rather than for time."""

    def __init__(self) -> None:
        self.met = threading.Event()

    def sleep(self, seconds: float) -> None:
        self.met.set()
        super().sleep(min(seconds, 0.2))


@pytest.mark.parametrize("verb", ["put", "get", "list"])
def test_a_server_killed_and_started_again_is_waited_for(mortal_server: S3Server, s3_prefix: str, verb: str) -> None:
    clock = Away()
    environ = mortal_server.env()
    store = S3Store(DEFAULT_BUCKET, s3_prefix, environ=environ, deadline=DEADLINE_SECONDS, clock=clock)
    store.put("a/b", b"before")
    verbs: dict[str, Callable[[], object]] = {
        "put": lambda: store.put("a/c", b"meanwhile"),
        "get": lambda: store.get("a/b"),
        "list": lambda: [row.key for row in store.list("a/")],
    }
    mortal_server.kill()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(verbs[verb])
        assert clock.met.wait(DEADLINE_SECONDS)
        assert not waiting.done()
        mortal_server.start()
        result = waiting.result(DEADLINE_SECONDS)
    assert result == {"put": None, "get": b"before", "list": ["a/b"]}[verb]
    expected = ["a/b", "a/c"] if verb == "put" else ["a/b"]
    assert [row.key for row in store.list("a/")] == expected


def test_a_large_stream_survives_the_server_killed_in_its_middle(mortal_server: S3Server, s3_prefix: str) -> None:
    sent, killed = threading.Event(), threading.Event()

    def notice(request: Request) -> Fault | None:
        if request.verb == "PUT":
            sent.set()
            assert killed.wait(DEADLINE_SECONDS)
        return None

    def chunks() -> Iterator[bytes]:
        for i in range(12):
            yield bytes([i]) * (4 * MIB)

    with Proxy(mortal_server.port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.fault = notice
        environ = mortal_server.env(endpoint=proxy.endpoint)
        store = S3Store(DEFAULT_BUCKET, s3_prefix, environ=environ, deadline=DEADLINE_SECONDS)
        upload = pool.submit(store.put_stream, "large", chunks())
        assert sent.wait(DEADLINE_SECONDS)
        mortal_server.kill()
        killed.set()
        mortal_server.start()
        upload.result(DEADLINE_SECONDS)
        assert store.get("large") == b"".join(chunks())


def test_a_large_stream_to_a_server_that_stays_away_is_an_error_and_no_object(
    mortal_server: S3Server, s3_prefix: str
) -> None:
    def chunks() -> Iterator[bytes]:
        for i in range(12):
            yield bytes(4 * MIB)
            if i == 4:
                mortal_server.kill()

    store = S3Store(DEFAULT_BUCKET, s3_prefix, environ=mortal_server.env(), deadline=0.5)
    with pytest.raises(StoreUnreachableError, match="cannot reach"):
        store.put_stream("large", chunks())
    mortal_server.start()
    assert list(S3Store(DEFAULT_BUCKET, s3_prefix, environ=mortal_server.env()).list("")) == []


def test_an_error_of_a_store_is_an_error_of_the_family(proxied_store: S3Store, proxy: Proxy) -> None:
    proxy.fault = times(1, Answer(418, "Teapot"))
    with pytest.raises(StoreError, match="Teapot"):
        proxied_store.get("a")
