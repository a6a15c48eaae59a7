"""The policies of a namespace, their ConfigMap, and what stands on the objects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.operator_world import NAMESPACE, World
from trainpoint.api import reasons
from trainpoint.cluster import chosen_policy
from trainpoint.errors import ClusterPermissionError, NotConfiguredError, ObjectChangedError
from trainpoint_operator.engine.resources import CONFIG_MAPS, POLICIES, STORES, Key
from trainpoint_operator.reconcile.policy import AGAIN_SECONDS, reconcile_policy

KEY = Key("CheckpointPolicy", NAMESPACE, "")


def reconcile(world: World) -> float | None:
    return asyncio.run(reconcile_policy(KEY, world.ctx))


def config(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.read(CONFIG_MAPS, "trainpoint")["data"]
    return found


def ready_store(world: World, name: str = "main") -> None:
    made = world.store(name, prefix="llm")
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Probed", "message": "fine"}]}
    world.kube.put(STORES, {**made, "status": status})


def test_the_config_map_is_written_once_and_again_only_when_something_changes() -> None:
    w = World()
    ready_store(w)
    w.policy("llm", default=True)
    again = reconcile(w)
    assert again is not None
    assert 0.9 * AGAIN_SECONDS <= again <= 1.1 * AGAIN_SECONDS
    assert chosen_policy(config(w), "", namespace=NAMESPACE)[1]["store"]["url"] == "s3://checkpoints/llm"
    ready = w.condition(POLICIES, "llm")
    assert (ready["status"], ready["reason"], ready["observedGeneration"]) == ("True", reasons.COMPILED, 1)
    before = dict(w.kube.requests)
    reconcile(w)
    changed = {what for what, count in w.kube.requests.items() if count != before.get(what)}
    assert changed == {"get configmaps"}
    w.policy("llm", default=True, save={"everySteps": 5})
    w.policy("sweep")
    reconcile(w)
    assert set(config(w)) == {"llm", "sweep"}
    assert '"every_steps": 5' in config(w)["llm"]
    w.kube.remove(POLICIES, NAMESPACE, "llm")
    reconcile(w)
    assert set(config(w)) == {"sweep"}


def test_a_config_map_that_somebody_deleted_or_changed_comes_back() -> None:
    w = World()
    ready_store(w)
    w.policy("llm")
    reconcile(w)
    wanted = config(w)
    del w.kube.objects["configmaps", NAMESPACE, "trainpoint"]
    reconcile(w)
    assert config(w) == wanted
    asyncio.run(w.kube.patch(CONFIG_MAPS, NAMESPACE, "trainpoint", {"data": {"llm": "{}", "note": "x"}}))
    reconcile(w)
    assert config(w) == wanted


def test_the_last_policy_leaves_an_empty_config_map_and_nothing_to_look_at() -> None:
    w = World()
    ready_store(w)
    w.policy("llm")
    reconcile(w)
    w.kube.remove(POLICIES, NAMESPACE, "llm")
    assert reconcile(w) is None
    assert config(w) == {}
    empty = World()
    assert reconcile(empty) is None
    assert not [at for at in empty.kube.objects if at[0] == "configmaps"]
    empty.kube.refuse["get configmaps"] = ClusterPermissionError("forbidden")  # the namespace is gone
    assert reconcile(empty) is None


def test_a_config_map_of_somebody_else_is_left_alone_and_told_on_every_policy() -> None:
    w = World()
    ready_store(w)
    w.policy("a", default=True)
    w.policy("b")
    theirs = {"metadata": {"name": "trainpoint", "namespace": NAMESPACE}, "data": {"settings.yaml": "mine"}}
    w.kube.put(CONFIG_MAPS, theirs)
    reconcile(w)
    assert config(w) == {"settings.yaml": "mine"}
    for name in ("a", "b"):
        ready = w.condition(POLICIES, name)
        assert (ready["status"], ready["reason"]) == ("False", reasons.CONFIG_MAP_CONFLICT)
        assert "kubectl -n team-a delete configmap trainpoint" in ready["message"]
    del w.kube.objects["configmaps", NAMESPACE, "trainpoint"]
    reconcile(w)
    assert w.condition(POLICIES, "a")["status"] == "True"


def test_two_defaults_are_told_on_both_and_to_the_job_and_mended_by_changing_one() -> None:
    w = World()
    ready_store(w)
    w.policy("a", default=True)
    w.policy("b", default=True)
    w.policy("c")
    reconcile(w)
    with pytest.raises(NotConfiguredError) as caught:
        chosen_policy(config(w), "", namespace=NAMESPACE)
    for name in ("a", "b"):
        ready = w.condition(POLICIES, name)
        assert (ready["status"], ready["reason"]) == ("False", reasons.MORE_THAN_ONE_DEFAULT)
        assert caught.value.message in ready["message"]
        assert caught.value.remedy in ready["message"]
    assert w.condition(POLICIES, "c")["status"] == "True"
    w.policy("b")
    reconcile(w)
    assert [w.condition(POLICIES, name)["status"] for name in ("a", "b")] == ["True", "True"]
    assert chosen_policy(config(w), "", namespace=NAMESPACE)[0] == "a"


def test_a_policy_that_changed_meanwhile_keeps_nobody_else_from_being_told() -> None:
    w = World()
    ready_store(w)
    stale = w.policy("a")
    w.policy("b")
    w.kube.objects["checkpointpolicies", NAMESPACE, "a"]["metadata"]["resourceVersion"] = "later"
    with pytest.raises(ObjectChangedError):
        reconcile(w)
    assert w.condition(POLICIES, "b")["status"] == "True"
    assert stale["metadata"]["name"] == "a"
