from __future__ import annotations

import pytest

from trainpoint.store.s3 import backoff
from trainpoint.store.s3_answers import Meaning, understand


def spoken(status: int, body: str) -> str:
    """The text of obstore 0.12 for an answer of the server, with the access key that AWS repeats in some bodies."""
    return (
        f"Generic S3 error: Error performing GET http://127.0.0.1:8333/b/llm/<Code>NoSuchKey</Code> in 1.4ms - "
        f'Server returned non-2xx status code: {status} Words: {body}\n\nDebug source:\nGeneric {{ store: "S3" }}'
    )


def with_code(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>No</Message><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"


def silent(kind: str, source: str) -> str:
    return (
        "Generic S3 error: Error performing GET http://h/b/<Code>NoSuchKey</Code>/certificate in 3s, after 1 retries - "
        "HTTP error: error sending request\n"
        f"\nDebug source:\nGeneric {{ inner: Http(\n HttpError {{\n  kind: {kind},\n  source: {source} }} }}"
    )


@pytest.mark.parametrize(
    ("text", "meaning", "code", "again"),
    [
        (spoken(404, with_code("NoSuchKey")), Meaning.NO_OBJECT, "NoSuchKey", False),
        (spoken(404, with_code("NoSuchBucket")), Meaning.NO_BUCKET, "NoSuchBucket", False),
        (spoken(404, "<html>Not found</html>"), Meaning.OTHER, "HTTP 404", False),
        (spoken(404, ""), Meaning.OTHER, "HTTP 404", False),
        (spoken(403, with_code("AccessDenied")), Meaning.REFUSED, "AccessDenied", False),
        (spoken(403, with_code("SomethingNew")), Meaning.REFUSED, "SomethingNew", False),
        (spoken(400, with_code("ExpiredToken")), Meaning.REFUSED, "ExpiredToken", False),
        (spoken(403, with_code("RequestTimeTooSkewed")), Meaning.REFUSED, "RequestTimeTooSkewed", False),
        (spoken(401, ""), Meaning.REFUSED, "HTTP 401", False),
        (spoken(403, with_code("QuotaExceeded")), Meaning.FULL, "QuotaExceeded", False),
        (spoken(507, ""), Meaning.FULL, "HTTP 507", False),
        (spoken(416, with_code("InvalidRange")), Meaning.BEYOND_END, "InvalidRange", False),
        (spoken(503, with_code("SlowDown")), Meaning.OTHER, "SlowDown", True),
        (spoken(502, "<html>Bad gateway</html>"), Meaning.OTHER, "HTTP 502", True),
        (spoken(429, ""), Meaning.OTHER, "HTTP 429", True),
        (spoken(400, with_code("RequestTimeout")), Meaning.OTHER, "RequestTimeout", True),
        (spoken(501, with_code("NotImplemented")), Meaning.OTHER, "NotImplemented", False),
        (spoken(400, with_code("EntityTooLarge")), Meaning.OTHER, "EntityTooLarge", False),
        (silent("Connect", "dns error"), Meaning.UNREACHABLE, "its name cannot be resolved", True),
        (silent("Connect", "Connection refused (os error 111)"), Meaning.UNREACHABLE, "connection refused", True),
        (silent("Request", "IncompleteMessage"), Meaning.UNREACHABLE, "the connection broke", True),
        (silent("Timeout", "TimedOut"), Meaning.TIMEOUT, "no answer in time", True),
        (silent("Connect", "InvalidCertificate(\nBad)"), Meaning.UNREACHABLE, "certificate not trusted", False),
        ("Error performing PUT http://169.254.169.254/latest/api/token", Meaning.REFUSED, "no credentials", False),
        ("POST https://sts/?Action=AssumeRoleWithWebIdentity", Meaning.REFUSED, "no credentials", False),
        ("Received redirect without LOCATION", Meaning.OTHER, "PermanentRedirect", False),
        ("Server returned error response: " + with_code("InternalError"), Meaning.OTHER, "InternalError", True),
        ("Error getting put response body: missing field", Meaning.OTHER, "an answer that cannot be understood", False),
    ],
)  # fmt: skip
def test_an_answer_is_understood_from_its_text(text: str, meaning: Meaning, code: str, again: bool) -> None:
    answer = understand(text)
    assert (answer.meaning, answer.code, answer.again) == (meaning, code, again)
    assert "AKIASECRET" not in repr(answer)


@pytest.mark.parametrize(
    ("text", "from_s3"),
    [
        (spoken(404, with_code("NoSuchKey")), True),
        (spoken(403, with_code("AccessDenied")), True),
        (spoken(404, ""), False),
        (silent("Connect", "connection refused"), False),
    ],
)
def test_only_a_code_proves_that_an_s3_server_has_spoken(text: str, from_s3: bool) -> None:
    assert understand(text).from_s3 is from_s3


def test_pauses_double_up_to_a_limit_and_use_the_whole_width_for_jitter() -> None:
    widest = [backoff(tries, 1.0) for tries in range(8)]
    assert widest == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert backoff(5, 0.5) == 4.0
    assert backoff(5, 0.0) == 0.0
    assert backoff(100_000, 1.0) == 10.0
