"""What each verb costs, counted on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.proxy import Proxy
from trainpoint.errors import ObjectNotFoundError
from trainpoint.store.s3 import PART_BYTES, PARTS_AT_ONCE, S3Store

MIB = 2**20


def fill(store: S3Store, count: int) -> list[str]:
    """Write so many empty objects below ``many/``; returns their keys in order."""
    keys = [f"many/{i:05}" for i in range(count)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    return keys


def test_a_listing_fetches_a_page_when_it_is_reached_and_none_ahead(
    s3_store: S3Store, proxied_store: S3Store, proxy: Proxy
) -> None:
    keys = fill(s3_store, 3000)
    rows = proxied_store.list("many/")
    found = [next(rows).key]
    assert proxy.requests == {"LIST": 1}
    found += [next(rows).key for _ in range(999)]
    assert proxy.requests == {"LIST": 1}
    found.append(next(rows).key)
    assert proxy.requests == {"LIST": 2}
    found += [row.key for row in rows]
    assert proxy.requests == {"LIST": 3}
    assert found == keys
    proxy.reset()
    assert [row.key for row in proxied_store.list("many/", after=keys[1999])] == keys[2000:]
    assert proxy.requests == {"LIST": 1}


def test_each_small_verb_is_one_request(proxied_store: S3Store, proxy: Proxy) -> None:
    proxied_store.put("a/b", b"0123")
    proxied_store.put_stream("a/c", [b"0", b"123"])
    assert proxy.requests == {"PUT": 2}
    proxy.reset()
    assert proxied_store.get("a/b") == bytes(proxied_store.read("a/c", 0, 4))
    assert proxy.requests == {"GET": 2}
    proxy.reset()
    assert proxied_store.children("") == ["a"]
    assert proxy.requests == {"LIST": 1}
    proxy.reset()
    proxied_store.delete("a/b")
    assert proxy.requests == {"DELETE": 1}


def test_an_empty_listing_is_believed_after_one_proof_that_the_server_speaks_s3(
    proxied_store: S3Store, proxy: Proxy
) -> None:
    assert list(proxied_store.list("nothing/")) == []
    assert proxy.requests == {"LIST": 1, "GET": 1}
    proxy.reset()
    assert list(proxied_store.list("nothing/")) == []
    assert proxied_store.children("nothing/") == []
    assert proxy.requests == {"LIST": 2}


def test_a_large_stream_goes_up_in_parts_that_are_taken_as_they_are_needed(
    proxied_store: S3Store, proxy: Proxy
) -> None:
    chunk, count = bytes(4 * MIB), 28
    most_ahead = 0

    def chunks() -> Iterator[bytes]:
        nonlocal most_ahead
        for number in range(count):
            arrived = sum(request.size for request in list(proxy.log) if request.verb == "PUT")
            most_ahead = max(most_ahead, (number + 1) * len(chunk) - arrived)
            yield chunk

    proxied_store.put_stream("large", chunks())
    parts = [request.size for request in proxy.log if request.verb == "PUT"]
    assert sorted(parts) == [PART_BYTES] * (count * len(chunk) // PART_BYTES)
    assert most_ahead <= (PARTS_AT_ONCE + 2) * PART_BYTES
    assert [row.size for row in proxied_store.list("")] == [count * len(chunk)]


def test_a_large_stream_that_fails_leaves_neither_an_object_nor_parts(proxied_store: S3Store, proxy: Proxy) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield bytes(4 * MIB)
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        proxied_store.put_stream("large", chunks())
    with pytest.raises(ObjectNotFoundError):
        proxied_store.get("large")
    started = [request for request in proxy.log if request.verb == "POST" and "uploads" in request.query]
    aborted = [request for request in proxy.log if request.verb == "DELETE" and "uploadId" in request.query]
    assert len(started) == len(aborted) == 1


def test_a_large_object_put_at_once_is_read_back(s3_store: S3Store) -> None:
    data = bytes(range(256)) * (80 * MIB // 256 // 4)
    assert len(data) == 20 * MIB
    s3_store.put("large", data)
    assert bytes(s3_store.read("large", 16 * MIB - 3, 6)) == data[16 * MIB - 3 : 16 * MIB + 3]
    assert s3_store.get("large") == data
