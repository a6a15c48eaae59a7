"""Claim a task on a cluster: by compare-and-swap on its CheckpointRun. The bucket gets the copies that readers need.

The API server decides who wins: a merge patch with resourceVersion, on an object whose rules let the attempt only grow.
Then, as off-cluster: bar, stock, fence, record (``claim.protocol`` says why in this order), so that everything that
reads a bucket works alike for both, and an overtaken writer learns of it without asking the API server at each save.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from trainpoint.api import reasons
from trainpoint.api.names import GROUP
from trainpoint.catalog.kube import Kube
from trainpoint.claim.announce import put_fence, record_run
from trainpoint.claim.liveness import ProcessTable, SystemProcesses, liveness
from trainpoint.claim.pods import holder_pod
from trainpoint.claim.protocol import Board, read_board, take_stock
from trainpoint.claim.run_object import (
    HeldClaim,
    end_json,
    held,
    loaded_json,
    new_claim,
    run_body,
    save_request,
    stock_json,
)
from trainpoint.claim.won import BEAT_SECONDS, Claim, forget, is_open, remember
from trainpoint.clock import Chance, Clock, rfc3339
from trainpoint.cluster import Cluster, until_reachable
from trainpoint.errors import (
    ConflictError,
    IdentityError,
    ObjectChangedError,
    RefusedError,
    TrainpointError,
)
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import EVERY_SEQUENCE, TaskPath, attempt_key
from trainpoint.format.records import (
    AttemptRecord,
    EndRecord,
    Holder,
    LoadedRecord,
)
from trainpoint.format.reference import run_object_name
from trainpoint.pod import run_of_launch
from trainpoint.policies.start import Allow, Conflict, Refuse, Rival, StartInput, Wait, may_start
from trainpoint.store.base import Store

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0
LAST_SAVE_SECONDS: Final = 30.0
"""Beyond its grace period, what a terminating holder's pod object is given to disappear."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims what."""

    task: TaskPath
    me: Holder
    owner: str
    cluster: Cluster
    store: Store
    clock: Clock
    chance: Chance


