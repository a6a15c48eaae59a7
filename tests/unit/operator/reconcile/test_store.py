"""A CheckpointStore from one look to the next; the store itself is played by outcomes of its probes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.operator_world import NAMESPACE, World
from trainpoint.api import reasons
from trainpoint.api.names import STORE_FINALIZER
from trainpoint.errors import ClusterPermissionError, ObjectChangedError
from trainpoint_operator.decisions.store_health import Capabilities, Seen, Trouble
from trainpoint_operator.decisions.store_place import Access
from trainpoint_operator.engine.resources import CHECKPOINTS, CRDS, STORES, Key
from trainpoint_operator.probe import Look
from trainpoint_operator.reconcile.store import reconcile_store

KEY = Key("CheckpointStore", NAMESPACE, "main")
KEYS = {"AWS_ACCESS_KEY_ID": "AKNOBODY", "AWS_SECRET_ACCESS_KEY": "very-secret"}
AWAY = Trouble(reasons.UNREACHABLE, "cannot reach it", "see whether it runs", passing=True)
POLICIES_OF_NAMESPACE = Key("CheckpointPolicy", NAMESPACE, "")
CRD = "checkpointstores.trainpoint.dev"


class Probed(World):
    """A world with one store, whose next probe has the outcome ``next``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **spec: Any) -> None:
        super().__init__()
        self.next: Seen | Trouble | None = None
        """None: all is well"""
        self.looks: list[Look] = []
        monkeypatch.setattr("trainpoint_operator.reconcile.store.probe", self._probe)
        self.kube.put(CRDS, {"metadata": {"name": CRD}})
        self.secret(**KEYS)
        self.store(**spec)

    def _probe(self, look: Look, access: Access, open_catalog: Callable[[], object], **_: object) -> Seen | Trouble:
        self.looks.append(look)
        if self.next is not None:
            return self.next
        return (
            Seen("0123456789abcdef", True, "SeaweedFS 4", Capabilities(True, False, None))
            if look.thorough
            else Seen("")
        )

    def reconcile(self, seconds: float = 0.0) -> float | None:
        """After so many seconds."""
        self.clock.advance(seconds)
        return asyncio.run(reconcile_store(KEY, self.ctx))

    @property
    def ready(self) -> tuple[str, str]:
        found = self.condition(STORES, "main")
        return found["status"], found["reason"]

    @property
    def patches(self) -> int:
        """Status patches so far."""
        return self.kube.requests["patch checkpointstores/status"]


def test_a_new_store_is_held_probed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.checkpoint(1, stored=3 * 2**30)
    w.checkpoint(2, stored=2**30)
    w.checkpoint(3, store="other", stored=7)
    pause = w.reconcile()
    assert pause is not None
    assert 54 <= pause <= 66
    store = w.read(STORES, "main")
    assert store["metadata"]["finalizers"] == [STORE_FINALIZER]
    status = store["status"]
    assert w.ready == ("True", reasons.PROBED)
    assert (status["storeID"], status["server"]) == ("0123456789abcdef", "SeaweedFS 4")
    assert status["capabilities"] == {"conditionalWrites": True, "versioning": False}
    assert (status["checkpoints"], status["storedBytes"], status["display"]) == (2, 2**32, {"stored": "4Gi"})
    assert status["observedGeneration"] == 1
    assert status["lastProbeTime"] == "2026-01-01T00:00:00Z"
    assert [reason for reason, _, _ in w.events.told] == ["StoreReady"]
    assert [key for key, _ in w.enqueued] == [POLICIES_OF_NAMESPACE]
    assert b'trainpoint_stored_bytes{namespace="team-a",store="main"} 4.294967296e+09' in w.ctx.metrics.text()


