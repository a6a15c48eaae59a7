"""Where a CheckpointStore lies, and what reaching it takes: from the object and its Secret. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from trainpoint.api import reasons
from trainpoint.format.digest import JsonObject
from trainpoint_operator.decisions.store_health import Trouble

ACCESS_KEY: Final = "AWS_ACCESS_KEY_ID"
SECRET_KEY: Final = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN: Final = "AWS_SESSION_TOKEN"

_PLACE: Final = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"})
"""What the object alone says; the operator's own environment is not asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a CheckpointStore says of where it lies."""

    namespace: str
    name: str
    bucket: str
    prefix: str
    endpoint: str
    """empty: Amazon S3"""
    region: str
    authority: str
    """PEM text; empty: the system's authorities"""

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``, as :func:`trainpoint.store.url.open_store` takes it."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    @property
    def where(self) -> str:
        """The store in a sentence."""
        return f"{self.url} at {self.endpoint or 'Amazon S3'}"


def place_of(store: JsonObject) -> Place:
    """The place that a CheckpointStore object names."""
    spec, s3 = store["spec"], store["spec"]["s3"]
    return Place(
        namespace=store["metadata"]["namespace"],
        name=store["metadata"]["name"],
        bucket=s3["bucket"],
        prefix=spec.get("prefix", ""),
        endpoint=s3.get("endpoint", "").rstrip("/"),
        region=s3.get("region", ""),
        authority=spec.get("caBundle", ""),
    )


def secret_name(store: JsonObject) -> str:
    """The Secret with the operator's keys; empty: it goes by the identity of its own pod."""
    name: str = store["spec"].get("credentials", {}).get("secretRef", {}).get("name", "")
    return name


@dataclass(frozen=True, slots=True)
class Access:
    """How the operator reaches one store."""

    place: Place
    environ: Mapping[str, str] = field(repr=False)
    """``AWS_*``, with keys in it: for the clients alone, never for a message"""
    keys_from: str
    """where the keys come from, in words that finish "the keys come from …" """
    version: tuple[str, int, str]
    """UID and generation of the object, resourceVersion of the Secret: another one is another access"""


def access_to(store: JsonObject, secret: JsonObject | None, own: Mapping[str, str]) -> Access | Trouble:
    """How to reach a store, or why that cannot even be tried.

    Args:
        store: the CheckpointStore.
        secret: the Secret that it names, with ``data`` in base64; None where there is none.
        own: the operator's own environment, which has its identity where the store names no Secret.
    """
    place, name = place_of(store), secret_name(store)
    version = (store["metadata"]["uid"], int(store["metadata"].get("generation", 0)))
    if not name:
        identity = {key: value for key, value in own.items() if key.startswith("AWS_") and key not in _PLACE}
        words = "the identity of the operator's own pod, since spec.credentials is not set"
        return Access(place, {**identity, **_settings(place)}, words, (*version, ""))
    where = f"Secret {name} in namespace {place.namespace}"
    if secret is None:
        return Trouble(
            reasons.SECRET_NOT_FOUND,
            f"there is no {where}",
            f"create it with keys {ACCESS_KEY} and {SECRET_KEY}, or correct spec.credentials.secretRef.name",
        )
    data = secret.get("data") or {}
    keys = {key: _text(data.get(key)) for key in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN)}
    if missing := [key for key in (ACCESS_KEY, SECRET_KEY) if not keys[key]]:
        return Trouble(
            reasons.SECRET_INCOMPLETE, f"{where} has no {' and no '.join(missing)}", "add the key under that very name"
        )
    environ = {**{key: value for key, value in keys.items() if value}, **_settings(place)}
    return Access(place, environ, where, (*version, str(secret["metadata"].get("resourceVersion", ""))))


def forbidden(store: JsonObject) -> Trouble:
    """The API server does not let the operator read the store's Secret."""
    name, namespace = secret_name(store), store["metadata"]["namespace"]
    return Trouble(
        reasons.SECRET_FORBIDDEN,
        f"the operator may not read Secret {name} in namespace {namespace}",
        "name it in a Role for the operator's service account, as the chart trainpoint-namespace does for its stores, "
        "or set rbac.allSecrets in the chart trainpoint",
    )


def _settings(place: Place) -> dict[str, str]:
    wanted = {
        "AWS_ENDPOINT_URL": place.endpoint,
        "AWS_REGION": place.region,
        "AWS_CA_BUNDLE": place.authority,
    }
    return {name: value for name, value in wanted.items() if value}


def _text(encoded: object) -> str:
    """A value of a Secret. Without the newline at its end that ``echo`` has put there so often."""
    try:
        return base64.b64decode(str(encoded or "")).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""
