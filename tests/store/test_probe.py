"""The operator's look at a store, on a real server."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from minio.versioningconfig import VersioningConfig

from tests.support.certificates import private_authority
from tests.support.operator_world import NAMESPACE, World
from tests.support.proxy import Answer, Proxy, Replace, Request
from tools.s3server import ADMIN, DEFAULT_BUCKET, READER, STRANGER, WRITER, Credentials, S3Server
from trainpoint.api import reasons
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import SystemChance, SystemClock
from trainpoint.format.digest import seal
from trainpoint.format.layout import STORE_MARKER
from trainpoint.format.records import StoreMarker
from trainpoint.store.s3 import S3Store
from trainpoint.store.url import open_store
from trainpoint_operator.decisions.store_health import Seen, Trouble
from trainpoint_operator.decisions.store_place import Access, access_to
from trainpoint_operator.engine.resources import STORES, Key
from trainpoint_operator.probe import PROBES, Look, probe
from trainpoint_operator.reconcile.store import reconcile_store

NAME = "0b7e3c52-probe"


def access(
    server: S3Server, prefix: str, credentials: Credentials = ADMIN, *, endpoint: str = "", **spec: Any
) -> Access:
    """What the operator has of a CheckpointStore and its Secret."""
    keys = {"AWS_ACCESS_KEY_ID": credentials.access_key, "AWS_SECRET_ACCESS_KEY": credentials.secret_key}
    found = access_to(
        {
            "metadata": {"name": "main", "namespace": "team-a", "uid": "u", "generation": 1},
            "spec": {
                "s3": {"bucket": spec.pop("bucket", DEFAULT_BUCKET), "endpoint": endpoint or server.endpoint},
                "prefix": prefix.replace(" ", "-"),
                "credentials": {"secretRef": {"name": "operator-keys"}},
                **spec,
            },
        },
        {
            "metadata": {"resourceVersion": "1"},
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()},
        },
        {},
    )
    assert isinstance(found, Access)
    return found


def opened(to: Access) -> BucketCatalog:
    store = open_store(to.place.url, environ=to.environ, deadline=0)
    return BucketCatalog(store, clock=SystemClock(), chance=SystemChance())


def look_at(
    to: Access, *, known: str = "", create: bool = False, thorough: bool = True, clock: SystemClock | None = None
) -> Seen | Trouble:
    return probe(
        Look(known, create, thorough, NAME),
        to,
        lambda: opened(to),
        clock=clock or SystemClock(),
        chance=SystemChance(),
    )


def seen(to: Access, **options: Any) -> Seen:
    found = look_at(to, **options)
    assert isinstance(found, Seen), found
    return found


def trouble(to: Access, reason: str, **options: Any) -> Trouble:
    """What is wrong: of that reason, with a remedy, and without a secret."""
    found = look_at(to, **options)
    assert isinstance(found, Trouble), found
    assert found.reason == reason, found
    assert found.remedy
    for credentials in (ADMIN, WRITER, READER, STRANGER):
        for secret in (credentials.access_key, credentials.secret_key, "X-Amz-Signature"):
            assert secret not in found.sentence
    assert to.environ["AWS_SECRET_ACCESS_KEY"] not in repr((to, found))
    return found


def test_a_new_store_gets_its_mark_and_is_told_again_by_it(s3_server: S3Server, s3_prefix: str) -> None:
    to = access(s3_server, s3_prefix)
    first = seen(to)
    assert re.fullmatch("[0-9a-f]{16}", first.store_id)
    assert first.server.startswith("SeaweedFS")
    assert not first.created_bucket
    assert abs(first.clock_ahead_seconds) < 5
    assert seen(to, known=first.store_id).store_id == first.store_id
    assert seen(to, known=first.store_id, thorough=False) == Seen(first.store_id)
    store = opened(to).store
    assert [info.key for info in store.list("")] == [STORE_MARKER], "the probe cleans up after itself"


def test_what_the_server_can_do_is_seen_not_assumed(s3_server: S3Server, proxy: Proxy, s3_prefix: str) -> None:
    capabilities = seen(access(s3_server, s3_prefix)).capabilities
    assert (capabilities.conditional_writes, capabilities.versioning, capabilities.object_lock) == (True, False, False)

    def careless(request: Request) -> Answer | Replace | None:
        """As servers that ignore conditions, and know neither versions nor locks."""
        if "X-Amz-Signature" in request.query:  # the write that asks for a condition
            return Replace(200, b"")
        if "versioning" in request.query or "object-lock" in request.query:
            return Answer(501, "NotImplemented")
        return None

    proxy.fault = careless
    capabilities = seen(access(s3_server, s3_prefix, endpoint=proxy.endpoint)).capabilities
    assert (capabilities.conditional_writes, capabilities.versioning, capabilities.object_lock) == (False, None, None)


def test_a_bucket_is_made_only_where_that_is_wanted(s3_server: S3Server, s3_prefix: str) -> None:
    bucket = f"made-{s3_prefix.partition('/')[0]}"
    to = access(s3_server, "", bucket=bucket)
    refused = trouble(to, reasons.BUCKET_NOT_FOUND)
    assert f'bucket "{bucket}" does not exist' in refused.message
    assert "spec.createBucket" in refused.remedy
    made = seen(to, create=True)
    assert made.created_bucket
    assert not seen(to, create=True, known=made.store_id).created_bucket


def test_a_bucket_that_is_gone_is_not_made_anew(s3_server: S3Server, s3_prefix: str) -> None:
    """An empty bucket in its place would look like a store without checkpoints."""
    to = access(s3_server, "", bucket=f"gone-{s3_prefix.partition('/')[0]}")
    trouble(to, reasons.BUCKET_NOT_FOUND, create=True, known="0123456789abcdef")
    trouble(to, reasons.BUCKET_NOT_FOUND)


@pytest.mark.parametrize("thorough", [True, False])
def test_another_store_in_its_place_is_told_and_left_as_it_is(
    s3_server: S3Server, s3_prefix: str, thorough: bool
) -> None:
    to = access(s3_server, s3_prefix)
    known = "0123456789abcdef"
    empty = trouble(to, reasons.STORE_REPLACED, known=known, thorough=thorough)
    assert "no mark of a store" in empty.message
    assert list(opened(to).store.list("")) == []
    there = seen(to).store_id
    other = trouble(to, reasons.STORE_REPLACED, known=known, thorough=thorough)
    assert known in other.message
    assert there in other.message
    marker = opened(to).check_marker(create=False)
    assert marker is not None
    assert marker.store_id == there


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        (READER, "AccessDenied"),
        (STRANGER, "AccessDenied"),
        (Credentials(ADMIN.access_key, "wrong-secret-0c1d"), "SignatureDoesNotMatch"),
        (Credentials("AKUNKNOWN77", "wrong-secret-0c1d"), "InvalidAccessKeyId"),
    ],
    ids=["reader", "stranger", "wrong secret", "unknown key"],
)
def test_refused_keys_are_told_with_where_they_come_from(
    s3_server: S3Server, s3_prefix: str, credentials: Credentials, says: str
) -> None:
    refused = trouble(access(s3_server, s3_prefix, credentials), reasons.ACCESS_DENIED)
    assert says in refused.message
    assert "Secret operator-keys in namespace team-a" in refused.remedy
    assert not refused.passing


def test_who_may_not_make_a_bucket_is_told_so(s3_server: S3Server) -> None:
    to = access(s3_server, "", WRITER, bucket="trainpoint-absent")
    assert "cannot be created: AccessDenied" in trouble(to, reasons.ACCESS_DENIED, create=True).message


def test_who_may_not_delete_is_told_so(s3_server: S3Server, proxy: Proxy, s3_prefix: str) -> None:
    proxy.fault = lambda request: Answer(403, "AccessDenied") if request.verb == "DELETE" else None
    refused = trouble(access(s3_server, s3_prefix, endpoint=proxy.endpoint), reasons.ACCESS_DENIED)
    assert f"cannot delete {PROBES}{NAME}" in refused.message
    assert "also deletes" in refused.remedy


def test_a_server_that_is_not_there_may_come_back(s3_server: S3Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        to = access(s3_server, "llm", endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        for thorough in (True, False):
            found = trouble(to, reasons.UNREACHABLE, known="0123456789abcdef", thorough=thorough)
            assert "connection refused" in found.message
            assert found.passing
            assert found == look_at(to, known="0123456789abcdef", thorough=thorough), "the same sentence each time"


@pytest.mark.parametrize(("verb", "says"), [("GET", "does not give back"), ("LIST", "does not list")])
def test_a_store_that_forgets_what_was_just_written_is_not_ready(
    s3_server: S3Server, proxy: Proxy, s3_prefix: str, verb: str, says: str
) -> None:
    empty = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"

    def stale(request: Request) -> Replace | None:
        if request.verb == verb == "LIST":
            return Replace(200, empty, "application/xml")
        if request.verb == verb and f"{PROBES}{NAME}" in request.path:
            return Replace(200, b"what was there before")
        return None

    proxy.fault = stale
    found = trouble(access(s3_server, s3_prefix, endpoint=proxy.endpoint), reasons.PROBE_FAILED)
    assert says in found.message
    assert not found.passing


def test_an_overloaded_server_may_recover(s3_server: S3Server, proxy: Proxy, s3_prefix: str) -> None:
    proxy.fault = lambda request: Answer(503, "SlowDown")
    found = trouble(access(s3_server, s3_prefix, endpoint=proxy.endpoint), reasons.PROBE_FAILED)
    assert "SlowDown" in found.message
    assert found.passing


def test_a_store_of_a_newer_version_is_left_alone(s3_server: S3Server, s3_prefix: str) -> None:
    to = access(s3_server, s3_prefix)
    store = opened(to).store
    store.put(STORE_MARKER, seal({"formatVersion": 99, "kind": "Store", "storeID": "0123456789abcdef"}))
    before = store.get(STORE_MARKER)
    trouble(to, reasons.NEWER_FORMAT)
    assert store.get(STORE_MARKER) == before


def test_a_private_authority_is_trusted_by_the_text_of_ca_bundle_alone(tmp_path: Path, s3_prefix: str) -> None:
    tls = private_authority(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with S3Server(tls=tls) as server:
        text, foreign = tls.authority.read_text(), private_authority(other).authority.read_text()
        first = seen(access(server, s3_prefix, caBundle=text))
        assert first.server.startswith("SeaweedFS"), "minio's client trusts it too"
        assert first.capabilities.conditional_writes
        assert seen(access(server, s3_prefix, caBundle=foreign + text)).store_id == first.store_id
        for to in (access(server, s3_prefix), access(server, s3_prefix, caBundle=foreign)):
            refused = trouble(to, reasons.BAD_CERTIFICATE)
            assert "spec.caBundle" in refused.remedy
            assert not refused.passing
    broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert (
        "no valid certificate" in trouble(access(server, s3_prefix, caBundle=broken), reasons.BAD_CERTIFICATE).message
    )


def test_two_operators_that_meet_an_empty_store_agree(s3_server: S3Server, s3_prefix: str) -> None:
    """The second one's mark lands just after the first one has written its own."""
    to = access(s3_server, s3_prefix)
    rival = "fedcba9876543210"

    class Raced(S3Store):
        def put(self, key: str, data: Any) -> None:
            super().put(key, data)
            if key == STORE_MARKER:
                super().put(key, StoreMarker(store_id=rival).to_bytes())

    def open_raced() -> BucketCatalog:
        store = Raced(to.place.bucket, to.place.prefix, environ=to.environ, deadline=0)
        return BucketCatalog(store, clock=SystemClock(), chance=SystemChance())

    found = probe(Look("", False, True, NAME), to, open_raced, clock=SystemClock(), chance=SystemChance())
    assert isinstance(found, Seen)
    assert found.store_id == rival


