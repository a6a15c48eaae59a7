"""Which keys any store takes, so that what one store accepts can be copied to another."""

from __future__ import annotations

from typing import Final

from trainpoint.errors import UnstorableError
from trainpoint.format.layout import KEY_LIMIT_BYTES

_FIRST_PRINTABLE: Final = 0x20
_DELETE: Final = 0x7F


def check_key(key: str, *, beneath: str = "") -> str:
    """``key`` if every store can hold it, else UnstorableError naming it.

    Refused: empty keys and segments, ``.`` and ``..``, control characters, what is not UTF-8, and more than 1024 bytes
    together with ``beneath``, the store's own prefix.
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
    if any(ord(c) < _FIRST_PRINTABLE or ord(c) == _DELETE for c in key):
        return "it holds a control character"
    try:
        size = len((beneath + key).encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if size > KEY_LIMIT_BYTES:
        return f"it is {size} bytes long, and stores take {KEY_LIMIT_BYTES}"
    if any(segment in {"", ".", ".."} for segment in key.split("/")):
        return "an empty segment, '.' or '..' is in it"
    return ""
