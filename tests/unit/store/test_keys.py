from __future__ import annotations

import pytest

from trainpoint.errors import UnstorableError
from trainpoint.store.keys import check_key, check_prefix


def test_a_key_is_limited_together_with_the_prefix_of_its_store() -> None:
    key = "/".join(["k" * 99] * 10)
    assert len(key) == 999
    assert check_key(key, beneath="p" * 24 + "/") == key
    with pytest.raises(UnstorableError, match="1025 bytes"):
        check_key(key, beneath="p" * 25 + "/")


def test_bytes_are_counted_not_characters() -> None:
    with pytest.raises(UnstorableError, match="255 bytes"):
        check_key("é" * 128)
    assert check_key("é" * 127)


@pytest.mark.parametrize("prefix", ["a", "/", "a//", "../"])
def test_a_prefix_is_a_key_and_a_slash(prefix: str) -> None:
    assert check_prefix("") == ""
    assert check_prefix("a/b/") == "a/b/"
    with pytest.raises(UnstorableError):
        check_prefix(prefix)
