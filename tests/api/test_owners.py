"""Whose a Job is: put down when a person creates it; nobody names somebody else, nor takes somebody's name away."""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from tests.api.conftest import Team, bind
from tests.support.kubeapi import Answer, Api, until
from tests.support.objects import Object
from trainpoint.api.names import GROUP
from trainpoint.pod import identity_in_pod, pod_of_object
from trainpoint.testing import FakeChance

KEY: Final = f"{GROUP}/owner"
LAUNCHES: Final = "launches-for-tests"
POD: Final[Object] = {"serviceAccountName": "trainer", "containers": [{"name": "a", "image": "x"}]}
RICH: Final[Object] = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"note": "mine", "example.com/Empty": ""}},
    "spec": {
        "backoffLimit": 1000000,
        "completionMode": "Indexed",
        "completions": 3,
        "parallelism": 2,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"containerName": "b", "operator": "In", "values": [3, 86]}},
            ]
        },
        "template": {
            "metadata": {"labels": {"team": "a"}, "annotations": {"note": "pods'"}},
            "spec": {
                "restartPolicy": "Never",
                "initContainers": [{"name": "a", "image": "x", "restartPolicy": "Always"}],
                "containers": [
                    {
                        "name": "b",
                        "image": "x:1",
                        "env": [
                            {"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                            {"name": "A", "value": ""},
                            {"name": "B", "value": "$(A)"},
                        ],
                        "envFrom": [{"secretRef": {"name": "keys", "optional": True}}],
                        "resources": {"limits": {"cpu": "1500m", "memory": "1Gi", "nvidia.com/gpu": "1"}},
                        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}],
                        "securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False},
                    },
                    {"name": "c", "image": "y", "ports": [{"containerPort": 80}]},
                ],
                "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 30, "effect": "NoExecute"}],
                "volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}],
                "affinity": {"podAntiAffinity": {}},
            },
        },
    },
}
"""A Job with much of what a patch could spoil."""


@dataclass(frozen=True, slots=True)
class Yard:
    """A namespace in which people and a service account launch Jobs. ``grace`` has the role trainpoint-admin."""

    team: Team
    ada: Api
    edsger: Api
    grace: Api
    robot: Api
    """a service account"""

    def at(self, plural: str, name: str = "") -> str:
        api = "/api/v1" if plural == "pods" else "/apis/batch/v1"
        return f"{api}/namespaces/{self.team.namespace}/{plural}" + (f"/{name}" if name else "")

    def launch(self, who: Api, body: Object) -> Object:
        """Create a Job; the Job."""
        return who.post(self.at("jobs"), body).expect(201)


@pytest.fixture(scope="module")
def yard(team: Team) -> Yard:
    root, namespace = team.root, team.namespace
    role: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{LAUNCHES}-{namespace}"},
        "rules": [
            {
                "apiGroups": ["batch", ""],
                "resources": ["jobs", "cronjobs", "pods"],
                "verbs": ["get", "create", "update", "patch"],
            }
        ],
    }
    root.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).expect(201)
    subjects: list[dict[str, Any]] = [{"kind": "User", "name": name} for name in ("ada", "edsger", "grace")]
    subjects.append({"kind": "ServiceAccount", "name": "other", "namespace": namespace})
    for subject in subjects:
        bind(root, namespace, role["metadata"]["name"], subject, name=f"{LAUNCHES}-{subject['name']}")
    robot = team.server.as_account(namespace, "other")
    yard = Yard(team, team.edit, team.view, team.admin, robot)
    until(lambda: lacking(yard), seconds=120, what="the owner to be put down")
    return yard


def lacking(yard: Yard) -> str:
    """The policies come into force a moment after they were made."""
    answer = yard.ada.post(yard.at("jobs"), job(), dry_run=True)
    if answer.status != 201:
        return f"HTTP {answer.status} {answer.message}"
    return "" if owners(answer.body) == ("ada", "ada") else str(owners(answer.body))


def job(own: str | None = None, pods: str | None = None, *, like: Mapping[str, Any] | None = None) -> Object:
    """A Job whose annotation says ``own``, and that of its template ``pods``; None: no such annotation."""
    plain = {"spec": {"template": {"spec": {**POD, "restartPolicy": "Never"}}}}
    body: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, **copy.deepcopy(dict(like or plain))}
    body["metadata"]["name"] = f"llm-{secrets.token_hex(4)}"
    for value, part in ((own, body), (pods, body["spec"]["template"])):
        if value is not None:
            part.setdefault("metadata", {}).setdefault("annotations", {})[KEY] = value
    return body


