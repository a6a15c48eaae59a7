"""The rules of the kind Checkpoint, on a real server."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.api.conftest import Team
from tests.support.objects import DIGEST, checkpoint, commit, condition, new_task, path
from tests.support.repository import ROOT

CHECKPOINTS = "checkpoints"


@pytest.fixture
def at(team: Team) -> str:
    """Path of the namespace's checkpoints."""
    return path(team.namespace, CHECKPOINTS)


@pytest.fixture
def saved(team: Team, at: str) -> str:
    """Path of a checkpoint that the team's pod is saving."""
    body = checkpoint(new_task(), team.pod, step=5, metrics={"loss": "0.5"}, metadata={"lr": "0.1"})
    team.pod.api.post(at, body).expect(201)
    return f"{at}/{body['metadata']['name']}"


def test_what_was_saved_is_whole_with_its_defaults(team: Team, saved: str) -> None:
    spec = team.view.get(saved).expect(200)["spec"]
    assert spec["deletionPolicy"] == "Delete"
    assert (spec["snapshot"]["worldSize"], spec["snapshot"]["latest"]) == (1, True)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 6},
        {"step": None},
        {"epoch": 1},
        {"metrics": {"loss": "0.1"}},
        {"metrics": {"new": "1"}},
        {"createdBy": {"podUID": None}},
        {"latest": False},
        {"storeRef": None},
    ],
    ids=repr,
)
def test_nothing_of_the_snapshot_changes(team: Team, saved: str, change: dict[str, Any]) -> None:
    for api in (team.edit, team.operator, team.root):
        api.patch(saved, {"spec": {"snapshot": change}}).refused(
            422, "spec.snapshot is immutable; save a new checkpoint instead"
        )


def test_the_snapshot_cannot_be_taken_away(team: Team, saved: str) -> None:
    team.root.patch(saved, {"spec": {"snapshot": None}}).refused(422, "spec.snapshot", "Required")
    team.root.patch(saved, {"spec": None}).refused(422)


def test_what_people_want_for_it_does(team: Team, saved: str) -> None:
    team.edit.patch(saved, {"spec": {"pin": {"reason": "table 2"}, "deletionPolicy": "Retain"}}).expect(200)
    team.edit.patch(saved, {"spec": {"deletionPolicy": "Delete"}}).expect(200)


@pytest.mark.parametrize(
    "patch",
    [
        commit(sizeBytes=8),
        commit(manifestDigest="cd" * 32),
        commit(storedBytes=9),
        {"status": {"commit": {"files": 2}}},
        {"status": {"commit": None}},
        {"status": None},
    ],
    ids=repr,
)
def test_a_commit_is_written_once(team: Team, saved: str, patch: dict[str, Any]) -> None:
    status = f"{saved}/status"
    team.pod.api.patch(status, commit()).expect(200)
    for api in (team.pod.api, team.operator, team.root):
        api.patch(status, patch).refused(422, "status.commit", "status.commit is written once and never changes")
    assert team.view.get(saved).expect(200)["status"]["commit"]["manifestDigest"] == DIGEST


def test_the_same_commit_may_be_sent_again(team: Team, saved: str) -> None:
    """Whoever got no answer sends it once more."""
    for _ in range(2):
        team.pod.api.patch(f"{saved}/status", commit()).expect(200)


def test_the_operator_writes_beside_the_commit(team: Team, saved: str) -> None:
    team.pod.api.patch(f"{saved}/status", commit()).expect(200)
    seen = {"state": "Verified", "observedGeneration": 1, "display": {"metric": "loss=0.5", "size": "7"}}
    team.operator.patch(f"{saved}/status", {"status": {**seen, "conditions": [condition()]}}).expect(200)
    status = team.view.get(saved).expect(200)["status"]
    assert (status["state"], status["commit"]["files"]) == ("Verified", 1)


def test_a_status_does_not_come_in_through_the_object(team: Team, at: str, saved: str) -> None:
    forged = checkpoint(new_task(), team.pod)
    made = team.pod.api.post(at, {**forged, "status": {"state": "Verified"}}).expect(201)
    assert "status" not in made
    patched = team.edit.patch(saved, {"status": {"state": "Verified"}}).expect(200)
    assert "status" not in patched


