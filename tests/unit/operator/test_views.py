"""What is kept of objects as Kubernetes writes them."""

from __future__ import annotations

from tests.support.runs import (
    at,
    checkpoint,
    checkpoint_object,
    coarse,
    ended,
    job,
    pod,
    pod_object,
    running,
    waiting,
)
from trainpoint.format.reference import run_object_name
from trainpoint_operator.views import CheckpointView, PodView, moment


def test_a_time_that_cannot_be_read_is_none() -> None:
    assert moment(coarse(5)) == at(5)
    assert [moment(text) for text in (None, "", "yesterday", "2026-11-22T09:12:05")] == [None] * 4


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_just_created() -> None:
    view = checkpoint(2, 84, state="", saved=None, step=8400)
    assert (view.attempt, view.step, view.latest, view.good, view.commit, view.stored_bytes) == (
        2,
        8400,
        True,
        False,
        {},
        0,
    )
    assert view.store == "main"
    assert view.name == view.ref.name


def test_a_checkpoint_belongs_to_the_run_of_its_identity_whatever_it_is_named() -> None:
    value = checkpoint_object()
    value["metadata"]["name"] = "somebody-elses-11111111-0-1-abcde"
    view = CheckpointView.of(value)
    assert view.run_object == run_object_name(view.ref.task)
    assert checkpoint().run_object == checkpoint().name.rsplit("-", 3)[0]


def test_good_is_what_an_attempt_may_start_from_as_far_as_is_known() -> None:
    states = ("", "Saving", "Committed", "Verified", "Corrupt", "Failed", "Superseded", "Quarantined", "Deleting")
    assert [s for s in states if checkpoint(state=s).good] == ["", "Saving", "Committed", "Verified"]
    assert not checkpoint(state="Saving", saved=None).good
    assert not checkpoint(deleted=90).good


def test_late_metrics_add_and_replace_nothing() -> None:
    value = checkpoint_object(metrics={"loss": "0.3"})
    value["spec"]["lateMetrics"] = {"loss": "0.1", "acc": "0.9"}
    value["spec"]["deletionPolicy"] = "Retain"
    view = CheckpointView.of(value)
    assert view.metrics == {"loss": "0.3", "acc": "0.9"}
    assert view.retain


# --- pods -------------------------------------------------------------------------------------------------------------


def test_a_pod_that_was_just_created() -> None:
    view = PodView.of({"metadata": {"namespace": "n", "name": "p", "uid": "u"}})
    assert (view.node, view.job, view.index, view.phase, view.ends, view.running_since, view.over) == (
        "", "", "", "", (), None, False,
    )  # fmt: skip


def test_a_pod_that_is_to_end() -> None:
    view = pod(running(1), deleted=10, grace=30)
    assert (view.asked, view.deletion) == (at(10), at(40))


def test_a_disruption_counts_while_it_is_true() -> None:
    value = pod_object(running(1), disruption="EvictionByEvictionAPI", disrupted=7)
    assert (PodView.of(value).disruption, PodView.of(value).disrupted) == ("EvictionByEvictionAPI", at(7))
    value["status"]["conditions"][0]["status"] = "False"
    assert PodView.of(value).disruption == ""


def test_both_ends_of_a_container_that_was_restarted_once_and_ended() -> None:
    view = pod(ended(42, 90, 143), last=ended(1, 40, 3))
    assert [(e.exit_code, e.started, e.finished) for e in view.ends] == [(3, at(1), at(40)), (143, at(42), at(90))]
    assert view.running_since is None


def test_a_container_that_could_not_be_started_has_no_start() -> None:
    state = {"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}}
    assert pod(state).ends[0].started is None


def test_of_several_containers_the_one_that_trains() -> None:
    """Their statuses are in the order of their names; a sidecar that lives on must not hide that the training ended."""
    value = pod_object(ended(1, 40, 3))
    sidecar = {"name": "a-proxy", "state": running(0), "lastState": {}}
    value["status"]["containerStatuses"].insert(0, sidecar)
    value["spec"]["containers"].append({"name": "a-proxy"})
    assert [e.exit_code for e in PodView.of(value).ends] == [3]
    assert PodView.of(value).running_since is None
    value["spec"]["containers"].reverse()  # a proxy that was injected before it, and says which is the main one
    value["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "trainer"}
    assert [e.exit_code for e in PodView.of(value).ends] == [3]
    value["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "gone"}
    assert PodView.of(value).running_since == at(0), "a name that is not there: whichever there is"


def test_what_keeps_a_pod_from_running() -> None:
    assert pod(waiting("ImagePullBackOff", "no such tag")).waiting == "ImagePullBackOff: no such tag"
    assert pod(waiting("CrashLoopBackOff")).waiting == "CrashLoopBackOff"
    assert pod(waiting("ContainerCreating")).waiting == ""
    assert pod(unschedulable="0/3 nodes").waiting == "Unschedulable: 0/3 nodes"
    assert len(pod(unschedulable="x" * 5000).waiting) == 200
    assert pod(running(1)).waiting == ""


def test_the_completion_index_by_label_or_annotation() -> None:
    assert pod(index="4").index == "4"
    value = pod_object()
    value["metadata"]["annotations"] = {"batch.kubernetes.io/job-completion-index": "0"}
    assert PodView.of(value).index == "0"


# --- Jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_from_its_beginning_to_its_end() -> None:
    assert (job().result, job().failing, job().ended) == ("", False, "")
    failing = job("FailureTarget", reason="PodFailurePolicy", message="exit code 86")
    assert (failing.result, failing.failing, failing.reason, failing.message) == (
        "",
        True,
        "PodFailurePolicy",
        "exit code 86",
    )
    over = job("FailureTarget", "Failed", reason="BackoffLimitExceeded", ended=44)
    assert (over.result, over.reason, over.ended) == ("Failed", "BackoffLimitExceeded", coarse(44))
    assert job("SuccessCriteriaMet", "Complete", ended=44).result == "Complete"
    assert job("Suspended").suspended


def test_failed_indexes() -> None:
    some = job(failedIndexes="1,3-5,11")
    assert [i for i in range(13) if some.has_failed(str(i))] == [1, 3, 4, 5, 11]
    assert not some.has_failed("")
    assert not job().has_failed("0")