def cron_job(own: str | None = None, pods: str | None = None) -> Object:
    """A CronJob with such a Job in it."""
    made = job(own, pods)
    name = made["metadata"].pop("name")
    template = {"metadata": made["metadata"], "spec": made["spec"]}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": template}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": spec}


def pod(owner: str | None = None) -> Object:
    name = f"llm-{secrets.token_hex(4)}"
    annotations = {} if owner is None else {KEY: owner}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(POD)}


def annotation(part: Mapping[str, Any]) -> str | None:
    found: str | None = ((part.get("metadata") or {}).get("annotations") or {}).get(KEY)
    return found


def owners(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Whom a Job and its template name."""
    return annotation(body), annotation(body["spec"]["template"])


# --- put down ---------------------------------------------------------------------------------------------------------


def test_whoever_creates_a_job_is_its_owner_and_that_of_its_pods(yard: Yard) -> None:
    assert owners(yard.launch(yard.ada, job())) == ("ada", "ada")
    assert owners(yard.launch(yard.edsger, job(like=RICH))) == ("edsger", "edsger")


PLAIN = job()
NO_METADATA: Object = {"spec": {"template": {"metadata": None, "spec": PLAIN["spec"]["template"]["spec"]}}}
SUSPENDED: Object = {"spec": {**PLAIN["spec"], "suspend": True}}


@pytest.mark.parametrize(
    "like", [None, RICH, NO_METADATA, SUSPENDED], ids=["plain", "rich", "no metadata", "suspended"]
)
def test_nothing_else_of_a_job_is_changed(yard: Yard, like: Object | None) -> None:
    """Compared with the same Job of a service account, which the policy leaves alone."""
    body = job(like=like)
    stamped = yard.ada.post(yard.at("jobs"), body, dry_run=True).expect(201)
    plain = yard.robot.post(yard.at("jobs"), body, dry_run=True).expect(201)
    assert (owners(stamped), owners(plain)) == (("ada", "ada"), (None, None))
    for part in (stamped, stamped["spec"]["template"]):
        annotations = part["metadata"]["annotations"]
        del annotations[KEY]
        if not annotations:
            del part["metadata"]["annotations"]
    assert text(stamped) == text(plain)


def text(body: Object) -> str:
    """A Job as JSON, without what differs from one creation to the next."""
    uid = body["metadata"]["uid"]
    for field in ("managedFields", "creationTimestamp"):
        del body["metadata"][field]
    return json.dumps(body).replace(uid, "UID")


def test_an_owner_of_her_own_stays(yard: Yard) -> None:
    assert owners(yard.launch(yard.ada, job("ada", "ada"))) == ("ada", "ada")


@pytest.mark.parametrize(("own", "pods"), [("edsger", None), (None, "edsger")])
def test_an_owner_at_one_of_the_two_places_is_put_at_the_other(yard: Yard, own: str | None, pods: str | None) -> None:
    """Whoever may name somebody else has named him; the pods learn it from the template only."""
    assert owners(yard.launch(yard.grace, job(own, pods))) == ("edsger", "edsger")


def test_who_wants_no_owner_says_so_with_an_empty_one(yard: Yard) -> None:
    assert owners(yard.launch(yard.ada, job("", ""))) == ("", "")
    assert owners(yard.launch(yard.ada, job(None, ""))) == ("", "")


@pytest.mark.parametrize(("own", "pods"), [(None, None), (None, "edsger"), ("edsger", None), ("edsger", "edsger")])
def test_a_job_of_a_service_account_keeps_what_it_has(yard: Yard, own: str | None, pods: str | None) -> None:
    """Controllers, Argo, CI: they act for others, and know for whom."""
    assert owners(yard.launch(yard.robot, job(own, pods))) == (own, pods)


@pytest.mark.parametrize(
    ("person", "stamped"),
    [
        ("https://issuer.example/#Älice Ünd/Söhne", True),
        ("n" * 253, True),
        ("n" * 254, False),  # the kinds take no longer one
        ("system:admin", False),
        ("system:kube-controller-manager", False),
    ],
)
def test_names_of_people_are_put_down_as_they_are(yard: Yard, person: str, stamped: bool) -> None:
    arguments = ["--as", person, "--as-group", "system:masters", "-n", yard.team.namespace, "-o", "json", "-f", "-"]
    done = yard.team.server.kubectl("create", *arguments, stdin=json.dumps(job()))
    assert done.returncode == 0, done.stderr
    assert owners(json.loads(done.stdout)) == ((person, person) if stamped else (None, None))


def test_a_job_that_is_there_is_not_stamped_by_who_changes_it(yard: Yard) -> None:
    made = yard.launch(yard.robot, job())
    at = yard.at("jobs", made["metadata"]["name"])
    assert owners(yard.ada.patch(at, {"spec": {"parallelism": 0}}).expect(200)) == (None, None)
    hers = yard.launch(yard.ada, job())
    at = yard.at("jobs", hers["metadata"]["name"])
    assert owners(yard.edsger.patch(at, {"spec": {"suspend": True}}).expect(200)) == ("ada", "ada")


@pytest.mark.parametrize("way", [[], ["--server-side"]], ids=["client", "server"])
def test_the_same_manifest_applied_again_leaves_the_owner(yard: Yard, way: Sequence[str]) -> None:
    """Also by somebody else, as members of a team do."""
    manifest = json.dumps(job(like=RICH))

    def apply(person: str) -> Object:
        arguments = ["apply", "-n", yard.team.namespace, "-o", "json", "-f", "-", *way]
        done = yard.team.server.kubectl(*arguments, person=person, stdin=manifest)
        assert done.returncode == 0, done.stderr
        answer: Object = json.loads(done.stdout)
        return answer

    first = apply("ada")
    assert owners(first) == ("ada", "ada")
    for person in ("ada", "ada", "edsger"):
        again = apply(person)
        assert owners(again) == ("ada", "ada")
        assert again["metadata"]["uid"] == first["metadata"]["uid"]
        assert again["metadata"]["generation"] == first["metadata"]["generation"]


# --- refused ----------------------------------------------------------------------------------------------------------

OTHERS: Final[list[tuple[str, Object]]] = [
    ("jobs", job("grace", "grace")),
    ("jobs", job("grace", None)),
    ("jobs", job(None, "grace")),
    ("jobs", job("ada", "grace")),
    ("cronjobs", cron_job("grace", None)),
    ("cronjobs", cron_job(None, "grace")),
    ("pods", pod("grace")),
]
NAMES: Final = ["job", "job alone", "template alone", "job and template differ", "cronjob", "cronjob's pods", "pod"]
HERS: Final[list[tuple[str, Object]]] = [
    ("jobs", job("ada", "ada")),
    ("cronjobs", cron_job("ada", "ada")),
    ("pods", pod("ada")),
]


@pytest.mark.parametrize(("plural", "body"), OTHERS, ids=NAMES)
def test_somebody_else_as_the_owner_is_refused(yard: Yard, plural: str, body: Object) -> None:
    refused_as_somebody_else(yard, yard.ada.post(yard.at(plural), body, dry_run=True), "leave it out, or name yourself")


def refused_as_somebody_else(yard: Yard, answer: Answer, way_out: str) -> None:
    answer.refused(
        403,
        f"annotation {KEY}: grace is not you (ada)",
        way_out,
        f"the verb impersonate-owner on checkpointruns.trainpoint.dev in namespace {yard.team.namespace}",
    )


@pytest.mark.parametrize(("plural", "body"), OTHERS, ids=NAMES)
def test_it_is_not_for_who_has_the_verb_nor_for_service_accounts(yard: Yard, plural: str, body: Object) -> None:
    own = json.loads(json.dumps(body).replace("grace", "edsger"))
    yard.grace.post(yard.at(plural), own, dry_run=True).expect(201)
    yard.robot.post(yard.at(plural), body, dry_run=True).expect(201)


@pytest.mark.parametrize(("plural", "body"), HERS, ids=["jobs", "cronjobs", "pods"])
def test_her_own_name_she_may_write(yard: Yard, plural: str, body: Object) -> None:
    yard.ada.post(yard.at(plural), body, dry_run=True).expect(201)


def may_name(role: str, *names: str) -> Object:
    """A Role that lets somebody name others as owners; with ``names``, these only."""
    rule: Object = {"apiGroups": [GROUP], "resources": ["checkpointruns"], "verbs": ["impersonate-owner"]}
    if names:
        rule["resourceNames"] = list(names)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": role},
        "rules": [rule],
    }


@pytest.mark.parametrize("shared", ["team-vision", "Team Vision / Köln: *"])
def test_an_owner_that_a_team_has_agreed_on_takes_the_verb_for_that_name_alone(yard: Yard, shared: str) -> None:
    namespace, group = yard.team.namespace, "rbac.authorization.k8s.io"
    at = f"/apis/{group}/v1/namespaces/{namespace}"
    body = job(shared)

    def granted(api: Api) -> str:
        answer = api.post(yard.at("jobs"), body, dry_run=True)
        return "" if answer.status == 201 else answer.message

    for api, name in ((yard.ada, "ada"), (yard.edsger, "edsger")):
        api.post(yard.at("jobs"), body, dry_run=True).refused(403, f"{shared} is not you ({name})", "resourceNames")
    yard.team.root.post(f"{at}/roles", may_name("vision", shared)).expect(201)
    try:
        for person in ("ada", "edsger"):
            subject = {"kind": "User", "name": person}
            bind(yard.team.root, namespace, "vision", subject, kind="Role", name=f"vision-{person}")
        for api in (yard.ada, yard.edsger):
            until(partial(granted, api), seconds=60, what="the role to be in force")
        made = yard.launch(yard.ada, body)
        assert owners(made) == (shared, shared)
        assert owners(yard.launch(yard.edsger, job(None, shared))) == (shared, shared), "the colleague too"
        for plural, other in (("cronjobs", cron_job(None, shared)), ("pods", pod(shared))):
            yard.edsger.post(yard.at(plural), other, dry_run=True).expect(201)
        yard.ada.post(yard.at("jobs"), job("grace"), dry_run=True).refused(403, "grace is not you (ada)")
        yard.ada.post(yard.at("jobs"), job(shared + "x"), dry_run=True).refused(403, f"{shared}x is not you (ada)")
        mixed = job("grace", shared)
        yard.ada.post(yard.at("jobs"), mixed, dry_run=True).refused(403, f"grace, {shared} are not you (ada)")
        # One's own name is given to the team's, and taken back; somebody else's is not.
        at_job = yard.at("jobs", yard.launch(yard.ada, job())["metadata"]["name"])
        for name in (shared, "ada"):
            yard.ada.patch(at_job, naming("jobs", name)).expect(200)
        for plural, hers in (("jobs", job("grace")), ("cronjobs", cron_job(None, "grace")), ("pods", pod("grace"))):
            at_hers = yard.at(plural, yard.grace.post(yard.at(plural), hers).expect(201)["metadata"]["name"])
            answer = yard.ada.patch(at_hers, naming(plural, shared), dry_run=True)
            answer.refused(403, f"{shared}, grace are not you (ada)", "leave it as it was")
        yard.grace.post(yard.at("jobs"), job(shared), dry_run=True).expect(201)  # the verb for all covers it
    finally:
        for person in ("ada", "edsger"):
            yard.team.root.delete(f"{at}/rolebindings/vision-{person}").expect(200)
        yard.team.root.delete(f"{at}/roles/vision").expect(200)


def test_the_verb_can_be_given_to_an_account_of_ci(yard: Yard) -> None:
    """By an administrator of the namespace, who has it: nobody gives what he has not."""
    namespace, group = yard.team.namespace, "rbac.authorization.k8s.io"
    at = f"/apis/{group}/v1/namespaces/{namespace}"
    role = may_name("ci")
    name = f"roles-{namespace}"
    manages = {"apiGroups": [group], "resources": ["roles"], "verbs": ["create"]}
    yard.team.root.post(
        f"/apis/{group}/v1/clusterroles",
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": [manages]},
    ).expect(201)
    for person in ("ada", "grace"):
        bind(yard.team.root, namespace, name, {"kind": "User", "name": person}, name=f"roles-{person}")
    yard.ada.post(f"{at}/roles", role).refused(403, "attempting to grant RBAC permissions not currently held")
    yard.grace.post(f"{at}/roles", role).expect(201)
    body = job("grace", "grace")
    yard.edsger.post(yard.at("jobs"), body, dry_run=True).refused(403, "grace is not you (edsger)")
    bind(yard.team.root, namespace, "ci", {"kind": "User", "name": "edsger"}, kind="Role")
    try:
        assert owners(yard.edsger.post(yard.at("jobs"), body, dry_run=True).expect(201)) == ("grace", "grace")
    finally:
        yard.team.root.delete(f"{at}/rolebindings/ci").expect(200)


def test_an_owner_reference_opens_no_way_around(yard: Yard) -> None:
    body = job("grace", "grace")
    body["metadata"]["ownerReferences"] = [
        {"apiVersion": "batch/v1", "kind": "CronJob", "name": "x", "uid": "x", "controller": True}
    ]
    yard.ada.post(yard.at("jobs"), body, dry_run=True).refused(403, "grace is not you (ada)")


def naming(plural: str, name: str | None) -> Object:
    """A patch after which the pods are those of ``name``; of a Job, whose template is fixed, the Job itself."""
    part: Object = {"metadata": {"annotations": {KEY: name}}}
    return {"spec": {"jobTemplate": {"spec": {"template": part}}}} if plural == "cronjobs" else part


GRACES: Final[list[tuple[str, Object]]] = [
    ("jobs", job("grace", "grace")),
    ("cronjobs", cron_job(None, "grace")),
    ("pods", pod("grace")),
]


@pytest.mark.parametrize(("plural", "body"), GRACES, ids=["jobs", "cronjobs", "pods"])
def test_an_owner_is_neither_overwritten_nor_taken_away_by_somebody_else(yard: Yard, plural: str, body: Object) -> None:
    made = yard.grace.post(yard.at(plural), body).expect(201)
    at = yard.at(plural, made["metadata"]["name"])
    for name in ("ada", "", None):
        refused_as_somebody_else(yard, yard.ada.patch(at, naming(plural, name), dry_run=True), "leave it as it was")
    yard.ada.patch(at, naming(plural, "edsger"), dry_run=True).refused(403, "edsger, grace are not you (ada)")
    yard.ada.patch(at, {"metadata": {"labels": {"a": "b"}}}).expect(200)  # all else is no concern of ours


@pytest.mark.parametrize("plural", ["jobs", "cronjobs", "pods"])
def test_her_own_name_she_may_set_and_take_away(yard: Yard, plural: str) -> None:
    body = {"jobs": job(), "cronjobs": cron_job(), "pods": pod()}[plural]
    at = yard.at(plural, yard.robot.post(yard.at(plural), body).expect(201)["metadata"]["name"])
    for name in ("ada", None, "ada", ""):
        yard.ada.patch(at, naming(plural, name)).expect(200)
    yard.edsger.patch(at, naming(plural, "edsger")).expect(200)


def test_the_pods_of_a_suspended_job_cannot_be_given_to_somebody_else(yard: Yard) -> None:
    """The template's annotations can be changed as long as a Job has not started."""
    made = yard.launch(yard.ada, job(like=SUSPENDED))
    at = yard.at("jobs", made["metadata"]["name"])
    change = {"spec": {"template": {"metadata": {"annotations": {KEY: "grace"}}}}}
    refused_as_somebody_else(yard, yard.ada.patch(at, change, dry_run=True), "leave it as it was")
    assert owners(yard.robot.patch(at, change, dry_run=True).expect(200)) == ("ada", "grace")


def test_a_job_started_by_hand_from_a_cronjob_belongs_to_who_starts_it(yard: Yard) -> None:
    """Unless the CronJob names an owner; then it takes her, or the verb."""
    namespace = yard.team.namespace
    said = []
    for body in (cron_job(), cron_job("ada", "ada")):
        name = yard.ada.post(yard.at("cronjobs"), body).expect(201)["metadata"]["name"]
        for person in ("ada", "edsger"):
            arguments = ["create", "job", f"{name}-{person}", f"--from=cronjob/{name}", "-n", namespace, "-o", "json"]
            done = yard.team.server.kubectl(*arguments, person=person)
            said.append(owners(json.loads(done.stdout)) if done.returncode == 0 else done.stderr)
    assert said[:3] == [("ada", "ada"), ("edsger", "edsger"), ("ada", "ada")]
    assert "ada is not you (edsger)" in str(said[3])


# --- and then ---------------------------------------------------------------------------------------------------------


def test_the_process_in_a_pod_of_the_job_takes_it_from_there(yard: Yard) -> None:
    made = yard.launch(yard.ada, job())
    template = made["spec"]["template"]
    name = made["metadata"]["name"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": made["metadata"]["uid"]}
    metadata = {**template["metadata"], "name": f"{name}-x", "ownerReferences": [{**reference, "controller": True}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    seen = pod_of_object(yard.robot.post(yard.at("pods"), body).expect(201))
    who = identity_in_pod(
        seen, workflow=None, run=None, task=None, index=None, owner=None, environ={}, chance=FakeChance()
    )
    assert who is not None
    assert who.owner == "ada"
