"""What an S3 server's answer, or the lack of one, means: from the text of an error to a decision.

obstore's errors are text with the server's answer in it, and may hold the access key. So nothing of the text is passed
on but the server's own code (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList) and a
few words of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Meaning(Enum):
    """Which error it is for the caller."""

    NO_OBJECT = "no object"
    NO_BUCKET = "no bucket"
    REFUSED = "refused"
    FULL = "full"
    BEYOND_END = "beyond the end"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    """One failed request, understood."""

    meaning: Meaning
    code: str
    """the server's own code, ``HTTP 502`` where it gave none, or what broke in our words"""
    reason: str = ""
    """what it means, in words; empty where the code says it all"""
    remedy: str = ""
    again: bool = False
    """whether the same request may succeed in a moment"""

    @property
    def from_s3(self) -> bool:
        """Whether an S3 server has spoken, not a proxy or a web page."""
        return bool(_S3_CODE.fullmatch(self.code))


_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_S3_CODE = re.compile(r"[A-Za-z0-9.]+")
_STATUS = re.compile(r"\d{3}")
_SPOKEN = re.compile(r"Server returned (?:non-2xx status code|error response): ")
_METADATA = re.compile(r"https?://[^/ ]+/latest/(?:api/token|meta-data)")
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")

_KEYS: Final = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_TOKEN: Final = "renew AWS_SESSION_TOKEN with its two keys, or unset it if these keys are permanent ones"
_RIGHTS: Final = "ask for the rights to get, put and list beneath the store's prefix; readers need get and list"
_CLOCK: Final = "set this machine's clock"
_REGION: Final = "set AWS_REGION to the bucket's region"

_REFUSED: Final = {
    "AccessDenied": ("these credentials may not do this", _RIGHTS),
    "AllAccessDisabled": ("all access to the bucket is disabled", _RIGHTS),
    "SignatureDoesNotMatch": ("the secret key is wrong", "check AWS_SECRET_ACCESS_KEY"),
    "InvalidAccessKeyId": (
        "the access key is unknown there, or its session token was refused",
        "check AWS_ACCESS_KEY_ID, and AWS_SESSION_TOKEN if it is set",
    ),
    "ExpiredToken": ("the session token ran out", _TOKEN),
    "InvalidToken": ("the session token was refused", _TOKEN),
    "TokenRefreshRequired": ("the session token ran out", _TOKEN),
    "RequestTimeTooSkewed": ("this machine's clock differs too much from the server's", _CLOCK),
    "RequestExpired": ("this machine's clock differs too much from the server's", _CLOCK),
    "InvalidSecurity": ("the credentials are not valid", _KEYS),
    "MissingSecurityHeader": ("the request was not signed", _KEYS),
    "MissingAuthenticationToken": ("the request was not signed", _KEYS),
    "NotSignedUp": ("the account is not signed up for S3", _KEYS),
}
_FULL: Final = frozenset(
    {"InsufficientStorage", "InsufficientStorageSpace", "QuotaExceeded", "QuotaExceededError", "XMinioStorageFull"}
    | {"XMinioAdminBucketQuotaExceeded", "StorageFull", "NoSpaceLeft"}
)
_WRONG_REGION: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_AGAIN: Final = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted"})


def understand(text: str) -> Answer:
    """The meaning of an error of obstore's, from its text."""
    if _METADATA.search(text):
        return Answer(
            Meaning.REFUSED,
            "no credentials",
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and this machine offers none of its own",
            "set both, or give the pod or machine a role",
        )
    # Only what stands behind these words is the server's; before them is the key, which may say anything.
    spoken = _SPOKEN.search(text)
    said = text[spoken.end() :] if spoken else ""
    status = int(found[0]) if (found := _STATUS.match(said)) else 0
    code = found[1] if (found := _CODE.search(said)) else ""
    if "Action=AssumeRoleWithWebIdentity" in text:
        reason = "the role could not be taken on with the web identity token"
        remedy = "check AWS_ROLE_ARN and the role's trust policy"
        return Answer(Meaning.REFUSED, code or "no credentials", reason, remedy)
    if spoken:
        return _spoken(status, code)
    if "Received redirect without LOCATION" in text:
        return Answer(Meaning.OTHER, "PermanentRedirect", "the bucket lies in another region", _REGION)
    return _silent(text)


def _spoken(status: int, code: str) -> Answer:
    """The server, or something in front of it, has answered."""
    shown = code or f"HTTP {status}"
    if code == "NoSuchBucket":
        return Answer(Meaning.NO_BUCKET, code)
    if code == "NoSuchKey":
        return Answer(Meaning.NO_OBJECT, code)
    if code == "InvalidRange" or status == 416:
        return Answer(Meaning.BEYOND_END, shown)
    if code in _FULL or status == 507:
        return Answer(Meaning.FULL, shown)
    if code in _REFUSED:
        return Answer(Meaning.REFUSED, code, *_REFUSED[code])
    if code in _WRONG_REGION:
        return Answer(Meaning.OTHER, code, "the bucket lies in another region", _REGION)
    if status in {401, 403}:
        remedy = _RIGHTS if code else f"{_KEYS}; without a code of S3's it may be a proxy on the way that refused"
        return Answer(Meaning.REFUSED, shown, "the request was refused", remedy)
    if code in _AGAIN or status in {408, 429} or (status >= 500 and status != 501):
        return Answer(Meaning.OTHER, shown, "the server is overloaded or just starting", again=True)
    if not code:
        return Answer(
            Meaning.OTHER, shown, "this is no answer of an S3 server", "check that AWS_ENDPOINT_URL is the S3 address"
        )
    return Answer(Meaning.OTHER, shown)


def _silent(text: str) -> Answer:
    """No answer, or only a part of one."""
    lower = text.lower()
    kind = match[1] if (match := _KIND.search(text)) else ""
    if "InvalidCertificate(" in text:  # rustls's name for it
        return Answer(
            Meaning.UNREACHABLE,
            "certificate not trusted",
            remedy="set AWS_CA_BUNDLE to a PEM file with the certificate authority of the server",
        )
    if "InvalidContentType" in text:
        return Answer(Meaning.UNREACHABLE, "no TLS at that address", remedy="write http:// in AWS_ENDPOINT_URL")
    if kind == "Timeout":
        return Answer(Meaning.TIMEOUT, "no answer in time", again=True)
    for word, meaning in (
        ("dns error", "its name cannot be resolved"),
        ("connection refused", "connection refused"),
        ("connection reset", "connection reset"),
    ):
        if word in lower:
            return Answer(Meaning.UNREACHABLE, meaning, again=True)
    if kind:
        return Answer(Meaning.UNREACHABLE, "the connection broke" if kind != "Connect" else "no connection", again=True)
    return Answer(
        Meaning.OTHER, "an answer that cannot be understood", remedy="check that AWS_ENDPOINT_URL is the S3 address"
    )
