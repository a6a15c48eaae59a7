"""Which keys any store takes, so that what one store accepts can be copied to another."""

from __future__ import annotations

from typing import Final

from trainpoint.errors import UnstorableError
from trainpoint.format.layout import KEY_LIMIT_BYTES, SEGMENT_LIMIT_BYTES

# SeaweedFS makes a slash of a backslash. Listings are XML 1.0, which has no way to write control characters and the two
# noncharacters (https://www.w3.org/TR/xml/#charsets): such an object is stored and listed under another name.
_UNLISTABLE: Final = frozenset(map(chr, (*range(0x20), 0x7F, 0xFFFE, 0xFFFF))) | {"\\"}


def check_key(key: str, *, beneath: str = "") -> str:
    """``key`` if every store can hold it, else UnstorableError naming it.

    Refused: empty keys and segments, ``.`` and ``..``, segments of more than 255 bytes, control characters, backslashes
    and what is not UTF-8, and more than 1024 bytes together with ``beneath``, the store's own prefix.
    """
    reason = _objection(key, beneath)
    if reason:
        raise UnstorableError(f"{key!r} cannot be the key of an object: {reason}", remedy="choose another name or path")
    return key


def check_prefix(prefix: str) -> str:
    """``prefix`` if it is empty, or a key and a slash; else UnstorableError naming it."""
    if prefix:
        if not prefix.endswith("/"):
            raise UnstorableError(f"{prefix!r} cannot be listed: a prefix ends with a slash", remedy="append one")
        check_key(prefix[:-1])
    return prefix


def _objection(key: str, beneath: str) -> str:
    if not _UNLISTABLE.isdisjoint(key):
        return "it holds a control character or a backslash"
    try:
        size = len((beneath + key).encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if size > KEY_LIMIT_BYTES:
        return f"it is {size} bytes long, and stores take {KEY_LIMIT_BYTES}"
    segments = key.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return "an empty segment, '.' or '..' is in it"
    if any(len(segment.encode()) > SEGMENT_LIMIT_BYTES for segment in segments):
        return f"a name in it is longer than {SEGMENT_LIMIT_BYTES} bytes"
    return ""
