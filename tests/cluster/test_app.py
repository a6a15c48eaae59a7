"""An app as a Job: its files are checkpoints, a later Job starts from one, and what does not fit ends it at once."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from tests.support.cluster import Namespace, Object
from tests.support.pods import PROGRAMS
from tests.support.release import TeamSpace
from tests.support.repository import ROOT
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.app.start import saved_by
from trainpoint.catalog.record import checkpoint_body
from trainpoint.claim.store import read_attempts
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.policies.app_files import series_name, superfluous, timestamp_of
from trainpoint.policies.settings import AppFileSettings

PATIENCE_SECONDS = 240
EXAMPLE = ROOT / "examples" / "app"
APP: dict[str, Any] = {**yaml.safe_load((EXAMPLE / "job.yaml").read_text(encoding="utf-8")), "workflow": "app"}
"""The values that the example has for the chart; with a workflow, since each Job of a test has its own name."""


def log_of(team: TeamSpace, job: str, pod: str = "") -> str:
    """What the pod, or the only one, of a Job has printed, once the Job is complete."""
    team.namespace.wait(f"job/{job}", "Complete", seconds=PATIENCE_SECONDS)
    return team.namespace.logs(pod or team.pod_of(job))


def saved(team: TeamSpace, job: str = "") -> list[str]:
    """The series of all checkpoints of apps, or of those of one Job, which are the names of their files; sorted."""
    run = team.run_of(job)["spec"]["identity"]["run"] if job else ""
    found = [c["spec"]["snapshot"] for c in team.namespace.list("checkpoints.trainpoint.dev")]
    return sorted(one.get("series", "") for one in found if not run or one["run"] == run)


def test_an_app_runs_as_a_job_and_later_ones_start_from_it_or_say_why_they_cannot(team: TeamSpace) -> None:
    team.namespace.configmap("app", {"app.py": (EXAMPLE / "app.py").read_text(encoding="utf-8")})
    team.train("first", **APP)
    log = log_of(team, "first")
    assert log.count("the work runs") == 1
    assert "rounds: 10, counter: 1" in log
    first = saved(team)
    assert first
    assert all(name.startswith("lightningapp_checkpoint_") for name in first)
    assert len(set(first)) == len(first)

    team.train("latest", **APP, podAnnotations={"trainpoint.dev/checkpoint": "latest"})
    log = log_of(team, "latest")
    assert "the work runs" not in log, "finished work is not repeated"
    assert "rounds: 20, counter: 1" in log

    before = saved(team)
    named = {"trainpoint.dev/checkpoint": first[-1]}
    without = "s/self.w = Work()/pass/; s/self.w.run()/pass/; s/children_states\\[.*/pass/"
    team.train("other", **changed(without), podAnnotations=named)
    migrates = """s/children_states\\[.*/children_states["w"]["vars"]["counter"] += 41/"""
    team.train("migrated", **changed(migrates), podAnnotations=named)
    team.namespace.configmap("old", {"old.json": text_of(team, first[-1])})
    team.train("path", **with_folder("old"), podAnnotations={"trainpoint.dev/checkpoint": "/old/old.json"})
    team.train("nothing", **APP, podAnnotations={"trainpoint.dev/checkpoint": "nothing"})
    sentence = "The component w wasn't instantiated for the component root"
    assert "load_state_dict" in check_that_one_pod_was_refused(team, "other", sentence)
    check_that_one_pod_was_refused(team, "nothing", "Could not find checkpoint: nothing")
    assert "rounds: 20, counter: 1" in log_of(team, "path")
    log = log_of(team, "migrated")
    assert "rounds: 20, counter: 42" in log, "the old file's ten rounds, and what the method made of its counter"
    assert "the work runs" not in log
    for job in ("path", "migrated"):  # these two ran at the same time, and may have saved in the same second
        names = before + saved(team, job)
        assert names == sorted(set(names)), "names rise over all runs"
        assert len(names) > len(before)


def changed(how: str) -> dict[str, Any]:
    """The same app with other code, by what sed is to do with it."""
    command = ["sh", "-c", 'sed "$0" /app/app.py > /tmp/app.py && exec trainpoint run app /tmp/app.py', how]
    return {**APP, "command": command}


def with_folder(name: str) -> dict[str, Any]:
    """The same app, with a ConfigMap as the folder of its name."""
    volume, mount = {"name": name, "configMap": {"name": name}}, {"name": name, "mountPath": f"/{name}"}
    return {
        **APP,
        "extraVolumes": [*APP["extraVolumes"], volume],
        "extraVolumeMounts": [*APP["extraVolumeMounts"], mount],
    }


def text_of(team: TeamSpace, series: str) -> str:
    """The one file of a checkpoint, as any S3 tool reads it."""
    store = team.place.store()
    (key,) = [info.key for info in store.list("ns/") if info.key.endswith(f"/{series}.json")]
    return store.get(key).decode()


def check_that_one_pod_was_refused(team: TeamSpace, job: str, sentence: str) -> str:
    """And that the condition of its run says why. Returns what the pod has printed."""
    team.namespace.wait(f"job/{job}", "Failed", seconds=PATIENCE_SECONDS)
    (pod,) = team.pods_of(job)
    name = pod["metadata"]["name"]
    log = team.namespace.logs(name)
    assert team.namespace.exit_code(name) == 86, log
    assert sentence in log
    assert "rounds:" not in log

    def ready() -> Object:
        conditions = team.run_of(job).get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == "Ready"), {})

    def refused(condition: Object) -> bool:
        return (condition.get("status"), condition.get("reason")) == ("False", "Refused")

    told = team.namespace.wait_until("the run says why", ready, refused, seconds=60)
    assert sentence in told["message"]
    return log


def test_an_evicted_app_has_saved_its_last_round_and_the_next_pod_goes_on_from_it(team: TeamSpace) -> None:
    team.train("app", command=["trainpoint", "run", "app", f"{PROGRAMS}/app_evicted.py"])
    first = team.pod_of("app")
    team.namespace.wait_for_log(first, "round 8")

    def progress() -> int:
        """The column STEP of the one run."""
        header, row = team.namespace.kubectl("get", "ckptrun").splitlines()
        at = header.index("STEP")
        return int(row[at:].split()[0]) if row[at] != " " else 0

    seen = team.namespace.wait_until("its rounds are shown", progress, lambda step: step > 0, seconds=60)
    with following(team.namespace, first) as log:
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first}}
        where = f"/api/v1/namespaces/{team.namespace.name}/pods/{first}/eviction"
        team.namespace.kubectl("create", f"--raw={where}", "--filename=-", stdin=json.dumps(eviction))
        printed, _ = log.communicate(timeout=PATIENCE_SECONDS)
    last = max(int(number) for number in re.findall(r"^round (\d+)$", printed, re.MULTILINE))
    second = team.namespace.wait_until(
        "a pod that replaces it",
        lambda: [str(pod["metadata"]["name"]) for pod in team.pods_of("app")],
        lambda names: bool(set(names) - {first}),
    )[-1]
    goes_on = re.search(r"goes on after round (\d+)", log_of(team, "app", second))
    assert goes_on
    assert last - 1 <= int(goes_on[1]) <= last, printed
    assert progress() >= seen

    catalog = team.place.catalog()
    (task,) = catalog.tasks(team.namespace.name, "app", catalog.runs(team.namespace.name, "app")[0].run)
    ended = [view.end for view in read_attempts(catalog.store, task)]
    assert [(end.how, end.exit_code) for end in ended if end] == [("Preempted", 143), ("Completed", 0)]
    (job,) = team.namespace.list("jobs")
    assert job["status"]["succeeded"] == 1, "that it was evicted was no success"
    check_that_older_files_go(team, task)


def check_that_older_files_go(team: TeamSpace, task: TaskPath) -> None:
    """As if the app of before had saved twenty times more: of its real files the one stays that was loaded."""
    team.wait_for_run("app", "Succeeded")
    real = {stamp_of(c): c for c in team.namespace.list("checkpoints.trainpoint.dev")}
    rule = AppFileSettings()
    newer = range(max(real) + 1, max(real) + 1 + rule.keep_latest)
    catalog, bodies = team.place.catalog(), []
    for number, at in enumerate(newer):
        snapshot = Snapshot(task, SnapshotId(1, 100 + number, f"{number:016x}"), series=series_name(at))
        catalog.record(Manifest(snapshot, "2026-11-22T09:12:05.000000Z", (), ()))
        bodies.append(checkpoint_body(snapshot, store_ref="main", policy="default", finalizer=DATA_FINALIZER))
    team.namespace.apply(*bodies)

    claim = team.run_of("app")["status"]["claim"]
    assert claim["policy"] == "default"
    loaded = claim["loaded"]["checkpoint"]
    gone = {at for at in superfluous([*real, *newer], rule) if real[at]["metadata"]["name"] != loaded}
    assert gone

    def left() -> set[int]:
        return {stamp_of(c) for c in team.namespace.list("checkpoints.trainpoint.dev")}

    team.namespace.wait_until("older files are gone, and nothing else", left, lambda now: now == {*real, *newer} - gone)
    stored = {one.timestamp for one in saved_by(catalog, task.namespace, task.workflow) if one.ref.task == task}
    assert stored == set(real) - gone, "their bytes, too"
    assert "OlderFilesDeleted" in team.namespace.kubectl("describe", "ckptrun")

    said = json.dumps({"spec": {"appFiles": {"keepLatest": 3, "keepOneEvery": "0s"}}})
    team.namespace.kubectl("patch", "ckptpolicy", "default", "--type=merge", f"--patch={said}")
    kept = {*newer[-3:], *(at for at in real if real[at]["metadata"]["name"] == loaded)}
    team.namespace.wait_until("the policy is followed, also after the end", left, lambda now: now == kept)


def stamp_of(checkpoint: Object) -> int:
    found = timestamp_of(checkpoint["spec"]["snapshot"]["series"])
    assert found is not None
    return found


@contextmanager
def following(namespace: Namespace, pod: str) -> Iterator[subprocess.Popen[str]]:
    """What a pod prints, to its end, although the pod is gone then."""
    words = ["kubectl", f"--namespace={namespace.name}", "logs", "--follow", pod]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
