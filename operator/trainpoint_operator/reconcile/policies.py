"""Which CheckpointPolicy a run follows."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.policies.settings import AppFileSettings, PolicySettings, settings_from
from trainpoint_operator.context import Context


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What a run follows; the defaults where that is no policy, or one that cannot be seen."""

    settings: PolicySettings = field(default_factory=PolicySettings)
    is_known: bool = True
    """False: there is a policy, and nobody knows what it says"""

    @property
    def app_files(self) -> AppFileSettings | None:
        """What may go; None: nothing, since it is not known."""
        return self.settings.app_files if self.is_known else None


def policy_of(run: JsonObject | None, namespace: str, ctx: Context) -> RunPolicy:
    """The policy that a run names, else its namespace's default, else the defaults."""
    name = (run or {}).get("spec", {}).get("policyRef", {}).get("name", "")
    if name:
        named = ctx.caches.policies.get(namespace, name)
        return _compiled(named) if named is not None else RunPolicy(is_known=False)
    defaults = [p for p in ctx.caches.policies.all(namespace) if p["spec"].get("default")]
    return _compiled(defaults[0]) if len(defaults) == 1 else RunPolicy(is_known=not defaults)


def _compiled(policy: JsonObject) -> RunPolicy:
    try:
        return RunPolicy(settings_from(policy["spec"], f"CheckpointPolicy {policy['metadata']['name']}"))
    except TrainpointError:
        return RunPolicy(is_known=False)  # its own condition says what is wrong with it
