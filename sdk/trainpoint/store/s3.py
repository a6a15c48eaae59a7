"""S3 as a store, by obstore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import obstore
from obstore.store import S3Store as Bucket

from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import ObjectNotFoundError
from trainpoint.store.base import Buffer, ObjectInfo
from trainpoint.store.keys import check_key, check_prefix


class S3Store:
    """Objects beneath a prefix of a bucket."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        environ: Mapping[str, str],
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._clock = clock or SystemClock()
        self._chance = chance or SystemChance()
        endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
        self._store = Bucket(
            bucket,
            endpoint=endpoint,
            region=environ.get("AWS_REGION", "us-east-1"),
            access_key_id=environ.get("AWS_ACCESS_KEY_ID", ""),
            secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY", ""),
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: Buffer) -> None:
        obstore.put(self._store, self._prefix + check_key(key), data)

    def put_stream(self, key: str, chunks: Iterable[Buffer]) -> None:
        obstore.put(self._store, self._prefix + check_key(key), iter(chunks))

    def get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, self._prefix + check_key(key)).bytes())
        except FileNotFoundError:
            raise ObjectNotFoundError(f"{key} does not exist in {self.url}") from None

    def read(self, key: str, offset: int, length: int) -> Buffer:
        return memoryview(obstore.get_range(self._store, self._prefix + check_key(key), start=offset, length=length))

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        cut = len(self._prefix)
        for page in obstore.list(self._store, self._prefix + prefix, offset=self._prefix + after if after else None):
            for row in page:
                yield ObjectInfo(row["path"][cut:], row["size"], row["last_modified"])

    def children(self, prefix: str) -> Sequence[str]:
        found = obstore.list_with_delimiter(self._store, self._prefix + check_prefix(prefix))
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, key: str) -> None:
        obstore.delete(self._store, self._prefix + check_key(key))

    def exclusive(self, prefix: str) -> AbstractContextManager[None]:
        return nullcontext()
