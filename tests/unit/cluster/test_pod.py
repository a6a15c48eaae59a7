"""Who a pod is: identity from labels, the Job and the environment; what the completion index means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trainpoint.errors import IdentityError
from trainpoint.identity import Identity
from trainpoint.pod import Pod, completion_index, identity_in_pod, pod_of_environment, pod_of_object
from trainpoint.testing import FakeChance

JOB = Pod(
    namespace="team-a",
    name="llm-x7k2p",
    uid="5b5f6f3f-0000-4000-8000-000000000001",
    controller_kind="Job",
    controller_name="llm",
    controller_uid="4c1d9e02-ab57-4d0f-8a53-5b5f6f3f3a10",
    service_account="trainer",
)
INDEXED = replace(JOB, labels={"batch.kubernetes.io/job-completion-index": "3"})


def who(pod: Pod, environ: dict[str, str] | None = None, **arguments: str) -> Identity | None:
    given: dict[str, str | None] = {"workflow": None, "run": None, "task": None, "index": None, "owner": None}
    return identity_in_pod(pod, **{**given, **arguments}, environ=environ or {}, chance=FakeChance())


def test_a_job_is_its_own_workflow_and_its_uid_the_run() -> None:
    identity = who(JOB)
    assert identity is not None
    assert str(identity.task) == "llm/llm-4c1d9e02ab/main"
    assert identity.task.namespace == "team-a"
    assert identity.owner == "trainer"
    assert not identity.launched, "the Job's end is the run's end, not this pod's"


@pytest.mark.parametrize(
    ("labels", "environ", "arguments", "expected"),
    [
        ({}, {}, {}, "llm/llm-4c1d9e02ab/main"),
        ({"trainpoint.dev/workflow": "gpt"}, {}, {}, "gpt/llm-4c1d9e02ab/main"),
        ({"trainpoint.dev/run": "r1"}, {}, {}, "llm/r1/main"),
        ({"trainpoint.dev/run": "r1"}, {"TRAINPOINT_RUN": "r2"}, {}, "llm/r2/main"),
        ({"trainpoint.dev/run": "r1"}, {"TRAINPOINT_RUN": "r2"}, {"run": "r3"}, "llm/r3/main"),
        ({"trainpoint.dev/task": "fit"}, {}, {}, "llm/llm-4c1d9e02ab/fit"),
        ({"trainpoint.dev/index": "2.1"}, {}, {}, "llm/llm-4c1d9e02ab/main/2.1"),
    ],
)
def test_argument_then_environment_then_label_then_job(
    labels: dict[str, str], environ: dict[str, str], arguments: dict[str, str], expected: str
) -> None:
    identity = who(replace(JOB, labels=labels), environ, **arguments)
    assert identity is not None
    assert str(identity.task) == expected


@pytest.mark.parametrize(
    ("labels", "environ", "subdomain", "meaning", "rule"),
    [
        ({}, {}, "", "Task", "nothing says"),
        ({"trainpoint.dev/completion-index": "Rank"}, {}, "", "Rank", "label"),
        ({"trainpoint.dev/completion-index": "Task"}, {"GROUP_WORLD_SIZE": "4"}, "", "Task", "label"),
        ({}, {"GROUP_WORLD_SIZE": "2", "WORLD_SIZE": "16"}, "", "Rank", "GROUP_WORLD_SIZE"),
        ({}, {"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, "", "Rank", "above LOCAL_WORLD_SIZE"),
        ({}, {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}, "svc", "Task", "nothing says"),
        ({"jobset.sigs.k8s.io/jobset-name": "x"}, {}, "svc", "Rank", "JobSet"),
    ],
)
def test_the_completion_index_is_a_rank_or_a_task(
    labels: dict[str, str], environ: dict[str, str], subdomain: str, meaning: str, rule: str
) -> None:
    pod = replace(INDEXED, labels={**INDEXED.labels, **labels}, subdomain=subdomain)
    found = completion_index(pod, environ)
    assert found.meaning == meaning
    assert rule in found.rule


@pytest.mark.parametrize(("environ", "subdomain"), [({"MASTER_ADDR": "llm-0"}, ""), ({}, "llm-headless")])
def test_an_undecidable_index_names_the_label(environ: dict[str, str], subdomain: str) -> None:
    with pytest.raises(IdentityError, match="nothing tells which") as caught:
        completion_index(replace(INDEXED, subdomain=subdomain), environ)
    assert "trainpoint.dev/completion-index" in str(caught.value)
    assert caught.value.exit_code == 86


JOBSET = {
    "jobset.sigs.k8s.io/jobset-name": "gpt",
    "jobset.sigs.k8s.io/jobset-uid": "77aa88bb-99cc-4d0f-8a53-5b5f6f3f3a10",
    "jobset.sigs.k8s.io/replicatedjob-name": "workers",
}
IN_JOBSET = replace(JOB, controller_name="gpt-workers-0", labels=JOBSET)


def test_the_pods_of_a_jobset_are_one_run_however_often_it_makes_its_jobs_anew() -> None:
    restarted = replace(IN_JOBSET, controller_uid="00000000-0000-4000-8000-00000000000f")
    for pod in (IN_JOBSET, restarted):
        identity = who(pod)
        assert identity is not None
        assert str(identity.task) == "gpt/gpt-77aa88bb99/main"
        assert pod.launch == ("gpt", JOBSET["jobset.sigs.k8s.io/jobset-uid"])
    assert JOB.launch == ("llm", JOB.controller_uid)


def test_a_jobset_without_the_label_of_its_uid_names_the_workflow_and_its_job_the_run() -> None:
    old = replace(IN_JOBSET, labels={"jobset.sigs.k8s.io/jobset-name": "gpt"})
    identity = who(old)
    assert identity is not None
    assert str(identity.task) == "gpt/gpt-workers-0-4c1d9e02ab/main"


def test_a_job_name_is_never_cut_since_no_pod_can_tell_a_generated_ending() -> None:
    for name in ("nightly-29385120", "exp-10001", "exp-x7k2p"):
        identity = who(replace(JOB, controller_name=name))
        assert identity is not None
        assert identity.task.workflow == name


def test_an_indexed_job_is_many_tasks() -> None:
    identity = who(INDEXED)
    assert identity is not None
    assert (identity.task.index, identity.rank, identity.world_size) == ("3", 0, 1)


@pytest.mark.parametrize(
    ("ordinal", "environ", "rank", "size"),
    [
        ("0", {}, 0, 1),
        ("3", {"WORLD_SIZE": "4"}, 3, 4),
        ("1", {"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8", "RANK": "11"}, 11, 16),
        ("1", {"WORLD_SIZE": "2", "RANK": "0"}, 0, 2),
    ],
)
def test_of_one_distributed_task_the_launcher_says_which_rank_this_is_else_the_completion_index(
    ordinal: str, environ: dict[str, str], rank: int, size: int
) -> None:
    labels = {"batch.kubernetes.io/job-completion-index": ordinal, "trainpoint.dev/completion-index": "Rank"}
    identity = who(replace(JOB, labels=labels), environ)
    assert identity is not None
    assert (identity.task.index, identity.rank, identity.world_size) == ("", rank, size)


def test_a_rank_of_an_unknown_number_names_the_variable_to_set() -> None:
    labels = {**INDEXED.labels, "trainpoint.dev/completion-index": "Rank"}
    with pytest.raises(IdentityError, match="rank 3, and nothing says of how many") as caught:
        who(replace(INDEXED, labels=labels))
    assert "WORLD_SIZE" in caught.value.remedy


def test_a_sweep_of_distributed_tasks_has_ranks_within_each_index() -> None:
    identity = who(INDEXED, {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "RANK": "2"})
    assert identity is not None
    assert (identity.task.index, identity.rank, identity.world_size) == ("3", 2, 4)


def test_owner_is_argument_environment_annotation_account_or_unknown() -> None:
    named = replace(JOB, annotations={"trainpoint.dev/owner": "ada@example.org"})
    assert who(named, {"TRAINPOINT_OWNER": "bob"}, owner="eve").owner == "eve"  # type: ignore[union-attr]
    assert who(named, {"TRAINPOINT_OWNER": "bob"}).owner == "bob"  # type: ignore[union-attr]
    assert who(named).owner == "ada@example.org"  # type: ignore[union-attr]
    assert who(JOB).owner == "trainer"  # type: ignore[union-attr]
    assert who(replace(JOB, service_account="default")).owner == ""  # type: ignore[union-attr]


def test_a_bare_pod_and_a_deployments_pod_are_readers_unless_a_workflow_is_named() -> None:
    for kind in ("", "ReplicaSet", "StatefulSet"):
        pod = replace(JOB, controller_kind=kind, controller_uid="")
        assert who(pod) is None
        identity = who(pod, {"TRAINPOINT_WORKFLOW": "w"})
        assert identity is not None
        assert identity.launched


def test_the_contract_and_the_object_say_the_same() -> None:
    environ = {
        "TRAINPOINT_NAMESPACE": "team-a",
        "TRAINPOINT_POD_NAME": "llm-x7k2p",
        "TRAINPOINT_POD_UID": JOB.uid,
        "TRAINPOINT_JOB": "llm",
        "TRAINPOINT_JOB_UID": JOB.controller_uid,
        "TRAINPOINT_SERVICE_ACCOUNT": "trainer",
        "TRAINPOINT_WORKFLOW": "",
    }
    from_environment = pod_of_environment(environ)
    assert from_environment is not None
    from_object = pod_of_object(
        {
            "metadata": {
                "namespace": "team-a",
                "name": "llm-x7k2p",
                "uid": JOB.uid,
                "ownerReferences": [{"controller": True, "kind": "Job", "name": "llm", "uid": JOB.controller_uid}],
            },
            "spec": {"serviceAccountName": "trainer", "containers": [{"image": "x"}]},
        }
    )
    assert who(from_environment, environ) == who(from_object)
    environ |= {"TRAINPOINT_JOBSET": "gpt", "TRAINPOINT_JOBSET_UID": JOBSET["jobset.sigs.k8s.io/jobset-uid"]}
    in_jobset = pod_of_environment(environ)
    assert in_jobset is not None
    assert who(in_jobset, environ) == who(IN_JOBSET)
    assert completion_index(in_jobset, {"JOB_COMPLETION_INDEX": "1"}).meaning == "Rank"
    assert pod_of_environment({}) is None