def test_late_metrics_may_only_be_added_to(team: Team, saved: str) -> None:
    team.edit.patch(saved, {"spec": {"lateMetrics": {"accuracy": "0.91"}}}).expect(200)
    team.edit.patch(saved, {"spec": {"lateMetrics": {"bleu": "31.5"}}}).expect(200)
    for change in ({"accuracy": "0.99"}, {"accuracy": None}):
        team.edit.patch(saved, {"spec": {"lateMetrics": change}}).refused(422, "lateMetrics may only be added to")
    team.edit.patch(saved, {"spec": {"lateMetrics": None}}).refused(422, "lateMetrics may only be added to")


BAD: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("a name with a slash", {"workflow": "a/b"}, ("spec.snapshot.workflow", "should match")),
    ("a name too long", {"run": "r" * 64}, ("spec.snapshot.run", "may not be more than 63")),
    ("no index", {"index": "x"}, ("spec.snapshot.index", "should match")),
    ("a negative step", {"step": -1}, ("spec.snapshot.step", "greater than or equal to 0")),
    ("an attempt beyond the keys", {"attempt": 10**10}, ("spec.snapshot.attempt", "less than or equal to 9999999999")),
    ("a uid that is none", {"uid": "0123456789ABCDEF"}, ("spec.snapshot.uid", "should match")),
    ("a metric that is no number", {"metrics": {"loss": "low"}}, ("spec.snapshot.metrics.loss", "should match")),
    ("too many metrics", {"metrics": {f"m{i}": "1" for i in range(33)}}, ("spec.snapshot.metrics", "at most 32")),
    (
        "a metric without a name",
        {"metrics": {"val loss": "1"}},
        ("spec.snapshot.metrics", "a metric's name has at most"),
    ),
    ("much metadata", {"metadata": {"a": "x" * 2000, "b": "y" * 100}}, ("metadata is limited to 2048 characters",)),
    ("65 parents", {"parents": ["p"] * 65}, ("spec.snapshot.parents", "at most 64")),
    ("an owner too long", {"owner": "o" * 254}, ("spec.snapshot.owner", "may not be more than 253")),
    ("no process", {"worldSize": 0}, ("spec.snapshot.worldSize", "greater than or equal to 1")),
]


@pytest.mark.parametrize(("what", "snapshot", "texts"), BAD, ids=[what for what, _, _ in BAD])
def test_bad_input_is_refused_with_a_text_that_helps(
    team: Team, at: str, what: str, snapshot: dict[str, Any], texts: tuple[str, ...]
) -> None:
    team.pod.api.post(at, checkpoint(new_task(), team.pod) | {"spec": spec(team, snapshot)}).refused(422, *texts)


def spec(team: Team, snapshot: dict[str, Any]) -> dict[str, Any]:
    whole = checkpoint(new_task(), team.pod)["spec"]["snapshot"]
    return {"snapshot": {**whole, **snapshot}}


@pytest.mark.parametrize("text", ["1", "-0.5", "1e-05", "1.5E+10", "NaN", "Infinity", "-Infinity"])
def test_every_number_that_the_sdk_writes_is_a_metric(team: Team, at: str, text: str) -> None:
    team.pod.api.post(at, checkpoint(new_task(), team.pod, metrics={"val/loss": text}), dry_run=True).expect(201)


def test_metadata_may_have_many_small_values(team: Team, at: str) -> None:
    many = {f"k{i:03}": "1" for i in range(409)}
    team.pod.api.post(at, checkpoint(new_task(), team.pod, metadata=many), dry_run=True).expect(201)


def test_a_field_that_there_is_not_is_named(team: Team, at: str) -> None:
    team.pod.api.post(at, checkpoint(new_task(), team.pod, lr=0.1)).refused(400, 'unknown field "spec.snapshot.lr"')


