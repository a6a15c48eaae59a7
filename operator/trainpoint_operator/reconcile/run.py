"""CheckpointRun: its attempts and how each ended, what the next one would load, what it waits for, how it came out.

A run costs one status patch each time that something about it changes; its pods, Job and checkpoints come from caches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import DATA_FINALIZER
from trainpoint.catalog.marks import adopt_pin
from trainpoint.catalog.record import checkpoint_body, commit_of
from trainpoint.errors import InvalidArgumentError, TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath, run_end_key
from trainpoint.format.manifest import Manifest
from trainpoint.format.records import RunEndRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.policies.app_files import timestamp_of
from trainpoint.policies.request import Request, parse_request
from trainpoint_operator.context import Context
from trainpoint_operator.decisions.attempts import Account, account, start_failures
from trainpoint_operator.decisions.endings import Ending, attempt_of, ending
from trainpoint_operator.decisions.run_state import RunInput, Verdict, conditions, outcome, pods_of_task, run_state
from trainpoint_operator.decisions.run_status import Chosen, best_text, chosen
from trainpoint_operator.engine.resources import CHECKPOINTS, PODS, RUNS, Key
from trainpoint_operator.inventory import look
from trainpoint_operator.reconcile.app_files import STORE_AWAY_SECONDS, delete_older_files
from trainpoint_operator.reconcile.policies import RunPolicy, policy_of
from trainpoint_operator.reconcile.status import write_status
from trainpoint_operator.views import CheckpointView, JobView, PodView

logger = logging.getLogger(__name__)

UNWATCHED_SECONDS = 30.0
ECHO_SECONDS = 1.0
"""Until the cache has what was just written."""
_EVENTS: Final[Mapping[str, str]] = {
    "Waiting": reasons.RUN_WAITING,
    "Succeeded": reasons.RUN_SUCCEEDED,
    "Failed": reasons.RUN_FAILED,
    "Exhausted": reasons.RUN_EXHAUSTED,
    "Stopped": reasons.RUN_STOPPED,
}
"""By state, what a person is told of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was gathered of one run."""

    run: JsonObject
    checkpoints: list[CheckpointView]
    pods: list[PodView]
    job: JobView | None
    job_name: str
    policy: RunPolicy
    seen: dict[str, PodView | None]
    """by UID, the pods of attempts whose end is not known yet, as last seen; None: never"""
    gone: frozenset[str]
    """UIDs of those that the API server has no more"""
    unwatched: bool
    """one of them is of no Job, so that nobody tells of its end"""

    @property
    def claim(self) -> JsonObject:
        found: JsonObject = self.run.get("status", {}).get("claim", {})
        return found

    @property
    def known(self) -> list[JsonObject]:
        """``status.attempts`` as it stands."""
        return list(self.run.get("status", {}).get("attempts", ()))


async def reconcile_run(key: Key, ctx: Context) -> float | None:
    """Gather, decide, act, write one status."""
    facts = await _gather(key, ctx)
    if facts is None:
        return None
    unsent = await _record_what_is_missing(key, facts, ctx)
    told = account(
        facts.known,
        facts.claim,
        facts.checkpoints,
        ending_of=lambda entry: _ending(entry, facts, ctx),
        start_failures=start_failures(pods_of_task(facts.pods, facts.known, facts.job_name), facts.known, facts.claim),
    )
    picked = chosen(
        facts.checkpoints,
        facts.claim,
        default=facts.policy.settings.load.policy,
        metric=facts.policy.settings.metric.name,
        highest=facts.policy.settings.metric.highest,
        request=_request(facts.run),
        attempts=told.attempts,
    )
    inputs = _inputs(key, facts, told, picked, ctx)
    verdict = run_state(inputs)
    result = outcome(inputs, verdict)
    if result is not None and not await _tell_bucket(facts, result, ctx):
        result, unsent = None, True
    status = _status(facts, told, picked, verdict, result, inputs)
    meta = facts.run["metadata"]
    written = await write_status(ctx, RUNS, meta, facts.run.get("status", {}), status, conditions(inputs, verdict))
    if written:
        await _tell_people(facts, told, verdict, ctx)
    if told.ended:
        ctx.audits.add(key)  # what that attempt committed last may not be recorded yet
        _look_again_at_unfinished(facts, ctx)
    _look_again_at_corrupt(facts, ctx)
    waits = [STORE_AWAY_SECONDS] if unsent else []
    now = {**facts.run, "status": status}
    more = await delete_older_files(now, facts.checkpoints, facts.policy, ctx, over=verdict.over)
    if more is not None:
        waits.append(more)
    if facts.unwatched and not verdict.over:
        waits.append(UNWATCHED_SECONDS)
    if told.ended:
        waits.append(ECHO_SECONDS)
    if verdict.next_look is not None:
        waits.append(max(0.5, (verdict.next_look - inputs.now).total_seconds()))
    return min(waits, default=None)


# --- gather -----------------------------------------------------------------------------------------------------------


async def _gather(key: Key, ctx: Context) -> Facts | None:
    run = ctx.caches.runs.get(key.namespace, key.name)
    if run is None or run["metadata"].get("deletionTimestamp"):
        return None
    status = run.get("status", {})
    claim = status.get("claim", {})
    open_ends = {
        str(entry["podUID"]): str(entry["podName"])
        for entry in status.get("attempts", ())
        if "result" not in entry and entry.get("podUID")
    }
    ended = any(e.get("nonce") == claim.get("nonce") and "result" in e for e in status.get("attempts", ()))
    if claim.get("holder", {}).get("uid") and not (ended and "outcome" in status):  # an ended one's pod may go on
        open_ends[str(claim["holder"]["uid"])] = str(claim["holder"]["name"])
    seen: dict[str, PodView | None] = {}
    gone: set[str] = set()
    for uid, name in open_ends.items():
        pod, is_gone = await _sight(key.namespace, uid, name, ctx)
        seen[uid] = pod
        if is_gone:
            gone.add(uid)
    job_name = str(claim.get("job", ""))
    holder = seen.get(str(claim.get("holder", {}).get("uid", "")))
    if holder is not None and holder.job != job_name:
        job_name = ""  # its controller is something else that runs pods
    job = ctx.caches.jobs.get(key.namespace, job_name) if job_name else None
    launch = run["spec"]["identity"].get("launchUID", "")
    if job is not None and launch and not job.is_of(launch) and holder is None:
        job = None  # a later Job of the same name
    return Facts(
        run=run,
        checkpoints=ctx.caches.checkpoints.by("run", f"{key.namespace}/{key.name}"),
        pods=ctx.caches.pods.by("job", f"{key.namespace}/{job_name}") if job_name else [],
        job=job,
        job_name=job_name,
        policy=policy_of(run, key.namespace, ctx),
        seen=seen,
        gone=frozenset(gone),
        unwatched=any(
            pod is not None and uid not in gone and not pod.over and not ctx.caches.pods.by("uid", uid)
            for uid, pod in seen.items()
        ),
    )


async def _sight(namespace: str, uid: str, name: str, ctx: Context) -> tuple[PodView | None, bool]:
    """A pod as last seen, and whether it is gone. Asks the API server only for what its caches do not know."""
    cached = next(iter(ctx.caches.pods.by("uid", uid)), None)
    if cached is not None:
        return cached, False
    if (last := ctx.sights.of(uid)) is not None:
        return last, True
    found = await ctx.kube.get(PODS, namespace, name)  # of no Job; or the watch is behind
    if found is None or found["metadata"]["uid"] != uid:
        return None, True
    return PodView.of(found), False


# --- decide -----------------------------------------------------------------------------------------------------------


def _ending(entry: JsonObject, facts: Facts, ctx: Context) -> Ending | None:
    uid = str(entry.get("podUID", ""))
    if not uid and entry.get("nonce") == facts.claim.get("nonce") and not facts.claim.get("end"):
        return None if not facts.claim.get("refused") else ending(
            attempt_of(entry, facts.claim), None, gone=False, now=ctx.clock.now()
        )  # fmt: skip
    return ending(attempt_of(entry, facts.claim), facts.seen.get(uid), gone=uid in facts.gone, now=ctx.clock.now())


def _inputs(key: Key, facts: Facts, told: Account, picked: Chosen, ctx: Context) -> RunInput:
    return RunInput(
        name=key.name,
        stop=bool(facts.run["spec"].get("stop")),
        claim=facts.claim,
        attempts=told.attempts,
        pods=facts.pods or [pod for pod in facts.seen.values() if pod is not None and pod.uid not in facts.gone],
        job=facts.job,
        job_name=facts.job_name,
        outcome=facts.run.get("status", {}).get("outcome", {}),
        state=str(facts.run.get("status", {}).get("state", "")),
        resume=picked.resume,
        charged=told.charged,
        limit=facts.policy.settings.retry.limit,
        now=ctx.clock.now(),
    )


def _request(run: JsonObject) -> Request | None:
    """``spec.resumeFrom``; one that cannot be read is told to the attempt that meets it."""
    text = str(run["spec"].get("resumeFrom") or "")
    if not text:
        return None
    try:
        return parse_request(text, "Run", _task(run))
    except InvalidArgumentError:
        return None


def _task(run: JsonObject) -> TaskPath:
    one, namespace = run["spec"]["identity"], str(run["metadata"]["namespace"])
    return TaskPath(one["workflow"], one["run"], one["task"], one.get("index", ""), namespace)


def _status(
    facts: Facts, told: Account, picked: Chosen, verdict: Verdict, result: JsonObject | None, inputs: RunInput
) -> JsonObject:
    resume: JsonObject = {"reason": picked.resume.reason, "message": picked.resume.message}
    if picked.resume.checkpoint:
        resume["checkpoint"] = picked.resume.checkpoint
    if picked.resume.step is not None:
        resume["step"] = picked.resume.step
    display = {"best": best_text(picked.best), "retries": f"{told.charged}/{inputs.limit}"}
    return {
        **facts.run.get("status", {}),
        "state": verdict.state,
        "attempts": list(told.attempts),
        "resume": resume,
        "latest": picked.latest,
        "best": picked.best,
        "lastSaveTime": picked.last_save,
        "retries": {
            "charged": told.charged,
            "free": told.free,
            "startFailures": told.start_failures,
            "limit": inputs.limit,
        },
        "outcome": result,
        "display": {name: text for name, text in display.items() if text},
    }


# --- act --------------------------------------------------------------------------------------------------------------


async def _record_what_is_missing(key: Key, facts: Facts, ctx: Context) -> bool:
    """Make objects for what pods committed and could not record. Returns whether it has to be tried again."""
    store = str(facts.run["spec"].get("storeRef", {}).get("name", ""))
    if key not in ctx.audits:
        return False
    if not store or not facts.claim:
        ctx.audits.discard(key)
        return False
    if ctx.caches.stores.get(key.namespace, store) is None:
        return False  # looked for when the store is there
    ctx.audits.discard(key)  # now: an object that vanishes meanwhile is for the next look
    task = _task(facts.run)
    nonces = {str(facts.claim["nonce"]), *(str(entry.get("nonce", "")) for entry in facts.known)}
    try:
        catalog = await ctx.buckets.of(key.namespace, store)
        recorded = {c.name for c in facts.checkpoints}
        app = any(timestamp_of(c.series) is not None for c in facts.checkpoints)
        kept = facts.policy.settings.app_files.keep_latest
        found = await asyncio.to_thread(look, catalog, task, recorded=recorded, nonces=nonces, app=app, kept=kept)
        for manifest in found.missing:
            # It may have had an object that the watch had not told of, and that was deleted while others were recorded.
            if not await asyncio.to_thread(catalog.is_deleted, task, manifest.snapshot.id):
                await asyncio.to_thread(adopt_pin, catalog, CheckpointRef(task, manifest.snapshot.id))
                await _record(manifest, facts, store, ctx)
    except BaseException as error:
        ctx.audits.add(key)
        if not isinstance(error, TrainpointError):
            raise
        logger.warning("key=%s event=inventory-failed error=%s", key, error.message)
        return True
    if found.unknown:
        logger.info("key=%s event=not-recorded count=%d reason=%s", key, found.unknown, reasons.UNKNOWN_CLAIM)
    return False


async def _record(manifest: Manifest, facts: Facts, store: str, ctx: Context) -> None:
    policy = str(facts.run["spec"].get("policyRef", {}).get("name", ""))
    body = checkpoint_body(manifest.snapshot, store_ref=store, policy=policy, finalizer=DATA_FINALIZER)
    name = CheckpointRef(manifest.snapshot.task, manifest.snapshot.id).name
    namespace = facts.run["metadata"]["namespace"]
    await ctx.kube.create(CHECKPOINTS, namespace, body)
    await ctx.kube.patch(
        CHECKPOINTS, namespace, name, {"status": {"commit": commit_of(manifest)}}, subresource="status"
    )
    logger.info("key=%s/%s event=recorded", namespace, name)


async def _tell_bucket(facts: Facts, result: JsonObject, ctx: Context) -> bool:
    """The outcome outlives the objects: it lies beside the run's record. Returns whether it is there."""
    before = facts.run.get("status", {}).get("outcome", {})
    store = str(facts.run["spec"].get("storeRef", {}).get("name", ""))
    if before.get("result") == result["result"] or not store:
        return True
    if ctx.caches.stores.get(facts.run["metadata"]["namespace"], store) is None:
        return True  # nobody can be told
    identity = facts.run["spec"]["identity"]
    key = run_end_key(facts.run["metadata"]["namespace"], identity["workflow"], identity["run"])
    record = RunEndRecord(result["result"], str(result["message"])[:500], str(result["time"]))
    try:
        catalog = await ctx.buckets.of(facts.run["metadata"]["namespace"], store)
        await asyncio.to_thread(catalog.store.put, key, record.to_bytes())
    except TrainpointError as error:
        logger.warning("key=%s event=outcome-not-stored error=%s", facts.run["metadata"]["name"], error.message)
        return False
    return True


