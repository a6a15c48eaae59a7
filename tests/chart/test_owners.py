"""Owners of Jobs: what the chart installs on which server, where it holds, and that it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.api.conftest import bind
from tests.chart.conftest import HOME, Installed
from tests.support.apiserver import ApiServer
from tests.support.charts import Case, cases
from tests.support.helm import Helm, one
from tests.support.kubeapi import Answer, until
from tests.support.repository import ROOT

Object = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
KEY = "trainpoint.dev/owner"
KINDS = {
    "MutatingAdmissionPolicy": "trainpoint-owner-stamp",
    "MutatingAdmissionPolicyBinding": "trainpoint-owner-stamp",
    "ValidatingAdmissionPolicy": "trainpoint-owner",
    "ValidatingAdmissionPolicyBinding": "trainpoint-owner",
}


def served(*versions: str) -> list[str]:
    """Words for Helm: versions in which a server has MutatingAdmissionPolicy."""
    return [word for version in versions for word in ("--api-versions", f"{GROUP}/{version}/MutatingAdmissionPolicy")]


def policies(helm: Helm, *words: str, values: Object | None = None) -> dict[str, Object]:
    """By kind, those of owners that a chart has rendered."""
    found = helm.template("trainpoint", *words, values=values)
    return {o["kind"]: o for o in found if KINDS.get(o["kind"]) == o["metadata"]["name"]}


@pytest.mark.parametrize(
    ("versions", "there"),
    [
        ((), None),
        (("v1",), "v1"),
        (("v1beta1",), "v1beta1"),
        (("v1beta1", "v1"), "v1"),
        (("v1alpha1",), None),
    ],
)
def test_owners_are_put_down_where_the_server_can(helm: Helm, versions: tuple[str, ...], there: str | None) -> None:
    found = policies(helm, *served(*versions))
    mutating = [kind for kind in KINDS if kind.startswith("Mutating")]
    assert {kind: found[kind]["apiVersion"] for kind in mutating if kind in found} == (
        dict.fromkeys(mutating, f"{GROUP}/{there}") if there else {}
    )
    assert found["ValidatingAdmissionPolicy"]["apiVersion"] == f"{GROUP}/v1", "every server has this one"


def test_what_is_rendered_is_what_the_source_says(helm: Helm) -> None:
    found = policies(helm, *served("v1"))
    sources = list(yaml.safe_load_all((ROOT / "config/admission/owners.yaml").read_text()))
    assert {source["kind"] for source in sources} == set(KINDS)
    assert {source["kind"]: source["spec"] for source in sources} == {kind: o["spec"] for kind, o in found.items()}


@pytest.mark.parametrize(
    ("owners", "there"),
    [
        ({"stamp": False}, ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]),
        ({"check": False}, ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]),
        ({"stamp": False, "check": False}, []),
    ],
)
def test_each_can_be_left_out(helm: Helm, owners: Object, there: list[str]) -> None:
    assert sorted(policies(helm, *served("v1"), values={"owners": owners})) == there


def test_they_hold_where_the_operator_works(helm: Helm) -> None:
    found = policies(helm, *served("v1"), values={"watchNamespaces": ["team-a", "team-b"]})
    selector = {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]},
        ]
    }
    for kind in ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"):
        assert found[kind]["spec"]["matchConstraints"]["namespaceSelector"] == selector
    everywhere = policies(helm, *served("v1"))
    for kind in ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"):
        assert "namespaceSelector" not in everywhere[kind]["spec"]["matchConstraints"]


def test_the_notes_say_where_nothing_is_put_down(helm: Helm) -> None:
    words = ("install", "x", str(ROOT / "charts/trainpoint"), "--dry-run=client", "--set", "crds.install=false")
    assert "no MutatingAdmissionPolicy" in helm.run(*words)
    assert "no MutatingAdmissionPolicy" not in helm.run(*words, "--set", "owners.stamp=false")


# --- on a server ------------------------------------------------------------------------------------------------------


def test_the_notes_say_nothing_where_it_is(installed: Installed) -> None:
    assert "MutatingAdmissionPolicy" not in installed.said


def jobs() -> list[Case]:
    return [case for case in cases() if case.chart == "training-job"]


@pytest.mark.parametrize("case", jobs(), ids=str)
def test_a_job_of_the_chart_gets_its_owner_and_is_else_the_same(installed: Installed, case: Case) -> None:
    """Compared with the same Job of a service account, which the policy leaves alone."""
    values = yaml.safe_load(case.values.read_text())
    own = values.pop("owner", None)
    namespace = installed.namespace()
    manifest = one(installed.helm.template(case.chart, values=values, namespace=namespace), "Job")
    person = create(installed, manifest, namespace, "ada@example.com")
    account = create(installed, manifest, namespace, f"system:serviceaccount:{namespace}:default")
    assert [part["metadata"]["annotations"].pop(KEY) for part in (person, person["spec"]["template"])] == [
        "ada@example.com"
    ] * 2
    if not person["spec"]["template"]["metadata"]["annotations"]:
        del person["spec"]["template"]["metadata"]["annotations"]
    assert comparable(person) == comparable(account)
    if own:  # as the values have it: whoever names an owner may do so, and is not overruled
        manifest = one(installed.helm.template(case.chart, values={**values, "owner": own}, namespace=namespace), "Job")
        named = create(installed, manifest, namespace, "ada@example.com")
        assert named["spec"]["template"]["metadata"]["annotations"][KEY] == own


def create(installed: Installed, manifest: Object, namespace: str, user: str) -> Object:
    """What the server would make of it, once the policies hold; asked with every right, in a user's name."""
    words = ["create", "--dry-run=server", "-o", "json", "-n", namespace, "-f", "-", "--as", user]
    seen: list[Object] = []

    def lacking() -> str:
        done = installed.server.kubectl(*words, "--as-group", "system:masters", stdin=json.dumps(manifest))
        if done.returncode != 0:
            return done.stderr
        seen.append(json.loads(done.stdout))
        stamped = KEY in seen[-1]["metadata"].get("annotations", {})
        return "" if stamped or user.startswith("system:") else "no owner"

    until(lacking, seconds=60, what="the Job to be taken, with its owner")
    return seen[-1]


