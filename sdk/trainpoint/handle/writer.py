"""The half of a handle that only a process with an identity has: its claim, its saves, its rhythm, its end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainpoint.api import reasons
from trainpoint.api.names import ENV_PROGRESS_FILE
from trainpoint.catalog.record import CLOSE_PREEMPTED_SECONDS, CLOSE_SECONDS
from trainpoint.claim.store import Claim
from trainpoint.clock import rfc3339
from trainpoint.context import Context
from trainpoint.errors import SaveFailedError, TrainpointError
from trainpoint.format.layout import SnapshotId
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.ranks import derived_uid
from trainpoint.format.records import MESSAGE_LIMIT, EndRecord, LoadedRecord
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle import arguments, artifacts, launch, narrate
from trainpoint.handle.arguments import Scalar
from trainpoint.handle.asked import SaveRequests
from trainpoint.handle.claiming import claim_task, recorder_of
from trainpoint.handle.ranks import First, Refused
from trainpoint.handle.resume import Resume, Resumed, request_in_force
from trainpoint.handle.rhythm import Rhythm
from trainpoint.handle.save import SavedRef, Saver, SaveRequest, Source
from trainpoint.handle.siblings import former_self, ignored_run
from trainpoint.identity import Identity
from trainpoint.policies.request import Request
from trainpoint.policies.settings import SaveSettings

PARENTS_LIMIT = 8
"""Names of loaded checkpoints that a new one lists, the last ones."""


@dataclass(frozen=True, slots=True)
class Describe:
    """What the caller says of a checkpoint, checked."""

    series: str
    step: int | None
    epoch: int | None
    metrics: Mapping[str, str]
    metadata: dict[str, object]
    latest: bool

    @classmethod
    def of(
        cls,
        *,
        name: str | None,
        step: object,
        epoch: object,
        metrics: Mapping[str, Scalar] | None,
        metadata: Mapping[str, object] | None,
        latest: bool,
        match: Mapping[str, object],
    ) -> Describe:
        """Raises InvalidArgumentError for anything that could never be stored, or loaded again by this program."""
        return cls(
            series=arguments.series_name(name),
            step=arguments.count("step", step),
            epoch=arguments.count("epoch", epoch),
            metrics=arguments.metrics_text(metrics),
            metadata=arguments.metadata_with(match, metadata),
            latest=latest,
        )


class Writer:
    """A claimed task: one process, from its start to its end."""

    def __init__(
        self,
        context: Context,
        identity: Identity,
        claimed: Claim,
        save: SaveSettings,
        *,
        on_error: Literal["raise", "warn"],
        ranks: int,
    ) -> None:
        self.identity = identity
        self.claim = claimed
        self.rhythm = Rhythm(
            save, context.clock, progress_file=context.environ.get(ENV_PROGRESS_FILE), world_size=ranks
        )
        self.rhythm.of_workflow(identity.task.workflow)
        self._context = context
        self._on_error = on_error
        self._ranks = ranks
        self._sequence = claimed.record.first_sequence
        self._parents: list[str] = []
        self._saver = Saver(
            catalog=context.catalog,
            claim=claimed,
            clock=context.clock,
            chance=context.chance,
            deadline_seconds=save.deadline_seconds,
            on_saved=self._on_saved,
            recorder=recorder_of(context),
        )
        self._resumed: Resumed | None = None
        self._requests = SaveRequests(claimed, self.rhythm, context.chance)

    @property
    def attempt(self) -> int:
        return self.claim.attempt

    @property
    def why(self) -> LoadedRecord | None:
        return self._resumed.record if self._resumed is not None else None

    # --- the start ----------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        context: Context,
        identity: Identity,
        save: SaveSettings,
        *,
        on_error: Literal["raise", "warn"],
        ranks: int,
    ) -> Writer:
        """Claim the task. Waits for a live holder; raises ConflictError, RefusedError or a StoreError.

        Args:
            ranks: how many processes open the task together, this one as rank 0; 1: it alone.
        """
        narrate.logger.info(
            "run %s  task %s  store %s",
            identity.task.run,
            identity.task.task + (f"[{identity.task.index}]" if identity.task.index else ""),
            context.catalog.store.url,
        )
        request_in_force(context.asked, "", identity.task)  # a mistake in it is told before anything is claimed
        claimed = claim_task(context, identity)
        if identity.launched:
            with suppress(TrainpointError):  # said again when it ends
                launch.begun(context, identity.task)
        # Without it, other hosts would take this process for dead after two minutes.
        claimed.start_beat(for_ranks=ranks > 1)
        return cls(context, identity, claimed, save, on_error=on_error, ranks=ranks)

    def resume(self, target: Path) -> Manifest | None:
        """Load what the policy chooses into ``target``, and write down what and why. Other ranks have it then too."""
        request = request_in_force(self._context.asked, self.claim.resume_from, self.identity.task)
        if self._ranks == 1:
            resumed = self._search(target, request, {})
        else:
            first = First(
                self.claim,
                self._ranks,
                self._context.clock,
                self._context.chance,
                stop=lambda: self.rhythm.preempted,
            )
            resumed = first.agree(lambda refused: self._search(target, request, refused), target)
        self.claim.record_loaded(resumed.record)
        self._tell(resumed)
        self._resumed = resumed
        if resumed.manifest is not None:
            self._go_on_from(resumed.manifest)
        if self.claim.attempt > 0:
            threading.Thread(target=self._sweep, name="trainpoint-sweep", daemon=True).start()
        self.rhythm.begun()
        self._requests.start()
        return resumed.manifest

    def _search(self, target: Path, request: Request | None, refused: Refused) -> Resumed:
        return Resume(
            catalog=self._context.catalog,
            identity=self.identity,
            attempt=self.claim.attempt,
            claim_uid=self.claim.uid,
            decision=self._context.decision,
            earlier=self.claim.previous,
            target=target,
            clock=self._context.clock,
            request=request,
            match=self._context.match,
            metric=self._context.settings.metric,
            refused=refused,
            find=self._context.find_asked,
        ).run()

    def _tell(self, resumed: Resumed) -> None:
        narrate.started_from(resumed.record, resumed.manifest, resumed.seconds)
        if self._context.asked is not None and not resumed.record.request:
            narrate.not_asked(self._context.asked.text, self.identity.task)
        if resumed.manifest is None and self.claim.attempt == 0 and not resumed.record.is_file:
            policy = self._context.decision.policy
            with suppress(TrainpointError):  # hints, which no training depends on
                ignored = ignored_run(self._context.catalog, self.identity) if policy == "fresh" else None
                if ignored is not None:
                    narrate.ignored("fresh", *ignored)
                former = former_self(self._context.catalog, self.identity, policy)
                if former is not None:
                    narrate.beside(self.identity.task, *former)

    def _sweep(self) -> None:
        """Behind training: what earlier attempts had uploaded of saves that they never finished."""
        with suppress(TrainpointError):  # a writer without the right to delete leaves that to others
            swept = self._context.catalog.sweep_orphans(self.identity.task, attempt=self.claim.attempt)
            if swept:
                narrate.logger.info("removed the data of %d saves that earlier attempts did not finish", swept)

    def _go_on_from(self, found: Manifest) -> None:
        """Later checkpoints have this one as a parent; steps are counted on from it."""
        s = found.snapshot
        self._parents = [*self._parents, CheckpointRef(s.task, s.id).name][-PARENTS_LIMIT:]
        self.rhythm.loaded(s.step)

    def note_loaded(self, found: Manifest, *, own: bool) -> None:
        """The program has loaded this one. Where the choice is the program's, it is what this attempt started from."""
        self._go_on_from(found)
        resumed, nothing_saved = self._resumed, self._sequence == self.claim.record.first_sequence
        # All other ranks have read the record by now, and those of a later start must not take it for an offer.
        if not own or resumed is None or not nothing_saved or self._ranks > 1:
            return
        if resumed.record.reason == reasons.PROGRAM_CHOOSES and not resumed.record.request:
            self._resumed = resumed.chosen(found)
            try:
                self.claim.record_loaded(self._resumed.record)
            except TrainpointError as error:
                narrate.logger.warning("what the program has loaded could not be written down: %s", error)

    # --- saving -------------------------------------------------------------------------------------------------------

    def raise_deferred(self) -> None:
        """Surface a background failure, once; ``on_error="warn"`` logs it instead (but for being superseded)."""
        try:
            self._saver.raise_deferred()
        except SaveFailedError as error:
            if self._on_error == "raise":
                raise
            narrate.logger.warning("%s", error)

    def skip(self) -> None:
        """A call has failed before it began a save. It is numbered all the same, since other ranks have counted it."""
        self._sequence += 1

    def _number(self) -> SnapshotId:
        uid = derived_uid(self.claim.uid, self._sequence) if self._ranks > 1 else self._context.chance.uid()
        snapshot = SnapshotId(self.claim.attempt, self._sequence, uid)
        self._sequence += 1
        return snapshot

    def save(self, what: Describe, source: Source, *, wait: bool) -> CheckpointRef:
        """Save one more checkpoint. Its place in the order is fixed here, not when its upload ends."""
        snapshot = self._number()
        request = self._request(what, snapshot, source.take(), source)
        if wait:
            self._saver.run(request)
        else:
            self._saver.submit(request)
        return request.ref

    def _request(self, what: Describe, snapshot: SnapshotId, taken: Path, source: Source) -> SaveRequest:
        task = self.identity.task
        self.rhythm.saved(what.step)
        return SaveRequest(
            ref=SavedRef(task, snapshot),
            snapshot=Snapshot(
                task=task,
                id=snapshot,
                series=what.series,
                step=what.step,
                epoch=what.epoch,
                metrics=what.metrics,
                metadata=what.metadata,
                parents=tuple(self._parents),
                owner=self.identity.owner,
                world_size=self.identity.world_size,
                latest=what.latest,
                created_by=_created_by(self._context, self.claim),
            ),
            source=taken,
            release=lambda: source.release(taken),
        )

    def publish(self, name: str, value: object) -> None:
        """Artifacts of this attempt; a checkpoint that is one has to be committed."""
        if isinstance(value, CheckpointRef) and not value.committed:
            self.flush()
        self.raise_deferred()
        artifacts.publish(self._context.catalog, self.claim, name, value)

    def flush(self) -> None:
        self._saver.flush()

    def wait(self) -> None:
        """Until every save so far is committed; raises what failed among them."""
        self.flush()
        self.raise_deferred()

    def _on_saved(self, saved: Manifest, seconds: float) -> None:
        s = saved.snapshot
        narrate.logger.debug("saved %s step=%s in %.2f s", CheckpointRef(s.task, s.id), s.step, seconds)

    # --- the end ------------------------------------------------------------------------------------------------------

    def close_records(self) -> None:
        """Wait, a while, until the API server has a record of everything that was saved."""
        left = self._saver.close(CLOSE_PREEMPTED_SECONDS if self.rhythm.preempted else CLOSE_SECONDS)
        if left:
            narrate.logger.warning("%d checkpoints are not recorded yet; the operator records them", left)

    def end(self, how: Literal["Completed", "Failed", "Preempted", "Refused"], message: str, exit_code: int) -> None:
        """Write down how this attempt ended; where this process launched the run, also how the run did."""
        now = rfc3339(self._context.clock.now())
        of_run = None
        if self.identity.launched:  # noted before the task is free for the next claim of this process
            of_run = launch.ended(
                self._context, self.identity.task, failure=None if how == "Completed" else message or how
            )
        try:
            self.claim.end(
                EndRecord(
                    attempt=self.claim.attempt,
                    uid=self.claim.uid,
                    how=how,
                    exit_code=exit_code,
                    message=message[:MESSAGE_LIMIT],
                    last_step=self.rhythm.last_step,
                    time=now,
                )
            )
            if of_run is not None:
                launch.tell(self._context, self.identity.task, of_run)
        except TrainpointError as error:
            # The attempt is over either way; a successor sees that this process is gone.
            narrate.logger.warning("the end of attempt %d could not be written down: %s", self.claim.attempt, error)
        finally:
            self._requests.stop()
            self.rhythm.close()

    def abandon(self) -> None:
        """In a forked child: forget everything without touching what the parent owns."""
        self.rhythm.abandon()


def _created_by(context: Context, claimed: Claim) -> dict[str, str]:
    holder = claimed.record.holder
    found = {
        "host": holder.host,
        "pid": str(holder.pid),
        "user": holder.user,
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    if context.cluster is not None:
        pod = context.cluster.pod
        found |= {
            "podName": pod.name,
            "podUID": pod.uid,
            "nodeName": pod.node,
            "serviceAccount": pod.service_account,
            "image": pod.image,
        }
    return {name: value for name, value in found.items() if value}
