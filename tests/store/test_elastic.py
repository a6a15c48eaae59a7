"""A launcher that starts all ranks anew inside of one container, as torchrun does: each start is an attempt."""

from __future__ import annotations

from itertools import groupby

from tests.support.place import Place
from trainpoint.format.layout import TaskPath

TASK = TaskPath("gang", "r", "main")
SIZE = 2


def test_ranks_that_their_launcher_starts_again_go_on_where_they_saved_last(place: Place) -> None:
    done = place.run(
        "elastic.py",
        PROGRAM="counter.py",
        WORLD_SIZE=str(SIZE),
        MAX_RESTARTS="3",
        FAIL_AT="3,7",
        TRAINPOINT_WORKFLOW="gang",
        TRAINPOINT_RUN="r",
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    told = [line for line in said if line.startswith(("start=", "group "))]
    # A rank may be ended before it has said how it starts, where another one fails early.
    assert [line for line, _ in groupby(told)] == [
        "start=0 loaded=False attempt=0",
        "group 0 ended: 1",
        "start=2 loaded=True attempt=1",
        "group 1 ended: 1",
        "start=6 loaded=True attempt=2",
        "group 2 ended: 0",
    ]
    assert said.count("end=10") == said.count("start=6 loaded=True attempt=2") == SIZE
    catalog = place.catalog()
    found = [(entry.id.attempt, catalog.manifest(TASK, entry.id).snapshot) for entry in catalog.entries(TASK)]
    assert [(s.step, attempt) for attempt, s in reversed(found)] == [(2, 0), (4, 1), (6, 1), (8, 2), (10, 2)]
    assert {s.world_size for _, s in found} == {SIZE}
