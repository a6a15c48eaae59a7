"""A sealed record is read back as it was written, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.errors import CorruptRecordError
from trainpoint.format.digest import canonical, digest_of, seal, unseal

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text("abc"), v, max_size=3), max_leaves=8
)
objects = st.dictionaries(
    st.text("abcdefgh", min_size=1).filter(lambda k: k not in {"digest", "hmac"}), values, max_size=5
)

SEALED = seal({"b": [1, 2.5, None], "a": "größe", "c": {"y": True, "x": "\n"}})


def test_a_digest_is_blake3_in_hexadecimal() -> None:
    # The first test vector of the BLAKE3 authors: no input.
    assert digest_of(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(objects)
def test_what_was_sealed_reads_back(value: dict[str, object]) -> None:
    assert unseal(seal(value), key="k") == value


@given(objects)
def test_the_spelling_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert seal(dict(reversed(value.items()))) == seal(value)


def is_noticed(data: bytes) -> bool:
    try:
        unseal(data, key="ns/_/x.json")
    except CorruptRecordError as error:
        return "ns/_/x.json" in error.message
    return False


def test_every_flipped_bit_is_noticed_and_the_object_named() -> None:
    whole = int.from_bytes(SEALED, "big")
    flipped = ((whole ^ (1 << bit)).to_bytes(len(SEALED), "big") for bit in range(len(SEALED) * 8))
    assert [data for data in flipped if not is_noticed(data)] == []


def test_every_cut_is_noticed() -> None:
    assert [length for length in range(len(SEALED)) if not is_noticed(SEALED[:length])] == []


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b"1e999",
        b'{"digest":1}',
        b"[" * 100000,
        b"\xff\xfe",
        b'{"a":NaN}',
        b"1" * 5000,
        SEALED + b"\n",
        b"\xef\xbb\xbf" + SEALED,
        SEALED.decode().encode("utf-16"),
        b"\x00" * 100,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_sealed_object_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        unseal(data, key="k")


def test_another_spelling_of_the_same_content_is_refused() -> None:
    with pytest.raises(CorruptRecordError):
        unseal(json.dumps(json.loads(SEALED)).encode(), key="k")


def test_a_key_given_twice_is_refused() -> None:
    """Parsers differ in which of the two counts, so one could read what another did not check."""
    with pytest.raises(CorruptRecordError):
        unseal(SEALED.replace(b'{"a":', b'{"a":"other","a":', 1), key="k")


def test_a_signature_beside_the_digest_changes_neither_content_nor_digest() -> None:
    signed = canonical({**json.loads(SEALED), "hmac": "00"})
    assert unseal(signed, key="k") == unseal(SEALED, key="k")


def test_numbers_that_json_does_not_have_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        seal({"a": float("nan")})
