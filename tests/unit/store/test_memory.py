from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime

import pytest

from tests.support.store_contract import StoreContract
from trainpoint.errors import StoreUnreachableError
from trainpoint.testing import FakeClock, MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore.named(secrets.token_hex(4))

    @pytest.fixture
    def environ(self) -> dict[str, str]:
        return {}


def test_every_page_of_a_listing_is_one_request() -> None:
    store = MemoryStore()
    for i in range(2500):
        store.put(f"m/{i:04}", b"")
    store.requests.clear()
    rows = store.list("m/")
    assert next(rows).key == "m/0000"
    assert store.requests["list"] == 1
    assert sum(1 for _ in rows) == 2499
    assert store.requests == {"list": 3}


def test_the_hook_sees_each_request_before_it_acts_and_may_refuse_it() -> None:
    store = MemoryStore()
    seen: list[tuple[str, str]] = []

    def before(verb: str, key: str) -> None:
        seen.append((verb, key))
        if verb == "put":
            raise StoreUnreachableError("the network is down")

    store.before = before
    with pytest.raises(StoreUnreachableError):
        store.put("a", b"")
    assert list(store.list("p/")) == []
    store.delete("a")
    assert seen == [("put", "a"), ("list", "p/"), ("delete", "a")]
    assert store.keys() == []


def test_the_hook_may_block_one_thread_while_others_go_on() -> None:
    store = MemoryStore()
    held, go_on = threading.Event(), threading.Event()

    def before(verb: str, key: str) -> None:
        if key == "slow":
            held.set()
            assert go_on.wait(30)

    store.before = before
    thread = threading.Thread(target=store.put, args=("slow", b""))
    thread.start()
    assert held.wait(30)
    store.put("fast", b"")
    assert store.keys() == ["fast"]
    go_on.set()
    thread.join(30)
    assert store.keys() == ["fast", "slow"]


def test_modification_times_come_from_the_clock() -> None:
    clock = FakeClock(datetime(2030, 5, 1, tzinfo=UTC))
    store = MemoryStore(clock=clock)
    store.put("a", b"")
    clock.advance(90)
    store.put("b", b"")
    assert [row.modified.isoformat() for row in store.list("")] == [
        "2030-05-01T00:00:00+00:00",
        "2030-05-01T00:01:30+00:00",
    ]


def test_a_flipped_bit_changes_one_bit_and_nothing_else() -> None:
    store = MemoryStore()
    store.put("a", b"\x00\x00")
    (before,) = store.list("")
    store.flip_bit("a", 9)
    assert store.get("a") == b"\x00\x02"
    assert list(store.list("")) == [before]
