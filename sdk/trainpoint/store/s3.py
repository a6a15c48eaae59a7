"""S3 as a store: obstore moves the bytes; here are retries within a deadline, and errors that name the remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

import obstore
import obstore.exceptions
from obstore.store import S3Store as Bucket

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import (
    BucketNotFoundError,
    ObjectNotFoundError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    StoreUrlError,
)
from trainpoint.store.base import Buffer, ObjectInfo
from trainpoint.store.keys import check_key, check_prefix
from trainpoint.store.s3_answers import Answer, Meaning, understand

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

DEADLINE_SECONDS: Final = 300.0
"""How long one verb goes on trying; longer than a server, a node or a load balancer takes to restart."""
PART_BYTES: Final = 16 * 2**20
"""Of a multipart upload. S3 takes 10,000 parts, so an object may have 156 GiB."""
PARTS_AT_ONCE: Final = 4
"""Of one upload; its memory is this and one more part, 80 MiB."""
PAGE: Final = 1000
"""Objects of one page of a listing: the most that S3 gives."""

_SMALL_BYTES: Final = 2**20
_CONNECT_SECONDS: Final = 5
_STALL_SECONDS: Final = 60
_UPLOAD_SECONDS: Final = 300  # of one request, that is one part: 56 kB/s
_DOWNLOAD_SECONDS: Final = 3600
_BACKOFF_SECONDS: Final = 0.25
_BACKOFF_LIMIT_SECONDS: Final = 10.0
_PROBE: Final = ".trainpoint-probe"

_ERRORS: Final = (obstore.exceptions.BaseError, OSError, ValueError)
"""What obstore raises for an answer; anything else is ours."""

_log = logging.getLogger("trainpoint.store")
_T = TypeVar("_T")


class S3Store:
    """Objects beneath a prefix of a bucket.

    Addresses are path style where an endpoint is set and virtual-hosted at AWS itself. Every verb but ``put_stream`` is
    repeated until the deadline when the server is away, overloaded or breaks off; wrong credentials and a missing
    bucket are errors at once.
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
        self._endpoint = _endpoint(environ)
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._answers_as_s3 = False
        client = _client(self._endpoint, environ)
        config = _config(bucket, self._endpoint, self._region, environ)
        quick: RetryConfig = {
            "max_retries": 2,
            "retry_timeout": timedelta(seconds=min(10.0, deadline)),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)},
        }
        patient: RetryConfig = {
            "max_retries": 10_000,
            "retry_timeout": timedelta(seconds=deadline),
            "backoff": {
                "init_backoff": timedelta(seconds=_BACKOFF_SECONDS),
                "max_backoff": timedelta(seconds=_BACKOFF_LIMIT_SECONDS),
            },
        }
        down: ClientConfig = {
            **client,
            "timeout": timedelta(seconds=_DOWNLOAD_SECONDS),
            "read_timeout": timedelta(seconds=_STALL_SECONDS),
        }
        # The read timeout also runs while a body is sent, until the answer begins: a part on a slow line would never
        # get through. So uploads have a limit for the whole request instead.
        up: ClientConfig = {**client, "timeout": timedelta(seconds=_UPLOAD_SECONDS)}
        try:
            # Few retries of obstore's own: while it waits, no signal handler of Python's runs.
            self._small = Bucket(bucket, config=config, client_options=down, retry_config=quick)
            # Parts are repeated by obstore, since only it has them.
            self._large = Bucket(bucket, config=config, client_options=up, retry_config=patient)
        except Exception:
            raise StoreUrlError(
                f"the settings of store {self.url} cannot be used"
                + (" (AWS_CA_BUNDLE holds no valid certificate)" if "root_certificate" in client else ""),
                remedy="check AWS_ENDPOINT_URL, AWS_REGION and AWS_CA_BUNDLE",
            ) from None

    def __repr__(self) -> str:
        return f"S3Store({self.url!r}, endpoint={self._endpoint!r})"

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

    @property
    def _where(self) -> str:
        return self._endpoint or f"Amazon S3 ({self._region})"

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
    limit: float = _BACKOFF_SECONDS * 2 ** min(tries, 16)
    return fraction * min(_BACKOFF_LIMIT_SECONDS, limit)


# --- settings from the environment ------------------------------------------------------------------------------------


def _endpoint(environ: Mapping[str, str]) -> str:
    endpoint = (environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "").rstrip("/")
    if endpoint and (not endpoint.startswith(("http://", "https://")) or "@" in endpoint or "?" in endpoint):
        raise StoreUrlError(
            "AWS_ENDPOINT_URL has to be the address of an S3 server without credentials",
            remedy="write https://host:port; the keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return endpoint


def _client(endpoint: str, environ: Mapping[str, str]) -> ClientConfig:
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
    }
    if bundle := environ.get("AWS_CA_BUNDLE"):
        try:
            with open(bundle, "rb") as file:
                client["root_certificate"] = file.read()
        except OSError as error:
            raise StoreUrlError(
                f"AWS_CA_BUNDLE names {bundle}, which cannot be read: {error.strerror}",
                remedy="set it to a PEM file with the server's certificate authority, or unset it",
            ) from None
    return client


_PASSED_ON: Final = (
    "access_key_id", "secret_access_key", "session_token", "web_identity_token_file", "role_arn", "role_session_name",
    "container_credentials_relative_uri", "container_credentials_full_uri", "container_authorization_token_file",
    "metadata_endpoint", "server_side_encryption", "sse_kms_key_id", "request_payer",
)  # fmt: skip


def _config(bucket: str, endpoint: str, region: str, environ: Mapping[str, str]) -> S3Config:
    # obstore reads the process's own environment as well; what is given here comes first.
    config: S3Config = {
        "region": region,
        # At AWS a name with a dot does not fit the certificate of *.s3.amazonaws.com.
        "virtual_hosted_style_request": not endpoint and "." not in bucket,
        "disable_bulk_delete": True,  # a plain DELETE works on every server
    }
    if endpoint:
        config["endpoint"] = endpoint
    for name in _PASSED_ON:
        if value := environ.get(f"AWS_{name.upper()}"):
            config[name] = value
    return config
