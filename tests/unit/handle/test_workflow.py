"""Workflow, its runs and tasks: whose are seen, which is the latest, what an artifact holds."""

from __future__ import annotations

import json

import pytest

from trainpoint import (
    Checkpoint,
    CheckpointNotFoundError,
    CorruptRecordError,
    Flow,
    IdentityError,
    InvalidArgumentError,
    NotInJobError,
    NotVisibleError,
    RunNotFoundError,
    SupersededError,
    Workflow,
)
from trainpoint.claim.announce import put_fence
from trainpoint.clock import rfc3339
from trainpoint.format.layout import TaskPath, run_end_key, run_key
from trainpoint.format.records import RunEndRecord, RunRecord
from trainpoint.testing import FakeClock, MemoryStore


def launch(url: str, run: str, *, owner: str = "ada", task: str = "main", index: int | None = None) -> Checkpoint:
    return Checkpoint(workflow="w", run=run, task=task, index=index, owner=owner, store=url, load_policy=None)


def train(url: str, run: str, *steps: int, owner: str = "ada", task: str = "main", index: int | None = None) -> None:
    with launch(url, run, owner=owner, task=task, index=index) as ckpt:
        for step in steps:
            ckpt.save(step=step, metrics={"loss": 1 / step})


def end(store: MemoryStore, run: str, outcome: str, *, workflow: str = "w") -> None:
    value = RunEndRecord(outcome, "", "2026-01-01T00:00:00.000000Z")  # type: ignore[arg-type]
    store.put(run_end_key("_", workflow, run), value.to_bytes())


# --- runs -------------------------------------------------------------------------------------------------------------


def test_the_latest_run_and_the_latest_that_has_succeeded(url: str, store: MemoryStore) -> None:
    for run in ("good", "bad", "stopped", "going-on"):
        train(url, run, 1)
    for run, outcome in (("good", "Succeeded"), ("bad", "Failed"), ("stopped", "Stopped")):
        end(store, run, outcome)
    flow = Workflow("w", owner="ada", store=url)
    assert [run.name for run in flow.runs()] == ["going-on", "stopped", "bad", "good"]
    assert flow.latest_run.pathspec == "w/going-on"
    assert flow.latest_successful_run.name == "good"
    assert [(run.outcome, run.finished, run.successful) for run in flow] == [
        (None, False, False),
        ("Stopped", True, False),
        ("Failed", True, False),
        ("Succeeded", True, True),
    ]


def test_where_none_has_succeeded_the_error_counts_what_there_is(url: str, store: MemoryStore) -> None:
    train(url, "a", 1)
    train(url, "b", 1)
    end(store, "a", "Failed")
    with pytest.raises(RunNotFoundError, match="no run of workflow 'w' has succeeded: 1 go on, 1 failed") as caught:
        _ = Workflow("w", owner="ada", store=url).latest_successful_run
    assert "latest_run" in caught.value.remedy


def test_an_unknown_workflow_is_not_found_and_near_names_are_named(url: str) -> None:
    train(url, "a", 1)
    with Checkpoint(workflow="counter-flow", owner="ada", store=url) as ckpt:
        ckpt.save()
    with pytest.raises(RunNotFoundError, match="no run of workflow 'counterflow'") as caught:
        _ = Workflow("counterflow", store=url).latest_run
    assert caught.value.remedy == "did you mean 'counter-flow'?"
    with pytest.raises(RunNotFoundError) as caught:
        Workflow("zzz", store=url).runs()[0]
    assert caught.value.remedy == "there: counter-flow, w"
    with pytest.raises(RunNotFoundError) as caught:
        _ = Workflow("zzz", store="memory://nothing-there").latest_run
    assert "nothing has been saved there" in caught.value.remedy
    with pytest.raises(IdentityError):
        Workflow("no/name", store=url)


