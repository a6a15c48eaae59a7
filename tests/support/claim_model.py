"""Every state of the claim model is visited; see ``tests.support.claim_world`` for the world it is about."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.claim_states import canonical
from tests.support.claim_world import BrokenInvariantError, Model, State, World


@dataclass(frozen=True)
class Explored:
    """What was looked at."""

    states: int
    steps: int
    wins: int
    """states in which some process holds the task"""
    reports: int
    """states in which a commit has been reported"""


def explore(world: World) -> Explored:
    """Visit every state that can come about. Raises BrokenInvariantError, with the way to it, for the first bad one.

    The invariants: never two live winners; numbers of winners rise; what was reported as committed is never superseded;
    while a live process wants the task and nobody holds it, the processes can reach a state in which somebody does.
    """
    model = Model(world)
    same: Callable[[State], State] = (lambda s: s) if world.torn else canonical
    first = same(model.initial())
    ids = {first: 0}
    order = [first]
    came: list[tuple[int, str]] = [(0, "")]
    sources, targets = array("L"), array("L")
    here = 0
    while here < len(order):
        state = order[here]
        try:
            model.check(state)
            for name, after in model.steps(state):
                targets.append(_number(same(after), ids, order, came, here, name))
                sources.append(here)
            for name, after in model.misfortunes(state):
                _number(same(after), ids, order, came, here, name)
        except BrokenInvariantError as fault:
            raise BrokenInvariantError(f"{fault}\n{_way(order, came, here)}") from None
        here += 1
    if not world.torn:
        _check_progress(order, came, sources, targets)
    return Explored(
        states=len(order),
        steps=len(sources),
        wins=sum(any(p.holds for p in s.procs) for s in order),
        reports=sum(bool(s.reported) for s in order),
    )


def _number(
    state: State, ids: dict[State, int], order: list[State], came: list[tuple[int, str]], here: int, name: str
) -> int:
    found = ids.get(state)
    if found is None:
        found = ids[state] = len(order)
        order.append(state)
        came.append((here, name))
    return found


def _check_progress(order: list[State], came: list[tuple[int, str]], sources: array[int], targets: array[int]) -> None:
    before: list[list[int]] = [[] for _ in order]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    fine = bytearray(len(order))
    queue = [i for i, s in enumerate(order) if any(p.holds for p in s.procs)]
    for i in queue:
        fine[i] = 1
    while queue:
        for source in before[queue.pop()]:
            if not fine[source]:
                fine[source] = 1
                queue.append(source)
    for i, s in enumerate(order):
        if not fine[i] and any(p.claiming for p in s.procs):
            raise BrokenInvariantError(f"nobody can ever win from here\n{_way(order, came, i)}")


def _way(order: list[State], came: list[tuple[int, str]], here: int) -> str:
    steps: list[str] = [f"in {order[here]}"]
    while here:
        here, name = came[here]
        steps.append(f"process {name}" if name[0].isdigit() else name)
    return "\n".join(reversed(steps))
