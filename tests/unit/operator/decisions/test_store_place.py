"""What reaching a store takes, from the object and its Secret."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from trainpoint.api import reasons
from trainpoint.store.url import open_store
from trainpoint_operator.decisions.store_health import Trouble
from trainpoint_operator.decisions.store_place import Access, access_to, place_of

KEYS = {"AWS_ACCESS_KEY_ID": "AKNOBODY", "AWS_SECRET_ACCESS_KEY": "very-secret"}


def store(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "main", "namespace": "team-a", "uid": "u", "generation": 2},
        "spec": {"s3": {"bucket": "bucket"}, **spec},
    }


def secret(**data: str) -> dict[str, Any]:
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return {"metadata": {"name": "keys", "resourceVersion": "7"}, "data": encoded}


NAMED = {"credentials": {"secretRef": {"name": "keys"}}}


def access(found: Access | Trouble) -> Access:
    assert isinstance(found, Access), found
    return found


@pytest.mark.parametrize(
    ("spec", "url"),
    [({}, "s3://bucket"), ({"prefix": "llm/a"}, "s3://bucket/llm/a")],
)
def test_its_address_is_what_the_sdk_opens(spec: dict[str, Any], url: str) -> None:
    assert place_of(store(**spec)).url == url
    assert open_store(url, environ={}).url == url


def test_settings_come_from_the_object_and_keys_from_the_secret() -> None:
    s3 = {"bucket": "bucket", "endpoint": "https://s3:1/", "region": "eu"}
    own = {"AWS_ACCESS_KEY_ID": "mine", "AWS_ENDPOINT_URL": "http://elsewhere", "AWS_ROLE_ARN": "arn", "HOME": "/"}
    found = access(access_to(store(s3=s3, caBundle="PEM", **NAMED), secret(**KEYS, note="x"), own))
    assert found.environ == {
        **KEYS,
        "AWS_ENDPOINT_URL": "https://s3:1",
        "AWS_REGION": "eu",
        "AWS_CA_BUNDLE": "PEM",
    }
    assert found.version == ("u", 2, "7")
    assert "very-secret" not in repr(found)


def test_without_a_secret_it_goes_by_the_identity_of_its_own_pod() -> None:
    own = {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ENDPOINT_URL": "http://no", "HOME": "/"}
    found = access(access_to(store(), None, own))
    assert found.environ == {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}
    assert "own pod" in found.keys_from


@pytest.mark.parametrize(
    ("there", "reason", "says"),
    [
        (None, reasons.SECRET_NOT_FOUND, "there is no Secret keys in namespace team-a"),
        (secret(), reasons.SECRET_INCOMPLETE, "no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
        (secret(AWS_ACCESS_KEY_ID="AKNOBODY"), reasons.SECRET_INCOMPLETE, "has no AWS_SECRET_ACCESS_KEY"),
        (secret(**{**KEYS, "AWS_SECRET_ACCESS_KEY": "\n"}), reasons.SECRET_INCOMPLETE, "has no AWS_SECRET_ACCESS_KEY"),
        ({**secret(**KEYS), "data": {"AWS_ACCESS_KEY_ID": "%"}}, reasons.SECRET_INCOMPLETE, "no AWS_ACCESS_KEY_ID"),
        ({"metadata": {}, "data": None}, reasons.SECRET_INCOMPLETE, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_secret_that_does_not_do_is_told(there: dict[str, Any] | None, reason: str, says: str) -> None:
    found = access_to(store(**NAMED), there, {})
    assert isinstance(found, Trouble)
    assert (found.reason, found.passing) == (reason, False)
    assert says in found.message
    assert found.remedy
    assert "AKNOBODY" not in found.sentence


def test_the_newline_that_echo_puts_behind_a_key_is_no_part_of_it() -> None:
    found = access(access_to(store(**NAMED), secret(**{name: f"{value}\n" for name, value in KEYS.items()}), {}))
    assert found.environ == KEYS
