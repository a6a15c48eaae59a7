"""A real S3 server for the rung, one for all its tests; each test has a prefix of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.support.place import Place
from tests.support.proxy import Proxy
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint.store.s3 import S3Store

pytest.register_assert_rewrite("tests.support.store_contract")


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings_from_outside() -> None:
    """What a developer has in the environment must not reach the tests: obstore reads it too."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


@pytest.fixture
def url(place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place whose settings this process has, so that its URL is all that a test needs."""
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    return place.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """SeaweedFS; do not kill it: other tests need it. Its bucket is ``tools.s3server.DEFAULT_BUCKET``."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_prefix() -> str:
    """A prefix that nobody else uses."""
    return f"{secrets.token_hex(4)}/team a"


@pytest.fixture
def s3_store(s3_server: S3Server, s3_prefix: str) -> S3Store:
    """An empty store on the server, with a writer's credentials."""
    return S3Store(DEFAULT_BUCKET, s3_prefix, environ=s3_server.env(), deadline=30)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """In front of the server; counts requests and plays faults."""
    with Proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_store(s3_server: S3Server, proxy: Proxy, s3_prefix: str) -> S3Store:
    """The same store as ``s3_store``, through the proxy."""
    return S3Store(DEFAULT_BUCKET, s3_prefix, environ=s3_server.env(endpoint=proxy.endpoint), deadline=30)
