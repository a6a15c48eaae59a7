"""How a handle becomes the writer of its task, and who tells the cluster: by the API server where there is one."""

from __future__ import annotations

from trainpoint.api.names import ENV_TAKEOVER
from trainpoint.catalog.record import Recorder
from trainpoint.claim.liveness import this_process
from trainpoint.claim.store import Claim, claim
from trainpoint.context import Context
from trainpoint.handle import narrate
from trainpoint.identity import Identity


def claim_task(context: Context, identity: Identity) -> Claim:
    """By the API server where there is one, else by the store alone."""
    me = this_process(context.chance)
    takeover = context.environ.get(ENV_TAKEOVER, "") not in ("", "0")
    if context.cluster is None:
        return claim(
            context.catalog.store,
            identity.task,
            me,
            owner=identity.owner,
            clock=context.clock,
            chance=context.chance,
            takeover=takeover,
            on_wait=_say,
        )
    from trainpoint.claim.cluster import Claimant, claim_on_cluster  # with the official client

    claimant = Claimant(
        identity.task, me, identity.owner, context.cluster, context.catalog.store, context.clock, context.chance
    )
    return claim_on_cluster(claimant, takeover=takeover, on_wait=_say)


def recorder_of(context: Context) -> Recorder | None:
    """Who tells the API server of what is saved; None where there is none."""
    if context.cluster is None:
        return None
    return Recorder(
        context.cluster.kube,
        store_ref=context.cluster.store_name,
        policy=context.cluster.policy,
        finalizer=context.cluster.finalizer,
        clock=context.clock,
        chance=context.chance,
        warn=lambda message: narrate.logger.warning("%s", message),
    )


def _say(message: str) -> None:
    narrate.logger.info("%s", message)
