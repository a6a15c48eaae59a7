"""The API server of the kubeconfig at hand, asked from this process: for what tests ask again and again.

A kubectl for each look would cost a tenth of a second of a core that the pods need.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import urllib3
from kubernetes import client, config

Object = Mapping[str, Any]
"""A Kubernetes object as JSON."""

_SECONDS: Final = 60.0
_APPLY: Final = "application/apply-patch+yaml"
_MANAGER: Final = "kubectl"
"""as which objects are applied, as kubectl does it, so that one may go on where the other has begun"""


class AnswerError(Exception):
    """The server refused, or did not answer; the message is what it said."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status: Final = status
        """of HTTP; 0: there was no answer"""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind are."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        root = "/api" if "/" not in self.group_version else "/apis"
        space = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.group_version}{space}/{self.plural}" + (f"/{name}" if name else "")


class Direct:
    """Verbs; each raises AnswerError. Kinds have all names that kubectl knows: ``ckpt``, ``pods``, ``crd``."""

    def __init__(self, kubeconfig: str) -> None:
        """``kubeconfig``: as the variable KUBECONFIG; empty: where kubectl looks then."""
        settings = client.Configuration()
        config.load_kube_config(kubeconfig or None, client_configuration=settings)  # type: ignore[no-untyped-call]
        self._settings = settings
        self._pool: urllib3.PoolManager = client.ApiClient(settings).rest_client.pool_manager
        self._resources: dict[str, Resource] = {}

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        found: Object = json.loads(self._ask("GET", self._resource(kind).path(namespace, name)))
        return found

    def list(self, kinds: str, namespace: str = "", selector: str = "") -> list[Object]:
        """Objects of a kind, or of several with commas between; without a namespace, of all."""
        query = f"?{urllib.parse.urlencode({'labelSelector': selector})}" if selector else ""
        found: list[Object] = []
        for name in kinds.split(","):
            resource = self._resource(name)
            answer = json.loads(self._ask("GET", resource.path(namespace) + query))
            what = {"apiVersion": resource.group_version, "kind": resource.kind}
            found += [{**what, **item} for item in answer["items"]]
        return found

    def apply(self, thing: Object, namespace: str = "") -> None:
        """By the server, taking fields over from others."""
        resource = self._resource(str(thing["kind"]), str(thing["apiVersion"]))
        path = resource.path(thing["metadata"].get("namespace", namespace), thing["metadata"]["name"])
        query = {"fieldManager": _MANAGER, "force": "true", "fieldValidation": "Strict"}
        self._ask("PATCH", f"{path}?{urllib.parse.urlencode(query)}", json.dumps(thing), _APPLY)

    def log(self, pod: str, namespace: str, *, container: str = "", previous: bool = False) -> str:
        """What the container has printed so far."""
        query = {"container": container} if container else {}
        query |= {"previous": "true"} if previous else {}
        path = self._resource("pods").path(namespace, pod)
        return self._ask("GET", f"{path}/log?{urllib.parse.urlencode(query)}")

    # --- requests -----------------------------------------------------------------------------------------------------

    def _resource(self, name: str, group_version: str = "") -> Resource:
        wanted = f"{group_version} {name}" if group_version else name
        if wanted not in self._resources:
            self._resources = self._discovered()  # perhaps its kind is new
        if wanted not in self._resources:
            raise AnswerError(f"the server has no {wanted}", status=404)
        return self._resources[wanted]

    def _discovered(self) -> dict[str, Resource]:
        """All kinds of the server, by each of their names; where two have the same, by the one told first."""
        groups = json.loads(self._ask("GET", "/apis"))["groups"]
        found: dict[str, Resource] = {}
        for version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
            path = f"/api/{version}" if version == "v1" else f"/apis/{version}"
            for one in json.loads(self._ask("GET", path))["resources"]:
                if "/" in one["name"]:
                    continue  # a part of an object
                resource = Resource(version, one["name"], one["kind"], one["namespaced"])
                group = version.rpartition("/")[0]
                names = (one["name"], one.get("singularName", ""), *one.get("shortNames", ()), f"{one['name']}.{group}")
                for name in (*names, f"{version} {one['kind']}"):
                    found.setdefault(name, resource)
        return found

    def _ask(self, method: str, path: str, body: str | None = None, content: str = "application/json") -> str:
        headers = {"Content-Type": content, "Accept": "application/json, */*"}
        headers |= {str(auth["key"]): str(auth["value"]) for auth in _credentials(self._settings)}
        try:
            answer = self._pool.request(
                method, f"{self._settings.host}{path}", body=body, headers=headers, timeout=_SECONDS
            )
        except urllib3.exceptions.HTTPError as error:
            raise AnswerError(f"{method} {path}: {error}") from error
        text = answer.data.decode(errors="replace")
        if not 200 <= answer.status < 300:
            raise AnswerError(f"{method} {path}: HTTP {answer.status}: {_message(text)}", status=answer.status)
        return text


def _credentials(settings: client.Configuration) -> Iterable[Mapping[str, Any]]:
    """Headers that say who asks; a certificate needs none."""
    known: Mapping[str, Any] = {**settings.auth_settings()}
    return known.values()


def _message(text: str) -> str:
    """The sentence of a refusal."""
    try:
        return str(json.loads(text).get("message", text))
    except ValueError:
        return text


def direct() -> Direct:
    """The server that KUBECONFIG names; one for this process."""
    return _direct(os.environ.get("KUBECONFIG", ""))


@cache
def _direct(kubeconfig: str) -> Direct:
    return Direct(kubeconfig)
