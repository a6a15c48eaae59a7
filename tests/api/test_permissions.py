"""Roles × verbs × parts of objects: every cell of the table in docs/explanation/permissions.md, on a real server.

Nothing is changed: the server does all that it would do for a request (roles, the kind's rules, admission), except to
keep the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.api.conftest import Team
from tests.support.kubeapi import Answer, Api
from tests.support.kubeserver import Pod
from tests.support.objects import (
    Object,
    checkpoint,
    claim,
    commit,
    condition,
    loaded,
    new_task,
    path,
    run,
)
from tests.support.repository import ROOT

PAGE: Final = ROOT / "docs" / "explanation" / "permissions.md"
MEANING: Final = {"yes": (200, 201), "no": (403,), "never": (422,)}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is there, and who acts on it."""

    team: Team
    namespace: str
    own: str
    """path of a checkpoint that the pod is saving"""
    committed: str
    pinned: str
    run: str
    """path of a run whose attempt 3 the pod holds"""
    api: Api
    pod: Pod | None
    """the pod that acts; None: whoever acts is no pod, or the operator"""

    def at(self, plural: str, name: str = "") -> str:
        return path(self.namespace, plural, name)

    def core(self, rest: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{rest}"


Action = Callable[[Scene], Answer]


def get(where: Callable[[Scene], str]) -> Action:
    return lambda s: s.api.get(where(s))


def watch(where: Callable[[Scene], str]) -> Action:
    return lambda s: s.api.get(where(s) + "?watch=1&timeoutSeconds=1", text=True)


def post(where: Callable[[Scene], str], body: Callable[[Scene], Object]) -> Action:
    return lambda s: s.api.post(where(s), body(s), dry_run=True)


def patch(where: Callable[[Scene], str], body: Callable[[Scene], Object]) -> Action:
    return lambda s: s.api.patch(where(s), body(s), dry_run=True)


def delete(where: Callable[[Scene], str]) -> Action:
    return lambda s: s.api.delete(where(s), dry_run=True)


def third(s: Scene) -> Pod:
    """A pod that nobody in the table is."""
    return Pod(s.namespace, "third", "0d3c7f0e-0000-4000-8000-000000000000", "trainer", s.api)


def store(bucket: str = "checkpoints") -> Object:
    return {"spec": {"s3": {"bucket": bucket}}}


def named(kind: str, name: str, body: Object) -> Object:
    return {"apiVersion": "trainpoint.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, **body}


def status(field: str, value: object) -> Callable[[Scene], Object]:
    return lambda _: {"status": {field: value}}


def spec(field: str, value: object) -> Callable[[Scene], Object]:
    return lambda _: {"spec": {field: value}}


CONDITIONS = status("conditions", [condition()])
ACTIONS: Final[dict[str, Action]] = {
    "read a checkpoint": get(lambda s: s.own),
    "list checkpoints": get(lambda s: s.at("checkpoints")),
    "watch checkpoints": watch(lambda s: s.at("checkpoints")),
    "record a checkpoint of its own": post(lambda s: s.at("checkpoints"), lambda s: checkpoint(new_task(), s.pod)),
    "record one in another pod's name": post(lambda s: s.at("checkpoints"), lambda s: checkpoint(new_task(), third(s))),
    "commit the pod's checkpoint": patch(lambda s: f"{s.own}/status", lambda _: commit()),
    "commit it anew, differently": patch(lambda s: f"{s.committed}/status", lambda _: commit(sizeBytes=8)),
    "set its state": patch(lambda s: f"{s.own}/status", status("state", "Verified")),
    "set a condition": patch(lambda s: f"{s.own}/status", CONDITIONS),
    "change its snapshot": patch(lambda s: s.own, spec("snapshot", {"step": 99})),
    "pin it": patch(lambda s: s.own, spec("pin", {"reason": "good"})),
    "unpin it": patch(lambda s: s.pinned, spec("pin", None)),
    "add a late metric": patch(lambda s: s.own, spec("lateMetrics", {"accuracy": "0.9"})),
    "delete it": delete(lambda s: s.own),
    "delete a pinned one": delete(lambda s: s.pinned),
    "delete many in one request": delete(lambda s: s.at("checkpoints")),
    "read a run": get(lambda s: s.run),
    "start a run": post(lambda s: s.at("checkpointruns"), lambda _: run(new_task())),
    "claim the next attempt for itself": patch(lambda s: f"{s.run}/status", lambda s: claim(4, s.pod)),
    "claim it in another pod's name": patch(lambda s: f"{s.run}/status", lambda s: claim(4, third(s))),
    "write into the pod's claim": patch(lambda s: f"{s.run}/status", status("claim", {"loaded": loaded()})),
    "take the pod's claim back to an earlier attempt": patch(lambda s: f"{s.run}/status", lambda s: claim(2, s.pod)),
    "set the state of a run": patch(lambda s: f"{s.run}/status", status("state", "Succeeded")),
    "change the identity of a run": patch(lambda s: s.run, spec("identity", {"owner": "eve"})),
    "stop a run": patch(lambda s: s.run, spec("stop", True)),
    "roll a run back": patch(lambda s: s.run, spec("resumeFrom", "latest")),
    "delete a run": delete(lambda s: s.run),
    "read a policy": get(lambda s: s.at("checkpointpolicies", "default")),
    "make a policy": post(
        lambda s: s.at("checkpointpolicies"), lambda _: named("CheckpointPolicy", "new", {"spec": {}})
    ),
    "delete a policy": delete(lambda s: s.at("checkpointpolicies", "default")),
    "set a condition of a policy": patch(lambda s: s.at("checkpointpolicies", "default/status"), CONDITIONS),
    "read a store": get(lambda s: s.at("checkpointstores", "main")),
    "make a store": post(lambda s: s.at("checkpointstores"), lambda _: named("CheckpointStore", "new", store())),
    "change a store's credentials": patch(
        lambda s: s.at("checkpointstores", "main"), spec("credentials", {"secretRef": {"name": "new"}})
    ),
    "move a store to another bucket": patch(lambda s: s.at("checkpointstores", "main"), lambda _: store("elsewhere")),
    "set a condition of a store": patch(lambda s: s.at("checkpointstores", "main/status"), CONDITIONS),
    "read the ConfigMap `trainpoint`": get(lambda s: s.core("configmaps/trainpoint")),
    "read another ConfigMap": get(lambda s: s.core("configmaps/another")),
    "read the Secret of a store": get(lambda s: s.core("secrets/keys")),
    "read another Secret": get(lambda s: s.core("secrets/another")),
    "list Secrets": get(lambda s: s.core("secrets")),
    "read a pod": get(lambda s: s.core(f"pods/{s.team.pod.name}")),
    "list pods": get(lambda s: s.core("pods")),
    "list Jobs": get(lambda s: f"/apis/batch/v1/namespaces/{s.namespace}/jobs"),
    "delete a Job": delete(lambda s: f"/apis/batch/v1/namespaces/{s.namespace}/jobs/llm"),
}


@pytest.fixture(scope="module")
def scenes(team: Team) -> dict[str, Scene]:
    """The same objects, seen by each head of a column."""
    namespace, root = team.namespace, team.root
    checkpoints, runs = path(namespace, "checkpoints"), path(namespace, "checkpointruns")

    def saved() -> str:
        body = checkpoint(new_task(), team.pod, step=5)
        team.pod.api.post(checkpoints, body).expect(201)
        return f"{checkpoints}/{body['metadata']['name']}"

    own, committed, pinned = saved(), saved(), saved()
    team.pod.api.patch(f"{committed}/status", commit()).expect(200)
    team.edit.patch(pinned, {"spec": {"pin": {"reason": "table 2"}}}).expect(200)
    task = run(new_task())
    team.pod.api.post(runs, task).expect(201)
    held = f"{runs}/{task['metadata']['name']}"
    team.pod.api.patch(f"{held}/status", claim(3, team.pod)).expect(200)
    for kind, name in (
        ("ConfigMap", "trainpoint"),
        ("ConfigMap", "another"),
        ("Secret", "keys"),
        ("Secret", "another"),
    ):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
        root.post(f"/api/v1/namespaces/{namespace}/{kind.lower()}s", body).expect(201)
    root.post(path(namespace, "checkpointstores"), named("CheckpointStore", "main", store())).expect(201)
    root.post(path(namespace, "checkpointpolicies"), named("CheckpointPolicy", "default", {"spec": {}})).expect(201)
    who: dict[str, tuple[Api, Pod | None]] = {
        "pod": (team.pod.api, team.pod),
        "other pod": (team.mate.api, team.mate),
        "account": (team.server.as_account(namespace, "trainer"), None),
        "view": (team.view, None),
        "edit": (team.edit, None),
        "admin": (team.admin, None),
        "operator": (team.operator, None),
        "stranger": (team.server.as_person("stranger"), None),
    }
    return {head: Scene(team, namespace, own, committed, pinned, held, api, pod) for head, (api, pod) in who.items()}


def table() -> dict[str, dict[str, str]]:
    """The page's table: for every row the cells by the heads of their columns."""
    text = PAGE.read_text(encoding="utf-8").partition("## The whole table")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.M)]
    heads = rows[0][1:]
    return {row[0]: dict(zip(heads, row[1:], strict=True)) for row in rows[2:]}


