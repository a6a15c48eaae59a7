"""Who is woken by what."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.runs import TASK, checkpoint_object
from trainpoint.format.reference import run_object_name
from trainpoint_operator.engine.resources import RUNS, Key
from trainpoint_operator.main import caches
from trainpoint_operator.pods import LastSights
from trainpoint_operator.routes import Routes

RUN = Key(RUNS.kind, TASK.namespace, run_object_name(TASK))


@pytest.mark.parametrize(
    ("deleted", "policy", "looked_up"),
    [(None, "Delete", True), (None, "Retain", True), (90.0, "Delete", True), (90.0, "Retain", False)],
    ids=["vanished", "vanished-retained", "deleted", "deleted-retained"],
)
def test_what_vanished_is_looked_up_in_the_bucket_unless_a_person_let_the_object_go(
    deleted: float | None, policy: str, looked_up: bool
) -> None:
    kept, audits, woken = caches(), set[Key](), list[Key]()
    Routes(kept, LastSights(), audits, lambda key, _after: woken.append(key))
    found: dict[str, Any] = checkpoint_object(deleted=deleted)
    found["spec"]["deletionPolicy"] = policy
    kept.checkpoints.apply("ADDED", found)
    audits.clear()
    woken.clear()
    kept.checkpoints.apply("DELETED", found)
    assert woken == [RUN]
    assert (RUN in audits) is looked_up
