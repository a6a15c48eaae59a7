"""Pods of the tests: non-root, without any privilege, with the store's settings from a Secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

STORE_SECRET: Final = "store"
PROGRAMS: Final = "/programs"
"""Where the trainer image has ``tests/support/programs``."""
_ZONE: Final = "kubernetes.io/hostname"


def pod(name: str, image: str, *command: str, **options: Any) -> dict[str, Any]:
    """A Pod; options as for ``pod_spec``."""
    labels = options.pop("labels", {})
    annotations = options.pop("annotations", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": pod_spec(image, *command, **options),
    }


def job(
    name: str,
    image: str,
    *command: str,
    spec: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A Job. ``spec``: more fields of its spec; labels and annotations are put on it and on its pods."""
    metadata = {"labels": dict(labels or {}), "annotations": dict(annotations or {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, **metadata},
        "spec": {"template": {"metadata": metadata, "spec": pod_spec(image, *command, **options)}, **(spec or {})},
    }


def pod_spec(
    image: str,
    *command: str,
    env: Mapping[str, str] | None = None,
    env_from: Sequence[Mapping[str, Any]] | None = None,
    secret: str | None = STORE_SECRET,
    node: str | None = None,
    restart: str = "Never",
    grace_seconds: int = 30,
    service_account: str = "default",
    token: bool = True,
) -> dict[str, Any]:
    """One container that runs ``command``; a program of the tests is ``python /programs/NAME``.

    ``secret``: whose values become environment variables. ``node``: where to run, by host name.
    """
    sources = [{"secretRef": {"name": secret}}] if secret else []
    return {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": grace_seconds,
        "serviceAccountName": service_account,
        "automountServiceAccountToken": token,
        "enableServiceLinks": False,
        **({"nodeSelector": {_ZONE: node}} if node else {}),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": list(command),
                "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
                "envFrom": [*sources, *(env_from or [])],
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
