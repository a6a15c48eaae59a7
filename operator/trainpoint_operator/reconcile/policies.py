"""Which CheckpointPolicy a run follows."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainpoint.errors import TrainpointError
from trainpoint.format.digest import JsonObject
from trainpoint.policies.settings import AppFileSettings, PolicySettings, settings_from
from trainpoint_operator.context import Context


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What of a CheckpointPolicy the reconcilers need; the defaults where a run follows none."""

    settings: PolicySettings = field(default_factory=PolicySettings)
    metric: str = ""
    """name of the metric that makes a checkpoint the best"""
    highest: bool = False
    """the highest value of it, not the lowest"""
    app_files: AppFileSettings | None = field(default_factory=AppFileSettings)
    """None: it is not known which policy says what may go, so nothing may"""


def policy_of(run: JsonObject | None, namespace: str, ctx: Context) -> RunPolicy:
    """The policy that a run names, else its namespace's default, else the defaults."""
    name = (run or {}).get("spec", {}).get("policyRef", {}).get("name", "")
    found = ctx.caches.policies.get(namespace, name) if name else _default(namespace, ctx)
    if found is None:
        unknown = name or any(p["spec"].get("default") for p in ctx.caches.policies.all(namespace))
        return RunPolicy(app_files=None) if unknown else RunPolicy()
    spec = found["spec"]
    metric = spec.get("metric", {})
    named, highest = str(metric.get("name", "")), metric.get("mode") == "Max"
    try:
        settings = settings_from(spec, f"CheckpointPolicy {found['metadata']['name']}")
    except TrainpointError:  # the policy's own condition says what is wrong with it
        return RunPolicy(metric=named, highest=highest, app_files=None)
    return RunPolicy(settings, named, highest, settings.app_files)


def _default(namespace: str, ctx: Context) -> JsonObject | None:
    defaults = [p for p in ctx.caches.policies.all(namespace) if p["spec"].get("default")]
    return defaults[0] if len(defaults) == 1 else None
