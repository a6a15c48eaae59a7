"""A server with a certificate of a private authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import private_authority
from tools.s3server import DEFAULT_BUCKET, S3Server
from trainpoint.errors import StoreUnreachableError
from trainpoint.store.s3 import S3Store

MIB = 2**20


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tls=private_authority(tmp_path_factory.mktemp("authority"))) as server:
        yield server


def test_the_authority_of_aws_ca_bundle_is_trusted(tls_server: S3Server) -> None:
    store = S3Store(DEFAULT_BUCKET, environ=tls_server.env(), deadline=10)
    assert tls_server.endpoint.startswith("https://")
    store.put("a/b", b"private")
    store.put_stream("a/large", [bytes(MIB)] * 17)
    assert store.get("a/b") == b"private"
    assert [(row.key, row.size) for row in store.list("a/")] == [("a/b", 7), ("a/large", 17 * MIB)]


@pytest.mark.parametrize("bundle", ["missing", "another"])
def test_an_authority_that_is_not_trusted_is_said_at_once(tls_server: S3Server, tmp_path: Path, bundle: str) -> None:
    environ = {k: v for k, v in tls_server.env().items() if k != "AWS_CA_BUNDLE"}
    if bundle == "another":
        environ["AWS_CA_BUNDLE"] = str(private_authority(tmp_path).authority)
    store = S3Store(DEFAULT_BUCKET, environ=environ, deadline=300)
    for verb in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: list(store.list(""))):
        with pytest.raises(StoreUnreachableError, match="certificate not trusted") as caught:
            verb()
        assert "AWS_CA_BUNDLE" in caught.value.remedy
