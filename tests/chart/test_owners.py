"""Owners of Jobs: what the chart installs on which server, where it holds, and that it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.chart.conftest import Installed
from tests.support.charts import Case, cases
from tests.support.helm import Helm, one
from tests.support.kubeapi import until
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
