"""The resources that the operator reads and writes, and the keys of its work queue. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trainpoint.api.names import GROUP, VERSION
from trainpoint.format.digest import JsonObject


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind, as the API server's paths name it."""

    group: str
    """empty for the core group"""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of a collection or an object; a namespaced kind without a namespace: all of the cluster's."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"

    def typed(self, value: JsonObject) -> JsonObject:
        """An object with its type on it, which those in a list do not have."""
        return {**value, "apiVersion": self.api_version, "kind": self.kind}


CHECKPOINTS: Final = Resource(GROUP, VERSION, "checkpoints", "Checkpoint")
RUNS: Final = Resource(GROUP, VERSION, "checkpointruns", "CheckpointRun")
POLICIES: Final = Resource(GROUP, VERSION, "checkpointpolicies", "CheckpointPolicy")
STORES: Final = Resource(GROUP, VERSION, "checkpointstores", "CheckpointStore")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CRDS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False
)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What is reconciled: one object, or a namespace's compiled policies (kind ``CheckpointPolicy``, no name)."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind.lower(), self.namespace, self.name) if part)
