"""``status.claim`` as the SDK writes it."""

from __future__ import annotations

import pytest

from tests.support.claims import process
from tests.support.schemas import objections
from trainpoint.claim.run_object import held, new_claim
from trainpoint.format.digest import JsonObject
from trainpoint.pod import Pod


def claim_of(pod: Pod) -> JsonObject:
    """As it stands on the object: the nulls of the patch take members out."""
    made = new_claim(pod, process(7), attempt=3, nonce="ab" * 8, time="2026-11-22T09:12:05.000000Z")
    stored = {name: value for name, value in made.items() if value is not None}
    assert objections("checkpointruns", "status", {"claim": stored}) == []
    return stored


@pytest.mark.parametrize(
    ("kind", "name", "job"),
    [("Job", "llm", "llm"), ("PyTorchJob", "llm", None), ("RayCluster", "llm-raycluster", None), ("", "", None)],
)
def test_only_a_job_is_named_as_the_job(kind: str, name: str, job: str | None) -> None:
    pod = Pod("team-a", "llm-x7k2p", "pod-0", controller_kind=kind, controller_name=name)
    assert claim_of(pod).get("job") == job


def test_what_is_written_reads_back() -> None:
    found = held({"status": {"claim": claim_of(Pod("team-a", "llm-x7k2p", "pod-0", node="gpu-7"))}})
    assert found is not None
    assert (found.attempt, found.nonce, found.pod_name, found.pod_uid) == (3, "ab" * 8, "llm-x7k2p", "pod-0")
    assert found.process == process(7)
    assert not found.ended