def test_the_servers_clock_is_compared_with_the_operators(s3_server: S3Server, s3_prefix: str) -> None:
    class Slow(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(minutes=4)

    assert 235 < seen(access(s3_server, s3_prefix), clock=Slow()).clock_ahead_seconds < 245


def test_versions_of_the_probes_object_are_removed(s3_server: S3Server, s3_prefix: str) -> None:
    bucket = f"kept-{s3_prefix.partition('/')[0]}"
    to = access(s3_server, "llm", bucket=bucket)
    store_id = seen(to, create=True).store_id
    client = Minio(
        endpoint=s3_server.endpoint.removeprefix("http://"),
        access_key=ADMIN.access_key,
        secret_key=ADMIN.secret_key,
        secure=False,
        region="us-east-1",
    )
    client.set_bucket_versioning(bucket, VersioningConfig("Enabled"))
    assert seen(to, known=store_id).capabilities.versioning is True
    left = [row.object_name for row in client.list_objects(bucket, recursive=True, include_version=True)]
    assert not [name for name in left if name and PROBES in name]


# --- the whole way: object, Secret, server ----------------------------------------------------------------------------


def test_storage_that_is_killed_and_comes_back_turns_the_condition_and_nothing_else() -> None:
    """Object and Secret are in memory, the store is real: what is read, written and told goes the way it goes."""
    key = Key("CheckpointStore", NAMESPACE, "main")
    w = World()

    def look(seconds: float) -> tuple[str, str]:
        w.clock.advance(seconds)
        asyncio.run(reconcile_store(key, w.ctx))
        ready = w.condition(STORES, "main")
        return ready["status"], ready["reason"]

    with S3Server() as server:
        w.keys(server.env(ADMIN))
        w.store(s3={"bucket": DEFAULT_BUCKET, "endpoint": server.endpoint}, prefix="llm")
        assert look(0) == ("True", reasons.PROBED)
        catalog = asyncio.run(w.ctx.buckets.of(NAMESPACE, "main"))
        marker = catalog.check_marker(create=False)
        assert marker is not None
        assert w.read(STORES, "main")["status"]["storeID"] == marker.store_id
        server.kill()
        assert [look(70), look(10), look(10)] == [("True", reasons.PROBED)] * 2 + [("False", reasons.UNREACHABLE)]
        assert "connection refused" in w.condition(STORES, "main")["message"]
        server.start()
        assert look(60) == ("True", reasons.PROBED)
        assert w.read(STORES, "main")["status"]["storeID"] == marker.store_id
        w.secret(AWS_ACCESS_KEY_ID=ADMIN.access_key, AWS_SECRET_ACCESS_KEY="wrong-secret-0c1d")
        assert look(70) == ("False", reasons.ACCESS_DENIED)
        assert "wrong-secret" not in str(w.read(STORES, "main"))
        w.keys(server.env(ADMIN))
        assert look(60) == ("True", reasons.PROBED)
    assert [reason for reason, _, _ in w.events.told] == ["StoreReady", "StoreNotReady"] * 2 + ["StoreReady"]
