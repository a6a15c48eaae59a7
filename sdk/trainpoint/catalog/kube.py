"""The API server, by the official client: seven verbs, and errors that name the remedy.

Nothing else imports ``kubernetes``, and this module is imported only where a cluster is used. Bodies are dicts, sent
as merge patches, which is what every version of the client from 29 on does alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from trainpoint.api.names import GROUP, VERSION, Plural
from trainpoint.errors import (
    ClusterPermissionError,
    ClusterUnreachableError,
    NotConfiguredError,
    ObjectChangedError,
    TrainpointError,
)
from trainpoint.format.digest import JsonObject

FIELD_MANAGER: Final = "trainpoint-sdk"
PAGE: Final = 500
CONNECT_SECONDS: Final = 3.05
READ_SECONDS: Final = 15.0

_T = TypeVar("_T")


class Kube:
    """Objects of one namespace. Safe to use from several threads."""

    def __init__(self, api_client: Any, namespace: str) -> None:
        from kubernetes import client

        self.namespace = namespace
        self._custom: Any = client.CustomObjectsApi(api_client)
        self._core: Any = client.CoreV1Api(api_client)
        self._api = api_client
        self._error = client.ApiException
        self.requests = 0
        """how many this process has made"""

    @classmethod
    def in_pod(cls, namespace: str) -> Kube:
        """With the pod's own service account."""
        _need_client()
        from kubernetes import client, config

        configuration = client.Configuration()
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
        configuration.retries = False  # who asks decides how long to go on
        return cls(client.ApiClient(configuration), namespace)

    @classmethod
    def from_kubeconfig(cls, namespace: str = "", context: str = "") -> Kube:
        """With a person's kubeconfig; the namespace of its context unless another is given.

        Raises:
            ClusterUnreachableError: there is no kubeconfig, or no such context.
        """
        _need_client()
        from kubernetes import client, config

        configuration = client.Configuration()
        file = os.environ.get("KUBECONFIG") or None  # the client looks only once, when it is imported
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=file, context=context or None, client_configuration=configuration
            )
            _, active = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise ClusterUnreachableError(
                f"there is no usable kubeconfig: {error}", remedy="set KUBECONFIG, or see `kubectl config view`"
            ) from None
        chosen = namespace or (active or {}).get("context", {}).get("namespace") or "default"
        return cls(patient_client(configuration), str(chosen))

    def in_namespace(self, name: str) -> Kube:
        """The same API server and rights, another namespace."""
        return self if name == self.namespace else Kube(self._api, name)

    # --- our kinds ----------------------------------------------------------------------------------------------------

    def get(self, plural: Plural, name: str) -> JsonObject | None:
        """An object; None if there is none."""
        return self._or_none(
            f"get {plural}/{name}",
            lambda: self._custom.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, name, _request_timeout=_TIMEOUT
            ),
        )

    def create(self, plural: Plural, body: Mapping[str, object]) -> JsonObject | None:
        """Create an object and return it; None where one of that name exists."""
        try:
            made: JsonObject = self._call(
                f"create {plural}",
                lambda: self._custom.create_namespaced_custom_object(
                    GROUP,
                    VERSION,
                    self.namespace,
                    plural,
                    dict(body),
                    field_manager=FIELD_MANAGER,
                    _request_timeout=_TIMEOUT,
                ),
            )
        except _ExistsError:
            return None
        return made

    def patch(self, plural: Plural, name: str, body: Mapping[str, object]) -> JsonObject | None:
        """Merge into the object, without its status; None if there is none.

        Raises:
            ObjectChangedError: a rule of its kind objects (422).
        """
        return self._or_none(
            f"patch {plural}/{name}",
            lambda: self._custom.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                plural,
                name,
                dict(body),
                field_manager=FIELD_MANAGER,
                _request_timeout=_TIMEOUT,
            ),
        )

    def patch_status(self, plural: Plural, name: str, body: Mapping[str, object]) -> JsonObject:
        """Merge into the status. With ``metadata.resourceVersion`` in the body it is a compare-and-swap.

        Raises:
            ObjectChangedError: it changed meanwhile (409), or a rule of its kind objects (422).
        """
        patched: JsonObject = self._call(
            f"patch {plural}/{name} status",
            lambda: self._custom.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                self.namespace,
                plural,
                name,
                dict(body),
                field_manager=FIELD_MANAGER,
                _request_timeout=_TIMEOUT,
            ),
        )
        return patched

    def list(self, plural: Plural, *, labels: str = "", fields: str = "") -> Iterator[JsonObject]:
        """Objects by selectors, in pages."""
        token = ""
        while True:
            page: JsonObject = self._call(
                f"list {plural}",
                lambda after=token: self._custom.list_namespaced_custom_object(  # type: ignore[misc]
                    GROUP,
                    VERSION,
                    self.namespace,
                    plural,
                    label_selector=labels,
                    field_selector=fields,
                    limit=PAGE,
                    _continue=after,
                    _request_timeout=_TIMEOUT,
                ),
            )
            yield from page["items"]
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return

    def delete(self, plural: Plural, name: str) -> bool:
        """Ask for an object's deletion; False where there is none. Finalizers may keep it for a while."""
        found = self._or_none(
            f"delete {plural}/{name}",
            lambda: self._custom.delete_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, name, _request_timeout=_TIMEOUT
            ),
        )
        return found is not None

    # --- what is read besides -----------------------------------------------------------------------------------------

    def pod(self, name: str) -> JsonObject | None:
        """A pod, as plain JSON; None if there is none."""
        return self._or_none(
            f"get pods/{name}", lambda: self._plain(self._core.read_namespaced_pod, name, self.namespace)
        )

    def config_map(self, name: str) -> JsonObject | None:
        """The data of a ConfigMap; None if there is none."""
        found = self._or_none(
            f"get configmaps/{name}", lambda: self._plain(self._core.read_namespaced_config_map, name, self.namespace)
        )
        return None if found is None else dict(found.get("data") or {})

    def _plain(self, read: Callable[..., Any], *arguments: str) -> JsonObject:
        value = self._api.sanitize_for_serialization(read(*arguments, _request_timeout=_TIMEOUT))
        return dict(value)

    # --- errors -------------------------------------------------------------------------------------------------------

    def _or_none(self, what: str, request: Callable[[], JsonObject]) -> JsonObject | None:
        try:
            return self._call(what, request)
        except _AbsentError:
            return None

    def _call(self, what: str, request: Callable[[], _T]) -> _T:
        from urllib3.exceptions import HTTPError

        self.requests += 1
        try:
            return request()
        except self._error as error:
            raise self._understood(what, error) from None
        except (HTTPError, OSError) as error:
            raise ClusterUnreachableError(
                f"the API server does not answer: cannot {what} in namespace {self.namespace} ({type(error).__name__})",
                remedy="see whether it runs, and whether a network policy is in the way",
            ) from None

    def _understood(self, what: str, error: Any) -> TrainpointError:
        status = int(error.status or 0)
        said = _message(error.body) or str(error.reason)
        where = f"in namespace {self.namespace}"
        if status == 404:
            return _AbsentError(f"cannot {what} {where}: {said}", remedy="see whether trainpoint's CRDs are installed")
        if status == 409 and "already exists" in said:
            return _ExistsError(said)
        if status in (400, 409, 422):
            return ObjectChangedError(f"cannot {what} {where}: {said}", remedy="read it again")
        if status in (401, 403):
            return ClusterPermissionError(
                f"cannot {what} {where}: {said}",
                remedy="bind the role trainpoint-trainer to this service account (people: view, edit or admin)",
            )
        return ClusterUnreachableError(f"cannot {what} {where}: {status} {said}", remedy="look at the API server")


class _AbsentError(NotConfiguredError):
    """404: of a missing object, or of a kind that is not installed."""


class _ExistsError(ObjectChangedError):
    """409 at a create."""


_TIMEOUT: Final = (CONNECT_SECONDS, READ_SECONDS)


def _need_client() -> None:
    """Training images choose what they install: say what is missing instead of a stack trace."""
    from importlib.util import find_spec

    if find_spec("kubernetes") is None:
        raise NotConfiguredError(
            "the Python package kubernetes is not installed, and without it the API server cannot be asked",
            remedy="pip install 'trainpoint[cluster]' into this image or environment",
        )


def patient_client(configuration: Any) -> Any:
    """For people: a busy API server is waited for. (A pod has its own way of waiting, and a last save to make.)"""
    from kubernetes import client

    from trainpoint.catalog.throttled import throttled

    configuration.retries = throttled()
    return client.ApiClient(configuration)


def _message(body: object) -> str:
    """The ``message`` of a Status object."""
    import json

    try:
        value = json.loads(body) if isinstance(body, str | bytes) else {}
    except ValueError:
        return ""
    return str(value.get("message", "")) if isinstance(value, dict) else ""
