"""What something costs: requests by verb, counted on the wire of an S3 server, or at the face of a directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from trainpoint.store.base import Buffer, ObjectInfo, Store
from trainpoint.store.memory import PAGE


class CountingStore:
    """The verbs that readers use, counted as a bucket would: a listing costs one request for each page looked at."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.requests: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.requests["GET"] += 1
        return self._store.get(key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self.requests["LIST"] += 1
        for number, row in enumerate(self._store.list(prefix, after=after)):
            if number and number % PAGE == 0:
                self.requests["LIST"] += 1
            yield row

    def children(self, prefix: str) -> Sequence[str]:
        self.requests["LIST"] += 1
        return self._store.children(prefix)

    def put(self, key: str, data: Buffer) -> None:
        self._store.put(key, data)

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        self._store.put_stream(key, chunks)

    def read(self, key: str, offset: int, length: int) -> bytes | bytearray | memoryview:
        self.requests["GET"] += 1
        return self._store.read(key, offset, length)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        return self._store.exclusive(prefix)


Measure = Callable[[Callable[[], object]], Counter[str]]
"""Runs something, and says which requests it made."""