CELLS: Final = [(what, head, cell) for what, row in table().items() for head, cell in row.items()]


@pytest.mark.parametrize(("what", "head", "cell"), CELLS, ids=[f"{h}: {w}: {c}" for w, h, c in CELLS])
def test_a_cell_of_the_table(scenes: dict[str, Scene], what: str, head: str, cell: str) -> None:
    answer = ACTIONS[what](scenes[head])
    assert answer.status in MEANING[cell], f"HTTP {answer.status}: {answer.message}"


def test_every_action_stands_in_the_table() -> None:
    assert list(table()) == list(ACTIONS)


def test_a_replica_of_the_operator_holds_its_own_lease_and_reads_no_other(team: Team) -> None:
    """That role is applied in the operator's own namespace; here ``default``."""
    group = "rbac.authorization.k8s.io"
    body = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "trainpoint-operator-leader"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "trainpoint-operator-leader"},
        "subjects": [{"kind": "ServiceAccount", "name": "trainer", "namespace": team.namespace}],
    }
    team.root.post(f"/apis/{group}/v1/namespaces/default/rolebindings", body).expect(201)
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "trainpoint-operator"}}
    team.pod.api.post(leases, lease).expect(201)
    team.pod.api.patch(f"{leases}/trainpoint-operator", {"spec": {"holderIdentity": "a"}}).expect(200)
    team.pod.api.get(f"{leases}/trainpoint-operator").expect(200)
    team.pod.api.get(f"{leases}/another").refused(403)
    team.pod.api.get(leases).refused(403)
