"""S3 as a store: obstore moves the bytes; here are retries within a deadline, and errors that name the remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain
from typing import Final, TypeVar

import obstore
import obstore.exceptions

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import (
    BucketNotFoundError,
    ObjectNotFoundError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
)
from trainpoint.store.base import Buffer, ObjectInfo
from trainpoint.store.keys import check_key, check_prefix
from trainpoint.store.s3_answers import Answer, Meaning, understand
from trainpoint.store.s3_settings import BACKOFF_LIMIT_SECONDS, BACKOFF_SECONDS, connect

DEADLINE_SECONDS: Final = 300.0
"""How long one verb goes on trying; longer than a server, a node or a load balancer takes to restart."""
PART_BYTES: Final = 16 * 2**20
"""Of a multipart upload. S3 takes 10,000 parts, so an object may have 156 GiB."""
PARTS_AT_ONCE: Final = 4
"""Of one upload; its memory is this and one more part, 80 MiB."""
PAGE: Final = 1000
"""Objects of one page of a listing: the most that S3 gives."""

_SMALL_BYTES: Final = 2**20
_PROBE: Final = ".trainpoint-probe"

_ERRORS: Final = (obstore.exceptions.BaseError, OSError, ValueError)
"""What obstore raises for an answer; anything else is ours."""

_log = logging.getLogger("trainpoint.store")
_T = TypeVar("_T")


class S3Store:
    """Objects beneath a prefix of a bucket.

    Every verb but ``put_stream`` is repeated until the deadline when the server is away, overloaded or breaks off; of a
    stream the parts are repeated. Wrong credentials and a missing bucket are errors at once.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        environ: Mapping[str, str],
        deadline: float = DEADLINE_SECONDS,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        """Read ``AWS_*`` from ``environ``; makes no request.

        Args:
            prefix: without slashes at its ends.
            deadline: seconds that one verb may take with its retries.
        Raises:
            StoreUrlError: ``AWS_ENDPOINT_URL`` is no http(s) address, or ``AWS_CA_BUNDLE`` no PEM file.
        """
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._deadline = deadline
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        self._answers_as_s3 = False
        clients = connect(bucket, environ=environ, deadline=deadline)
        self._small, self._large, self._where = clients.small, clients.large, clients.where

    def __repr__(self) -> str:
        return f"S3Store({self.url!r}, at {self._where!r})"

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, key: str, data: Buffer) -> None:
        path = self._path(key)
        store = self._small if memoryview(data).nbytes <= _SMALL_BYTES else self._large
        self._until_deadline(
            f"write {key}",
            lambda: obstore.put(store, path, data, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE),
        )

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        path = self._path(key)
        source = iter(chunks)
        head: list[Buffer] = []
        size = 0
        while size <= PART_BYTES:
            chunk = next(source, None)
            if chunk is None:
                self.put(key, b"".join(head))
                return
            head.append(chunk)
            size += memoryview(chunk).nbytes
        failed: list[BaseException] = []

        def watched() -> Iterator[Buffer]:
            try:
                yield from chain(head, source)
            except GeneratorExit:
                raise
            except BaseException as error:
                failed.append(error)
                raise

        try:
            obstore.put(self._large, path, watched(), chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        except _ERRORS as error:
            if failed:
                raise failed[0] from None
            raise self._error(f"write {key}", understand(str(error))) from None

    def delete(self, key: str) -> None:
        path = self._path(key)
        with suppress(ObjectNotFoundError):  # AWS answers 204 for a missing object, others 404
            self._until_deadline(f"delete {key}", lambda: obstore.delete(self._small, path))

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes:
        path = self._path(key)
        return self._until_deadline(f"read {key}", lambda: bytes(obstore.get(self._small, path).bytes()))

    def read(self, key: str, offset: int, length: int) -> Buffer:
        path = self._path(key)

        def request() -> Buffer:
            try:
                return memoryview(obstore.get_range(self._small, path, start=offset, length=length))
            except _ERRORS as error:
                if understand(str(error)).meaning is Meaning.BEYOND_END:
                    return b""
                raise

        return self._until_deadline(f"read {key}", request)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        base = self._prefix + check_prefix(prefix)
        last = self._prefix + after if after else ""
        previous = ""
        pages: Iterator[Sequence[obstore.ObjectMeta]] | None = None

        def fetch() -> Sequence[obstore.ObjectMeta] | None:
            nonlocal pages
            if pages is None:
                # chunk_size is the server's page size, and obstore asks for the next page only when it needs more
                # objects for a chunk: so one chunk is one request, and none is made ahead.
                pages = iter(obstore.list(self._small, base or None, offset=last or None, chunk_size=PAGE))
            try:
                return next(pages, None)
            except BaseException:
                pages = None  # the next try goes on behind the last key
                raise

        empty = True
        while (page := self._until_deadline(f"list {prefix or 'the store'}", fetch)) is not None:
            for row in page:
                path = row["path"]
                if not path.startswith(base):
                    continue  # the empty object "prefix/" that some consoles make for a folder
                if "/" not in path[len(base) :]:
                    if path <= previous:
                        raise StoreError(
                            f"{self._where} lists {prefix} in no order: {path} after {previous}",
                            remedy="use a general-purpose bucket; directory buckets cannot hold a store",
                        )
                    previous = path
                empty = False
                yield ObjectInfo(path[len(self._prefix) :], row["size"], row["last_modified"])
            if page:
                last = page[-1]["path"]
        if empty:
            self._prove()

    def children(self, prefix: str) -> Sequence[str]:
        base = self._prefix + check_prefix(prefix)
        found = self._until_deadline(
            f"list {prefix or 'the store'}", lambda: obstore.list_with_delimiter(self._small, base or None)
        )
        names = [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]
        if not names:
            self._prove()
        return sorted(names)

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        return nullcontext()

    def _prove(self) -> None:
        """Make sure, once, that an empty listing comes from an S3 server.

        A web page, such as a server's console on another port, answers any request with 200; obstore reads that as a
        listing without objects, and a training would start anew.
        """
        if self._answers_as_s3:
            return
        try:
            self.get(_PROBE)
        except (ObjectNotFoundError, StorePermissionError):
            if self._answers_as_s3:
                return
            raise
        raise StoreError(
            f"{self._where} answers with a page for an object that cannot be there: this is no S3 server",
            remedy="check that AWS_ENDPOINT_URL is the S3 address, not that of a console",
        )

    # --- retries and errors -------------------------------------------------------------------------------------------

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key, beneath=self._prefix)

    def _until_deadline(self, what: str, request: Callable[[], _T]) -> _T:
        """The answer to ``request``, repeated while that may help and the deadline is not over."""
        started = self._clock.monotonic()
        tries = 0
        while True:
            try:
                return request()
            except _ERRORS as error:
                answer = understand(str(error))
            self._answers_as_s3 = self._answers_as_s3 or answer.from_s3
            elapsed = self._clock.monotonic() - started
            if not answer.again or elapsed >= self._deadline:
                raise self._error(what, answer, waited=elapsed if tries else 0.0)
            if not tries:
                _log.warning(
                    "store=%s action=%r problem=%r: trying again for %.0f s",
                    self.url,
                    what,
                    answer.code,
                    self._deadline,
                )
            self._clock.sleep(min(backoff(tries, self._chance.fraction()), self._deadline - elapsed))
            tries += 1

    def _error(self, what: str, answer: Answer, *, waited: float = 0.0) -> StoreError:
        said = f"{answer.code}, {answer.reason}" if answer.reason else answer.code
        at = f"{self._where} (store {self.url})"
        tried = f", tried for {waited:.0f} s" if waited >= 1 else ""
        match answer.meaning:
            case Meaning.NO_OBJECT:
                return ObjectNotFoundError(
                    f"cannot {what}: it does not exist at {at}", remedy="it was deleted, or never written"
                )
            case Meaning.NO_BUCKET:
                return BucketNotFoundError(
                    f'bucket "{self._bucket}" does not exist at {at}', remedy="create it, or correct the store's URL"
                )
            case Meaning.REFUSED:
                return StorePermissionError(f"cannot {what} at {at}: {said}", remedy=answer.remedy)
            case Meaning.FULL:
                return StoreFullError(
                    f"no room to {what} at {at}: {said}", remedy="free space there, or raise the quota"
                )
            case Meaning.UNREACHABLE:
                return StoreUnreachableError(
                    f"cannot reach {at}: {said}{tried}",
                    remedy=answer.remedy or "check AWS_ENDPOINT_URL, the network, and that the server runs",
                )
            case Meaning.TIMEOUT:
                return StoreTimeoutError(
                    f"cannot {what} at {at}: {said}{tried}", remedy="check the network and the load of the server"
                )
            case _:
                return StoreError(
                    f"cannot {what} at {at}: {said}{tried}", remedy=answer.remedy or "look at the server's log"
                )


def backoff(tries: int, fraction: float) -> float:
    """Seconds to wait after so many failed tries: full jitter below an exponential limit.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    limit: float = BACKOFF_SECONDS * 2 ** min(tries, 16)
    return fraction * min(BACKOFF_LIMIT_SECONDS, limit)
