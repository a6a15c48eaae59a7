"""What a store must do: eight verbs on keys and bytes.

A key is a relative path of UTF-8 segments joined by ``/``; :mod:`trainpoint.format.layout` makes them. What is needed
of a server is read-after-write and list-after-write; nothing here relies on conditional writes, since half of the S3
servers ignore them silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One row of a listing."""

    key: str
    """relative to the store"""
    size: int
    """bytes"""
    modified: datetime
    """when it was last written, by the server's clock (UTC)"""


class Store(Protocol):
    """Where bytes live. Every method is safe to call from several threads.

    All methods raise :class:`~trainpoint.errors.StoreError` or one of its subclasses, never a library's own exception;
    no message holds a credential.
    """

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``, ``file:///path``, ``memory://name``; for messages and references, no credentials."""
        ...

    def put(self, key: str, data: Buffer) -> None:
        """Write a whole object; replaces one that is there. Visible whole or not at all, and durable on return."""
        ...

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        """Write a whole object from chunks of any size, holding a bounded part of it in memory.

        An exception raised by ``chunks`` is passed on as it is, and no object is written. Not retried: the caller owns
        the source and can start again.
        """
        ...

    def get(self, key: str) -> bytes:
        """A whole object. Raises ObjectNotFoundError (or BucketNotFoundError where the server says so)."""
        ...

    def read(self, key: str, offset: int, length: int) -> Buffer:
        """Bytes ``offset`` to ``offset + length`` (length ≥ 1); fewer where the object ends before.

        Raises ObjectNotFoundError for a missing object; an offset at or beyond the end gives empty bytes.
        """
        ...

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix`` (which ends with ``/``), in ascending order of the keys' UTF-8
        bytes, starting behind the key ``after``. Lazy: pages of at most 1000 are fetched as they are consumed.

        The order, and ``after``, are promised for keys directly below ``prefix``, which is all that manifests,
        attempts, runs and the log need. Keys in folders below it all come, once each, but on S3 in the server's own
        order: SeaweedFS walks folders and gives ``a/b`` before ``a-b``, AWS compares whole keys.

        An absent prefix is an empty listing; a missing bucket or refused access is an error.
        """
        ...

    def children(self, prefix: str) -> Sequence[str]:
        """Names of the "folders" directly below ``prefix`` (which ends with ``/``, or is empty), sorted, no slash.

        One whose last object was just deleted may still be named: SeaweedFS clears folders away later.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        ...

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        """Keep other processes out while the block runs, where the store can (a directory: a file lock).

        A courtesy that saves collisions, never what safety rests on: S3 has no such thing and returns at once.
        """
        ...
