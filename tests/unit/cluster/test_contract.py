"""trainpoint inject: the contract is in every container once, the user's own stays, nothing else changes."""

from __future__ import annotations

import copy

import pytest
import yaml
from click.testing import CliRunner

from trainpoint.cli.main import main
from trainpoint.contract import FIELDS, inject
from trainpoint.errors import InvalidArgumentError

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "llm"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {"name": "a", "image": "x", "env": [{"name": "TRAINPOINT_RUN", "value": "mine"}]},
                    {"name": "b", "image": "y"},
                ],
            }
        }
    },
}


def test_it_is_idempotent_and_leaves_its_input_alone() -> None:
    before = copy.deepcopy(JOB)
    once = inject(JOB)
    assert before == JOB
    assert inject(once) == once


def test_every_container_has_the_contract_and_the_users_value_wins() -> None:
    containers = inject(JOB)["spec"]["template"]["spec"]["containers"]
    for container in containers:
        assert {entry["name"] for entry in container["env"]} == set(FIELDS)
        assert container["volumeMounts"] == [{"name": "trainpoint", "mountPath": "/etc/trainpoint", "readOnly": True}]
        assert container["envFrom"] == [{"secretRef": {"name": "trainpoint-writer", "optional": True}}]
    assert {"name": "TRAINPOINT_RUN", "value": "mine"} in containers[0]["env"]


def test_a_manifest_without_a_pod_template_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="no pod template"):
        inject({"kind": "Service", "spec": {"ports": []}})


def test_the_command_prints_all_documents() -> None:
    service = {"kind": "Service", "metadata": {"name": "s"}}
    text = yaml.safe_dump_all([JOB, service])
    done = CliRunner().invoke(main, ["inject", "-f", "-"], input=text)
    assert done.exit_code == 0, done.output
    assert list(yaml.safe_load_all(done.stdout)) == [inject(JOB), service]


def labels_of(kind: str, metadata: dict[str, object], labels: dict[str, str] | None = None) -> dict[str, str] | None:
    """Labels of the pod template after inject."""
    job = copy.deepcopy(JOB["spec"])
    assert isinstance(job, dict)
    if labels is not None:
        job["template"]["metadata"] = {"labels": labels}
    spec = {"schedule": "@daily", "jobTemplate": {"spec": job}} if kind == "CronJob" else job
    result = inject({"kind": kind, "metadata": metadata, "spec": spec})
    again = inject(result)
    assert again == result
    if kind == "CronJob":
        result = result["spec"]["jobTemplate"]
    found: dict[str, str] | None = result["spec"]["template"].get("metadata", {}).get("labels")
    return found


def test_jobs_with_generated_names_get_the_name_that_they_share_as_workflow() -> None:
    workflow = "trainpoint.dev/workflow"
    assert labels_of("CronJob", {"name": "nightly"}) == {workflow: "nightly"}
    assert labels_of("CronJob", {"name": "nightly"}, {"a": "b"}) == {"a": "b", workflow: "nightly"}
    assert labels_of("CronJob", {"name": "nightly"}, {workflow: "mine"}) == {workflow: "mine"}
    assert labels_of("Job", {"generateName": "exp-"}) == {workflow: "exp"}
    assert labels_of("Job", {"name": "exp-10001"}) is None
