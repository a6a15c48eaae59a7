"""A store in the memory of this process: for tests, with hooks for faults and a count of requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import ClassVar, Final

from trainpoint.clock import Clock, SystemClock
from trainpoint.errors import ObjectNotFoundError
from trainpoint.store.base import Buffer, ObjectInfo
from trainpoint.store.keys import check_key, check_prefix

PAGE: Final = 1000
"""Objects of one page of a listing, as on S3."""


class MemoryStore:
    """All eight verbs in memory, thread-safe. Behaves like a bucket: nothing locks, every page is one request.

    >>> store = MemoryStore()
    >>> store.put("a/b", b"x")
    >>> [row.key for row in store.list("a/")]
    ['a/b']
    """

    _named: ClassVar[dict[str, MemoryStore]] = {}
    _naming: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: str = "", *, clock: Clock | None = None) -> None:
        """``clock`` gives the modification times, the "server's clock" of this store."""
        self.before: Callable[[str, str], None] | None = None
        """Called with the verb and the key (or prefix) before each request; raise or wait in it to play a fault."""
        self.requests: Counter[str] = Counter()
        """Requests by verb: put, put_stream, get, read, list (one per page), children, delete."""
        self._name = name
        self._clock = clock or SystemClock()
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    @classmethod
    def named(cls, name: str, *, clock: Clock | None = None) -> MemoryStore:
        """The store of that name in this process; ``clock`` counts when it is made."""
        with cls._naming:
            return cls._named.setdefault(name, cls(name, clock=clock))

    def __repr__(self) -> str:
        return f"MemoryStore({self._name!r}, {len(self._objects)} objects)"

    @property
    def url(self) -> str:
        """``memory://name``, which ``store=`` and ``TRAINPOINT_STORE`` take in the same process."""
        return f"memory://{self._name}"

    def put(self, key: str, data: Buffer) -> None:
        """Write a whole object; replaces one that is there."""
        self._request("put", check_key(key))
        self._write(key, bytes(data))

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        """Write a whole object from chunks."""
        self._request("put_stream", check_key(key))
        self._write(key, b"".join(chunks))

    def get(self, key: str) -> bytes:
        """A whole object. Raises ObjectNotFoundError."""
        self._request("get", check_key(key))
        return self._read(key)

    def read(self, key: str, offset: int, length: int) -> Buffer:
        """At most ``length`` bytes from ``offset`` on. Raises ObjectNotFoundError."""
        self._request("read", check_key(key))
        return self._read(key)[offset : offset + length]

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix``, sorted, behind the key ``after``; fetched in pages of 1000."""
        check_prefix(prefix)
        while True:
            page = self._page(prefix, after)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].key

    def children(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below ``prefix``, sorted."""
        self._request("children", check_prefix(prefix))
        with self._lock:
            rests = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        self._request("delete", check_key(key))
        with self._lock:
            self._objects.pop(key, None)

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        """Keeps nobody out, as S3 does not: what is tested here must be safe without."""
        return nullcontext()

    # --- for tests ----------------------------------------------------------------------------------------------------

    def keys(self) -> Sequence[str]:
        """Every key there is, sorted; not counted as a request."""
        with self._lock:
            return sorted(self._objects)

    def flip_bit(self, key: str, bit: int = 0) -> None:
        """Damage an object as a bad disk would: same size, same time, one bit other."""
        with self._lock:
            data, modified = self._objects[key]
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << (bit % 8)
            self._objects[key] = (bytes(damaged), modified)

    # ------------------------------------------------------------------------------------------------------------------

    def _request(self, verb: str, key: str) -> None:
        with self._lock:
            self.requests[verb] += 1
        if self.before is not None:
            self.before(verb, key)

    def _write(self, key: str, data: bytes) -> None:
        with self._lock:
            self._objects[key] = (data, self._clock.now())

    def _read(self, key: str) -> bytes:
        with self._lock:
            if key in self._objects:
                return self._objects[key][0]
        raise ObjectNotFoundError(f"{key} does not exist in {self.url}", remedy="it was deleted, or never written")

    def _page(self, prefix: str, after: str) -> Sequence[ObjectInfo]:
        self._request("list", prefix)
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix) and key > after)[:PAGE]
            return [ObjectInfo(key, len(self._objects[key][0]), self._objects[key][1]) for key in keys]
