"""``status.claim`` as the SDK writes it."""

from __future__ import annotations

import pytest

from tests.support.apidouble import merge
from tests.support.claims import process
from tests.support.schemas import objections
from trainpoint.claim.run_object import held, loaded_json, new_claim
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.records import LoadedRecord, Skipped
from trainpoint.pod import Pod


def claim_of(pod: Pod) -> JsonObject:
    """As it stands on the object: the nulls of the patch take members out."""
    made = new_claim(pod, process(7), attempt=3, nonce="ab" * 8, time="2026-11-22T09:12:05.000000Z", policy="default")
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


def test_an_attempt_says_which_policy_it_follows_and_a_refused_start_leaves_that_of_the_one_before() -> None:
    pod = Pod("team-a", "llm-x7k2p", "pod-0")
    assert claim_of(pod)["policy"] == "default"
    assert "policy" not in new_claim(pod, process(7), attempt=3, nonce="ab" * 8, time="2026-11-22T09:12:05.000000Z")


def test_what_was_loaded_last_leaves_nothing_of_what_was_loaded_before() -> None:
    task = TaskPath("w", "r", "main", "2", "team-a")
    rich = LoadedRecord(
        1, "ab" * 8, "none", "the argument", "ProgramChooses", "as the program chose", "c-1", task=task,
        snapshot=SnapshotId(0, 3, "cd" * 8), digest="ef" * 32, step=7, request="old-run", request_by="Argument",
        since=1, skipped=(Skipped("c-2", 4, "Corrupt", "is corrupt"),),
    )  # fmt: skip
    bare = LoadedRecord(1, "ab" * 8, "none", "the argument", "ProgramChooses", "the program chooses what to load")
    patched = [merge({}, loaded_json(bare)), merge(merge({}, loaded_json(rich)), loaded_json(bare))]
    assert patched[0] == patched[1]
    assert not {"step", "ref", "request", "requestBy", "since"} & set(patched[1])
    whole = merge({}, loaded_json(rich))
    assert (whole["step"], whole["ref"]["sequence"], whole["request"], whole["since"]) == (7, 3, "old-run", 1)
    assert merge(merge({}, loaded_json(bare)), loaded_json(rich)) == whole


def test_what_is_written_reads_back() -> None:
    found = held({"status": {"claim": claim_of(Pod("team-a", "llm-x7k2p", "pod-0", node="gpu-7"))}})
    assert found is not None
    assert (found.attempt, found.nonce, found.pod_name, found.pod_uid) == (3, "ab" * 8, "llm-x7k2p", "pod-0")
    assert found.process == process(7)
    assert not found.ended