@pytest.mark.parametrize(
    ("status", "texts"),
    [
        ({"state": "Done"}, ("status.state", "supported values", '"Verified"')),
        ({"conditions": [{**condition(), "status": "Yes"}]}, ("status.conditions[0].status", "supported values")),
        ({"conditions": [{**condition(), "reason": "two words"}]}, ("status.conditions[0].reason",)),
        ({"conditions": [condition(), condition()]}, ("status.conditions[1]", "Duplicate value")),
        (commit(manifestDigest="short")["status"], ("status.commit.manifestDigest", "should match")),
        ({"commit": {"files": 1}}, ("status.commit.manifestDigest", "Required value")),
    ],
    ids=repr,
)
def test_a_status_has_bounds_for_the_operator_too(
    team: Team, saved: str, status: dict[str, Any], texts: tuple[str, ...]
) -> None:
    team.operator.patch(f"{saved}/status", {"status": status}).refused(422, *texts)


# --- who saved --------------------------------------------------------------------------------------------------------


def test_a_pod_cannot_name_another_pod(team: Team, at: str) -> None:
    for change in (
        {"podUID": team.mate.uid, "podName": team.pod.name},
        {"podName": team.pod.name},
        {"podUID": "", "podName": team.pod.name},
    ):
        team.pod.api.post(at, checkpoint(new_task(), team.pod, createdBy=change)).refused(
            403, "createdBy.podUID must be the pod that saves", f"this is pod {team.pod.name} with UID {team.pod.uid}"
        )


@pytest.mark.parametrize("change", [{"podName": "vision-4k8ws"}, {"nodeName": "node-9"}, {"serviceAccount": "other"}])
def test_nor_another_name_node_or_account(team: Team, at: str, change: dict[str, str]) -> None:
    by = {"podUID": team.pod.uid, "podName": team.pod.name, **change}
    team.pod.api.post(at, checkpoint(new_task(), team.pod, createdBy=by)).refused(403, "must be those of the token")


def test_its_own_it_may_name_in_full(team: Team, at: str) -> None:
    by = {
        "podUID": team.pod.uid,
        "podName": team.pod.name,
        "nodeName": "node-1",
        "serviceAccount": "trainer",
        "image": "registry.example/llm:3",
    }
    team.pod.api.post(at, checkpoint(new_task(), team.pod, createdBy=by)).expect(201)


def test_who_is_no_pod_cannot_claim_to_be_one(team: Team, at: str) -> None:
    account = team.server.as_account(team.namespace, "trainer")
    account.post(at, checkpoint(new_task(), team.pod)).refused(403, "not a pod, so leave it out")
    account.post(at, checkpoint(new_task(), None)).expect(201)


def test_only_the_pod_that_saves_commits(team: Team, saved: str) -> None:
    name = saved.rpartition("/")[2]
    team.mate.api.patch(f"{saved}/status", commit()).refused(
        403, f"only the pod that saves {name}, and the operator, may commit it", team.mate.uid
    )
    account = team.server.as_account(team.namespace, "trainer")
    account.patch(f"{saved}/status", commit()).refused(403, "only the pod that saves")
    team.operator.patch(f"{saved}/status", commit(), dry_run=True).expect(200)
    team.pod.api.patch(f"{saved}/status", commit()).expect(200)


@pytest.mark.parametrize("status", [{"state": "Verified"}, {"conditions": [condition()]}, {"display": {"size": "1"}}])
def test_a_pod_writes_nothing_of_the_status_but_its_commit(team: Team, saved: str, status: dict[str, Any]) -> None:
    field = next(iter(status))
    for patch in (status, {**commit()["status"], **status}):
        team.pod.api.patch(f"{saved}/status", {"status": patch}).refused(
            403, "pods write status.commit only", f"(changed: {field})"
        )


def test_nor_takes_anything_of_it_away(team: Team, saved: str) -> None:
    team.operator.patch(f"{saved}/status", {"status": {"state": "Saving"}}).expect(200)
    team.pod.api.patch(f"{saved}/status", {"status": {"state": None}}).refused(403, "(changed: state)")


