"""One spelling for all states of the claim model that behave alike.

They are equal when only the order of numbers, the names of processes and markers that nobody can learn anything from
differ; so retries without end still make finitely many states, all of which can be visited.
"""

from __future__ import annotations

from tests.support.claim_world import Key, Obj, Proc, State
from trainpoint.format.layout import EVERY_SEQUENCE


def canonical(state: State) -> State:
    """The one spelling of all states that behave alike."""
    procs = [p._replace(n=p.n if p.stage != "Look" else -1) for p in state.procs if p.running]
    objs, top = _without_forgettable(state, procs)
    state = state._replace(keys=_without_idle_fences(state.keys))
    there = {(n, uid) for n, uid, _ in objs}
    highest = max([top, *(n for n, _ in there)])
    procs = [
        p._replace(
            known=frozenset(k for k in p.known if k[:2] in there),
            floor=p.floor if p.floor > highest else -1,
        )
        for p in procs
    ]
    own: dict[int, list[tuple[int, str]]] = {}
    for n, uid, suffix in objs:
        own.setdefault(uid, []).append((n, suffix))
    for marks in own.values():
        marks.sort()
    procs.sort(
        key=lambda p: (p.stage, p.n, p.floor, p.bar, p.seen, p.first, p.suspect, len(p.known), own.get(p.uid, []))
    )

    numbers = {n for n, _ in there} | {k[0] for k in state.keys} | {g[0] for g in state.ghosts}
    numbers |= {p.n for p in procs} | {p.floor for p in procs} | {top, state.won}
    number = {n: rank for rank, n in enumerate(sorted(numbers - {-1}))} | {-1: -1}
    sequences = {k[1] for k in state.keys} | {g[1] for g in state.ghosts if len(g) == 4}
    sequences |= {x for p in procs for x in (p.seen, p.first)}
    sequence = {q: rank for rank, q in enumerate(sorted(sequences - {0, EVERY_SEQUENCE}), 1)}
    sequence |= {0: 0, EVERY_SEQUENCE: EVERY_SEQUENCE}
    uids = {p.uid: rank for rank, p in enumerate(procs)}
    others = {(n, u) for n, u in there if u not in uids} | {(g[0], g[-2]) for g in state.ghosts if g[-2] not in uids}
    for _, u in sorted(others, key=lambda o: (o[0], own.get(o[1], []), o[1])):
        uids.setdefault(u, len(uids))

    def key(k: Key) -> Key:  # attempt and sequence tell the objects of manifests/ apart
        return (number[k[0]], sequence[k[1]], 0, k[3])

    return State(
        procs=tuple(
            p._replace(
                uid=uids[p.uid],
                n=number[p.n],
                floor=number[p.floor],
                known=frozenset((number[n], uids[u], won) for n, u, won in p.known),
                seen=sequence[p.seen],
                first=sequence[p.first],
            )
            for p in procs
        ),
        objs=frozenset((number[n], uids[u], suffix) for n, u, suffix in objs),
        keys=frozenset(map(key, state.keys)),
        reported=frozenset(map(key, state.reported)),
        ghosts=frozenset(
            (number[g[0]], uids[g[1]], g[2]) if len(g) == 3 else (*key(g)[:2], uids[g[2]], g[3]) for g in state.ghosts
        ),
        top=number[top],
        won=number[state.won],
        crashes=state.crashes,
        suspects=state.suspects,
    )


def _without_forgettable(state: State, procs: list[Proc]) -> tuple[frozenset[Obj], int]:
    """The objects without those of claims that can teach nobody anything but their number."""
    marks: dict[tuple[int, int], set[str]] = {}
    for n, uid, suffix in state.objs:
        marks.setdefault((n, uid), set()).add(suffix)
    alive = {p.uid for p in procs} | {g[-2] for g in state.ghosts}
    newest = max((n for (n, _), s in marks.items() if "json" in s), default=-1)
    under_way = [p for p in procs if p.stage in ("PutIntent", "Check")]
    # To a process under way, a claim that its Look did not show means one thing: give up. One such claim will do.
    settled: list[tuple[frozenset[int], int, int]] = []
    for (n, uid), s in marks.items():
        won = "json" in s
        if uid not in alive and ("lost" in s or n < newest):
            strangers = frozenset(i for i, p in enumerate(under_way) if (n, uid, won) not in p.known)
            settled.append((strangers, n, uid))
    settled.sort(key=lambda c: (len(c[0]), c[1], c[2]), reverse=True)
    kept: list[frozenset[int]] = []
    forgotten: set[tuple[int, int]] = set()
    top = state.top
    for strangers, n, uid in settled:
        if strangers and not any(strangers <= others for others in kept):
            kept.append(strangers)
        else:
            forgotten.add((n, uid))
            top = max(top, n)
    rest = frozenset(o for o in state.objs if o[:2] not in forgotten)
    return rest, top if top > max((o[0] for o in rest), default=-1) else -1


def _without_idle_fences(keys: frozenset[Key]) -> frozenset[Key]:
    """The keys without fences of which a later one says the same or more."""
    fences = [k for k in keys if k[3] == "fence"]
    idle = {f for f in fences if any(g != f and g[0] >= f[0] and g[1] <= f[1] for g in fences)}
    return keys - idle