def comparable(job: Object) -> str:
    """A Job as JSON, without what differs from one creation to the next."""
    uid = job["metadata"]["uid"]
    for field in ("managedFields", "creationTimestamp"):
        job["metadata"].pop(field, None)
    return json.dumps(job).replace(uid, "UID")


ENDS = ("ies", "ybindings")
OLDER = (
    "--disable-admission-plugins=MutatingAdmissionPolicy",
    "--runtime-config=" + ",".join(f"{GROUP}/v1/mutatingadmissionpolic{end}=false" for end in ENDS),
)
"""A server as it was before Kubernetes 1.36."""
BETA = "--runtime-config=" + ",".join(f"{GROUP}/v1beta1/mutatingadmissionpolic{end}=true" for end in ENDS)
HERS, GRACES = ("ada", "ada"), ("grace", "grace")


def plain(owner: str = "") -> Object:
    spec = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}
    metadata = {"annotations": {KEY: owner}} if owner else {}
    template = {"metadata": metadata, "spec": spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "llm", **metadata},
        "spec": {"template": template},
    }


def ask(server: ApiServer, namespace: str, owner: str = "") -> Answer:
    """Somebody who may create Jobs, and nothing else, would create one."""
    return server.as_person("ada").post(f"/apis/batch/v1/namespaces/{namespace}/jobs", plain(owner), dry_run=True)


def owners(answer: Answer) -> tuple[object, ...]:
    job = answer.expect(201)
    return tuple(part["metadata"].get("annotations", {}).get(KEY) for part in (job, job["spec"]["template"]))


def prepare(server: ApiServer, *namespaces: str) -> None:
    """Namespaces, in which ``ada`` may create Jobs."""
    group = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "launches"}, "rules": rules}
    server.admin.post(f"/apis/{group}/v1/clusterroles", role).expect(201)
    bind(server.admin, "", "launches", {"kind": "User", "name": "ada"})
    for name in namespaces:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        server.admin.post("/api/v1/namespaces", body).expect(201)


def wait_for_check(server: ApiServer, namespace: str) -> None:
    """Until somebody else's name is refused; nobody tells otherwise when a policy has come into force."""

    def lacking() -> str:
        answer = ask(server, namespace, "grace")
        return "" if answer.status == 403 and "grace is not you (ada)" in answer.message else f"HTTP {answer.status}"

    until(lacking, seconds=120, what="somebody else as an owner to be refused")


def wait_for_stamp(server: ApiServer, namespace: str) -> None:
    """Until an owner is put down."""

    def lacking() -> str:
        found = owners(ask(server, namespace))
        return "" if found == HERS else str(found)

    until(lacking, seconds=120, what="an owner to be put down")


def test_a_server_without_such_policies_takes_jobs_as_they_are() -> None:
    with ApiServer(*OLDER) as server:
        prepare(server, "team-a")
        said = Helm(server.kubeconfig("admin")).install("trainpoint", "trainpoint", HOME)
        assert "This server has no MutatingAdmissionPolicy" in said
        wait_for_check(server, "team-a")
        assert owners(ask(server, "team-a")) == (None, None)
        assert owners(ask(server, "team-a", "ada")) == HERS


def test_owners_are_put_down_and_looked_after_where_the_operator_works_only() -> None:
    with ApiServer() as server:
        prepare(server, "team-a", "team-b")
        values = {"watchNamespaces": ["team-a"]}
        Helm(server.kubeconfig("admin")).install("trainpoint", "trainpoint", HOME, values=values)
        wait_for_check(server, "team-a")
        wait_for_stamp(server, "team-a")
        assert owners(ask(server, "team-b")) == (None, None)
        assert owners(ask(server, "team-b", "grace")) == GRACES


def test_a_server_that_has_the_policies_as_a_beta_puts_owners_down(helm: Helm) -> None:
    """Such a server is older than any at hand: this one has them in both versions, and is given those of the beta."""
    text = helm.text("trainpoint", *served("v1beta1"))
    beta = [document for document in text.split("---\n") if f"{GROUP}/v1beta1" in document]
    with ApiServer(BETA) as server:
        prepare(server, "team-a")
        done = server.kubectl("apply", "--validate=strict", "-f", "-", stdin="---\n".join(beta))
        assert done.returncode == 0, done.stderr
        wait_for_stamp(server, "team-a")
