"""A store from its URL."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trainpoint.api.names import DEFAULT_STORE
from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import StoreUrlError, UnstorableError
from trainpoint.store.base import Store
from trainpoint.store.keys import check_key

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]*")
_FORMS: Final = (
    "stores are s3://bucket/prefix, file:///path, a plain path such as ~/.trainpoint, and memory://name for tests"
)


def open_store(
    url: str,
    *,
    environ: Mapping[str, str],
    deadline: float | None = None,
    clock: Clock | None = None,
    chance: Chance | None = None,
) -> Store:
    """The store that ``url`` names. Makes no request and no directory: the first verb does.

    Args:
        url: ``s3://bucket/prefix``, ``file:///path``, a path (relative ones from the working directory, ``~`` from
            ``HOME``), or ``memory://name``, which is the same store for the same name within a process.
        environ: where ``HOME`` and, for S3, endpoint, region, keys and certificate authority (``AWS_*``) are read.
        deadline: seconds that one verb may take with its retries; only S3 has such a thing, with a default of its own.
        clock: for deadlines and retries; the machine's own by default.
        chance: for jitter and temporary names; the machine's own by default.
    Raises:
        StoreUrlError: it is none of these, or holds credentials, which the message does not repeat.
    """
    clock = clock or SystemClock()
    chance = chance or SystemChance()
    scheme, rest = _split(url)
    match scheme:
        case "s3":
            bucket, prefix = _bucket_and_prefix(rest)
            # Only here, so that a directory works where obstore cannot be loaded.
            from trainpoint.store.s3 import DEADLINE_SECONDS, S3Store

            patience = DEADLINE_SECONDS if deadline is None else deadline
            return S3Store(bucket, prefix, environ=environ, deadline=patience, clock=clock, chance=chance)
        case "memory":
            from trainpoint.store.memory import MemoryStore

            if not _NAME.fullmatch(rest):
                raise StoreUrlError("the name of a memory store is letters, digits, '.', '_' and '-'", remedy=_FORMS)
            return MemoryStore.named(rest, clock=clock)
        case _:
            from trainpoint.store.directory import DirectoryStore

            path = _expand(rest, environ)
            default = _expand(DEFAULT_STORE, environ)
            return DirectoryStore(path, create_parents=path == default, clock=clock, chance=chance)


def _split(url: str) -> tuple[str, str]:
    """(scheme, the rest of it); the scheme of a plain path is ``""``."""
    if not url or "\0" in url:
        raise StoreUrlError("a store's URL is empty" if not url else "a store's URL holds a NUL", remedy=_FORMS)
    match = _SCHEME.fullmatch(url)
    if match is None:
        return "", url
    scheme, rest = match[1].lower(), match[2]
    if scheme != "file" and "@" in rest:
        raise StoreUrlError(
            "a store's URL may hold no credentials, nor an '@'",
            remedy="take them out; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    if not rest.startswith("//"):  # perhaps key:secret, so nothing of it is repeated
        raise StoreUrlError(
            "a store's URL has a colon without two slashes", remedy=f"{_FORMS}; write ./ before a path with a colon"
        )
    if scheme not in {"s3", "file", "memory"}:
        raise StoreUrlError(f"{scheme}:// is no kind of store", remedy=_FORMS)
    rest = rest[2:]
    if scheme == "file":
        return scheme, _file_path(rest)
    return scheme, rest


def _file_path(rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"} or not slash:
        raise StoreUrlError(
            f"file://{rest} names a host, not a path",
            remedy=f"write three slashes for an absolute path: file:///{rest}",
        )
    from urllib.parse import unquote  # with a tail of modules that few programs need

    return "/" + unquote(path)


def _bucket_and_prefix(rest: str) -> tuple[str, str]:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    # What is wrong is not repeated: a colon or a question mark is where people have put keys.
    if not _BUCKET.fullmatch(bucket):
        raise StoreUrlError(
            "the bucket of an s3:// URL has to be 3 to 255 letters, digits, '.', '_' and '-'",
            remedy="write s3://bucket or s3://bucket/prefix; the endpoint comes from AWS_ENDPOINT_URL",
        )
    if "?" in prefix or "#" in prefix:
        raise StoreUrlError(
            f"the URL of bucket {bucket} has a query or fragment, which an s3:// URL cannot have",
            remedy="endpoint, region and keys come from the AWS_* variables",
        )
    if prefix:
        try:
            check_key(prefix)
        except UnstorableError as error:
            raise StoreUrlError(
                f"the prefix of s3://{bucket} cannot be used: {error.message}", remedy="choose another prefix"
            ) from None
    return bucket, prefix


def _expand(path: str, environ: Mapping[str, str]) -> Path:
    if path == "~" or path.startswith("~/"):
        home = environ.get("HOME") or os.path.expanduser("~")
        path = home + path[1:]
    elif path.startswith("~"):
        path = os.path.expanduser(path)
    return Path(os.path.abspath(path))
