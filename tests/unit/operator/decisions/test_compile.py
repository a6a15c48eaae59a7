"""What a namespace's policies come to, and that a job is told the very sentence that stands on the object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trainpoint.api import reasons
from trainpoint.cluster import chosen_policy
from trainpoint.errors import NotConfiguredError, PolicyError
from trainpoint.policies.settings import from_json
from trainpoint_operator.decisions.compile import (
    MANAGED_BY,
    Create,
    Foreign,
    Update,
    compile_namespace,
    config_key,
    write,
)

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "team-a"}, "spec": spec}


def store(name: str = "main", *, ready: str = "True", message: str = "fine", **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": "Probed", "message": message}] if ready else []
    return {
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"s3": {"bucket": "checkpoints", "endpoint": "https://s3.storage:8333/"}, "prefix": "llm", **spec},
        "status": {"conditions": conditions},
    }


def test_an_entry_is_what_the_sdk_reads_back() -> None:
    spec = {"default": True, "save": {"every": "10m"}, "retry": {"limit": 2}, "load": {"policy": "Eager"}}
    compiled = compile_namespace("team-a", [policy("llm", **spec)], [store(caBundle=PEM)])
    name, entry = chosen_policy(compiled.data, "", namespace="team-a")
    settings = from_json(json.dumps(entry["policy"]), where="the test")
    assert (name, settings.save.every_seconds, settings.retry.limit, settings.load.policy) == ("llm", 600, 2, "eager")
    assert settings.source == "CheckpointPolicy llm"
    assert entry["store"] == {
        "name": "main",
        "url": "s3://checkpoints/llm",
        "endpoint": "https://s3.storage:8333",
        "caBundle": PEM,
    }
    assert entry["operator"] == {"finalizer": "trainpoint.dev/data"}
    verdict = compiled.verdicts["llm"]
    assert (verdict.ready, verdict.reason) == (True, reasons.COMPILED)
    assert "s3://checkpoints/llm" in verdict.sentence


@pytest.mark.parametrize(("reason", "told"), [(reasons.SECRET_NOT_FOUND, True), (reasons.UNREACHABLE, False)])
def test_jobs_are_told_of_a_store_that_lacks_its_secret_and_not_of_one_that_is_away(reason: str, told: bool) -> None:
    found = store(ready="False", message="there is no Secret x")
    found["status"]["conditions"][0]["reason"] = reason
    compiled = compile_namespace("team-a", [policy("llm", default=True)], [found])
    _, entry = chosen_policy(compiled.data, "", namespace="team-a")
    assert entry.get("note") == (compiled.verdicts["llm"].sentence if told else None)


def test_the_store_is_the_one_that_is_named_else_the_only_one() -> None:
    compiled = compile_namespace(
        "team-a",
        [policy("named", storeRef={"name": "b"}), policy("open")],
        [store("a", prefix=""), store("b", s3={"bucket": "other", "region": "eu-central-1"})],
    )
    assert json.loads(compiled.data["named"])["store"] == {
        "name": "b",
        "url": "s3://other/llm",
        "region": "eu-central-1",
    }
    assert compiled.verdicts["open"].reason == reasons.NO_STORE
    alone = compile_namespace("team-a", [policy("open")], [store("a", prefix="")])
    assert json.loads(alone.data["open"])["store"]["url"] == "s3://checkpoints"


@pytest.mark.parametrize(
    ("policies", "stores", "wanted", "reason", "says"),
    [
        (
            [policy("p", storeRef={"name": "gone"})],
            [store()],
            "p",
            reasons.STORE_NOT_FOUND,
            "names CheckpointStore gone",
        ),
        ([policy("p", default=True)], [], "", reasons.NO_STORE, "there: none"),
        ([policy("p")], [store("a"), store("b")], "p", reasons.NO_STORE, "there: a, b"),
        ([policy("p", default=True), policy("q", default=True)], [store()], "", reasons.MORE_THAN_ONE_DEFAULT, "p, q"),
    ],
)
def test_a_job_is_told_the_very_sentence_that_stands_on_the_object(
    policies: list[dict[str, Any]], stores: list[dict[str, Any]], wanted: str, reason: str, says: str
) -> None:
    compiled = compile_namespace("team-a", policies, stores)
    for one in policies:
        verdict = compiled.verdicts[one["metadata"]["name"]]
        assert (verdict.ready, verdict.reason) == (False, reason)
        assert says in verdict.message
        assert verdict.remedy
    with pytest.raises(NotConfiguredError) as caught:
        chosen_policy(compiled.data, wanted, namespace="team-a")
    assert f"{caught.value.message}; {caught.value.remedy}" == compiled.verdicts["p"].sentence
    assert caught.value.exit_code == 1  # it may be put right while the Job tries again


def test_with_two_defaults_a_job_that_names_its_policy_goes_on() -> None:
    compiled = compile_namespace("team-a", [policy("p", default=True), policy("q", default=True)], [store()])
    assert chosen_policy(compiled.data, "q", namespace="team-a")[0] == "q"


def test_a_store_that_is_not_ready_leaves_it_to_the_job_to_find_out() -> None:
    refused = "there is no Secret keys in namespace team-a; create it"
    compiled = compile_namespace("team-a", [policy("p", default=True)], [store(ready="False", message=refused)])
    verdict = compiled.verdicts["p"]
    assert (verdict.ready, verdict.reason) == (False, reasons.STORE_NOT_READY)
    assert verdict.sentence == f"CheckpointStore main in namespace team-a is not ready: {refused}"
    entry = chosen_policy(compiled.data, "", namespace="team-a")[1]
    assert "error" not in entry
    assert entry["store"]["url"] == "s3://checkpoints/llm"
    untried = compile_namespace("team-a", [policy("p")], [store(ready="")])
    assert "not been tried" in untried.verdicts["p"].sentence


def test_a_policy_that_cannot_be_understood_hurts_nobody_else() -> None:
    compiled = compile_namespace("team-a", [policy("bad", save={"every": "soon"}), policy("good")], [store()])
    assert compiled.verdicts["good"].ready
    assert compiled.verdicts["bad"].reason == reasons.INVALID_POLICY
    with pytest.raises(PolicyError, match="bad in namespace team-a cannot be used") as caught:
        chosen_policy(compiled.data, "bad", namespace="team-a")
    assert caught.value.exit_code == 86


def test_a_name_that_ends_with_json_is_found_again() -> None:
    compiled = compile_namespace("team-a", [policy("a.json"), policy("a")], [store()])
    assert chosen_policy(compiled.data, "a.json", namespace="team-a")[1]["policy"]["source"].endswith("a.json")
    assert config_key("a.json") == "a.json.json"


def test_the_same_objects_in_another_order_are_the_same_text() -> None:
    policies = [policy("a", default=True), policy("b", storeRef={"name": "y"})]
    stores = [store("x"), store("y")]
    there = compile_namespace("team-a", policies, stores)
    assert there == compile_namespace("team-a", policies[::-1], stores[::-1])


# --- the ConfigMap ----------------------------------------------------------------------------------------------------


def config_map(data: dict[str, str] | None, *, ours: bool = True) -> dict[str, Any]:
    labels = {MANAGED_BY: "trainpoint"} if ours else {}
    return {"metadata": {"name": "trainpoint", "resourceVersion": "7", "labels": labels}, "data": data}


def test_the_config_map_is_made_once_there_is_something_to_say() -> None:
    assert write("team-a", None, {}) is None
    made = write("team-a", None, {"p": "{}"})
    assert isinstance(made, Create)
    assert made.body["metadata"] == {
        "name": "trainpoint",
        "namespace": "team-a",
        "labels": {MANAGED_BY: "trainpoint"},
    }


@pytest.mark.parametrize(
    ("there", "wanted", "patch"),
    [
        ({"p": "1"}, {"p": "1"}, None),
        ({"p": "1"}, {"p": "2", "q": "3"}, {"p": "2", "q": "3"}),
        ({"p": "1", "q": "1"}, {"q": "1"}, {"p": None}),
        ({"p": "1"}, {}, {"p": None}),
        (None, {}, None),
    ],
)
def test_only_what_changed_is_written(
    there: dict[str, str] | None, wanted: dict[str, str], patch: dict[str, str | None] | None
) -> None:
    plan = write("team-a", config_map(there), wanted)
    if patch is None:
        assert plan is None
    else:
        assert plan == Update({"metadata": {"resourceVersion": "7"}, "data": patch})


def test_somebody_elses_config_map_is_left_alone_unless_it_is_empty() -> None:
    assert write("team-a", config_map({"note": "mine"}, ours=False), {"p": "1"}) == Foreign()
    taken = write("team-a", config_map(None, ours=False), {"p": "1"})
    assert isinstance(taken, Update)
    assert taken.patch["metadata"]["labels"] == {MANAGED_BY: "trainpoint"}
    assert write("team-a", config_map(None, ours=False), {}) is None
