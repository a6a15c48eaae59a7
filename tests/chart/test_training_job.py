"""The Job of charts/training-job: its retry recipe, and that the SDK knows its pods by either way as the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.helm import CHARTS, Helm, one
from trainpoint.contract import FIELDS, inject
from trainpoint.identity import Identity
from trainpoint.pod import identity_in_pod, pod_of_environment, pod_of_object
from trainpoint.testing import FakeChance

Object = dict[str, Any]
IMAGE = "registry.example/llm:3"


def job(helm: Helm, values: Mapping[str, object] | None = None, *words: str, **options: str) -> Object:
    return one(helm.template("training-job", *words, values={"image": IMAGE, **(values or {})}, **options), "Job")


def container(found: Object) -> Object:
    (only,) = found["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def rules(found: Object) -> list[tuple[str, object]]:
    return [
        (rule["action"], rule["onExitCodes"]["values"] if "onExitCodes" in rule else rule["onPodConditions"])
        for rule in found["spec"]["podFailurePolicy"]["rules"]
    ]


DISRUPTED = [{"type": "DisruptionTarget", "status": "True"}]


def test_the_recipe_ignores_disruptions_before_it_ends_the_job(helm: Helm) -> None:
    found = job(helm, {"retry": {"fatalExitCodes": [78, 2, 100, 9]}})
    assert rules(found) == [
        ("Ignore", DISRUPTED),
        ("Ignore", [87]),
        ("FailJob", [86]),
        ("FailJob", [2, 9, 78, 100]),
    ]
    assert found["spec"]["backoffLimit"] == 1_000_000
    assert found["spec"]["podReplacementPolicy"] == "Failed"
    assert found["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 120
    assert container(found)["restartPolicyRules"] == [
        {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, 2, 9, 78, 86, 87, 100]}}
    ]


@pytest.mark.parametrize(
    ("in_place", "kubernetes", "there"),
    [
        ("auto", "1.34.9", False),
        ("auto", "1.35.0", True),
        ("auto", "1.36.2-gke.100", True),
        (True, "1.34.0", True),
        (False, "1.37.0", False),
    ],
)
def test_restart_in_place_is_for_servers_that_have_it(
    helm: Helm, in_place: object, kubernetes: str, there: bool
) -> None:
    found = container(job(helm, {"retry": {"inPlace": in_place}}, kubernetes=kubernetes))
    assert ("restartPolicyRules" in found, "restartPolicy" in found) == (there, there)


def test_with_on_failure_there_are_no_rules_at_all_and_the_notes_say_so(helm: Helm) -> None:
    found = job(helm, {"restartPolicy": "OnFailure", "indexed": True, "completionIndex": "Task"})
    assert "podFailurePolicy" not in found["spec"]
    assert "backoffLimitPerIndex" not in found["spec"]
    assert "restartPolicyRules" not in container(found)
    said = helm.run(
        "install",
        "llm",
        str(CHARTS / "training-job"),
        "--dry-run=client",
        f"--set=image={IMAGE},restartPolicy=OnFailure",
    )
    assert "Kubernetes allows no failure rules with it" in said


def test_each_of_many_tasks_fails_by_itself_and_ranks_together(helm: Helm) -> None:
    sweep = job(helm, {"indexed": True, "completions": 8, "completionIndex": "Task"})
    assert rules(sweep)[2:] == [("FailIndex", [86])]
    assert sweep["spec"]["backoffLimitPerIndex"] == 1_000_000
    gang = job(helm, {"indexed": True, "completions": 8, "completionIndex": "Rank"})
    assert rules(gang)[2:] == [("FailJob", [86])]
    assert "backoffLimitPerIndex" not in gang["spec"]


def test_words_and_numbers_reach_the_program_as_they_were_written(helm: Helm) -> None:
    found = container(
        job(
            helm,
            {"args": ["--steps", 1_000_000, 0.5, True], "env": {"STEPS": 1_000_000, "ZEROS": "007"}},
            "--set=command={python,train.py}",
            "--set=env.TOTAL=2000000",
        )
    )
    assert found["command"] == ["python", "train.py"]
    assert found["args"] == ["--steps", "1000000", "0.5", "true"]
    own = {entry["name"]: entry["value"] for entry in found["env"] if "value" in entry}
    assert own == {"STEPS": "1000000", "ZEROS": "007", "TOTAL": "2000000"}


def test_the_contract_is_complete(helm: Helm) -> None:
    found = job(helm, {"env": {"A": "b"}, "extraVolumes": [{"name": "shm", "emptyDir": {}}]})
    assert inject(found) == found
    assert set(FIELDS) < {entry["name"] for entry in container(found)["env"]}


def test_a_newer_chart_or_another_label_of_the_job_does_not_change_the_pods(helm: Helm) -> None:
    one_way, other = job(helm), job(helm, {"labels": {"a": "b"}, "parallelism": 3, "suspend": True})
    assert one_way["spec"]["template"] == other["spec"]["template"]
    assert "helm.sh/chart" not in one_way["spec"]["template"]["metadata"]["labels"]
    key = "trainpoint.dev/template-checksum"
    assert one_way["metadata"]["annotations"][key] == other["metadata"]["annotations"][key]
    assert one_way["metadata"]["annotations"][key] != job(helm, {"task": "b"})["metadata"]["annotations"][key]


# --- identity ---------------------------------------------------------------------------------------------------------

UID = "4c1d9e02-ab11-4222-8333-444455556666"


def pod_of(found: Object, index: str) -> Object:
    """A pod as the Job controller makes it from the template."""
    template = found["spec"]["template"]
    ours = {"batch.kubernetes.io/job-name": found["metadata"]["name"], "batch.kubernetes.io/controller-uid": UID}
    owner = {"kind": "Job", "name": found["metadata"]["name"], "uid": UID, "controller": True}
    return {
        "metadata": {
            "name": f"{found['metadata']['name']}-x7k2p",
            "namespace": "team-a",
            "uid": "pod-uid",
            "labels": {
                **template["metadata"]["labels"],
                **ours,
                **({"batch.kubernetes.io/job-completion-index": index} if index else {}),
            },
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "nodeName": "gpu-7"},
    }


def field(pod: Object, path: str) -> str:
    """As the kubelet fills a variable; empty where there is no such label."""
    value: Any = pod
    for part in path.partition("[")[0].split("."):
        value = value.get(part, {})
    if "[" in path:
        value = value.get(path.split("'")[1], "")
    return str(value)


def identity(found: Object, *, contract: bool, index: str = "") -> Identity | None:
    pod = pod_of(found, index)
    environ = {"JOB_COMPLETION_INDEX": index} if index else {}
    known = pod_of_object(pod)
    if contract:
        entries = [entry for entry in container(found)["env"] if "valueFrom" in entry]
        environ |= {e["name"]: field(pod, e["valueFrom"]["fieldRef"]["fieldPath"]) for e in entries}
        by_environment = pod_of_environment(environ)
        assert by_environment is not None
        known = by_environment
    unsaid: dict[str, None] = dict.fromkeys(("workflow", "run", "task", "index", "owner"))
    return identity_in_pod(known, **unsaid, environ=environ, chance=FakeChance())


def test_a_resume_request_reaches_the_program_by_either_way(helm: Helm) -> None:
    found = job(helm, {"resumeFrom": "llm/llm-2025"})
    assert pod_of_object(pod_of(found, "")).setting("resume-from") == "llm/llm-2025"
    paths = {e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in container(found)["env"] if "valueFrom" in e}
    assert field(pod_of(found, ""), paths["TRAINPOINT_RESUME_FROM"]) == "llm/llm-2025"
    unsaid = job(helm)
    assert field(pod_of(unsaid, ""), paths["TRAINPOINT_RESUME_FROM"]) == ""


@pytest.mark.parametrize(
    ("values", "index", "expected"),
    [
        ({}, "", ("llm", f"llm-{UID.replace('-', '')[:10]}", "main", "", "")),
        ({"workflow": "gpt", "task": "pretrain"}, "", ("gpt", f"llm-{UID.replace('-', '')[:10]}", "pretrain", "", "")),
        ({"owner": "Ada L. <ada@example.com>"}, "", ("llm", "llm-4c1d9e02ab", "main", "", "Ada L. <ada@example.com>")),
        ({"serviceAccountName": "gpu"}, "", ("llm", "llm-4c1d9e02ab", "main", "", "gpu")),
        ({"nameSuffix": "b2", "run": "llm-4c1d9e02ab"}, "", ("llm", "llm-4c1d9e02ab", "main", "", "")),
        ({"podLabels": {"trainpoint.dev/index": "2.1"}}, "", ("llm", "llm-4c1d9e02ab", "main", "2.1", "")),
        ({"indexed": True, "completionIndex": "Task"}, "5", ("llm", "llm-4c1d9e02ab", "main", "5", "")),
        ({"indexed": True, "completionIndex": "Rank"}, "0", ("llm", "llm-4c1d9e02ab", "main", "", "")),
    ],
)
def test_its_pods_are_known_by_either_way_as_the_same(
    helm: Helm, values: dict[str, object], index: str, expected: tuple[str, ...]
) -> None:
    found = job(helm, values)
    ways = [identity(found, contract=contract, index=index) for contract in (False, True)]
    assert ways[0] == ways[1]
    assert ways[0] is not None
    task = ways[0].task
    assert (task.workflow, task.run, task.task, task.index, ways[0].owner) == expected
