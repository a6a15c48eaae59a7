"""Which change of which object means that which key is looked at. Listeners of the caches; no I/O."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from trainpoint.api.names import DATA_FINALIZER
from trainpoint.format.digest import JsonObject
from trainpoint_operator.context import Caches
from trainpoint_operator.engine.resources import CHECKPOINTS, POLICIES, RUNS, STORES, Key
from trainpoint_operator.pods import LastSights
from trainpoint_operator.views import CheckpointView, JobView, PodView

Enqueue = Callable[[Key, float], None]
SPREAD_SECONDS: Final = 60
_SETTLED: Final = frozenset({"Succeeded", "Failed", "Exhausted", "Stopped"})


class Routes:
    """Connects caches with the queue. Whoever is woken looks at everything anew: it is no matter how often."""

    def __init__(self, caches: Caches, sights: LastSights, audits: set[Key], enqueue: Enqueue) -> None:
        self._caches = caches
        self._audits = audits
        self._enqueue = enqueue
        caches.checkpoints.listeners.append(self.checkpoint)
        caches.runs.listeners.append(self.run)
        caches.runs.relisted.append(self.relisted)
        caches.policies.listeners.append(self.policy)
        caches.stores.listeners.append(self.store)
        caches.pods.listeners.append(sights.on_change)
        caches.pods.listeners.append(self.pod)
        caches.jobs.listeners.append(self.job)

    def checkpoint(self, old: CheckpointView | None, new: CheckpointView | None) -> None:
        one = new or old
        if one is None:
            return
        run = Key(RUNS.kind, one.namespace, one.run_object)
        if new is None:
            if not (one.retain and one.deletion is not None):  # a person wanted the object gone and the bytes kept
                self._audits.add(run)  # gone without its bytes? then it gets its object back
            self._enqueue(run, 0.0)
            return
        if old is None or _checkpoint_facts(old) != _checkpoint_facts(new):
            self._enqueue(Key(CHECKPOINTS.kind, new.namespace, new.name), 0.0)
        # Not at the commit, but when it was looked at a moment later: one status patch of the run a save.
        telling = new.state not in ("", "Saving") or new.deletion is not None
        if telling and (old is None or _shown(old) != _shown(new)):
            self._enqueue(run, 0.0)

    def run(self, old: JsonObject | None, new: JsonObject | None) -> None:
        if new is None:
            return
        key = Key(RUNS.kind, new["metadata"]["namespace"], new["metadata"]["name"])
        if old is None and new.get("status", {}).get("state") not in _SETTLED:
            self._audits.add(key)  # after a start of the operator: what was saved while nobody looked
        if old is None or _run_facts(old) != _run_facts(new):
            self._enqueue(key, 0.0)
        if old is not None and _writers(old) != _writers(new):
            self._unfinished_of(key)

    def _unfinished_of(self, key: Key) -> None:
        """An attempt is over, or another one began: what it did not commit will not be committed any more."""
        for one in self._caches.checkpoints.by("run", f"{key.namespace}/{key.name}"):
            if not one.commit:
                self._enqueue(Key(CHECKPOINTS.kind, one.namespace, one.name), 1.0)

    def relisted(self, namespace: str) -> None:
        """A complete list of one kind, as there is every few minutes: whatever may have been missed is looked at.

        All runs, since their rule for older files asks about others', and the checkpoints that something waits for.
        """
        for run in self._caches.runs.all(namespace):
            self._in_a_while(RUNS.kind, run["metadata"])
        for one in self._caches.checkpoints.all(namespace):
            if _is_waiting(one):
                self._in_a_while(CHECKPOINTS.kind, one.meta)

    def _in_a_while(self, kind: str, meta: JsonObject) -> None:
        """Not all at once: each in a second of its own of the next minute."""
        key = Key(kind, meta["namespace"], meta["name"])
        self._enqueue(key, 1.0 + zlib.crc32(str(key).encode()) % SPREAD_SECONDS)

    def policy(self, old: JsonObject | None, new: JsonObject | None) -> None:
        one = new or old
        if one is None or (old is not None and new is not None and _intent(old) == _intent(new)):
            return
        namespace = one["metadata"]["namespace"]
        self._enqueue(Key(POLICIES.kind, namespace, ""), 0.0)
        files = _about_files(old) != _about_files(new)  # an ended run has some, too
        for run in self._caches.runs.all(namespace):  # limits, metric, load policy stand in their status
            if files or run.get("status", {}).get("state") not in _SETTLED:
                self._enqueue(Key(RUNS.kind, namespace, run["metadata"]["name"]), 0.0)

    def store(self, old: JsonObject | None, new: JsonObject | None) -> None:
        one = new or old
        if one is None or (old is not None and new is not None and _intent(old) == _intent(new)):
            return
        meta = one["metadata"]
        self._enqueue(Key(STORES.kind, meta["namespace"], meta["name"]), 0.0)
        self._enqueue(Key(POLICIES.kind, meta["namespace"], ""), 0.0)
        if new is not None and _is_ready(new) and not (old is not None and _is_ready(old)):
            for waits in self._caches.checkpoints.by("store", f"{meta['namespace']}/{meta['name']}"):
                if _is_waiting(waits):
                    self._in_a_while(CHECKPOINTS.kind, waits.meta)
        if old is None:  # now it can be looked into
            for key in self._audits:
                if key.namespace == meta["namespace"]:
                    self._enqueue(key, 0.0)

    def pod(self, old: PodView | None, new: PodView | None) -> None:
        one = new or old
        if one is None or (old is not None and new is not None and old == new):
            return
        for run in self._caches.runs.by("job", f"{one.namespace}/{one.job}"):
            if not self._of_another_index(run, one):
                self._enqueue(Key(RUNS.kind, one.namespace, run["metadata"]["name"]), 0.0)

    def _of_another_index(self, run: JsonObject, pod: PodView) -> bool:
        """A sweep of n indexes has n runs in one Job: not all of them look again at each pod of it."""
        if not pod.index:
            return False
        uid = run.get("status", {}).get("claim", {}).get("holder", {}).get("uid", "")
        holder = next(iter(self._caches.pods.by("uid", uid)), None)
        return holder is not None and holder.index != pod.index

    def job(self, old: JobView | None, new: JobView | None) -> None:
        one = new or old
        if one is None or (old is not None and new is not None and old == new):
            return
        for run in self._caches.runs.by("job", f"{one.namespace}/{one.name}"):
            self._enqueue(Key(RUNS.kind, one.namespace, run["metadata"]["name"]), 0.0)


def _checkpoint_facts(one: CheckpointView) -> tuple[object, ...]:
    """What its reconciler acts upon; not what it writes."""
    return one.generation, one.deletion, one.finalizers, one.commit, one.state


def _is_waiting(one: CheckpointView) -> bool:
    """Whether there is something left to be done about it."""
    return one.deletion is not None or one.state in ("", "Saving", "Committed")


def _is_ready(store: JsonObject) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in store.get("status", {}).get("conditions", ()))


def _shown(one: CheckpointView) -> tuple[object, ...]:
    """What its run's status shows of it, and what says whether it may go as an older file of an app."""
    return one.state, one.deletion, one.metrics, one.pin, one.retain, DATA_FINALIZER in one.finalizers


def _run_facts(run: JsonObject) -> tuple[object, ...]:
    return (
        run["metadata"].get("generation"),
        run.get("status", {}).get("claim"),
        run["metadata"].get("deletionTimestamp"),
    )


def _writers(run: JsonObject) -> tuple[object, ...]:
    """Which attempt may commit, and which cannot any more."""
    status = run.get("status", {})
    over = [entry["attempt"] for entry in status.get("attempts", ()) if "result" in entry]
    return status.get("claim", {}).get("attempt"), over


def _about_files(policy: JsonObject | None) -> object:
    return None if policy is None else (policy["spec"].get("appFiles"), bool(policy["spec"].get("default")))


def _intent(value: JsonObject) -> tuple[object, ...]:
    """What people write, and whether it is going; not what the operator wrote."""
    meta = value["metadata"]
    ready = [c["status"] for c in value.get("status", {}).get("conditions", ()) if c["type"] == "Ready"]
    return meta["uid"], meta.get("generation"), meta.get("deletionTimestamp"), ready