@pytest.mark.parametrize(
    "intent", [{"pin": {"reason": "mine"}}, {"lateMetrics": {"a": "1"}}, {"deletionPolicy": "Retain"}], ids=repr
)
def test_intent_is_for_people(team: Team, at: str, intent: dict[str, Any]) -> None:
    body = checkpoint(new_task(), team.pod)
    body["spec"].update(intent)
    team.pod.api.post(at, body).refused(403, "writes spec.snapshot only")


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pinned(team: Team, saved: str) -> str:
    team.edit.patch(saved, {"spec": {"pin": {"reason": "table 2", "by": "ada"}}}).expect(200)
    return saved


@pytest.mark.parametrize("pin", [None, {"reason": "another"}, {"by": None}], ids=repr)
def test_to_change_a_pin_takes_the_verb(team: Team, pinned: str, pin: dict[str, Any] | None) -> None:
    name = pinned.rpartition("/")[2]
    for api in (team.edit, team.operator):
        api.patch(pinned, {"spec": {"pin": pin}}).refused(
            403,
            f"checkpoint {name} is pinned (table 2, by ada); to change or remove the pin you need the verb unpin",
            "(role trainpoint-admin)",
        )
    team.admin.patch(pinned, {"spec": {"pin": pin}}).expect(200)


def test_a_pinned_one_is_not_deleted_without_it(team: Team, pinned: str) -> None:
    team.edit.delete(pinned).refused(403, "is pinned (table 2, by ada); to delete it you need the verb unpin")
    team.view.get(pinned).expect(200)
    team.admin.delete(pinned).expect(200)
    team.view.get(pinned).refused(404)


def test_a_pin_leaves_everything_else_alone(team: Team, pinned: str) -> None:
    team.edit.patch(pinned, {"spec": {"deletionPolicy": "Retain"}}).expect(200)
    team.edit.patch(pinned, {"metadata": {"labels": {"trainpoint.dev/workflow": "llm"}}}).expect(200)
    team.operator.patch(pinned, {"metadata": {"finalizers": ["trainpoint.dev/data"]}}).expect(200)
    team.operator.patch(pinned, {"metadata": {"finalizers": None}}).expect(200)
    team.pod.api.patch(f"{pinned}/status", commit()).expect(200)


def test_a_deletion_of_many_stops_at_a_pinned_one(team: Team, at: str, pinned: str) -> None:
    """The cluster's administrator may; a role with deletecollection and nothing else must not get round the pin."""
    name = f"sweeper-{secrets.token_hex(3)}"
    rules = [{"apiGroups": ["trainpoint.dev"], "resources": ["checkpoints"], "verbs": ["deletecollection"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{team.namespace}"
    team.root.post(f"{base}/roles", role).expect(201)
    group = "rbac.authorization.k8s.io"
    team.root.post(
        f"{base}/rolebindings",
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "apiGroup": group, "name": "stranger"}],
        },
    ).expect(201)
    selected = f"?fieldSelector=metadata.name%3D{pinned.rpartition('/')[2]}"
    team.server.as_person("stranger").delete(at + selected).refused(403, "is pinned")


# --- what belongs to it -----------------------------------------------------------------------------------------------


def test_nothing_owns_a_checkpoint(team: Team, at: str, saved: str) -> None:
    """The cascade of an owner's deletion would take the bytes with it."""
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": team.pod.name, "uid": team.pod.uid}]
    for api in (team.edit, team.operator, team.root):
        api.patch(saved, {"metadata": {"ownerReferences": owners}}).refused(
            403, "metadata.ownerReferences must stay empty"
        )
    body = checkpoint(new_task(), team.pod)
    body["metadata"]["ownerReferences"] = owners
    team.pod.api.post(at, body).refused(403, "metadata.ownerReferences must stay empty")


def test_the_example_of_the_reference_is_accepted(team: Team) -> None:
    page = (ROOT / "docs/reference/checkpoint.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    done = team.server.kubectl("apply", "-n", team.namespace, "--dry-run=server", "-f", "-", stdin=example)
    assert done.returncode == 0, done.stderr
