"""A namespace as a platform engineer would set it up: kinds, roles, rules, the compiled ConfigMap, keys, an account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.cluster import Cluster, Namespace, Object
from tests.support.installed import CRDS
from tests.support.place import Place
from tests.support.pods import PROGRAMS, job, pod
from tests.support.release import install_kinds
from trainpoint.contract import WRITER_SECRET

ACCOUNT = "trainer"


@cache
def install(cluster: Cluster) -> None:
    """The four kinds, the admission policies, the roles, by their chart; once a process. Safe to repeat.

    Call it while a namespace of the test's own is held: only then no other test has the API server away.
    """
    install_kinds(cluster)
    cluster.kubectl("wait", "--for=condition=Established", *(f"--filename={path}" for path in CRDS), "--timeout=60s")


@dataclass(frozen=True, slots=True)
class Team:
    """A namespace that can train."""

    namespace: Namespace
    place: Place
    image: str

    def policies(self, **policies: Mapping[str, Any]) -> None:
        """The ConfigMap as the operator would compile it: one entry a policy; ``default`` is the default."""
        store = {"name": "main", "url": self.place.url, "endpoint": self.place.environ.get("AWS_ENDPOINT_URL")}
        self.namespace.configmap(
            "trainpoint",
            {
                name: json.dumps({"default": name == "default", "policy": policy, "store": {**store}})
                for name, policy in policies.items()
            },
        )

    def set_up(self) -> None:
        """Policy, keys, service account and its role."""
        self.policies(default={})
        keys = {name: value for name, value in self.place.environ.items() if "KEY" in name}
        self.namespace.secret(WRITER_SECRET, keys)
        self.namespace.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "trainers"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "trainpoint-trainer",
                },
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT}],
            },
        )

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def job(self, name: str, program: str = "steps.py", **options: Any) -> dict[str, Any]:
        """A Job that trains, with nothing of the pod contract in it but the keys."""
        return job(name, self.image, "python", f"{PROGRAMS}/{program}", **self._pod_options(options))

    def pod(self, name: str, program: str = "steps.py", **options: Any) -> dict[str, Any]:
        return pod(name, self.image, "python", f"{PROGRAMS}/{program}", **self._pod_options(options))

    def _pod_options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "secret": None,
            "env_from": [{"secretRef": {"name": WRITER_SECRET}}],
            "service_account": ACCOUNT,
            **options,
        }

    def pods_of(self, name: str) -> Sequence[Object]:
        """Pods of a Job, oldest first."""
        found = self.namespace.list("pods", f"batch.kubernetes.io/job-name={name}")
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def first_pod(self, name: str, count: int = 1) -> str:
        """Name of the newest pod of a Job, once it has had ``count``."""
        found = self.namespace.wait_until(
            f"Job {name} has {count} pods", lambda: self.pods_of(name), lambda pods: len(pods) >= count
        )
        return str(found[-1]["metadata"]["name"])

    # --- what was recorded --------------------------------------------------------------------------------------------

    def checkpoints(self, **labels: str) -> list[tuple[int, int]]:
        """(attempt, step) of committed Checkpoint objects, in the order of their steps."""
        selector = ",".join(f"trainpoint.dev/{name}={value}" for name, value in labels.items())
        found = [
            c for c in self.namespace.list("checkpoints.trainpoint.dev", selector) if "commit" in c.get("status", {})
        ]
        return sorted(
            ((c["spec"]["snapshot"]["attempt"], c["spec"]["snapshot"]["step"]) for c in found), key=lambda pair: pair[1]
        )

    def claim(self) -> Object:
        """``status.claim`` of the one run of the namespace."""
        (run,) = self.namespace.list("checkpointruns.trainpoint.dev")
        claim: Object = run["status"]["claim"]
        return claim
