"""What the charts make, as a real API server takes it: every object, restricted pods, rights that are just enough."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from tests.chart.conftest import HOME, Installed
from tests.support.charts import Case, cases
from tests.support.helm import CHARTS, HelmError, one
from tests.support.kubeapi import Api

RIGHTS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
STORE = {"s3": {"bucket": "checkpoints"}, "credentials": {"existingSecret": "janitor"}}


def prepare(installed: Installed, values: dict[str, Any]) -> str:
    """A namespace in which everything is that the values of a case refer to."""
    namespace = installed.namespace()
    if account := values.get("serviceAccountName"):
        installed.account(namespace, account)
    return namespace


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_server_takes_every_object(installed: Installed, case: Case) -> None:
    values = yaml.safe_load(case.values.read_text())
    namespace = prepare(installed, values)
    if "watchNamespaces" in values:
        values["watchNamespaces"] = [installed.namespace(), installed.namespace()]
    text = installed.helm.text(case.chart, values=values, namespace=namespace)
    done = installed.server.kubectl(
        "apply", "--dry-run=server", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=text
    )
    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" not in done.stderr


def pods() -> list[Case]:
    return [case for case in cases() if case.chart in ("trainpoint", "training-job")]


def pod_of(installed: Installed, case: Case, namespace: str) -> dict[str, Any]:
    """The pod that a case's template makes."""
    values = yaml.safe_load(case.values.read_text())
    kind = "Deployment" if case.chart == "trainpoint" else "Job"
    found = one(installed.helm.template(case.chart, values=values, namespace=namespace), kind)
    spec = copy.deepcopy(found["spec"]["template"]["spec"])
    spec.pop("priorityClassName", None)  # the system's own are for its own namespaces
    spec["serviceAccountName"] = "default"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


@pytest.mark.parametrize("case", pods(), ids=str)
def test_pods_are_admitted_where_only_restricted_ones_are(installed: Installed, case: Case) -> None:
    namespace = installed.namespace()
    pod = pod_of(installed, case, namespace)
    installed.server.admin.post(f"/api/v1/namespaces/{namespace}/pods", pod, dry_run=True).expect(201)
    del pod["spec"]["containers"][0]["securityContext"]
    answer = installed.server.admin.post(f"/api/v1/namespaces/{namespace}/pods", pod, dry_run=True)
    answer.refused(403, 'violates PodSecurity "restricted:latest"')


# --- rights -----------------------------------------------------------------------------------------------------------


def may(api: Api, verb: str, resource: str, namespace: str, *, name: str = "", group: str = "", sub: str = "") -> bool:
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": sub}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**attributes, "name": name}},
    }
    return bool(api.post(RIGHTS, body).expect(201)["status"]["allowed"])


def test_the_operator_reads_the_secrets_of_stores_and_no_others(installed: Installed) -> None:
    namespace, other = installed.namespace(), installed.namespace()
    installed.helm.install(
        "team",
        "trainpoint-namespace",
        namespace,
        values={
            "stores": {"main": STORE, "fresh": {**STORE, "credentials": {"accessKeyId": "a", "secretAccessKey": "b"}}}
        },
    )
    operator = installed.server.as_account(HOME, "trainpoint")
    secret = f"/api/v1/namespaces/{namespace}/secrets"
    assert operator.get(f"{secret}/trainpoint-store-fresh").expect(200)["data"]["AWS_ACCESS_KEY_ID"] == "YQ=="
    operator.get(f"{secret}/janitor").expect(404)  # it may, and there is none
    operator.get(f"{secret}/another").expect(403)
    operator.get(secret).expect(403)
    operator.get(f"/api/v1/namespaces/{other}/secrets/janitor").expect(403)


def test_the_operators_account_has_what_it_works_with(installed: Installed) -> None:
    namespace = installed.namespace()
    operator = installed.server.as_account(HOME, "trainpoint")
    ours = "trainpoint.dev"
    for kind in ("checkpoints", "checkpointruns", "checkpointpolicies", "checkpointstores"):
        for verb in ("get", "list", "watch", "patch"):
            assert may(operator, verb, kind, "", group=ours), (verb, kind)
        assert may(operator, "patch", kind, namespace, group=ours, sub="status"), kind
        assert may(operator, "operate", kind, namespace, group=ours), kind
    assert may(operator, "list", "jobs", "", group="batch")
    assert may(operator, "watch", "pods", "")
    assert may(operator, "patch", "configmaps", namespace, name="trainpoint")
    for verb in ("create", "get", "patch"):
        name = "" if verb == "create" else "trainpoint-operator"
        assert may(operator, verb, "leases", HOME, group="coordination.k8s.io", name=name), verb
    assert not may(operator, "get", "secrets", namespace)
    assert not may(operator, "get", "leases", namespace, group="coordination.k8s.io", name="trainpoint-operator")
    assert not may(operator, "delete", "pods", namespace)
    assert not may(operator, "patch", "jobs", namespace, group="batch")


