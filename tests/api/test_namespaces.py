"""What the controllers of Kubernetes make of our kinds: a namespace goes, roles are added to its own."""

from __future__ import annotations

import pytest

from tests.api.conftest import bind, operator_of
from tests.support.apiserver import ApiServer
from tests.support.kubeapi import until
from tests.support.objects import checkpoint, claim, commit, new_task, path, run

GONE_SECONDS = 90


@pytest.fixture(scope="module", autouse=True)
def controllers(server: ApiServer) -> None:
    server.start_controllers()


def test_a_namespace_with_pinned_checkpoints_is_deleted(server: ApiServer) -> None:
    """The pins do not hold it, and the operator, whose rights in it go with it, still lets go."""
    namespace, root = server.namespace("doomed"), server.admin
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}}
    root.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", account).expect(201)
    bind(root, namespace, "trainpoint-trainer", {"kind": "ServiceAccount", "name": "trainer", "namespace": namespace})
    operator = operator_of(server, namespace)
    pod = server.pod(namespace, "llm-x7k2p", account="trainer")
    checkpoints, runs = path(namespace, "checkpoints"), path(namespace, "checkpointruns")
    body = checkpoint(new_task(), pod)
    pod.api.post(checkpoints, body).expect(201)
    at = f"{checkpoints}/{body['metadata']['name']}"
    pod.api.patch(f"{at}/status", commit()).expect(200)
    begun = run(new_task())
    pod.api.post(runs, begun).expect(201)
    pod.api.patch(f"{runs}/{begun['metadata']['name']}/status", claim(0, pod)).expect(200)
    root.patch(at, {"spec": {"pin": {"reason": "table 2"}}}).expect(200)
    operator.patch(at, {"metadata": {"finalizers": ["trainpoint.dev/data"]}}).expect(200)

    root.delete(f"/api/v1/namespaces/{namespace}").expect(200)

    def held() -> str:
        answer = operator.get(at)
        return "" if answer.body.get("metadata", {}).get("deletionTimestamp") else f"HTTP {answer.status}"

    until(held, seconds=GONE_SECONDS, what="the pinned checkpoint to be on its way")

    def bound() -> str:
        answer = root.get(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings")
        return ", ".join(item["metadata"]["name"] for item in answer.expect(200)["items"])

    until(bound, seconds=GONE_SECONDS, what="the operator's rights in the namespace to be gone")
    assert operator.get(f"/api/v1/namespaces/{namespace}").expect(200)["metadata"]["deletionTimestamp"]
    operator.patch(at, {"metadata": {"finalizers": None}}).expect(200)

    def gone() -> str:
        answer = root.get(f"/api/v1/namespaces/{namespace}")
        return "" if answer.status == 404 else str(answer.body.get("status"))

    until(
        gone, seconds=GONE_SECONDS, what="the namespace to be gone", more=lambda: server.log("kube-controller-manager")
    )


@pytest.mark.parametrize(
    ("role", "person", "reads", "pins", "makes_stores"),
    [
        ("view", "edsger", 200, 403, 403),
        ("edit", "ada", 200, 200, 403),
        ("admin", "grace", 200, 200, 201),
    ],
)
def test_who_has_kubernetes_own_role_has_ours(
    server: ApiServer, role: str, person: str, reads: int, pins: int, makes_stores: int
) -> None:
    namespace, root = server.namespace(f"own-{role}"), server.admin
    body = checkpoint(new_task(), None)
    root.post(path(namespace, "checkpoints"), body).expect(201)
    at = path(namespace, "checkpoints", body["metadata"]["name"])
    api = server.as_person(person)
    api.get(at).refused(403)
    bind(root, namespace, role, {"kind": "User", "name": person})

    def lacking() -> str:
        status = api.get(at).status
        return "" if status == reads else f"HTTP {status}"

    until(lacking, seconds=60, what=f"the role {role} to have ours in it")
    assert api.patch(at, {"spec": {"pin": {"reason": "good"}}}).status == pins
    assert api.patch(f"{at}/status", {"status": {"state": "Verified"}}).status == 403
    store = {
        "apiVersion": "trainpoint.dev/v1alpha1",
        "kind": "CheckpointStore",
        "metadata": {"name": "main"},
        "spec": {"s3": {"bucket": "checkpoints"}},
    }
    assert api.post(path(namespace, "checkpointstores"), store).status == makes_stores