class ClusterClaim(Claim):
    """A claim whose story is told on the run object too; where that cannot be written, work goes on."""

    __slots__ = ("_cluster", "_say")

    def __init__(
        self,
        store: Store,
        record: AttemptRecord,
        *,
        board: Board,
        clock: Clock,
        cluster: Cluster,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(store, record, board=board, clock=clock)
        self._cluster = cluster
        self._say = say

    def start_beat(self, every_seconds: float = BEAT_SECONDS, *, for_ranks: bool = False) -> None:
        """Only for other ranks, who do not ask the API server; to it, whether a pod lives is known."""
        if for_ranks:
            super().start_beat(every_seconds)

    def save_request(self) -> str:
        """By an annotation of the run object: people here have no key to the bucket."""
        return save_request(self._cluster.kube.get("checkpointruns", run_object_name(self.task)) or {})

    def record_loaded(self, loaded: LoadedRecord) -> None:
        super().record_loaded(loaded)
        stock = stock_json(self.record.seen, self.record.first_sequence)
        self._tell({**stock, "loaded": loaded_json(loaded)})

    def end(self, end: EndRecord) -> None:
        super().end(end)
        self._tell({"end": end_json(end)})

    def _tell(self, part: JsonObject) -> None:
        same = {"attempt": self.attempt, "nonce": self.uid}  # refused by the server if a later attempt has the run
        body = {"status": {"claim": {**same, **part}}}
        try:
            self._cluster.kube.patch_status("checkpointruns", run_object_name(self.task), body)
        except TrainpointError as error:
            self._say(f"the run object could not be told: {error.message}")


def claim_on_cluster(
    who: Claimant,
    *,
    wait_seconds: float = 60.0,
    takeover: bool = False,
    on_wait: Callable[[str], None],
    processes: ProcessTable | None = None,
) -> ClusterClaim:
    """Become the one writer of a task, as its next attempt.

    Args:
        wait_seconds: how long to wait for one and the same live pod. One that is terminating is waited for until its
            grace period is over: its last save is on the way.

    Raises:
        ConflictError: another live pod kept the task (exit 1: 86 would fail that pod's own Job).
        RefusedError: a person has stopped the run.
        ClusterUnreachableError: the API server was away for ten minutes.
    """
    claiming = _Claiming(who, wait_seconds, takeover, on_wait, processes or SystemProcesses())
    while True:
        won = until_reachable(claiming.attempt, clock=who.clock, chance=who.chance, say=on_wait)
        if won is not None:
            return won
        who.clock.sleep(claiming.pause())


@dataclass(slots=True)
class _Claiming:
    """One call of :func:`claim_on_cluster`."""

    who: Claimant
    wait_seconds: float
    takeover: bool
    on_wait: Callable[[str], None]
    processes: ProcessTable
    _pauses: int = 0
    _obstacle: str = ""
    _since: float = 0.0
    _overridden: frozenset[str] = field(default=frozenset())

    @property
    def _kube(self) -> Kube:
        return self.who.cluster.kube

    def attempt(self) -> ClusterClaim | None:
        """One try; None: somebody is in the way, or was quicker."""
        who = self.who
        run = self._run()
        current = held(run)
        board = read_board(who.store.list(who.task.attempts))
        verdict = self._verdict(run, current, board)
        match verdict:
            case Conflict():
                raise ConflictError(verdict.message, remedy=verdict.remedy)
            case Refuse():
                self._refuse(run, current, board, verdict)
                raise RefusedError(verdict.message, remedy=verdict.remedy)
            case Wait():
                return None
        stock = take_stock(row.key for row in who.store.list(who.task.manifests))
        number = max(current.attempt if current else -1, board.top, stock.top) + 1
        nonce = who.chance.uid()
        claim = new_claim(
            who.cluster.pod, who.me, attempt=number, nonce=nonce, time=self._time(), policy=who.cluster.policy
        )
        if not self._swap(run, claim):
            return None
        remember(nonce)
        try:
            won = self._announce(number, nonce, board, first=current is None)
            won.resume_from = str(run["spec"].get("resumeFrom") or "")
            won.asked_before = save_request(run)
            return won
        except BaseException:
            forget(nonce)
            raise

    def _announce(self, number: int, nonce: str, board: Board, *, first: bool) -> ClusterClaim:
        """The claim is won on the API server; the bucket hears of it."""
        who = self.who
        if board.winners or not first:
            self._fence(number, nonce, EVERY_SEQUENCE)  # the former holder's pod is gone; its process may not be
        stock = take_stock(row.key for row in who.store.list(who.task.manifests))
        self._fence(number, nonce, stock.seen)
        record = AttemptRecord(
            task=who.task,
            attempt=number,
            uid=nonce,
            holder=who.me,
            time=self._time(),
            seen=stock.by_attempt,
            first_sequence=stock.first_sequence,
        )
        if not board.winners:
            record_run(who.store, who.task, owner=who.owner, time=self._time())
        who.store.put(attempt_key(who.task, number, nonce), record.to_bytes())
        return ClusterClaim(who.store, record, board=board, clock=who.clock, cluster=who.cluster, say=self.on_wait)

    # --- the run object -----------------------------------------------------------------------------------------------

    def _run(self) -> JsonObject:
        """The run object; created if it is not there. IdentityError if it is another run's."""
        who, name = self.who, run_object_name(self.who.task)
        pod = who.cluster.pod
        # Only where the run is named after this Job; a person who names a run means to go on with it.
        derived = who.task.run == run_of_launch(pod)
        found = self._kube.get("checkpointruns", name)
        if found is None:
            body = run_body(
                who.task,
                owner=who.owner,
                launch_uid=pod.launch[1] if derived else "",
                policy=who.cluster.policy,
                store=who.cluster.store_name,
            )
            found = self._kube.create("checkpointruns", body) or self._kube.get("checkpointruns", name)
        if found is None:
            raise ObjectChangedError(f"{name} was created and deleted in the same moment", remedy="start again")
        there = found["spec"]["identity"]
        mine = {"workflow": who.task.workflow, "run": who.task.run, "task": who.task.task}
        other_launch = derived and there.get("launchUID", pod.launch[1]) != pod.launch[1]
        if any(there.get(k) != v for k, v in mine.items()) or there.get("index", "") != who.task.index:
            raise IdentityError(
                f"run object {name} is that of {there}, not of {who.task}", remedy="give this job its own run name"
            )
        if other_launch:
            raise IdentityError(
                f"run {who.task.run} belongs to another Job of the same name (UID {there['launchUID']})",
                remedy=f"set the label {GROUP}/run to go on with it, or to another name",
            )
        return found

    def _swap(self, run: JsonObject, claim: JsonObject) -> bool:
        meta = {"resourceVersion": run["metadata"]["resourceVersion"]}
        try:
            self._kube.patch_status(
                "checkpointruns", run["metadata"]["name"], {"metadata": meta, "status": {"claim": claim}}
            )
        except ObjectChangedError:
            return False
        return True

    def _refuse(self, run: JsonObject, current: HeldClaim | None, board: Board, verdict: Refuse) -> None:
        """Write down that this start was refused: a claim that never held."""
        number = max(current.attempt if current else -1, board.top) + 1
        pod, me = self.who.cluster.pod, self.who.me
        claim = new_claim(pod, me, attempt=number, nonce=self.who.chance.uid(), time=self._time())
        self._swap(run, {**claim, "refused": {"reason": verdict.reason, "message": verdict.message[:1000]}})

    # --- who else -----------------------------------------------------------------------------------------------------

    def _verdict(self, run: JsonObject, current: HeldClaim | None, board: Board) -> Allow | Wait | Conflict | Refuse:
        if run["spec"].get("stop"):
            return Refuse(
                reasons.STOPPED_BY_USER,
                f"{run['metadata']['name']} was stopped by a person",
                f"to go on: kubectl patch ckptrun {run['metadata']['name']} --type=merge "
                '-p \'{"spec":{"stop":null}}\'',
            )
        rival, limit = self._rival(current, board)
        if rival is None:
            return Allow()
        if self.takeover and not self._overridden:
            self._overridden = frozenset({rival.uid})
        facts = StartInput(task=str(self.who.task), rivals=[rival], wait_limit_seconds=limit, takeover=self._overridden)
        verdict = may_start(facts)
        if isinstance(verdict, Wait):
            now = self.who.clock.monotonic()
            if self._obstacle != rival.uid:
                self._obstacle, self._since, self._pauses = rival.uid, now, 0
                self.on_wait(verdict.message)
            return may_start(replace(facts, waited_seconds=now - self._since))
        return verdict

    def _rival(self, current: HeldClaim | None, board: Board) -> tuple[Rival | None, float]:
        """Whoever holds the task and may be at work, and how long to wait for it."""
        if current is None or current.ended or any(m.uid == current.nonce and m.ended for m in board.winners):
            return None, 0.0
        if is_open(current.nonce):
            return self._as_rival(current, "Self", f"pod {current.pod_name}"), self.wait_seconds
        own = self.who.cluster.pod
        if current.pod_uid == own.uid and current.process is not None:
            # This pod: the process before was restarted with its container, or another one trains beside this.
            alive = liveness(current.process, self.who.me, self.processes) == "Alive"
            who = f"another process of this pod (pid {current.process.pid})"
            return (self._as_rival(current, "Alive", who), self.wait_seconds) if alive else (None, 0.0)
        found = holder_pod(self._kube.pod(current.pod_name), name=current.pod_name, uid=current.pod_uid)
        if found.state in ("Gone", "Ended"):
            return None, 0.0
        limit = self.wait_seconds
        if found.state == "Terminating":
            limit = max(limit, found.grace_seconds + LAST_SAVE_SECONDS)
        return self._as_rival(current, "Alive", found.text), limit

    def _as_rival(self, current: HeldClaim, alive: str, who: str) -> Rival:
        return Rival(
            attempt=current.attempt,
            uid=current.nonce,
            won=True,
            liveness="Self" if alive == "Self" else "Alive",
            quiet_seconds=0.0,
            who=who,
            since=current.time,
        )

    # --- small things -------------------------------------------------------------------------------------------------

    def pause(self) -> float:
        bound = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._pauses)
        self._pauses += 1
        jittered: float = bound * (0.5 + self.who.chance.fraction())
        return jittered

    def _fence(self, attempt: int, nonce: str, seen: int) -> None:
        put_fence(self.who.store, self.who.task, attempt=attempt, uid=nonce, seen=seen, time=self._time())

    def _time(self) -> str:
        return rfc3339(self.who.clock.now())
