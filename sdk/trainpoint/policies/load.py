"""Load policies: which one is in force, and who decided it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from trainpoint.api.names import ENV_LOAD_POLICY
from trainpoint.errors import PolicyError

LoadPolicy = Literal["fresh", "eager", "none"]
LOAD_POLICIES: Final[tuple[LoadPolicy, ...]] = ("fresh", "eager", "none")
DEFAULT_LOAD_POLICY: Final[LoadPolicy] = "fresh"


class Unset(Enum):
    """Marks an argument that was not given, where None has a meaning of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET

LoadPolicyArgument = str | None | Unset
"""What a caller may pass as ``load_policy``: ``"fresh"``, ``"eager"``, ``None`` or ``"none"``."""


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The load policy in force."""

    policy: LoadPolicy
    source: str
    """who decided, in words that finish "… , from …" """


def resolve_policy(
    *,
    argument: LoadPolicyArgument = UNSET,
    environment: str | None = None,
    label: str | None = None,
    setting: str | None = None,
    setting_source: str = "CheckpointPolicy",
    allowed: Collection[str] = (),
) -> PolicyDecision:
    """Argument, then environment, then label, then CheckpointPolicy, then ``fresh``; the first that is set decides.

    Args:
        setting: ``load.policy`` of the CheckpointPolicy in force.
        allowed: ``load.allowed`` of it; empty allows all.

    Raises:
        PolicyError: the value is none of the three, or it is not among the allowed ones.
    """
    sources: list[tuple[LoadPolicyArgument, str]] = [
        (argument, "the argument load_policy"),
        (environment or UNSET, ENV_LOAD_POLICY),
        (label or UNSET, "the label trainpoint.dev/load-policy"),
        (setting or UNSET, setting_source),
    ]
    value, source = next(
        ((v, s) for v, s in sources if v is not UNSET),
        (DEFAULT_LOAD_POLICY, "the default (argument, environment and policy not set)"),
    )
    policy = _parse(value, source)
    permitted = {str(name).lower() for name in allowed}
    if permitted and policy not in permitted:
        raise PolicyError(
            f"load policy {policy!r} (from {source}) is not allowed by {setting_source}; allowed: "
            + ", ".join(p for p in LOAD_POLICIES if p in permitted),
            remedy="choose an allowed one, or have load.allowed changed",
        )
    return PolicyDecision(policy, source)


def _parse(value: LoadPolicyArgument, source: str) -> LoadPolicy:
    if value is None:
        return "none"
    if isinstance(value, str):
        for policy in LOAD_POLICIES:
            if value.lower() == policy:
                return policy
    raise PolicyError(f'{source}={value!r} is not a policy; choose "fresh", "eager" or None')
