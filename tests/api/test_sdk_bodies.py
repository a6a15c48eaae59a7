"""What the SDK writes fits the kinds, also where everything in it is as large as it gets."""

from __future__ import annotations

import pytest

from tests.api.conftest import Team
from tests.support.objects import path
from trainpoint.api.names import API_VERSION
from trainpoint.catalog.record import commit_of, snapshot_spec
from trainpoint.claim.run_object import end_json, held, loaded_json, new_claim, run_body, stock_json
from trainpoint.format.layout import SnapshotId, TaskPath
from trainpoint.format.manifest import Manifest, Snapshot
from trainpoint.format.records import EndRecord, Holder, LoadedRecord, Skipped
from trainpoint.format.reference import checkpoint_name, run_object_name
from trainpoint.pod import Pod as PodFacts

LONG = "x" * 5000
ME = Holder(host="h" * 253, pid=4_194_304, started="9" * 20, boot="3f1c " + "p" * 64, uid="0" * 16, user="u" * 32)
TIME = "2026-11-22T09:12:05.123456Z"
TASK = TaskPath("w" * 63, "R" * 63, "t" * 63, "2.1", "team-a")
ID = SnapshotId(9_999_999_999, 9_999_999_998, "4e8c1a7b90d2f365")
WHOLE = Snapshot(
    task=TASK,
    id=ID,
    series="s" * 63,
    step=2**53,
    epoch=2**53,
    metrics={f"val/loss{i}": text for i, text in enumerate(["1e-05", "NaN", "-Infinity", "1.7976931348623157e+308"])},
    metadata={"note": "n" * 1900, "lr": 0.1, "nested": {"a": [1, None, True]}},
    parents=tuple("p" * 200 for _ in range(64)),
    owner="o" * 253,
    world_size=4096,
    latest=False,
    created_by={"host": "h" * 253, "pid": "4194304", "user": "me", "python": "3.13.5"},
)
BARE = Snapshot(task=TaskPath("w", "r", "t"), id=SnapshotId(0, 0, "4e8c1a7b90d2f365"))


@pytest.mark.parametrize("snapshot", [WHOLE, BARE], ids=["whole", "bare"])
def test_a_snapshot(team: Team, snapshot: Snapshot) -> None:
    spec = snapshot_spec(snapshot, "main")
    spec.setdefault("createdBy", {})["podUID"] = team.pod.uid
    name = checkpoint_name(snapshot.task, snapshot.id)
    head = {"apiVersion": API_VERSION, "kind": "Checkpoint", "metadata": {"name": name}}
    at = path(team.namespace, "checkpoints")
    made = team.pod.api.post(at, {**head, "spec": {"snapshot": spec}}).expect(201)["spec"]["snapshot"]
    assert {field: made[field] for field in spec} == spec, "nothing was dropped"
    manifest = Manifest(snapshot=snapshot, time=TIME, objects=(), files=())
    status = {"status": {"commit": commit_of(manifest)}}
    team.pod.api.patch(f"{at}/{name}/status", status).expect(200)


def test_a_run_from_its_first_claim_to_its_end(team: Team) -> None:
    body = run_body(TASK, owner="o" * 253, launch_uid="4c1d9e02-ab57-4d0f-8a53-5b5f6f3f3a10", policy="p", store="main")
    at = path(team.namespace, "checkpointruns")
    team.pod.api.post(at, body).expect(201)
    status = f"{at}/{run_object_name(TASK)}/status"
    facts = PodFacts(name=team.pod.name, uid=team.pod.uid, namespace=team.namespace, node="node-1")
    loaded = LoadedRecord(
        attempt=1,
        uid="0" * 16,
        policy="eager",
        source=LONG,
        reason="NewestOfEarlierRun",
        message=LONG,
        checkpoint=checkpoint_name(TASK, ID),
        task=TASK,
        snapshot=ID,
        digest="ab" * 32,
        step=2**53,
        skipped=tuple(Skipped(checkpoint_name(TASK, ID), 5, "Corrupt", LONG) for _ in range(30)),
        request=checkpoint_name(TASK, ID),
        request_by="Annotation",
        since=9_999_999_999,
    )
    end = EndRecord(1, "0" * 16, "Failed", exit_code=1, message=LONG, last_step=17, time=TIME)
    for attempt, nonce in ((0, "0" * 16), (1, "1" * 16)):
        claim = new_claim(facts, ME, attempt=attempt, nonce=nonce, time=TIME)
        team.pod.api.patch(status, {"status": {"claim": claim}}).expect(200)
        stock = stock_json(dict.fromkeys(range(100), 9999999998), 9_999_999_999)
        for part in ({**stock, "loaded": loaded_json(loaded)}, {"end": end_json(end)}):
            team.pod.api.patch(status, {"status": {"claim": part}}).expect(200)
    found = held(team.pod.api.get(f"{at}/{run_object_name(TASK)}").expect(200))
    assert found is not None
    assert (found.attempt, found.pod_uid, found.process, found.ended) == (1, team.pod.uid, ME, True)