def test_trainers_get_their_role_in_their_namespace_only(installed: Installed) -> None:
    namespace, other = installed.namespace(), installed.namespace()
    installed.account(namespace, "gpu")
    installed.helm.install("team", "trainpoint-namespace", namespace, values={"trainers": ["gpu"]})
    trainer = installed.server.as_account(namespace, "gpu")
    assert may(trainer, "create", "checkpoints", namespace, group="trainpoint.dev")
    assert not may(trainer, "create", "checkpoints", other, group="trainpoint.dev")
    default = installed.server.as_account(namespace, "default")
    assert not may(default, "create", "checkpoints", namespace, group="trainpoint.dev")


# --- what Helm says, and upgrades of a job ----------------------------------------------------------------------------


def test_each_install_names_the_next_command(installed: Installed) -> None:
    assert "helm install team charts/trainpoint-namespace" in installed.said
    assert "operator.namespace" not in installed.said, "its defaults are those of the other chart"
    namespace = installed.namespace()
    said = installed.helm.install("team", "trainpoint-namespace", namespace, values={"stores": {"main": STORE}})
    assert f"kubectl get ckptstore,ckptpolicy -n {namespace}" in said
    said = installed.helm.install("llm", "training-job", namespace, "--set", "image=x")
    assert f"kubectl get ckptrun,ckpt -n {namespace}" in said
    assert f"kubectl trainpoint why job/llm -n {namespace}" in said


def test_an_operator_elsewhere_is_named_in_the_next_command(installed: Installed) -> None:
    said = installed.helm.run(
        "install",
        "ops",
        str(CHARTS / "trainpoint"),
        "--dry-run=client",
        "-n",
        "platform",
        "--set",
        "crds.install=false",
    )
    assert "--set operator.namespace=platform --set operator.serviceAccount=ops-trainpoint" in said


def test_an_upgrade_that_changes_the_pods_of_a_job_is_refused_with_the_way_out(installed: Installed) -> None:
    namespace = installed.namespace()
    job = {"image": "x:1", "command": ["python", "train.py"]}
    installed.helm.install("llm", "training-job", namespace, values=job)
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    installed.helm.upgrade("llm", "training-job", namespace, values={**job, "suspend": True})
    assert installed.server.admin.get(f"{jobs}/llm").expect(200)["spec"]["suspend"] is True

    with pytest.raises(HelmError, match="nameSuffix") as refusal:
        installed.helm.upgrade("llm", "training-job", namespace, values={**job, "image": "x:2"})
    assert "immutable" not in str(refusal.value), "our sentence, not the server's"

    installed.helm.upgrade("llm", "training-job", namespace, values={**job, "image": "x:2", "nameSuffix": "2"})
    (after,) = [j for j in installed.server.admin.get(jobs).expect(200)["items"] if not gone(j)]
    assert after["metadata"]["name"] == "llm-2"
    assert after["metadata"]["labels"]["trainpoint.dev/workflow"] == "llm"


def gone(job: dict[str, Any]) -> bool:
    """Deleted; without the controller of garbage it may stay until its pods would be gone."""
    return "deletionTimestamp" in job["metadata"]


def test_keys_of_the_store_are_not_in_what_helm_prints(installed: Installed) -> None:
    namespace = installed.namespace()
    keys = {"accessKeyId": "a-key-id", "secretAccessKey": "a-secret-key"}
    values = {"stores": {"main": {**STORE, "credentials": keys}}, "writerCredentials": keys}
    said = installed.helm.install("team", "trainpoint-namespace", namespace, values=values)
    assert "a-secret-key" not in said
    stores = f"/apis/trainpoint.dev/v1alpha1/namespaces/{namespace}/checkpointstores/main"
    assert "a-key-id" not in json.dumps(installed.server.admin.get(stores).expect(200))
