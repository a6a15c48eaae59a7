"""The differences of a saved state and an app's code as a tree, for people: ``trainpoint app check``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from trainpoint.app.component import ROOT, Component
from trainpoint.app.findings import Finding, Plan, What


@dataclass(frozen=True, slots=True)
class Difference:
    """One component, what is the matter with it and its variables, and those beneath it."""

    name: str
    kind: str
    """Flow, Work, Dict or List; of a component that the code does not create, as the state has it"""
    refused: tuple[str, ...] = ()
    """why a strict start would not happen, as lines"""
    dropped: tuple[str, ...] = ()
    """what the app's own load_state_dict lets go, by passing strict=False on, as lines"""
    kept_default: tuple[str, ...] = ()
    """what is new in the code, as lines"""
    changed: tuple[str, ...] = ()
    """variables that would get another value than the constructor gave them"""
    children: tuple[Difference, ...] = ()
    by_hand: bool = False
    """of a flow: its own load_state_dict does not call its parent's"""
    migrations: tuple[str, ...] = ()
    """of the root: the steps that bring the state to the code's version, such as ``1 → 2``"""

    @property
    def compatible(self) -> bool:
        """A strict start would happen."""
        return not self.refused and all(child.compatible for child in self.children)

    def lines(self) -> Iterator[str]:
        """The tree, drawn."""
        yield f"{self.name} ({self.kind})"
        said = [
            *(f"migrated: {step}" for step in self.migrations),
            *["- load_state_dict does not call super()'s: restored is what it sets itself"] * self.by_hand,
            *(f"! {line}" for line in self.refused),
            *(f"- {line}" for line in self.dropped),
            *(f"+ {line}" for line in self.kept_default),
            *(f"~ {name}: restored" for name in self.changed),
        ]
        last = len(said) + len(self.children) - 1
        for number, line in enumerate(said):
            yield f"{'└─' if number == last else '├─'} {line}"
        for number, child in enumerate(self.children, len(said)):
            first, *rest = child.lines()
            yield f"{'└─' if number == last else '├─'} {first}"
            yield from (f"{'   ' if number == last else '│  '}{line}" for line in rest)


def difference_tree(root: Component, plan: Plan) -> Difference:
    """What ``plan`` has found, arranged as the components are."""
    findings, changed = defaultdict[tuple[str, ...], list[Finding]](list), defaultdict[tuple[str, ...], list[str]](list)
    for finding in plan.findings:
        findings[finding.path[:-1]].append(finding)
    for path in plan.changed:
        changed[path[:-1]].append(path[-1])
    return _node(root, (ROOT,), findings, changed, frozenset(plan.by_hand))


def _node(
    component: Component,
    path: tuple[str, ...],
    findings: Mapping[tuple[str, ...], list[Finding]],
    changed: Mapping[tuple[str, ...], list[str]],
    by_hand: frozenset[str],
) -> Difference:
    mine = findings.get(path, [])
    gone = [f for f in mine if f.what is What.MISSING_COMPONENT and f.refused]
    rest = [f for f in mine if f.what is not What.MISSING_COMPONENT]
    return Difference(
        path[-1],
        component._tp_kind,
        refused=tuple(f"{f.path[-1]}: {f.explanation}" for f in rest if f.refused),
        dropped=tuple(f"{f.path[-1]}: {f.explanation}" for f in mine if f.lost and not f.refused),
        kept_default=tuple(f"{f.path[-1]}: {f.explanation}" for f in rest if not f.lost),
        changed=tuple(changed.get(path, [])),
        by_hand=".".join(path) in by_hand,
        children=(
            *(_node(child, (*path, name), findings, changed, by_hand) for name, child in component._tp_children()),
            *(Difference(f.path[-1], f.detail, refused=(_NOT_CREATED,)) for f in gone),
        ),
    )


_NOT_CREATED: Final = "in the state, but the code does not create it"
