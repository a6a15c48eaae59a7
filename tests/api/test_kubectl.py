"""What people see and type: columns, selectors, explanations, waits, refusals."""

from __future__ import annotations

import json

import pytest

from tests.api.conftest import Team
from tests.support.kubeapi import Person
from tests.support.objects import Object, checkpoint, claim, commit, condition, loaded, new_task, path, run
from trainpoint.format.layout import TaskPath

VIEWER: Person = "edsger"
EDITOR: Person = "ada"


@pytest.fixture(scope="module")
def story(team: Team) -> Object:
    """A run of which two attempts have saved, and the operator has seen the first. Names, by what they are of."""
    checkpoints, runs = path(team.namespace, "checkpoints"), path(team.namespace, "checkpointruns")
    task = TaskPath("llm", "llm-4c1d9e02ab", "main")
    begun = run(task, storeRef={"name": "main"}, policyRef={"name": "default"})
    begun["spec"]["identity"]["owner"] = "ada"
    team.pod.api.post(runs, begun).expect(201)
    held = f"{runs}/{begun['metadata']['name']}"
    team.pod.api.patch(f"{held}/status", claim(0, team.pod)).expect(200)
    seen = checkpoint(task, team.pod, sequence=1, step=8300, owner="ada", metrics={"loss": "0.034"})
    new = checkpoint(task, team.pod, attempt=1, sequence=2, step=8400, owner="ada", series="best-loss")
    other = checkpoint(TaskPath("vision", "vision-0000000000", "train", "2.1"), team.mate, owner="grace")
    for body, pod in ((seen, team.pod), (new, team.pod), (other, team.mate)):
        pod.api.post(checkpoints, body).expect(201)
    at = f"{checkpoints}/{seen['metadata']['name']}"
    team.pod.api.patch(f"{at}/status", commit()).expect(200)
    look = {"metric": "loss=0.034", "size": "12Gi"}
    status = {"state": "Verified", "display": look, "conditions": [condition()]}
    team.operator.patch(f"{at}/status", {"status": status}).expect(200)
    team.edit.patch(at, {"spec": {"pin": {"reason": "table 2"}}}).expect(200)
    more = loaded(checkpoint=seen["metadata"]["name"], reason="Newest")
    team.pod.api.patch(f"{held}/status", claim(1, team.pod)).expect(200)
    team.pod.api.patch(f"{held}/status", {"status": {"claim": {"loaded": more}}}).expect(200)
    names = {"seen": seen, "new": new, "other": other, "run": begun}
    return {name: body["metadata"]["name"] for name, body in names.items()}


def rows(team: Team, *arguments: str) -> list[dict[str, str]]:
    """A table of kubectl by the heads of its columns; a cell that is blank is the empty text."""
    done = team.server.kubectl("get", "-n", team.namespace, *arguments, person=VIEWER)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    starts = [i for i, c in enumerate(head) if c != " " and (i == 0 or head[:i].endswith("  "))]
    ends = [*starts[1:], None]
    cells = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in [head, *lines]]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def test_get_checkpoints(team: Team, story: Object) -> None:
    found = {row.pop("NAME"): row for row in rows(team, "ckpt")}
    assert list(found[story["seen"]]) == [
        "WORKFLOW", "TASK", "INDEX", "ATTEMPT", "STEP", "METRIC", "SIZE", "STATUS", "AGE",
    ]  # fmt: skip
    assert [*found[story["seen"]].values()][:-1] == [
        "llm", "main", "", "0", "8300", "loss=0.034", "12Gi", "Verified",
    ]  # fmt: skip
    assert [*found[story["new"]].values()][:-1] == ["llm", "main", "", "1", "8400", "", "", ""], (
        "what the operator fills is blank until it has looked"
    )
    assert [*found[story["other"]].values()][:-1] == ["vision", "train", "2.1", "0", "", "", "", ""]


def test_get_checkpoints_wide(team: Team, story: Object) -> None:
    row = next(row for row in rows(team, "ckpt", "-o", "wide") if row["NAME"] == story["seen"])
    wide = [*row.items()][[*row].index("AGE") + 1 :]
    assert [name for name, _ in wide] == [
        "RUN", "SERIES", "OWNER", "READY", "COMMITTED", "BYTES", "PINNED", "STORE",
    ]  # fmt: skip
    assert [text for name, text in wide if name != "COMMITTED"] == [
        "llm-4c1d9e02ab", "", "ada", "True", "7", "table 2", "main",
    ]  # fmt: skip


def test_get_runs(team: Team, story: Object) -> None:
    row = next(row for row in rows(team, "ckptrun") if row["NAME"] == story["run"])
    assert list(row) == [
        "NAME", "RUN", "TASK", "ATTEMPT", "STATUS", "STEP", "BEST", "LAST SAVE", "RETRIES", "AGE",
    ]  # fmt: skip
    assert [*row.values()][1:-1] == ["llm-4c1d9e02ab", "main", "1", "", "", "", "", ""]
    wide = next(row for row in rows(team, "ckptrun", "-o", "wide") if row["NAME"] == story["run"])
    assert [*wide.items()][len(row) :] == [
        ("WORKFLOW", "llm"),
        ("INDEX", ""),
        ("OWNER", "ada"),
        ("POLICY", "default"),
        ("POD", team.pod.name),
        ("LOADED", story["seen"]),
        ("NEXT", ""),
        ("READY", ""),
    ]


