"""Choosing what to load, on a cluster: by reference, by list, by name; resumed, rolled back, agreed upon by ranks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.cluster import Object
from tests.support.command_line import invoke
from tests.support.nodes import Nodes
from tests.support.release import TeamSpace
from trainpoint import Checkpoint, NotInJobError, Workflow
from trainpoint.cli.main import kubectl

PATIENCE_SECONDS = 240
SEED = "/metaflow"


def log_of(team: TeamSpace, job: str) -> str:
    """What its newest pod has printed, once the Job is complete."""
    team.namespace.wait(f"job/{job}", "Complete", seconds=PATIENCE_SECONDS)
    return team.namespace.logs(team.pod_of(job))


def run_name(team: TeamSpace, job: str) -> str:
    """Of the one launch that a Job was."""
    name: str = team.run_of(job)["spec"]["identity"]["run"]
    return name


def test_the_programs_of_metaflows_page_work_here_and_a_reference_outlives_its_job(team: TeamSpace) -> None:
    team.train(
        "count",
        command=["python", f"{SEED}/checkpoint_counter.py"],
        workflow="CheckpointCounterFlow",
        owner="ada@example.com",
    )
    log = log_of(team, "count")
    assert "Counter is now 6 in attempt 2 from attempt 1" in log
    assert "Final counter 10" in log
    rows = [(c["spec"]["snapshot"]["attempt"], c["spec"]["snapshot"]["step"]) for c in team.checkpoints()]
    assert rows == [(0, 2), (1, 4), (1, 6), (2, 8), (2, 10)]
    team.wait_for_run("count", "Succeeded")
    team.namespace.kubectl("delete", "job", "count", "--wait=true")

    for form, arguments in {"artifact": [], "list": ["--list"]}.items():
        team.train(
            form,
            command=["python", f"{SEED}/counter_policy.py", *arguments],
            workflow="CounterPolicyFlow",
            owner="bob@example.com",
        )
    for form in ("artifact", "list"):
        assert "Loaded counter 10" in log_of(team, form)


def test_a_second_pod_lists_what_a_running_task_saves_through_a_retry(team: TeamSpace, nodes: Nodes) -> None:
    team.train("watch", "watcher.py", env={"WATCHED": "llm", "UNTIL": "40"})
    team.train("llm", env={"HOLD_AT": "17", "STEP_SECONDS": "0.1"})
    pod = team.pod_of("llm")
    team.namespace.wait_for_log(pod, "step=17")
    team.namespace.wait_for_log(team.pod_of("watch"), "0-3@")
    nodes.kill(team.namespace.get("pod", pod), matching="steps.py")
    log = log_of(team, "watch")

    listed = [line.split()[1:] for line in log.splitlines() if line.startswith("listed")]
    everything = listed[-1][1:]
    names = [row.partition("@")[0] for row in everything]
    assert names == ["1-8", "1-7", "1-6", "1-5", "1-4", "0-3", "0-2", "0-1"]
    for begun, *rows in listed:
        due = [row for row in everything if float(row.partition("@")[2]) < float(begun) - 2]
        assert rows[len(rows) - len(due) :] == due, "what was committed two seconds ago is listed, in its order"
        assert rows == everything[len(everything) - len(rows) :], "newest first, and the newest never goes back"
    assert log.count("of attempt 0: 3") == 2
    assert "loaded 0: 40" in log
    assert "loaded 1: 35" in log
    assert "directory: 35 ['number']" in log


def test_a_job_resumes_the_run_that_it_names_although_a_newer_one_is_there(team: TeamSpace) -> None:
    team.train("first", env={"HOLD_AT": "17"}, workflow="llm")
    team.namespace.wait_for_log(team.pod_of("first"), "step=17")
    run = run_name(team, "first")
    team.namespace.kubectl("delete", "job", "first", "--wait=true", "--cascade=foreground")
    *_, interrupted = team.wait_until_verified([5, 10, 15, 18])  # the last one as it was told to end
    team.train("second", env={"STEPS": "10"}, workflow="llm")
    assert "start=0 attempt=0" in log_of(team, "second")

    team.train("third", env={"STEPS": "20", "SAVE_EVERY": "2"}, workflow="llm", resumeFrom=f"llm/{run}")
    assert "start=18 attempt=0" in log_of(team, "third")
    claim = team.run_of("third")["status"]["claim"]
    assert claim["loaded"]["checkpoint"] == interrupted["metadata"]["name"]
    newest = next(c for c in team.checkpoints() if c["spec"]["snapshot"]["step"] == 20)
    assert newest["spec"]["snapshot"]["parents"] == [interrupted["metadata"]["name"]]

    team.train("lost", env={"STEPS": "1"}, workflow="llm", resumeFrom="llm/never-was")
    team.namespace.wait("job/lost", "Failed", seconds=PATIENCE_SECONDS)
    (only,) = team.pods_of("lost")
    assert "never-was" in team.namespace.logs(only["metadata"]["name"])
    assert team.namespace.exit_code(only["metadata"]["name"]) == 86


def test_a_person_rolls_a_run_back_and_it_goes_on_from_there(team: TeamSpace, nodes: Nodes) -> None:
    team.train("llm", env={"HOLD_AT": "17", "STEPS": "20"})
    pod = team.pod_of("llm")
    team.namespace.wait_for_log(pod, "step=17")
    first, *_ = team.wait_until_verified([5, 10, 15], "llm")
    name = first["metadata"]["name"]
    run = team.run_of("llm")["metadata"]["name"]
    team.namespace.kubectl("patch", "ckptrun", run, "--type=merge", f'--patch={{"spec":{{"resumeFrom":"{name}"}}}}')

    def next_start() -> Object:
        found: Object = team.run_of("llm")["status"].get("resume", {})
        return found

    team.namespace.wait_until("the run says so", next_start, lambda seen: seen.get("checkpoint") == name)
    nodes.kill(team.namespace.get("pod", pod), matching="steps.py")
    assert "start=5 attempt=1" in log_of(team, "llm")
    steps = [(c["spec"]["snapshot"]["attempt"], c["spec"]["snapshot"]["step"]) for c in team.checkpoints("llm")]
    assert sorted(steps) == [(0, 5), (0, 10), (0, 15), (1, 10), (1, 15), (1, 20)]


def test_a_person_asks_a_job_to_save_now(team: TeamSpace) -> None:
    team.train("llm", env={"STEPS": "10000", "SAVE_EVERY": "100000", "STEP_SECONDS": "0.2"})
    team.namespace.wait_for_log(team.pod_of("llm"), "step=2")
    assert team.checkpoints("llm") == []
    asked = invoke("save", "job/llm", "--wait", "--namespace", team.namespace.name, program=kubectl)
    assert asked.exit_code == 0, asked.stderr
    (only,) = team.checkpoints("llm")
    assert asked.stdout.split() == [only["metadata"]["name"]]
    assert "asked to save now" in team.namespace.logs(team.pod_of("llm"))


def test_ranks_of_an_indexed_job_start_from_the_same_and_save_the_same(team: TeamSpace) -> None:
    rank = {
        "name": "RANK",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}},
    }
    gang = {
        "workflow": "gang",
        "run": "together",
        "indexed": True,
        "completionIndex": "Rank",
        "completions": 2,
        "parallelism": 2,
        "extraEnv": [rank],
    }
    for job, total, start in (("one", "4", 0), ("two", "8", 4)):
        team.train(job, "gang.py", env={"WORLD_SIZE": "2", "TOTAL": total}, **gang)
        team.namespace.wait(f"job/{job}", "Complete", seconds=PATIENCE_SECONDS)
        logs = [team.namespace.logs(pod["metadata"]["name"]) for pod in team.pods_of(job)]
        assert len(logs) == 2
        said = [re.findall(r"^(?:start|saved)=.*", log, re.MULTILINE) for log in logs]
        assert said[0] == said[1]
        assert said[0][0].startswith(f"start={start} ")
        assert len(said[0]) > 1
    assert len(team.runs()) == 1
    assert len(team.checkpoints()) == 4


def kubeconfig(team: TeamSpace, folder: Path, name: str, *, role: str | None) -> str:
    """Of somebody who has that role in the namespace, or none."""
    namespace = team.namespace
    namespace.kubectl("create", "serviceaccount", name)
    if role:
        subject = f"--serviceaccount={namespace.name}:{name}"
        namespace.kubectl("create", "rolebinding", name, f"--clusterrole={role}", subject)
    config = json.loads(namespace.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    config["users"][0]["user"] = {"token": namespace.kubectl("create", "token", name).strip()}
    path = folder / f"{name}.kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def test_a_notebook_reads_a_namespace_by_kubeconfig_and_changes_nothing(
    team: TeamSpace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As somebody who may only look; a stranger is told what is missing."""
    team.train("llm", env={"STEPS": "15"})
    team.namespace.wait("job/llm", "Complete", seconds=PATIENCE_SECONDS)
    team.wait_until_verified([5, 10, 15], "llm")
    team.wait_for_run("llm", "Succeeded")
    kinds = "ckpt,ckptrun,ckptpolicy,ckptstore"

    def versions() -> list[str]:
        return [one["metadata"]["resourceVersion"] for one in team.namespace.list(kinds)]

    looks = kubeconfig(team, tmp_path, "looks", role="view")
    stranger = kubeconfig(team, tmp_path, "stranger", role=None)
    before = versions()
    with monkeypatch.context() as theirs:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            theirs.setenv(name, team.place.environ[name])
        theirs.setenv("KUBECONFIG", looks)
        with Checkpoint(namespace=team.namespace.name) as notebook:
            task = Workflow("llm", owner="*", namespace=team.namespace.name).latest_run["main"].task
            found = notebook.list(task=task)
            assert [info.step for info in found] == [15, 10, 5]
            for info in found[:2]:
                notebook.load(info)
                assert (notebook.path / "number").read_text() == str(info.step)
            with pytest.raises(NotInJobError, match="workflow="):
                notebook.save(step=16)
        assert not notebook.path.exists()
        theirs.setenv("KUBECONFIG", stranger)
        with pytest.raises(PermissionError, match="configmaps"):
            Checkpoint(namespace=team.namespace.name).__enter__()
    assert versions() == before
