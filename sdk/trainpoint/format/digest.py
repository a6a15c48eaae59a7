"""Digests and canonical JSON: how every object we write can be told from a damaged one.

Digest: BLAKE3, 256 bits, lower-case hexadecimal (https://github.com/BLAKE3-team/BLAKE3-specs).
Canonical JSON: UTF-8, keys sorted, no white space, no NaN or infinity
(metrics are decimal text; only a user's own metadata may hold floats).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from trainpoint.errors import CorruptRecordError

DIGEST_FIELD = "digest"
UNSEALED_FIELDS = frozenset({DIGEST_FIELD, "hmac"})
"""Fields a digest does not cover: itself, and the signature that a signing key adds over the same bytes."""

JsonObject = dict[str, Any]
"""A parsed JSON object. The values are checked where they are read."""


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """BLAKE3 of ``data`` as 64 hexadecimal digits."""
    return blake3(data).hexdigest()


def canonical(value: Mapping[str, object]) -> bytes:
    """The one spelling of a JSON object as bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def seal(value: Mapping[str, object]) -> bytes:
    """Canonical bytes of ``value`` with the digest of all its other fields in it."""
    body = {k: v for k, v in value.items() if k not in UNSEALED_FIELDS}
    return canonical({**body, DIGEST_FIELD: digest_of(canonical(body))})


def unseal(data: bytes, *, key: str) -> JsonObject:
    """Parse what :func:`seal` wrote.

    Raises:
        CorruptRecordError: it is not JSON, or its digest differs; the message names ``key``.
    """
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        body = {k: v for k, v in value.items() if k not in UNSEALED_FIELDS}
        intact = value.get(DIGEST_FIELD) == digest_of(canonical(body)) and data == canonical(value)
    except (ValueError, RecursionError):
        intact = False
    if not intact:
        raise CorruptRecordError(
            f"{key} is damaged: its content does not match its own digest",
            remedy="restore that object from a backup or from an earlier version of it in the bucket",
        )
    return body