def test_both_and_the_category_in_one_command(team: Team, story: Object) -> None:
    for what in ("ckpt,ckptrun", "trainpoint"):
        done = team.server.kubectl("get", "-n", team.namespace, what, "-o", "name", person=VIEWER)
        assert f"checkpoint.trainpoint.dev/{story['seen']}" in done.stdout.splitlines()
        assert f"checkpointrun.trainpoint.dev/{story['run']}" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("spec.snapshot.workflow=llm", {"seen", "new"}),
        ("spec.snapshot.run=vision-0000000000", {"other"}),
        ("spec.snapshot.task=main,spec.snapshot.attempt=1", {"new"}),
        ("spec.snapshot.index=2.1", {"other"}),
        ("spec.snapshot.index=", {"seen", "new"}),
        ("spec.snapshot.series=best-loss", {"new"}),
        ("spec.snapshot.owner=ada", {"seen", "new"}),
        ("status.state=Verified", {"seen"}),
        ("status.state!=Verified", {"new", "other"}),
    ],
)
def test_checkpoints_are_selected_by_field(team: Team, story: Object, selector: str, expected: set[str]) -> None:
    found = {row["NAME"] for row in rows(team, "ckpt", f"--field-selector={selector}")}
    assert found == {story[name] for name in expected}


@pytest.mark.parametrize(
    "selector",
    [
        "spec.identity.workflow=llm",
        "spec.identity.run=llm-4c1d9e02ab,spec.identity.task=main,spec.identity.index=",
        "spec.identity.owner=ada",
        "status.state=",
    ],
)
def test_runs_are_selected_by_field(team: Team, story: Object, selector: str) -> None:
    assert [row["NAME"] for row in rows(team, "ckptrun", f"--field-selector={selector}")] == [story["run"]]


def test_a_field_that_is_not_for_selecting_is_named(team: Team) -> None:
    done = team.server.kubectl("get", "-n", team.namespace, "ckpt", "--field-selector=spec.snapshot.step=1")
    assert done.returncode == 1
    assert "field label not supported: spec.snapshot.step" in done.stderr


@pytest.mark.parametrize(
    ("what", "texts"),
    [
        ("ckpt", ("the record of one snapshot that a training job saved",)),
        ("ckpt.spec.snapshot.sequence", ("Order within the task and index.",)),
        ("ckpt.spec.pin", ("cannot be deleted", "the verb `unpin`", "reason\t<string> -required-")),
        ("ckpt.status.state", ("Saving Committed Verified Corrupt", "`Superseded`:")),
        ("ckptrun.status.claim", ("its one writer", "nonce\t<string> -required-")),
        ("ckptrun.spec.stop", ("no further attempt is allowed",)),
        ("ckptpolicy.spec.load.policy", ("Fresh Eager None",)),
        ("ckptstore.spec.writerCredentials", ("How training pods reach the store",)),
    ],
)
def test_explain(team: Team, what: str, texts: tuple[str, ...]) -> None:
    done = team.server.kubectl("explain", what, person=VIEWER)
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    for text in texts:
        assert " ".join(text.split()) in words, done.stdout


def test_wait(team: Team, story: Object) -> None:
    at = ("-n", team.namespace, f"ckpt/{story['seen']}", "--timeout=10s")
    for condition_of in ("condition=Ready", "jsonpath={.status.state}=Verified"):
        done = team.server.kubectl("wait", f"--for={condition_of}", *at, person=VIEWER)
        assert done.returncode == 0, done.stderr


def test_apply_refuses_what_one_object_shows(team: Team) -> None:
    """The sentence a person sees in a terminal."""
    body = checkpoint(new_task(), None, step=-1)
    done = team.server.kubectl("apply", "-n", team.namespace, "-f", "-", stdin=json.dumps(body))
    assert done.returncode == 1
    assert "spec.snapshot.step: Invalid value: -1: spec.snapshot.step in body should be greater than or equal to 0" in (
        done.stderr
    )


def test_edit_refuses_a_changed_snapshot_and_says_what_to_do(team: Team, story: Object) -> None:
    patch = '{"spec":{"snapshot":{"step":1}}}'
    done = team.server.kubectl(
        "patch", "ckpt", story["new"], "-n", team.namespace, "--type=merge", "-p", patch, person=EDITOR
    )
    assert done.returncode == 1
    assert "spec.snapshot: Forbidden: spec.snapshot is immutable; save a new checkpoint instead" in done.stderr


def test_the_commands_of_the_page_on_permissions_work(team: Team, story: Object) -> None:
    name = story["other"]
    at = ("-n", team.namespace, name)
    pin = '{"spec":{"pin":{"reason":"table 2 of the paper","by":"ada"}}}'
    done = team.server.kubectl("patch", "ckpt", *at, "--type=merge", "-p", pin, person=EDITOR)
    assert done.returncode == 0, done.stderr
    done = team.server.kubectl("delete", "ckpt", *at, person=EDITOR)
    assert (
        f"checkpoint {name} is pinned (table 2 of the paper, by ada); to delete it you need the verb unpin on "
        "checkpoints.trainpoint.dev" in done.stderr
    )
