"""A catalog per store, with the operator's own keys of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.operator_world import NAMESPACE, World
from trainpoint.errors import ClusterPermissionError, NotConfiguredError
from trainpoint_operator.buckets import FRESH_SECONDS
from trainpoint_operator.engine.resources import STORES

KEYS = {"AWS_ACCESS_KEY_ID": "AKNOBODY", "AWS_SECRET_ACCESS_KEY": "very-secret"}


def world() -> World:
    made = World()
    made.secret(**KEYS)
    made.store(prefix="llm")
    return made


def test_a_catalog_is_opened_once_and_its_secret_read_once_a_minute() -> None:
    async def run() -> None:
        w = world()
        first = await w.ctx.buckets.of(NAMESPACE, "main")
        assert first.store.url == "s3://checkpoints/llm"
        for _ in range(20):
            assert await w.ctx.buckets.of(NAMESPACE, "main") is first
        assert w.kube.requests["get secrets"] == 1
        w.clock.advance(FRESH_SECONDS + 1)
        assert await w.ctx.buckets.of(NAMESPACE, "main") is first
        assert w.kube.requests["get secrets"] == 2

    asyncio.run(run())


def test_new_keys_and_a_new_spec_are_another_catalog() -> None:
    async def run() -> None:
        w = world()
        first = await w.ctx.buckets.of(NAMESPACE, "main")
        w.secret(**{**KEYS, "AWS_SECRET_ACCESS_KEY": "changed"})
        w.clock.advance(FRESH_SECONDS + 1)
        second = await w.ctx.buckets.of(NAMESPACE, "main")
        assert second is not first
        w.secret("others", **KEYS)
        w.store(prefix="llm", credentials={"secretRef": {"name": "others"}})
        third = await w.ctx.buckets.of(NAMESPACE, "main")
        assert third is not second, "at once: the object itself has changed"

    asyncio.run(run())


def test_a_store_of_the_same_name_is_not_the_one_that_went() -> None:
    async def run() -> None:
        w = world()
        first = await w.ctx.buckets.of(NAMESPACE, "main")
        w.kube.remove(STORES, NAMESPACE, "main")
        with pytest.raises(NotConfiguredError, match="no CheckpointStore main in namespace team-a"):
            await w.ctx.buckets.of(NAMESPACE, "main")
        w.store(prefix="other")
        second = await w.ctx.buckets.of(NAMESPACE, "main")
        assert (second is not first, second.store.url) == (True, "s3://checkpoints/other")

    asyncio.run(run())


def test_what_keeps_a_store_from_being_reached_is_told() -> None:
    async def run() -> None:
        w = World()
        w.store()
        with pytest.raises(NotConfiguredError, match="no Secret operator-keys") as caught:
            await w.ctx.buckets.of(NAMESPACE, "main")
        assert "AWS_ACCESS_KEY_ID" in caught.value.remedy
        w.secret(AWS_ACCESS_KEY_ID="AKNOBODY")
        with pytest.raises(NotConfiguredError, match="AWS_SECRET_ACCESS_KEY"):
            await w.ctx.buckets.of(NAMESPACE, "main")
        w.kube.refuse["get secrets"] = ClusterPermissionError("forbidden")
        with pytest.raises(ClusterPermissionError, match="may not read Secret operator-keys") as refused:
            await w.ctx.buckets.of(NAMESPACE, "main")
        assert "rbac.allSecrets" in refused.value.remedy

    asyncio.run(run())


def test_a_secret_that_was_taken_away_closes_what_was_open() -> None:
    async def run() -> None:
        w = world()
        await w.ctx.buckets.of(NAMESPACE, "main")
        del w.kube.objects["secrets", NAMESPACE, "operator-keys"]
        w.clock.advance(FRESH_SECONDS + 1)
        for _ in range(2):
            with pytest.raises(NotConfiguredError):
                await w.ctx.buckets.of(NAMESPACE, "main")

    asyncio.run(run())
