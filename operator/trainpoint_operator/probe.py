"""One look at a store: is it there, is it the same one, does it do what is needed. Blocks: call it in a thread.

Bytes go the way that pods' bytes go, so that a failure is told in the words that a job would be told. What a bucket has
beyond bytes is asked by the minio client.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import certifi
import urllib3
from minio import Minio
from minio.credentials.providers import IamAwsProvider, Provider, StaticProvider
from minio.error import MinioException, S3Error

from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import Chance, Clock
from trainpoint.errors import (
    BucketNotFoundError,
    NewerFormatError,
    ObjectNotFoundError,
    StoreError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    StoreUrlError,
    TrainpointError,
)
from trainpoint.store.base import Store
from trainpoint_operator.decisions.store_health import Capabilities, Seen, Trouble
from trainpoint_operator.decisions.store_place import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, Access

PROBES: Final = ".probes/"
"""Where the probe writes, beneath the store's prefix."""
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
_SERVER_LIMIT: Final = 253
_VERSIONS: Final = 20
"""of the probe's own object, removed at once; there are two"""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Look:
    """What to look for."""

    known_id: str
    """of the store that was there before; empty: it has never been reached"""
    create_bucket: bool
    thorough: bool
    """also write, list and delete, and ask what the server can do; else only the store's mark is read"""
    name: str
    """of the object that is written; one that no other operator uses"""


def probe(
    look: Look, access: Access, open_catalog: Callable[[], BucketCatalog], *, clock: Clock, chance: Chance
) -> Seen | Trouble:
    """Look at a store once. Raises nothing of the store's.

    Args:
        open_catalog: opens it, with no patience: whoever asks has some.
    """
    try:
        catalog = open_catalog()
        if not look.thorough:
            return _same(catalog, look, access) or Seen(store_id=look.known_id)
        with _Side(access, clock) as side:
            created = _ensure_bucket(catalog, look, side)
            if replaced := _same(catalog, look, access):
                return replaced
            if trouble := _exercise(catalog.store, PROBES + look.name, chance.uid().encode(), access, side):
                return trouble
            # Read again: two operators, or an operator and a pod, may just have made it both; the later one stays.
            marker = catalog.check_marker(create=True)
            if marker is None or (look.known_id and marker.store_id != look.known_id):
                return replaced_by(look.known_id, marker.store_id if marker else "", access)
            capabilities = side.capabilities(PROBES + look.name)
            return Seen(marker.store_id, True, side.server, capabilities, side.clock_ahead_seconds, created)
    except TrainpointError as error:
        return trouble_of(error, access)


def replaced_by(known_id: str, found_id: str, access: Access) -> Trouble:
    """Something else lies where the store was. It is left as it is."""
    found = f"another store ({found_id})" if found_id else "no mark of a store (trainpoint.json)"
    return Trouble(
        reasons.STORE_REPLACED,
        f"{access.place.where} has {found}, where the store {known_id} was",
        "bring the bucket's former content back; or, to start with what is there now, create another CheckpointStore",
    )


def trouble_of(error: TrainpointError, access: Access) -> Trouble:
    """An error of the store's as people who look at the CheckpointStore need it."""
    keys = f"the operator, which also deletes, has its keys from {access.keys_from}"
    match error:
        case StorePermissionError():
            return Trouble(reasons.ACCESS_DENIED, error.message, f"{error.remedy}; {keys}")
        case BucketNotFoundError():
            return Trouble(reasons.BUCKET_NOT_FOUND, error.message, "create it, or set spec.createBucket: true")
        case NewerFormatError():
            return Trouble(reasons.NEWER_FORMAT, error.message, "update the operator's chart (helm upgrade)")
        case StoreUnreachableError() if "certificate not trusted" in error.message:
            remedy = "write the PEM text of the server's certificate authority into spec.caBundle"
            return Trouble(reasons.BAD_CERTIFICATE, error.message, remedy)
        case StoreUrlError() if "no valid certificate" in error.message:
            message = f"spec.caBundle of CheckpointStore {access.place.name} holds no valid certificate"
            return Trouble(reasons.BAD_CERTIFICATE, message, "write the PEM text of a certificate authority into it")
        case StoreUnreachableError() | StoreTimeoutError():
            remedy = "see whether the server runs, spec.s3.endpoint is right, and no network policy is in the way"
            return Trouble(reasons.UNREACHABLE, error.message, remedy, passing=True)
        case StoreError():  # overloaded, or just starting
            return Trouble(reasons.PROBE_FAILED, error.message, error.remedy, passing=True)
        case _:
            return Trouble(reasons.PROBE_FAILED, error.message, error.remedy)


# --- bytes, by the store that pods use --------------------------------------------------------------------------------


def _ensure_bucket(catalog: BucketCatalog, look: Look, side: _Side) -> bool:
    """Make the bucket if that is wanted; says whether it was made. One that was there before is never made anew."""
    try:
        catalog.check_marker(create=False)
    except BucketNotFoundError:
        if not look.create_bucket or look.known_id:
            raise
        side.make_bucket()
        return True
    return False


def _same(catalog: BucketCatalog, look: Look, access: Access) -> Trouble | None:
    """None where the store is the one that it was, or was never seen; then it gets its mark."""
    marker = catalog.check_marker(create=not look.known_id)
    found = marker.store_id if marker else ""
    return replaced_by(look.known_id, found, access) if look.known_id and found != look.known_id else None


