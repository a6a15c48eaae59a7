"""Which CheckpointPolicy a run follows."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.policies.settings import AppFileSettings, PolicySettings, settings_from
from trainpoint_operator.context import Context


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What a run follows; the defaults where that is no policy, or one that cannot be read."""

    settings: PolicySettings = field(default_factory=PolicySettings)
    unknown: str = ""
    """why nobody knows what its policy says; empty where that is known"""

    @property
    def app_files(self) -> AppFileSettings | None:
        """What may go; None: nothing, since that is not known."""
        return None if self.unknown else self.settings.app_files


def policy_of(run: JsonObject | None, namespace: str, ctx: Context) -> RunPolicy:
    """The policy that its newest attempt follows, else the one that it began with, else the namespace's default."""
    found = run or {}
    claimed = found.get("status", {}).get("claim", {}).get("policy", "")
    name = claimed or found.get("spec", {}).get("policyRef", {}).get("name", "")
    if name:
        named = ctx.caches.policies.get(namespace, name)
        return _read(named) if named is not None else RunPolicy(unknown=f"CheckpointPolicy {name} does not exist")
    defaults = [p for p in ctx.caches.policies.all(namespace) if p["spec"].get("default")]
    if len(defaults) > 1:
        return RunPolicy(unknown=f"the namespace has {len(defaults)} default CheckpointPolicies")
    return _read(defaults[0]) if defaults else RunPolicy()


def _read(policy: JsonObject) -> RunPolicy:
    name = policy["metadata"]["name"]
    try:
        return RunPolicy(settings_from(policy["spec"], f"CheckpointPolicy {name}"))
    except TrainpointError as error:
        return RunPolicy(unknown=f"CheckpointPolicy {name} cannot be used: {error.message}")
