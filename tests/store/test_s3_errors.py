"""Errors of a real server: what, where, what to do, and no secret."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support.proxy import Answer, Proxy, Replace
from tools.s3server import ABSENT_BUCKET, DEFAULT_BUCKET, READER, STRANGER, WRITER, Credentials, S3Server
from trainpoint.clock import SystemClock
from trainpoint.errors import (
    BucketNotFoundError,
    StoreError,
    StoreFullError,
    StorePermissionError,
    StoreTimeoutError,
    StoreUnreachableError,
    TrainpointError,
)
from trainpoint.store.s3 import S3Store
from trainpoint.testing import FakeChance, FakeClock

MIB = 2**20
TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"
WRONG_SECRET = "wJalrXUtnFEMIK7MDENGEXAMPLE"
UNKNOWN_KEY = "AKIAUNKNOWN7EXAMPLE"
SECRETS = (
    *(credentials.secret_key for credentials in (WRITER, READER, STRANGER)),
    *(credentials.access_key for credentials in (WRITER, READER, STRANGER)),
    *(TOKEN, WRONG_SECRET, UNKNOWN_KEY),
)

VERBS: Mapping[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put("a/b", b"x"),
    "put_stream": lambda store: store.put_stream("a/b", [bytes(MIB)] * 20),
    "get": lambda store: store.get("a/b"),
    "read": lambda store: store.read("a/b", 0, 1),
    "list": lambda store: list(store.list("a/")),
    "children": lambda store: store.children("a/"),
    "delete": lambda store: store.delete("a/b"),
}
every_verb = pytest.mark.parametrize("verb", VERBS)


def fails(store: S3Store, verb: str, kind: type[TrainpointError]) -> TrainpointError:
    """The error of a verb: of this kind, with a remedy, and without a secret or a foreign cause."""
    with pytest.raises(kind) as caught:
        VERBS[verb](store)
    error = caught.value
    text = "".join([error.report(), repr(error), str(error.__cause__), repr(store)])
    for secret in SECRETS:
        assert secret not in text
    assert type(error) is kind
    assert error.remedy
    assert error.__suppress_context__ or error.__context__ is None
    return error


def store_at(environ: Mapping[str, str], *, bucket: str = DEFAULT_BUCKET, deadline: float = 0.3) -> S3Store:
    return S3Store(bucket, "llm", environ=environ, deadline=deadline)


@every_verb
@pytest.mark.parametrize(
    ("credentials", "code", "remedy"),
    [
        (Credentials(WRITER.access_key, WRONG_SECRET), "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (Credentials(UNKNOWN_KEY, WRONG_SECRET), "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (STRANGER, "AccessDenied", "rights"),
    ],
    ids=["wrong secret", "unknown key", "no rights"],
)
def test_refused_credentials_are_said_at_once_with_the_servers_code(
    s3_server: S3Server, proxy: Proxy, verb: str, credentials: Credentials, code: str, remedy: str
) -> None:
    store = store_at(s3_server.env(credentials, endpoint=proxy.endpoint), deadline=300)
    error = fails(store, verb, StorePermissionError)
    assert code in error.message
    assert f"{proxy.endpoint} (store s3://{DEFAULT_BUCKET}/llm)" in error.message
    assert remedy in error.remedy
    repeated = [request for request in proxy.log if "partNumber" not in request.query]
    assert len(repeated) == 1


@every_verb
def test_a_session_token_that_is_refused_is_said(s3_server: S3Server, verb: str) -> None:
    store = store_at({**s3_server.env(), "AWS_SESSION_TOKEN": TOKEN})
    error = fails(store, verb, StorePermissionError)
    assert "session token" in error.message
    assert "AWS_SESSION_TOKEN" in error.remedy


@pytest.mark.parametrize("verb", ["put", "put_stream", "delete"])
def test_a_reader_may_not_write_and_is_told_so(s3_server: S3Server, verb: str) -> None:
    error = fails(store_at(s3_server.env(READER)), verb, StorePermissionError)
    assert "AccessDenied" in error.message


@pytest.mark.parametrize("verb", ["list", "children"])
def test_a_reader_may_list(s3_server: S3Server, verb: str) -> None:
    VERBS[verb](store_at(s3_server.env(READER)))


@every_verb
def test_no_credentials_at_all_are_said_at_once(s3_server: S3Server, verb: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"  # stands for the address of a cloud's own service
        environ = {k: v for k, v in s3_server.env().items() if "KEY" not in k} | {"AWS_METADATA_ENDPOINT": nobody}
        error = fails(store_at(environ), verb, StorePermissionError)
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set" in error.message


@every_verb
def test_a_missing_bucket_is_told_from_a_refusal(s3_server: S3Server, verb: str) -> None:
    error = fails(store_at(s3_server.env(), bucket=ABSENT_BUCKET, deadline=300), verb, BucketNotFoundError)
    assert error.message == (
        f'bucket "{ABSENT_BUCKET}" does not exist at {s3_server.endpoint} (store s3://{ABSENT_BUCKET}/llm)'
    )
    assert "create it" in error.remedy


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is taken and on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@every_verb
def test_an_address_where_nobody_listens_is_an_error_after_the_deadline(
    s3_server: S3Server, closed_port: int, verb: str
) -> None:
    endpoint = f"http://127.0.0.1:{closed_port}"
    error = fails(store_at(s3_server.env(endpoint=endpoint)), verb, StoreUnreachableError)
    assert f"cannot reach {endpoint} (store s3://{DEFAULT_BUCKET}/llm): connection refused" in error.message


def test_a_name_that_does_not_exist_is_an_error_after_the_deadline(s3_server: S3Server) -> None:
    store = store_at(s3_server.env(endpoint="http://no-such-host.invalid:8333"))
    assert "name cannot be resolved" in fails(store, "get", StoreUnreachableError).message


def test_https_to_a_server_without_tls_is_said_at_once(s3_server: S3Server) -> None:
    endpoint = s3_server.endpoint.replace("http://", "https://")
    error = fails(store_at(s3_server.env(endpoint=endpoint), deadline=300), "get", StoreUnreachableError)
    assert "no TLS" in error.message
    assert "http://" in error.remedy


def test_tries_go_on_with_pauses_up_to_the_deadline_and_no_longer(s3_server: S3Server, closed_port: int) -> None:
    clock = FakeClock()
    environ = s3_server.env(endpoint=f"http://127.0.0.1:{closed_port}")
    store = S3Store(DEFAULT_BUCKET, environ=environ, deadline=12, clock=clock, chance=FakeChance(3))
    error = fails(store, "get", StoreUnreachableError)
    assert "tried for 12 s" in error.message
    assert clock.monotonic() == pytest.approx(12)
    assert all(0 <= pause <= 10 for pause in clock.slept)
    assert len(clock.slept) >= 3


def test_a_server_that_never_answers_is_a_timeout(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainpoint.store.s3_settings.STALL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = store_at(s3_server.env(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        for verb in ("get", "list", "put"):
            assert "no answer in time" in fails(store, verb, StoreTimeoutError).message


@pytest.mark.parametrize("verb", ["put", "put_stream"])
@pytest.mark.parametrize(("status", "code"), [(507, "XMinioStorageFull"), (403, "QuotaExceeded")])
def test_no_room_is_said(s3_server: S3Server, proxy: Proxy, verb: str, status: int, code: str) -> None:
    proxy.fault = lambda request: Answer(status, code)
    error = fails(store_at(s3_server.env(endpoint=proxy.endpoint)), verb, StoreFullError)
    assert code in error.message


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
        (301, "PermanentRedirect", "AWS_REGION"),
        (501, "NotImplemented", "log"),
    ],
)
def test_another_refusal_is_named_by_the_servers_code(
    s3_server: S3Server, proxy: Proxy, status: int, code: str, says: str
) -> None:
    proxy.fault = lambda request: Answer(status, code)
    error = fails(store_at(s3_server.env(endpoint=proxy.endpoint)), "get", StoreError)
    assert code in error.message
    assert says in error.remedy


@pytest.mark.parametrize(
    ("status", "verb"),
    [
        *((status, verb) for status in (403, 404) for verb in VERBS),
        *((200, verb) for verb in ("put", "put_stream", "read", "list", "children")),
    ],
)
def test_a_web_page_is_never_taken_for_an_answer_of_s3(
    s3_server: S3Server, proxy: Proxy, verb: str, status: int
) -> None:
    """A console on another port, a captive portal: above all it is no empty store."""
    proxy.fault = lambda request: Replace(status, b"<html><body>Welcome</body></html>")
    kind = StorePermissionError if status == 403 else StoreError
    error = fails(store_at(s3_server.env(endpoint=proxy.endpoint)), verb, kind)
    assert "AWS_ENDPOINT_URL" in error.remedy or "proxy" in error.remedy


def test_a_listing_in_no_order_is_refused(s3_server: S3Server, proxy: Proxy) -> None:
    rows = "".join(
        f"<Contents><Key>llm/a/{name}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for name in ("2", "1")
    )
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode()
    proxy.fault = lambda request: Replace(200, body, "application/xml")
    assert "in no order" in fails(store_at(s3_server.env(endpoint=proxy.endpoint)), "list", StoreError).message


def test_waiting_for_a_server_can_be_interrupted(s3_server: S3Server, closed_port: int) -> None:
    """Between tries the wait is Python's, so that Ctrl-C and SIGTERM get through."""
    waits = threading.Event()

    class Interrupted(SystemClock):
        def sleep(self, seconds: float) -> None:
            waits.set()
            raise KeyboardInterrupt

    environ = s3_server.env(endpoint=f"http://127.0.0.1:{closed_port}")
    store = S3Store(DEFAULT_BUCKET, environ=environ, clock=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        store.get("a")
    assert waits.is_set()
