"""What the API server answered, in our words: a change of a watch, or an error that says what was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import aiohttp

from trainpoint.errors import (
    ClusterPermissionError,
    ClusterUnreachableError,
    NotConfiguredError,
    ObjectChangedError,
    TrainpointError,
)
from trainpoint.format.digest import JsonObject
from trainpoint_operator.engine.resources import Resource

Verb = Literal["get", "list", "watch", "create", "patch", "delete"]
ChangeKind = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Change:
    """An event of a watch. A BOOKMARK's object has a resourceVersion and nothing else."""

    kind: ChangeKind
    object: JsonObject


class GoneError(ObjectChangedError):
    """410: the server no longer has the history from that resourceVersion on; list again."""


class RuleObjectsError(ObjectChangedError):
    """A rule of its kind, or of somebody's admission, objects: to an object as it is by now, or for good."""


class ThrottledError(ClusterUnreachableError):
    """429 or 503 with Retry-After: the server asks to wait."""

    def __init__(self, message: str, *, remedy: str = "", seconds: float) -> None:
        super().__init__(message, remedy=remedy)
        self.seconds = seconds
        """that it asks for"""


class AbsentError(NotConfiguredError):
    """404: of an object, a namespace or a kind."""


class ExistsError(ObjectChangedError):
    """409 at a create."""


def change_of(what: str, line: bytes) -> Change:
    """One line of a watch; raises GoneError or ClusterUnreachableError where it tells of an error."""
    try:
        event = json.loads(line)
        kind, obj = event["type"], event["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise unreachable(what, error) from None
    if kind != "ERROR":
        return Change(kind, obj)
    said = str(obj.get("message", obj))
    if obj.get("code") == 410 or obj.get("reason") in ("Expired", "Gone"):
        raise GoneError(f"cannot {what}: {said}", remedy="list again")
    raise ClusterUnreachableError(f"cannot {what}: {said}", remedy="look at the API server")


async def understood(what: str, response: aiohttp.ClientResponse) -> TrainpointError:
    """The error for an answer of 400 and above."""
    status = response.status
    body = _status_of(await response.read())
    said = str(body.get("message") or response.reason or "")
    if status == 404:
        return AbsentError(f"cannot {what}: {said}", remedy="see whether trainpoint's CRDs are installed")
    if status == 410:
        return GoneError(f"cannot {what}: {said}", remedy="list again")
    if status == 409 and body.get("reason") == "AlreadyExists":
        return ExistsError(said)
    if status == 409:
        return ObjectChangedError(f"cannot {what}: {said}", remedy="read it again")
    if status in (400, 422):
        return RuleObjectsError(f"cannot {what}: {said}", remedy="read it again; see which rule it is, and whose")
    if status in (401, 403):
        return ClusterPermissionError(
            f"cannot {what}: {said}",
            remedy="bind the roles trainpoint-operator and trainpoint-operator-everywhere to its service account",
        )
    wait = response.headers.get("Retry-After", "")
    if status in (429, 503) and wait.isdecimal():
        return ThrottledError(
            f"cannot {what}: {status} {said}", remedy="it asks to come again later", seconds=min(float(wait), 300.0)
        )
    return ClusterUnreachableError(f"cannot {what}: {status} {said}", remedy="look at the API server")


def unreachable(what: str, error: BaseException) -> ClusterUnreachableError:
    return ClusterUnreachableError(
        f"the API server does not answer: cannot {what} ({type(error).__name__}: {error})".replace(": )", ")"),
        remedy="see whether it runs, and whether a network policy is in the way",
    )


def what_of(verb: Verb, resource: Resource, path: str) -> str:
    """``patch checkpoints/llm-7-0-3 status in namespace team``"""
    parts = path.split("/")[3 if resource.group == "" else 4 :]
    namespace = parts[1] if parts[0] == "namespaces" and resource.namespaced and len(parts) > 2 else ""
    named = parts[2:] if namespace else parts
    what = f"{verb} {'/'.join(named[:2])}" + (f" {named[2]}" if len(named) > 2 else "")
    return f"{what} in namespace {namespace}" if namespace else what


def _status_of(data: bytes) -> JsonObject:
    """The Status object that the server explains itself by; empty where it is something else."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
