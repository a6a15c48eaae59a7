"""The rules of the kinds CheckpointStore and CheckpointPolicy, on a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Team
from tests.support.objects import condition, path
from tests.support.repository import ROOT


@pytest.fixture
def stores(team: Team) -> str:
    return path(team.namespace, "checkpointstores")


@pytest.fixture
def policies(team: Team) -> str:
    return path(team.namespace, "checkpointpolicies")


def named(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "trainpoint.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def store(team: Team) -> str:
    """Path of a store."""
    spec = {"s3": {"bucket": "checkpoints", "endpoint": "http://s3.storage:8333"}, "prefix": "training/a"}
    at = path(team.namespace, "checkpointstores")
    made = team.admin.post(at, named("CheckpointStore", "main", spec)).expect(201)
    assert (made["spec"]["type"], made["spec"]["createBucket"]) == ("S3", False)
    return f"{at}/main"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"s3": {"bucket": "elsewhere"}}, "endpoint, bucket and region of a store never change"),
        ({"s3": {"endpoint": None}}, "endpoint, bucket and region of a store never change"),
        ({"s3": {"region": "eu-central-1"}}, "endpoint, bucket and region of a store never change"),
        ({"prefix": "training/b"}, "the prefix of a store never changes"),
        ({"prefix": None}, "the prefix of a store never changes"),
    ],
    ids=repr,
)
def test_a_store_never_moves(team: Team, store: str, change: dict[str, Any], text: str) -> None:
    for api in (team.admin, team.root):
        api.patch(store, {"spec": change}).refused(422, text, "create another CheckpointStore")


def test_its_credentials_may_change(team: Team, store: str) -> None:
    change = {
        "credentials": {"secretRef": {"name": "operator-keys"}},
        "writerCredentials": {"secretRef": {"name": "writer-keys"}},
        "createBucket": True,
    }
    team.admin.patch(store, {"spec": change}).expect(200)
    team.admin.patch(store, {"spec": dict.fromkeys(change)}).expect(200)


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({}, ("spec.s3", "Required value")),
        ({"s3": {}}, ("spec.s3.bucket", "Required value")),
        ({"s3": {"bucket": "ab"}}, ("spec.s3.bucket", "at least 3 chars long")),
        ({"s3": {"bucket": "a/b"}}, ("spec.s3.bucket", "should match")),
        ({"s3": {"bucket": "abc", "endpoint": "s3.storage:8333"}}, ("spec.s3.endpoint", "should match")),
        ({"s3": {"bucket": "abc", "endpoint": "http://key:secret@s3:1"}}, ("spec.s3.endpoint", "should match")),
        ({"s3": {"bucket": "abc"}, "prefix": "/a"}, ("spec.prefix", "should match")),
        ({"s3": {"bucket": "abc"}, "prefix": "a/../b"}, ("spec.prefix", "a prefix cannot have . or .. in it")),
        ({"s3": {"bucket": "abc"}, "type": "GCS"}, ("spec.type", "supported values")),
        ({"s3": {"bucket": "abc"}, "credentials": {}}, ("spec.credentials.secretRef", "Required value")),
        ({"s3": {"bucket": "abc"}, "caBundle": "CA"}, ("spec.caBundle", "should match")),
    ],
    ids=repr,
)
def test_a_bad_store_is_refused_with_a_text_that_helps(
    team: Team, stores: str, spec: dict[str, Any], texts: tuple[str, ...]
) -> None:
    team.admin.post(stores, named("CheckpointStore", "bad", spec)).refused(422, *texts)


def test_the_operator_says_how_a_store_is(team: Team, store: str) -> None:
    status = {
        "observedGeneration": 1,
        "storeID": "4e8c1a7b90d2f365",
        "server": "SeaweedFS 4.48",
        "capabilities": {"conditionalWrites": True, "versioning": False, "objectLock": False},
        "checkpoints": 84,
        "storedBytes": 1052266987520,
        "lastProbeTime": "2026-11-22T09:12:05Z",
        "display": {"stored": "980Gi"},
        "conditions": [condition()],
    }
    assert team.operator.patch(f"{store}/status", {"status": status}).expect(200)["status"] == status


# --- policies ---------------------------------------------------------------------------------------------------------


def test_an_empty_policy_has_every_default(team: Team, policies: str) -> None:
    spec = team.edit.post(policies, named("CheckpointPolicy", "empty", {})).expect(201)["spec"]
    assert spec == {
        "default": False,
        "retry": {
            "limit": 5,
            "noProgressLimit": 3,
            "startFailures": 5,
            "fatalExitCodes": [],
            "backoff": {"base": "10s", "max": "5m"},
        },
    }


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"load": {"policy": "newest"}}, ("spec.load.policy", 'supported values: "Fresh", "Eager", "None"')),
        ({"load": {"policy": "Eager", "allowed": ["Fresh"]}}, ("load.policy must be one of load.allowed",)),
        ({"load": {"allowed": ["Eager"]}}, ("load.policy is needed here",)),
        ({"save": {"every": "often"}}, ("spec.save.every", "should match")),
        ({"save": {"every": "0s"}}, ("spec.save.every", "must be longer than 0s")),
        ({"save": {"everySteps": 0}}, ("spec.save.everySteps", "greater than or equal to 1")),
        ({"retry": {"limit": 1001}}, ("spec.retry.limit", "less than or equal to 1000")),
        ({"retry": {"fatalExitCodes": [2, 2]}}, ("spec.retry.fatalExitCodes", "Duplicate value")),
        ({"retry": {"backoff": {"base": "10m"}}}, ("backoff.base must not be longer than backoff.max",)),
        ({"metric": {"mode": "Min"}}, ("spec.metric.name", "Required value")),
        ({"metric": {"name": "loss", "mode": "min"}}, ("spec.metric.mode", 'supported values: "Min", "Max"')),
        ({"appFiles": {"keepLatest": 1}}, ("spec.appFiles.keepLatest", "greater than or equal to 2")),
        ({"appFiles": {"keepOneEvery": "1 h"}}, ("spec.appFiles.keepOneEvery", "should match")),
        ({"storeRef": {"name": ""}}, ("spec.storeRef.name", "at least 1 chars long")),
    ],
    ids=repr,
)
def test_a_bad_policy_is_refused_with_a_text_that_helps(
    team: Team, policies: str, spec: dict[str, Any], texts: tuple[str, ...]
) -> None:
    team.edit.post(policies, named("CheckpointPolicy", "bad", spec)).refused(422, *texts)


def test_a_field_that_there_is_not_is_named(team: Team, policies: str) -> None:
    team.edit.post(policies, named("CheckpointPolicy", "bad", {"retries": 3})).refused(
        400, 'unknown field "spec.retries"'
    )


@pytest.mark.parametrize("kind", ["CheckpointStore", "CheckpointPolicy"])
def test_the_example_of_the_reference_is_accepted(team: Team, kind: str) -> None:
    page = (ROOT / f"docs/reference/{kind.lower()}.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0].replace("name: main}", "name: another}", 1)
    done = team.server.kubectl("apply", "-n", team.namespace, "--dry-run=server", "-f", "-", stdin=example)
    assert done.returncode == 0, done.stderr