def test_the_runs_of_others_are_not_seen_unless_asked_for(url: str) -> None:
    train(url, "ada-1", 1, owner="ada")
    train(url, "bob-1", 2, owner="bob")
    train(url, "ada-2", 3, owner="ada")
    train(url, "nobody-1", 4, owner="")

    def names(owner: str | None) -> list[str]:
        return [run.name for run in Workflow("w", owner=owner, store=url).runs()]

    assert names("ada") == ["ada-2", "ada-1"]
    assert names("bob") == ["bob-1"]
    assert names("*") == ["nobody-1", "ada-2", "bob-1", "ada-1"]
    assert names("") == ["nobody-1"]
    assert Workflow("w", owner="*", store=url).runs()[1].owner == "ada"
    with pytest.raises(NotVisibleError) as caught:
        _ = Workflow("w", owner="eve", store=url).latest_run
    assert "4 runs, none of eve; owners: ada (2), " in caught.value.message
    assert "bob (1)" in caught.value.message
    assert "unknown (1)" in caught.value.message
    assert 'owner="*"' in caught.value.remedy
    assert Workflow("w", owner="eve", store=url)["bob-1"].owner == "bob", "who names a run means it"
    assert "bob-1" in Workflow("w", store=url)
    with pytest.raises(KeyError):
        Workflow("w", store=url)["bob-9"]


