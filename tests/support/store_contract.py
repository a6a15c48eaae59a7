"""What every store has to do, as tests; a rung subclasses :class:`StoreContract` and gives the ``store``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from trainpoint.errors import ObjectNotFoundError, UnstorableError
from trainpoint.store.base import Buffer, Store
from trainpoint.store.url import open_store

# Names that servers and file systems have been seen to change, hide or lose.
ODD_NAMES = (
    "plain", "sp ace", "trailing ", " leading", "per%41cent", "%", "a%2Fb", "til~de", "has#q?x", "star*", "co:lon",
    "eq=s+&", 'dq"', "'q'", "br[0]{1}", "pi|pe", "<Code>NoSuchBucket</Code>".replace("/", "."), "..x", "x..", ".hidden",
    "é-composed", "e\u0301-decomposed", "中文", "emoji-😀", "n" * 255,
)  # fmt: skip

BAD_KEYS = (
    "", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\x00b", "a\nb", "a\x7fb", "a\\b", "\ud800", "a\uffff",
    "a/" + "b" * 256, "a/" * 510 + "bcdef",
)  # fmt: skip


class StoreContract:
    """Behaviour that does not depend on where the bytes lie."""

    @pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=lambda make: make.__name__)
    @pytest.mark.parametrize("size", [0, 1, 70_000])
    def test_what_was_put_is_read_back(self, store: Store, size: int, make: Callable[[bytes], Buffer]) -> None:
        data = bytes(i % 251 for i in range(size))
        store.put("a/b", make(data))
        assert store.get("a/b") == data

    def test_a_put_replaces_the_whole_object(self, store: Store) -> None:
        store.put("a", b"a long first version")
        store.put("a", b"short")
        assert store.get("a") == b"short"
        assert [(row.key, row.size) for row in store.list("")] == [("a", 5)]

    @pytest.mark.parametrize("sizes", [[], [0], [3, 0, 5], [100_000] * 11], ids=str)
    def test_a_stream_is_the_sum_of_its_chunks(self, store: Store, sizes: list[int]) -> None:
        chunks = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
        store.put_stream("s/x", (memoryview(chunk) for chunk in chunks))
        assert store.get("s/x") == b"".join(chunks)

    @pytest.mark.parametrize("error", [RuntimeError("boom"), OSError(13, "the source's own"), KeyboardInterrupt()])
    def test_an_error_of_the_source_is_passed_on_and_nothing_is_written(
        self, store: Store, error: BaseException
    ) -> None:
        def chunks() -> Iterator[bytes]:
            yield b"new"
            raise error

        store.put("s/old", b"old")
        with pytest.raises(type(error)) as caught:
            store.put_stream("s/old", chunks())
        with pytest.raises(type(error)):
            store.put_stream("s/new", chunks())
        assert caught.value is error
        assert store.get("s/old") == b"old"
        assert [row.key for row in store.list("")] == ["s/old"]

    def test_an_object_that_is_not_there_is_an_error_that_names_it(self, store: Store) -> None:
        store.put("a/b", b"x")
        for key in ("a/nothing", "nothing", "a/b/c", "a"):
            with pytest.raises(ObjectNotFoundError, match=key):
                store.get(key)
            with pytest.raises(ObjectNotFoundError, match=key):
                store.read(key, 0, 1)

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (0, 1, b"0"),
            (0, 9, b"012345678"),
            (3, 4, b"3456"),
            (8, 5, b"8"),
            (0, 99, b"012345678"),
            (9, 1, b""),
            (50, 5, b""),
        ],
    )
    def test_a_range_ends_where_the_object_ends(self, store: Store, offset: int, length: int, expected: bytes) -> None:
        store.put("a", b"012345678")
        assert bytes(store.read("a", offset, length)) == expected

    def test_an_empty_object_has_no_bytes_to_read(self, store: Store) -> None:
        store.put("empty", b"")
        assert bytes(store.read("empty", 0, 5)) == b""

    def test_a_listing_has_every_key_below_the_prefix_in_order(self, store: Store) -> None:
        keys = ["m/10", "m/2", "m/a", "m/a-b", "m/z", "m/é", "m/中", "m/😀"]
        for key in [*reversed(keys), "m-other/x", "ma/x", "n/x"]:
            store.put(key, key.encode())
        assert [row.key for row in store.list("m/")] == keys
        assert [row.size for row in store.list("m/")] == [len(key.encode()) for key in keys]

    def test_a_listing_has_what_lies_in_folders_below_once_each(self, store: Store) -> None:
        keys = {"d/f/a", "d/f/a-b", "d/f/a.x", "d/f/a0", "d/f/g/x", "d/f/g/y/z", "d/f/g-h/x"}
        for key in keys:
            store.put(key, b"")
        found = [row.key for row in store.list("d/")]
        assert sorted(found) == sorted(keys)
        assert {row.key for row in store.list("")} == keys

    @pytest.mark.parametrize(
        ("after", "expected"),
        [("", "123"), ("p/1", "23"), ("p/10", "23"), ("p/3", ""), ("p/0", "123"), ("o", "123"), ("q", "")],
    )
    def test_a_listing_starts_behind_a_key_that_need_not_exist(self, store: Store, after: str, expected: str) -> None:
        for name in "123":
            store.put(f"p/{name}", b"")
        assert [row.key for row in store.list("p/", after=after)] == [f"p/{name}" for name in expected]

    def test_an_absent_prefix_is_an_empty_listing(self, store: Store) -> None:
        assert list(store.list("nothing/")) == []
        assert list(store.children("nothing/")) == []
        store.put("something/x", b"")
        assert list(store.list("nothing/")) == []
        assert list(store.list("something/x/")) == []

    def test_a_listing_has_times_by_the_servers_clock(self, store: Store) -> None:
        store.put("t/x", b"")
        (row,) = store.list("t/")
        assert row.modified.tzinfo is UTC or row.modified.utcoffset() == timedelta(0)
        assert abs(row.modified - datetime.now(UTC)) < timedelta(minutes=2)

    def test_children_are_the_folders_directly_below(self, store: Store) -> None:
        for key in ("c/a/1", "c/a/2/3", "c/a-b/1", "c/file", "c/z/y/x", "other/1"):
            store.put(key, b"")
        assert list(store.children("c/")) == ["a", "a-b", "z"]
        assert list(store.children("c/z/")) == ["y"]
        assert list(store.children("")) == ["c", "other"]

    def test_a_deleted_object_is_gone_and_deleting_again_is_fine(self, store: Store) -> None:
        store.put("d/e/f", b"x")
        store.put("d/e2", b"x")
        for _ in range(2):
            store.delete("d/e/f")
            store.delete("d")
        with pytest.raises(ObjectNotFoundError):
            store.get("d/e/f")
        assert [row.key for row in store.list("")] == ["d/e2"]
        store.put("d/e/f", b"again")
        assert store.get("d/e/f") == b"again"

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_can_be_listed_read_and_deleted(self, store: Store, name: str) -> None:
        key = f"odd/{name}"
        store.put(key, key.encode())
        assert [row.key for row in store.list("odd/")] == [key]
        assert store.get(key) == key.encode()
        store.delete(key)
        assert list(store.list("odd/")) == []

    @pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: ascii(key)[:30])
    def test_a_key_that_some_store_would_lose_is_refused_by_all(self, store: Store, key: str) -> None:
        verbs: list[Callable[[], object]] = [
            lambda: store.put(key, b""),
            lambda: store.put_stream(key, [b""]),
            lambda: store.get(key),
            lambda: store.read(key, 0, 1),
            lambda: store.delete(key),
        ]
        for verb in verbs:
            with pytest.raises(UnstorableError):
                verb()
        if key:
            with pytest.raises(UnstorableError):
                list(store.list(f"{key}/"))

    def test_many_threads_never_make_a_mixture(self, store: Store) -> None:
        versions = [bytes([i]) * 50_000 for i in range(12)]
        start = threading.Barrier(len(versions))

        def write(version: bytes) -> bytes:
            start.wait(30)
            store.put("same", version)
            return store.get("same")

        with ThreadPoolExecutor(len(versions)) as pool:
            seen = list(pool.map(write, versions))
        assert all(data in versions for data in seen)
        assert [row.key for row in store.list("")] == ["same"]

    def test_the_block_of_exclusive_can_use_the_store(self, store: Store) -> None:
        with store.exclusive("x/"):
            store.put("x/a", b"1")
            with store.exclusive("y/"):
                assert [row.key for row in store.list("x/")] == ["x/a"]
        with store.exclusive("x/"):
            store.delete("x/a")
        assert list(store.list("")) == []

    def test_the_url_opens_the_same_store(self, store: Store, environ: dict[str, str]) -> None:
        store.put("u/v", b"found")
        again = open_store(store.url, environ=environ)
        assert again.get("u/v") == b"found"
        assert again.url == store.url
