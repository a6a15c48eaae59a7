"""Where a saved state and the code of an app differ, and the one error that lists all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from trainpoint.errors import IncompatibleStateError


class What(Enum):
    """Kinds of differences, in the order in which an error lists them."""

    MISSING_COMPONENT = "missing component"
    OTHER_KIND = "other kind"
    MISSING_VARIABLE = "missing variable"
    NEW_VARIABLE = "new variable"
    NEW_COMPONENT = "new component"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference."""

    what: What
    path: tuple[str, ...]
    """from ``root`` to the component or variable itself"""
    detail: str = ""
    refused: bool = False
    """a strict start does not happen because of it; otherwise it is dropped (state) or keeps its default (code)"""
    inside: tuple[str, ...] = ()
    """dotted names of what the missing component holds"""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def parent(self) -> str:
        return ".".join(self.path[:-1])

    @property
    def lost(self) -> bool:
        """The state has it and the code has no place for it."""
        return self.what not in (What.NEW_VARIABLE, What.NEW_COMPONENT)

    def __str__(self) -> str:
        return f"{self.name}: {self.explanation}"

    @property
    def explanation(self) -> str:
        match self.what:
            case What.MISSING_COMPONENT:
                return f"a {self.detail} of the state that the code does not create"
            case What.MISSING_VARIABLE:
                return "a variable of the state that the code does not set"
            case What.NEW_VARIABLE:
                return "a new variable of the code, keeps its default"
            case What.NEW_COMPONENT:
                return "a new component of the code, stays as it is made"
        return self.detail


@dataclass(slots=True)
class Plan:
    """What a restore has found so far; the whole tree writes into one."""

    findings: list[Finding] = field(default_factory=list)
    changed: list[tuple[str, ...]] = field(default_factory=list)
    """paths of the variables that now have another value than the constructor gave them"""
    paths: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """of components, by their ids: found once, since a list of many would be gone through for each of its items"""
    filled: set[int] = field(default_factory=set)
    """flows, by their ids, that the way of this package has given their state"""
    by_hand: list[str] = field(default_factory=list)
    """dotted names of those that it has not, although there was something to give"""

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)

    @property
    def is_refused(self) -> bool:
        return any(finding.refused for finding in self.findings)


def refusal(findings: Iterable[Finding]) -> IncompatibleStateError:
    """One error for all of them. Its first line is the sentence by which people find the way out."""
    every = sorted(findings, key=lambda f: list(What).index(f.what))
    refused = [f for f in every if f.refused]
    missing = [f for f in refused if f.what is What.MISSING_COMPONENT]
    if missing:
        component, parent = missing[0].path[-1], missing[0].parent
        first = f"The component {component} wasn't instantiated for the component {parent}"
    else:
        first = f"The state does not fit the code of the component {refused[0].parent}"
    lines = [first, *(f"    - {finding}" for finding in refused)]
    if new := [f.name for f in every if not f.lost]:
        lines.append(f"    new in the code, which is no reason to refuse: {', '.join(new)}")
    return IncompatibleStateError("\n".join(lines), remedy=_advice(refused))


def _advice(refused: list[Finding]) -> str:
    lines = []
    if any(f.what is not What.MISSING_VARIABLE for f in refused):
        lines.append(
            "implement load_state_dict(self, flow_state, children_states, strict): create the components there, "
            "then call super().load_state_dict(flow_state, children_states, strict)"
        )
    if any(f.what is What.MISSING_VARIABLE for f in refused):
        lines.append(
            'rename or drop variables in load_state_dict (flow_state["vars"], children_states[…]["vars"]) before it '
            "calls super().load_state_dict, or register a @migration for the version that saved the state"
        )
    lines.append("a start that is not strict (strict=False, --non-strict) drops what does not fit")
    return "\n".join(lines)