async def _tell_people(facts: Facts, told: Account, verdict: Verdict, ctx: Context) -> None:
    about = RUNS.typed(facts.run)
    loaded = facts.claim.get("loaded")
    if told.active and loaded:
        entry = told.attempts[-1]
        where = f" in pod {entry['podName']}" if entry.get("podName") else ""
        step = f"step {loaded['step']} of " if "step" in loaded else ""
        what = f"from {step}{loaded['checkpoint']}: " if loaded.get("checkpoint") else ""
        await ctx.events.event(
            about,
            reasons.ATTEMPT_STARTED,
            f"attempt {entry['attempt']}{where} started {what}{loaded['message']}",
            action="Start",
        )
        for skipped in loaded.get("skipped", ())[:3]:
            text = f"attempt {entry['attempt']} passed over {skipped['checkpoint']}: {skipped['message']}"
            await ctx.events.event(about, reasons.CHECKPOINT_SKIPPED, text, warning=True, action="Start")
    for entry in told.ended:
        ctx.metrics.attempt_ended(str(entry["result"]))
        cost = "free" if not entry["charged"] else f"charged, {told.charged} of {facts.policy.settings.retry.limit}"
        reached = f" after step {entry['toStep']} was saved" if "toStep" in entry else ""
        bad = entry["result"] not in ("Completed", "Disrupted")
        text = f"attempt {entry['attempt']} ended: {entry['message']}{reached}"
        await ctx.events.event(
            about,
            reasons.ATTEMPT_ENDED,
            text + ("" if entry["result"] == "Completed" else f" ({cost})"),
            warning=bad,
            action="End",
        )
    if verdict.over or verdict.reason == reasons.NODE_LOST:
        await ctx.events.event(
            about, _EVENTS[verdict.state], verdict.message, warning=verdict.state != "Succeeded", action="Finish"
        )


def _look_again_at_unfinished(facts: Facts, ctx: Context) -> None:
    """An attempt has ended: what it did not commit is now found in the bucket, or has failed."""
    for one in facts.checkpoints:
        if not one.commit and one.state != "Failed":
            ctx.enqueue(Key(CHECKPOINTS.kind, one.namespace, one.name), 1.0)


def _look_again_at_corrupt(facts: Facts, ctx: Context) -> None:
    """What the newest attempt found damaged."""
    skipped = facts.claim.get("loaded", {}).get("skipped", ())
    damaged = {s["checkpoint"] for s in skipped if s["reason"] in (reasons.CORRUPT, reasons.UNREADABLE)}
    for one in facts.checkpoints:
        if one.name in damaged and one.state != "Corrupt":
            ctx.enqueue(Key(CHECKPOINTS.kind, one.namespace, one.name), 0.0)