def test_a_store_that_stays_well_costs_one_read_a_minute_and_a_patch_in_five(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    pause = w.reconcile()
    for _ in range(20):
        assert w.reconcile() == pytest.approx(pause), "woken without a cause"
    assert (len(w.looks), w.patches) == (1, 1)
    for _ in range(9):
        w.reconcile(66)
    assert len(w.looks) == 10
    assert [look.thorough for look in w.looks] == [True] + [False] * 9
    assert {look.known_id for look in w.looks[1:]} == {"0123456789abcdef"}
    assert w.patches == 2, "only lastProbeTime, and only every five minutes"
    w.reconcile(66)
    assert w.looks[-1].thorough, "after ten minutes it is written to again"
    assert len(w.events.told) == 1


def test_a_change_of_the_object_is_looked_at_at_once_and_one_of_the_secret_at_the_next_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    w.store(createBucket=True)
    w.reconcile()
    assert len(w.looks) == 2
    assert w.looks[-1].create_bucket
    w.secret(**{**KEYS, "AWS_SECRET_ACCESS_KEY": "new"})
    w.reconcile(66)
    assert w.looks[-1].thorough


def test_counts_follow_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    w.checkpoint(1, stored=512)
    w.reconcile()
    assert w.read(STORES, "main")["status"]["display"] == {"stored": "512"}
    assert len(w.looks) == 1


def test_storage_that_goes_down_and_comes_back_turns_the_condition_with_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    w.next = AWAY
    patches = w.patches
    for _ in range(2):
        pause = w.reconcile(66)
        assert pause is not None
        assert pause <= 10
        assert w.ready == ("True", reasons.PROBED)
    assert w.patches == patches, "a lost packet is no news"
    w.reconcile(10)
    assert w.ready == ("False", reasons.UNREACHABLE)
    for _ in range(4):
        w.reconcile(60)
    assert w.patches == patches + 1
    w.next = None
    w.reconcile(60)
    assert w.ready == ("True", reasons.PROBED)
    assert [(reason, warning) for reason, _, warning in w.events.told] == [
        ("StoreReady", False),
        ("StoreNotReady", True),
        ("StoreReady", False),
    ]
    assert [key for key, _ in w.enqueued] == [POLICIES_OF_NAMESPACE] * 3


def test_an_operator_that_starts_anew_goes_on_from_the_objects_own_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    w.ctx.buckets.watched.clear()
    w.next = AWAY
    w.reconcile()
    assert w.ready == ("True", reasons.PROBED)
    assert w.looks[-1].known_id == "0123456789abcdef"


@pytest.mark.parametrize("failure", ["missing", "incomplete", "forbidden"])
def test_a_secret_that_does_not_do_is_told_at_once_and_mended(monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    if failure == "missing":
        del w.kube.objects["secrets", NAMESPACE, "operator-keys"]
    elif failure == "incomplete":
        w.kube.objects["secrets", NAMESPACE, "operator-keys"]["data"] = {}
    else:
        w.kube.refuse["get secrets"] = ClusterPermissionError("forbidden")
    w.reconcile(66)
    reason = {"missing": reasons.SECRET_NOT_FOUND, "incomplete": reasons.SECRET_INCOMPLETE}
    assert w.ready == ("False", reason.get(failure, reasons.SECRET_FORBIDDEN))
    assert len(w.looks) == 1
    assert w.condition(STORES, "main")["message"].startswith(("there is no Secret", "Secret operator", "the operator"))
    w.kube.refuse.clear()
    w.secret(**KEYS)
    w.reconcile(5)
    assert w.ready == ("True", reasons.PROBED)
    assert w.looks[-1].thorough


def test_a_store_that_was_replaced_keeps_its_known_id(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    w.next = Trouble(reasons.STORE_REPLACED, "another store lies there", "bring it back")
    w.reconcile(66)
    assert w.ready == ("False", reasons.STORE_REPLACED)
    assert w.read(STORES, "main")["status"]["storeID"] == "0123456789abcdef"


def test_what_a_probe_found_is_not_lost_when_the_object_changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above all the mark that it has just made."""
    w = Probed(monkeypatch)
    w.kube.refuse["patch checkpointstores/status"] = ObjectChangedError("another version")
    with pytest.raises(ObjectChangedError):
        w.reconcile()
    w.kube.refuse.clear()
    w.reconcile()
    assert len(w.looks) == 1
    assert w.read(STORES, "main")["status"]["storeID"] == "0123456789abcdef"
    assert w.ready == ("True", reasons.PROBED)
    assert [reason for reason, _, _ in w.events.told] == ["StoreReady"]


def test_a_probe_that_hangs_counts_as_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)

    async def never(awaitable: Any, timeout: float) -> Any:
        awaitable.close()
        raise TimeoutError

    monkeypatch.setattr(asyncio, "wait_for", never)
    w.reconcile()
    assert w.ready == ("False", reasons.UNREACHABLE)
    assert "not answered within 60 s" in w.condition(STORES, "main")["message"]


# --- deletion ---------------------------------------------------------------------------------------------------------


def test_a_store_stays_while_checkpoints_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    name = w.checkpoint(1)
    w.reconcile()
    w.kube.remove(STORES, NAMESPACE, "main")
    pause = w.reconcile()
    assert pause is not None
    assert pause <= 5
    blocked = w.condition(STORES, "main", "DeletionBlocked")
    assert (blocked["status"], blocked["reason"]) == ("True", reasons.CHECKPOINTS_REMAIN)
    assert blocked["message"].startswith("1 Checkpoint objects name this store")
    assert w.ready == ("True", reasons.PROBED)
    w.kube.remove(CHECKPOINTS, NAMESPACE, name)
    assert w.reconcile() is None
    assert ("checkpointstores", NAMESPACE, "main") not in w.kube.objects
    assert w.ctx.buckets.watched == {}
    assert w.reconcile() is None
    assert b'store="main"' not in w.ctx.metrics.text()


def test_a_cache_that_is_behind_does_not_let_a_store_go(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.reconcile()
    name = w.checkpoint(1)
    w.caches.checkpoints.apply("DELETED", {"metadata": {"namespace": NAMESPACE, "name": name}})
    w.kube.remove(STORES, NAMESPACE, "main")
    assert w.reconcile() is not None
    assert STORE_FINALIZER in w.read(STORES, "main")["metadata"]["finalizers"]


@pytest.mark.parametrize("above", ["namespace", "kind"])
def test_a_namespace_or_a_kind_that_goes_lets_the_store_go_at_once(monkeypatch: pytest.MonkeyPatch, above: str) -> None:
    w = Probed(monkeypatch)
    w.checkpoint(1)
    w.reconcile()
    at = ("namespaces", "", NAMESPACE) if above == "namespace" else ("customresourcedefinitions", "", CRD)
    w.kube.objects[at]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    w.kube.remove(STORES, NAMESPACE, "main")
    assert w.reconcile() is None
    assert ("checkpointstores", NAMESPACE, "main") not in w.kube.objects


def test_other_finalizers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Probed(monkeypatch)
    w.kube.put(STORES, {"metadata": {"name": "main", "namespace": NAMESPACE, "finalizers": ["someone/else"]}})
    w.reconcile()
    assert w.read(STORES, "main")["metadata"]["finalizers"] == ["someone/else", STORE_FINALIZER]
    w.kube.remove(STORES, NAMESPACE, "main")
    w.reconcile()
    assert w.read(STORES, "main")["metadata"]["finalizers"] == ["someone/else"]
    assert w.reconcile() is None