def _exercise(store: Store, key: str, body: bytes, access: Access, side: _Side) -> Trouble | None:
    """Write, read, list, try to overwrite, delete."""

    def failed(what: str) -> Trouble:
        remedy = "use a server that gives what was just written; a cache or a mirror in between may be the reason"
        return Trouble(reasons.PROBE_FAILED, f"{access.place.where} {what} an object that was just written", remedy)

    store.put(key, body)
    try:
        if store.get(key) != body:
            return failed("does not give back")
    except ObjectNotFoundError:
        return failed("does not find")
    if key not in {info.key for info in store.list(PROBES)}:
        return failed("does not list")
    side.try_to_overwrite(key)
    store.delete(key)
    return None


# --- what a bucket has beyond bytes -----------------------------------------------------------------------------------


class _Pool(urllib3.PoolManager):
    """Connections that remember the last answer's headers."""

    seen: dict[str, str]

    def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        answer = super().urlopen(method, url, redirect, **options)
        self.seen = {name.lower(): value for name, value in answer.headers.items()}
        return answer


class _Side:
    """The bucket by minio's client. Nothing depends on what it cannot find out."""

    def __init__(self, access: Access, clock: Clock) -> None:
        place, environ = access.place, access.environ
        self._place = place
        self._clock = clock
        self._prefix = f"{place.prefix}/" if place.prefix else ""
        self._region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        scheme, _, host = (place.endpoint or "https://s3.amazonaws.com").partition("://")
        self._pool = _Pool(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            retries=urllib3.Retry(total=0, redirect=0),
            ssl_context=_trusting(place.authority) if scheme == "https" else None,
        )
        self._pool.seen = {}
        self._minio = Minio(
            endpoint=host,
            secure=scheme == "https",
            region=self._region,
            credentials=_provider(access, self._pool),
            http_client=self._pool,
        )
        self._overwrites: bool | None = None
        self.clock_ahead_seconds = 0.0
        """the server's clock before the operator's; whole seconds, as HTTP has them"""

    def __enter__(self) -> _Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    @property
    def server(self) -> str:
        """What the server says it is; empty if it does not say, or was not asked."""
        return "".join(c for c in self._pool.seen.get("server", "") if c.isprintable())[:_SERVER_LIMIT]

    def make_bucket(self) -> None:
        """Raises StorePermissionError, StoreUnreachableError, StoreError."""
        where = f"bucket {self._place.bucket} at {self._place.endpoint or f'Amazon S3 ({self._region})'}"
        try:
            self._minio.make_bucket(bucket_name=self._place.bucket, location=self._region)
        except S3Error as error:
            if error.code in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                return
            message = f"{where} is missing and cannot be created: {error.code}"
            if error.response.status in (401, 403):
                remedy = "create it by hand, or ask for the right to create it"
                raise StorePermissionError(message, remedy=remedy) from None
            raise StoreError(message, remedy="create it by hand") from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise StoreUnreachableError(
                f"{where} is missing, and no answer came when it was to be created ({type(error).__name__})"
            ) from None

    def try_to_overwrite(self, key: str) -> None:
        """Ask that an object which is there be written only if it is not. Half of the servers do it all the same."""
        with _unknown():
            # minio's own put makes a user's note of this header; a signed address takes it.
            address = self._minio.get_presigned_url(
                method="PUT",
                bucket_name=self._place.bucket,
                object_name=self._prefix + key,
                expires=timedelta(minutes=1),
            )
            answer = self._pool.request("PUT", address, body=b"", headers={"If-None-Match": "*"})
            if answer.status in (200, 204, 409, 412):
                self._overwrites = answer.status < 300
            self._take_time()

    def capabilities(self, key: str) -> Capabilities:
        """What the bucket can do. Where it has versions, those of ``key`` are removed."""
        versioning = self._ask(self._has_versions)
        if versioning:
            self._ask(lambda: self._remove_versions(key))
        return Capabilities(
            conditional_writes=None if self._overwrites is None else not self._overwrites,
            versioning=versioning,
            object_lock=self._ask(self._has_object_lock),
        )

    def _has_versions(self) -> bool:
        return self._minio.get_bucket_versioning(bucket_name=self._place.bucket).status == "Enabled"

    def _has_object_lock(self) -> bool | None:
        try:
            self._minio.get_object_lock_config(bucket_name=self._place.bucket)
        except S3Error as error:
            return False if error.code == "ObjectLockConfigurationNotFoundError" else None
        return True

    def _remove_versions(self, key: str) -> None:
        bucket, name = self._place.bucket, self._prefix + key
        rows = self._minio.list_objects(bucket_name=bucket, prefix=name, include_version=True)
        for _, row in zip(range(_VERSIONS), rows, strict=False):
            if row.object_name == name and row.version_id:
                self._minio.remove_object(bucket_name=bucket, object_name=name, version_id=row.version_id)

    def _ask(self, question: Callable[[], _T]) -> _T | None:
        with _unknown():
            return question()
        return None

    def _take_time(self) -> None:
        if date := self._pool.seen.get("date"):
            self.clock_ahead_seconds = (parsedate_to_datetime(date) - self._clock.now()).total_seconds()


def _unknown() -> suppress:
    """Servers answer such questions in many ways, some of which the client cannot read. Then it stays unknown."""
    return suppress(MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError, SyntaxError)


def _trusting(authority: str) -> ssl.SSLContext:
    """The system's authorities, those of certifi for images that have none, and the store's own."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as the store's own client: many private authorities need it
    if authority:
        context.load_verify_locations(cadata=authority)
    return context


def _provider(access: Access, pool: urllib3.PoolManager) -> Provider:
    environ = access.environ
    if environ.get(ACCESS_KEY):
        return StaticProvider(environ[ACCESS_KEY], environ.get(SECRET_KEY, ""), environ.get(SESSION_TOKEN))
    return IamAwsProvider(http_client=pool, region=environ.get("AWS_REGION"))
