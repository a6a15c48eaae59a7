"""How to talk to an S3 server: from the ``AWS_*`` variables to obstore's clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

from obstore.store import S3Store as Bucket

from trainpoint.errors import StoreUrlError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

CONNECT_SECONDS: Final = 5
STALL_SECONDS: Final = 60
"""Without a byte of an answer."""
UPLOAD_SECONDS: Final = 300
"""Of one request, that is of one part of 16 MiB: a line of 56 kB/s gets through."""
DOWNLOAD_SECONDS: Final = 3600
"""Of one request, that is of one range."""
BACKOFF_SECONDS: Final = 0.25
BACKOFF_LIMIT_SECONDS: Final = 10.0

_PASSED_ON: Final = (
    "access_key_id", "secret_access_key", "session_token", "web_identity_token_file", "role_arn", "role_session_name",
    "container_credentials_relative_uri", "container_credentials_full_uri", "container_authorization_token_file",
    "metadata_endpoint", "server_side_encryption", "sse_kms_key_id", "request_payer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clients:
    """Two clients of one bucket, and where it is."""

    small: Bucket
    """for requests that are short or only read"""
    large: Bucket
    """for uploads in parts"""
    where: str
    """the endpoint, or the region at AWS; for messages"""


def connect(bucket: str, *, environ: Mapping[str, str], deadline: float) -> Clients:
    """Clients for ``bucket``; makes no request. Raises StoreUrlError for settings that can never work.

    Addresses are path style where an endpoint is set, and virtual-hosted at AWS itself.
    """
    endpoint = _endpoint(environ)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = _config(bucket, endpoint, region, environ)
    authority = _authority(environ)
    client: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        **({"root_certificate": authority} if authority else {}),
    }
    down: ClientConfig = {
        **client,
        "timeout": timedelta(seconds=DOWNLOAD_SECONDS),
        "read_timeout": timedelta(seconds=STALL_SECONDS),
    }
    # The read timeout also runs while a body is sent, until the answer begins: a part on a slow line would never get
    # through. So uploads have a limit for the whole request instead.
    up: ClientConfig = {**client, "timeout": timedelta(seconds=UPLOAD_SECONDS)}
    try:
        return Clients(
            Bucket(bucket, config=config, client_options=down, retry_config=_quick(deadline)),
            Bucket(bucket, config=config, client_options=up, retry_config=_patient(deadline)),
            endpoint or f"Amazon S3 ({region})",
        )
    except Exception:
        raise StoreUrlError(
            f"the settings of bucket {bucket} cannot be used"
            + (" (AWS_CA_BUNDLE holds no valid certificate)" if authority else ""),
            remedy="check AWS_ENDPOINT_URL, AWS_REGION and AWS_CA_BUNDLE",
        ) from None


def _quick(deadline: float) -> RetryConfig:
    """Few tries: while obstore waits, no signal handler of Python's runs."""
    return {
        "max_retries": 2,
        "retry_timeout": timedelta(seconds=min(10.0, deadline)),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)},
    }


def _patient(deadline: float) -> RetryConfig:
    """Tries up to the deadline: the parts of a stream are repeated by obstore, since only it has them."""
    return {
        "max_retries": 10_000,
        "retry_timeout": timedelta(seconds=deadline),
        "backoff": {
            "init_backoff": timedelta(seconds=BACKOFF_SECONDS),
            "max_backoff": timedelta(seconds=BACKOFF_LIMIT_SECONDS),
        },
    }


def _endpoint(environ: Mapping[str, str]) -> str:
    endpoint = (environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "").rstrip("/")
    if endpoint and (not endpoint.startswith(("http://", "https://")) or "@" in endpoint or "?" in endpoint):
        raise StoreUrlError(
            "AWS_ENDPOINT_URL has to be the address of an S3 server without credentials",
            remedy="write https://host:port; the keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return endpoint


def _authority(environ: Mapping[str, str]) -> bytes:
    """PEM of the certificates to trust besides the system's; empty if none is set.

    A CheckpointStore has the text itself, and a pod may have no place to write it to: so the text is taken as well.
    """
    bundle = environ.get("AWS_CA_BUNDLE")
    if not bundle:
        return b""
    if "-----BEGIN CERTIFICATE-----" in bundle:
        return bundle.encode()
    try:
        with open(bundle, "rb") as file:
            return file.read()
    except OSError as error:
        raise StoreUrlError(
            f"AWS_CA_BUNDLE names {bundle}, which cannot be read: {error.strerror}",
            remedy="set it to a PEM file with the server's certificate authority, or unset it",
        ) from None


def _before_the_environments(config: S3Config, bucket: str, endpoint: str) -> S3Config:
    """Newer versions of obstore take AWS_ENDPOINT_URL_S3 of the process before any ``endpoint`` that they are given."""
    if os.environ.get("AWS_ENDPOINT_URL_S3", endpoint) == endpoint:
        return config
    certain = cast("S3Config", {**config, "aws_endpoint_url_s3": endpoint})
    try:
        Bucket(bucket, config=certain)
    except Exception:  # an older version: it knows neither this key nor that variable
        return config
    return certain


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
        config = _before_the_environments(config, bucket, endpoint)
    for name in _PASSED_ON:
        if value := environ.get(f"AWS_{name.upper()}"):
            config[name] = value
    return config