def test_without_an_argument_it_is_who_the_environment_says(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train(url, "bob-1", 1, owner="bob")
    monkeypatch.setenv("TRAINPOINT_OWNER", "bob")
    assert Workflow("w", store=url).latest_run.name == "bob-1"
    monkeypatch.setenv("TRAINPOINT_OWNER", "ada")
    with pytest.raises(NotVisibleError):
        _ = Workflow("w", store=url).latest_run
    with launch(url, "ada-1"):  # the same inside a job
        assert Workflow("w", store=url).latest_run.name == "ada-1"


def test_runs_of_one_second_are_in_the_order_of_their_own_clocks() -> None:
    """S3 tells whole seconds: two quick runs look as if they had begun at once."""
    clock = FakeClock()
    store = MemoryStore.named("same-second", clock=clock)  # stands still
    for number, run in enumerate(["c", "a", "b"]):
        record = RunRecord("_", "w", run, "ada", f"2026-01-01T00:00:00.{number:06}Z")
        store.put(run_key("_", "w", run), record.to_bytes())
    assert [run.name for run in Workflow("w", owner="ada", store="memory://same-second").runs()] == ["b", "a", "c"]


def test_another_namespace_is_another_place(url: str, store: MemoryStore) -> None:
    store.put(run_key("team-b", "w", "r"), RunRecord("team-b", "w", "r", "ada", "2026-01-01T00:00:00Z").to_bytes())
    run = Workflow("w", owner="ada", namespace="team-b", store=url).latest_run
    assert (run.name, run.namespace) == ("r", "team-b")
    with pytest.raises(RunNotFoundError):
        _ = Workflow("w", owner="ada", store=url).latest_run


def test_looking_writes_nothing(url: str, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    train(url, "r", 1)
    before = store.keys()
    monkeypatch.setenv("TRAINPOINT_WORKFLOW", "other")  # also in a process that may write
    store.requests.clear()
    run = Workflow("w", owner="ada", store=url).latest_run
    assert run.best("loss", "min") is not None
    assert run["main"].task["latest_checkpoint"].data["run"] == "r"
    assert store.keys() == before
    assert not {"put", "put_stream", "delete"} & set(store.requests)
    monkeypatch.setenv("TRAINPOINT_STORE", "memory://never-written")
    assert Workflow("w").name == "w"
    assert MemoryStore.named("never-written").keys() == []


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_tasks_of_a_run_by_name_and_index(url: str) -> None:
    for index in (0, 2, 10):
        train(url, "r", index + 1, task="train", index=index)
    train(url, "r", 7, task="eval")
    with launch(url, "r", task="claimed"):
        pass
    run = Workflow("w", owner="ada", store=url).latest_run
    assert [task.pathspec for task in run.tasks] == [
        "w/r/claimed", "w/r/eval", "w/r/train/0", "w/r/train/2", "w/r/train/10",
    ]  # fmt: skip
    assert [(step.name, len(step)) for step in run] == [("claimed", 1), ("eval", 1), ("train", 3)]
    assert run["eval"].task.checkpoints()[0].step == 7
    assert run["train"][2].checkpoints()[0].step == 3
    assert run["train"]["10"].index == "10"
    assert [task.index for task in run["train"]] == ["0", "2", "10"]
    assert "train" in run
    assert "test" not in run
    assert len(run["claimed"].task.checkpoints()) == 0
    assert run["claimed"].task.latest is None
    assert run["claimed"].task.attempts == 1
    with pytest.raises(InvalidArgumentError, match="has 3 indexes: 0, 2, 10"):
        _ = run["train"].task
    with pytest.raises(RunNotFoundError, match=r"has no task 'test' \(there: claimed, eval, train\)"):
        run["test"]
    with pytest.raises(KeyError, match="has no index 1"):
        run["train"][1]


def test_a_single_index_and_one_without_are_the_task(url: str) -> None:
    train(url, "r", 1, task="one", index=4)
    train(url, "r", 2, task="both")
    train(url, "r", 3, task="both", index=1)
    run = Workflow("w", owner="ada", store=url).latest_run
    assert run["one"].task.index == "4"
    assert run["both"].task.index == ""


def test_the_best_of_a_run_is_over_all_tasks_and_indexes(url: str) -> None:
    losses: dict[int, list[float]] = {0: [0.5, 0.2], 1: [0.9, float("nan")], 2: [0.2, 0.3]}
    for index, values in losses.items():
        with launch(url, "r", task="train", index=index) as ckpt:
            for step, loss in enumerate(values):
                ckpt.save(step=step, metrics={"loss": loss})
    run = Workflow("w", owner="ada", store=url).latest_run
    lowest = run.best("loss", "min")
    assert lowest is not None
    assert (lowest.index, lowest.step) == ("2", 0), "the newer of the two with 0.2"
    highest = run.best("loss", "max")
    assert highest is not None
    assert (highest.index, highest.step) == ("1", 0), "NaN is never best"
    assert run.best("accuracy", "max") is None
    with pytest.raises(InvalidArgumentError):
        run.best("loss", "lowest")  # type: ignore[arg-type]


# --- artifacts --------------------------------------------------------------------------------------------------------


def test_a_published_value_is_there_at_once_and_the_last_one_counts(url: str) -> None:
    with launch(url, "r") as ckpt:
        task = Workflow("w", owner="ada", store=url).latest_run["main"].task
        assert not task.artifacts
        assert "loss" not in task
        ckpt.publish("loss", 0.5)
        assert task["loss"].data == 0.5
        ckpt.publish("loss", {"train": 0.4, "list": [1, None, "ü", True]})
        assert task["loss"].data == {"train": 0.4, "list": [1, None, "ü", True]}
        assert task["loss"].attempt == 0
    with launch(url, "r") as ckpt:
        assert task["loss"].data["train"] == 0.4, "outlives its attempt"
        ckpt.publish("loss", 0.3)
    assert (task["loss"].data, task["loss"].attempt) == (0.3, 1)
    assert task.artifacts == ("loss",)
    assert list(task) == ["loss"]
    with pytest.raises(KeyError, match=r"no artifact 'gain' \(published: loss\)"):
        task["gain"]


def test_a_published_checkpoint_loads_in_every_form(url: str) -> None:
    with launch(url, "r") as ckpt:
        first = ckpt.save(step=1)
        ckpt.publish("latest_checkpoint", first)
        ckpt.save(step=2)
        ckpt.publish("info", ckpt.list()[0])
        ckpt.publish("both", {"refs": [first, ckpt.list()[0]]})
        ckpt.publish("queued", ckpt.save(step=3, wait=False))
    task = Flow("w", owner="ada", store=url).latest_run["main"].task
    with Checkpoint(store=url) as reader:
        assert reader.load(task["latest_checkpoint"].data).step == 1, "what was published, not the newest"
        assert reader.load(task["latest_checkpoint"]).step == 1
        assert reader.load(json.dumps(task["info"].data)).step == 2
        assert reader.load(task["queued"]).step == 3
        assert [reader.load(ref).step for ref in task["both"].data["refs"]] == [1, 2]
        with pytest.raises(InvalidArgumentError, match="not a checkpoint reference"):
            reader.load(task["both"])


def test_the_latest_checkpoint_is_an_artifact_also_where_nobody_published_it(url: str) -> None:
    train(url, "first", 1, 2)
    with Checkpoint(workflow="w", run="again", owner="ada", store=url, load_policy="eager") as ckpt:
        assert ckpt.step == 2
        latest = ckpt.latest()
        assert latest is not None
        assert latest.run == "first"
        assert ckpt.load("latest").step == 2
    run = Workflow("w", owner="ada", store=url).latest_run
    assert run.name == "again"
    task = run["main"].task
    assert len(task.checkpoints()) == 0
    assert task.latest is not None
    assert "latest_checkpoint" in task
    assert task.artifacts == ()
    assert task["latest_checkpoint"].data == task.latest.ref.to_json()
    with Checkpoint(store=url) as reader:
        assert reader.load(task["latest_checkpoint"].data).step == 2


def test_a_run_that_has_loaded_what_is_gone_has_no_latest(url: str, store: MemoryStore) -> None:
    train(url, "first", 1)
    with Checkpoint(workflow="w", run="again", owner="ada", store=url, load_policy="eager") as ckpt:
        assert ckpt.info is not None
        loaded = ckpt.info.ref
    task = Workflow("w", owner="ada", store=url).latest_run["main"].task
    with Checkpoint(workflow="w", run="x", owner="ada", store=url, load_policy=None) as other:
        other._context.catalog.delete(loaded.task, loaded.id, by="test")
        assert other.latest() is None
    assert task.latest is None
    assert "latest_checkpoint" not in task
    with pytest.raises(CheckpointNotFoundError):
        task["latest_checkpoint"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("a/b", 1, "artifact 'a/b' cannot be used"),
        ("x", float("nan"), "not plain JSON"),
        ("x", {"s": {1}}, "not plain JSON: set has no JSON"),
        ("x", "a" * 16_383, "is 16385 bytes; one takes 16384"),
    ],
)
def test_what_cannot_be_published_is_refused_at_once(url: str, name: str, value: object, message: str) -> None:
    with launch(url, "r") as ckpt:
        with pytest.raises(InvalidArgumentError, match=message):
            ckpt.publish(name, value)
        assert Workflow("w", owner="ada", store=url).latest_run["main"].task.artifacts == ()


def test_a_record_under_the_key_of_another_is_not_taken_for_it(url: str, store: MemoryStore) -> None:
    with launch(url, "r") as ckpt:
        ckpt.publish("x", 1)
    (key,) = filter(lambda key: "/artifacts/" in key, store.keys())
    store.put(key.replace("/x.", "/y."), store.get(key))
    task = Workflow("w", owner="ada", store=url).latest_run["main"].task
    with pytest.raises(CorruptRecordError, match="is another artifact: x of w/r/main"):
        task["y"]
    assert task["x"].data == 1


def test_a_reader_publishes_nothing(url: str) -> None:
    with Checkpoint(store=url) as reader, pytest.raises(NotInJobError, match="publish"):
        reader.publish("x", 1)


def test_an_overtaken_writer_is_told_and_cannot_replace_what_its_successor_published(
    url: str, store: MemoryStore
) -> None:
    task = TaskPath("w", "r", "main")
    zombie = launch(url, "r")
    try:
        zombie.publish("x", "old")
        claim = zombie._need_writer("test").claim  # type: ignore[attr-defined]

        def overtake(verb: str, key: str) -> None:
            if verb == "put" and "/artifacts/" in key:  # between the check and the put
                store.before = None
                now = rfc3339(claim._clock.now())
                put_fence(store, task, attempt=1, uid="f" * 16, seen=0, time=now)
                store.put(key.replace(f".0-{claim.uid}", f".1-{'f' * 16}"), successor(key))

        def successor(key: str) -> bytes:
            from trainpoint.format.artifacts import ArtifactRecord

            return ArtifactRecord(task, "x", "new", 1, "f" * 16, "2026-01-01T00:00:00Z").to_bytes()

        store.before = overtake
        with pytest.raises(SupersededError):
            zombie.publish("x", "late")
        puts = store.requests["put"]
        with pytest.raises(SupersededError):
            zombie.publish("x", "later")
        assert store.requests["put"] == puts, "it does not write again"
        assert Workflow("w", owner="ada", store=url).latest_run["main"].task["x"].data == "new"
    finally:
        store.before = None
        zombie.close()
