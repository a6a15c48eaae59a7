"""The rules of the kind CheckpointRun, on a real server: the claim is a compare-and-swap by these alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Team
from tests.support.objects import claim, condition, loaded, new_task, path, run
from tests.support.repository import ROOT

NONCE = "0123456789abcdef"
OTHER = "fedcba9876543210"


@pytest.fixture
def at(team: Team) -> str:
    """Path of the namespace's runs."""
    return path(team.namespace, "checkpointruns")


@pytest.fixture
def begun(team: Team, at: str) -> str:
    """Path of a run that nobody has claimed."""
    body = run(new_task(), storeRef={"name": "main"}, policyRef={"name": "default"})
    team.pod.api.post(at, body).expect(201)
    return f"{at}/{body['metadata']['name']}"


@pytest.fixture
def held(team: Team, begun: str) -> str:
    """Path of a run whose attempt 3 the team's pod holds."""
    team.pod.api.patch(f"{begun}/status", claim(3, team.pod, nonce=NONCE, job="llm")).expect(200)
    return begun


# --- the rules of the kind, which bind everybody ----------------------------------------------------------------------


@pytest.mark.parametrize("attempt", [0, 1, 7000])
def test_a_first_claim_may_have_any_number(team: Team, begun: str, attempt: int) -> None:
    """A run object that had to be made anew goes on above the highest attempt in the store."""
    team.pod.api.patch(f"{begun}/status", claim(attempt, team.pod)).expect(200)


def test_the_next_attempt_is_claimed_by_whoever_comes(team: Team, held: str) -> None:
    team.mate.api.patch(f"{held}/status", claim(4, team.mate)).expect(200)
    team.pod.api.patch(f"{held}/status", claim(5, team.pod)).expect(200)
    team.pod.api.patch(f"{held}/status", claim(6, team.pod)).expect(200)


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ({"attempt": 2, "nonce": OTHER}, "its attempt never falls"),
        ({"attempt": 3, "nonce": OTHER}, "holder and nonce of status.claim change exactly when its attempt grows"),
        ({"attempt": 4}, "holder and nonce of status.claim change exactly when its attempt grows"),
    ],
    ids=["falling", "same attempt, another nonce", "next attempt, same nonce"],
)
def test_a_claim_that_is_not_the_next_is_refused(team: Team, held: str, patch: dict[str, Any], text: str) -> None:
    for api in (team.pod.api, team.operator, team.root):
        api.patch(f"{held}/status", {"status": {"claim": patch}}).refused(422, "status.claim", text, "read it again")


@pytest.mark.parametrize("holder", [{"uid": "another"}, {"name": "another"}, {"host": "another"}], ids=repr)
def test_the_holder_does_not_change_within_an_attempt(team: Team, held: str, holder: dict[str, str]) -> None:
    team.root.patch(f"{held}/status", {"status": {"claim": {"holder": holder}}}).refused(
        422, "change exactly when its attempt grows"
    )


@pytest.mark.parametrize("status", [None, {"claim": None}], ids=repr)
def test_a_claim_does_not_disappear(team: Team, held: str, status: object) -> None:
    for api in (team.pod.api, team.operator, team.root):
        api.patch(f"{held}/status", {"status": status}).refused(422, "status.claim never disappears")


def test_of_two_that_claim_at_once_one_wins_and_the_other_reads_again(team: Team, held: str) -> None:
    """Without a version the rule refuses the second (422); with one, the server does (409)."""
    version = team.pod.api.get(held).expect(200)["metadata"]["resourceVersion"]
    team.pod.api.patch(f"{held}/status", claim(4, team.pod)).expect(200)
    team.mate.api.patch(f"{held}/status", claim(4, team.mate)).refused(422, "read it again")
    body = {**claim(4, team.mate), "metadata": {"resourceVersion": version}}
    team.mate.api.patch(f"{held}/status", body).refused(409)


def test_what_an_attempt_loaded_and_how_it_ended_is_added_later(team: Team, held: str) -> None:
    skipped = [{"checkpoint": "llm-1-1-2", "step": 10, "reason": "Corrupt", "message": "is corrupt: files/a differs"}]
    ref = {
        "workflow": "llm", "run": "llm-1", "task": "main", "attempt": 0, "sequence": 1, "uid": "4e8c1a7b90d2f365",
    }  # fmt: skip
    asked = {"request": "llm/llm-0", "requestBy": "Run", "since": 3}
    whole = loaded(
        checkpoint="llm-1-1-1", ref=ref, digest="ab" * 32, step=5, reason="Requested", skipped=skipped, **asked
    )
    for more in (
        {"loaded": whole},
        {"end": {"how": "Preempted", "exitCode": 143, "lastStep": 17, "time": "2026-11-22T09:12:05Z"}},
    ):
        team.pod.api.patch(f"{held}/status", {"status": {"claim": more}}).expect(200)
    found = team.view.get(held).expect(200)["status"]["claim"]
    assert (found["attempt"], found["nonce"], found["loaded"]["skipped"]) == (3, NONCE, skipped)


def test_a_new_claim_does_not_keep_what_the_attempt_before_it_loaded(team: Team, held: str) -> None:
    """A merge patch keeps what it does not name: whoever forgets to take it away is told."""
    team.pod.api.patch(f"{held}/status", {"status": {"claim": {"loaded": loaded()}}}).expect(200)
    forgetful = claim(4, team.mate)
    del forgetful["status"]["claim"]["loaded"]
    team.mate.api.patch(f"{held}/status", forgetful).refused(422, "a new claim has loaded nothing", "to null")
    team.mate.api.patch(f"{held}/status", claim(4, team.mate)).expect(200)
    assert "loaded" not in team.view.get(held).expect(200)["status"]["claim"]


def test_an_attempt_that_is_refused_claims_says_so_and_ends_at_once(team: Team, held: str) -> None:
    refused = {"reason": "StoppedByUser", "message": "clear spec.stop to go on"}
    end = {"how": "Refused", "exitCode": 86, "time": "2026-11-22T09:12:05Z"}
    team.pod.api.patch(f"{held}/status", claim(4, team.pod, refused=refused, end=end)).expect(200)


def test_what_was_seen_of_earlier_attempts_is_replaced_as_a_whole(team: Team, held: str) -> None:
    seen = [{"attempt": n, "sequence": 10 * n} for n in range(3)]
    team.pod.api.patch(f"{held}/status", claim(4, team.pod, seen=seen, firstSequence=21)).expect(200)
    team.pod.api.patch(f"{held}/status", claim(5, team.pod, seen=seen[1:], firstSequence=31)).expect(200)
    assert team.view.get(held).expect(200)["status"]["claim"]["seen"] == seen[1:]
    many = [{"attempt": n, "sequence": 1} for n in range(65)]
    team.pod.api.patch(f"{held}/status", claim(6, team.pod, seen=many)).refused(422, "status.claim.seen", "at most 64")
    twice = [{"attempt": 1, "sequence": 1}] * 2
    team.pod.api.patch(f"{held}/status", claim(6, team.pod, seen=twice)).refused(422, "Duplicate value")


def test_the_whole_process_behind_a_claim_fits(team: Team, begun: str) -> None:
    process = {"pid": 7, "started": "123456", "boot": "3f1c pid:[4026531836]", "uid": "0123456789abcdef"}
    holder = {"name": team.pod.name, "uid": team.pod.uid, "host": "llm-x7k2p", "user": "me", "process": process}
    team.pod.api.patch(f"{begun}/status", claim(0, team.pod, holder=holder)).expect(200)
    assert team.view.get(begun).expect(200)["status"]["claim"]["holder"] == holder


@pytest.mark.parametrize("change", [{"owner": "eve"}, {"launchUID": "x"}, {"index": "1"}, {"workflow": None}], ids=repr)
def test_the_identity_never_changes(team: Team, begun: str, change: dict[str, Any]) -> None:
    answer = team.edit.patch(begun, {"spec": {"identity": change}})
    answer.refused(422, "spec.identity")


def test_the_store_never_changes_once_it_is_named(team: Team, at: str, begun: str) -> None:
    for store in (None, {"name": "another"}):
        team.edit.patch(begun, {"spec": {"storeRef": store}}).refused(422, "storeRef never changes")
    body = run(new_task())
    team.pod.api.post(at, body).expect(201)
    team.edit.patch(f"{at}/{body['metadata']['name']}", {"spec": {"storeRef": {"name": "main"}}}).expect(200)


def test_people_stop_a_run_and_change_its_policy(team: Team, begun: str) -> None:
    team.edit.patch(begun, {"spec": {"stop": True, "policyRef": {"name": "patient"}}}).expect(200)


@pytest.mark.parametrize(
    "text",
    [
        "llm-4c1d9e02ab-4da09133-2-118-4e8c1",
        "llm/llm-1",
        "llm/llm-1/main",
        "llm-1",
        "latest",
        "best",
        "best:val/loss:min",
    ],
)
def test_people_roll_a_run_back_and_change_their_minds(team: Team, held: str, text: str) -> None:
    found = team.edit.patch(held, {"spec": {"resumeFrom": text}}).expect(200)
    assert found["spec"]["resumeFrom"] == text
    team.edit.patch(held, {"spec": {"resumeFrom": None}}).expect(200)
    team.pod.api.patch(held, {"spec": {"resumeFrom": text}}).refused(403)
    team.pod.api.patch(f"{held}/status", {"spec": {"resumeFrom": text}, "status": {"claim": {"job": "llm"}}}).expect(
        200
    )
    assert "resumeFrom" not in team.view.get(held).expect(200)["spec"], "nothing of the spec by way of the status"


@pytest.mark.parametrize("text", ["", "a b", "/llm", "llm/run/main/2", "best:loss", "best:loss:most", "-x", "x" * 254])
def test_a_request_that_nobody_could_read_is_refused(team: Team, begun: str, text: str) -> None:
    team.edit.patch(begun, {"spec": {"resumeFrom": text}}).refused(422, "spec.resumeFrom")


@pytest.mark.parametrize(
    ("bad", "texts"),
    [
        ({"attempt": -1}, ("status.claim.attempt", "greater than or equal to 0")),
        ({"nonce": "short"}, ("status.claim.nonce", "should match")),
        ({"time": "yesterday"}, ("status.claim.time", "date-time")),
        ({"loaded": loaded(policy="fresh")}, ("status.claim.loaded.policy", 'supported values: "Fresh"')),
        ({"loaded": loaded(skipped=[{}] * 21)}, ("status.claim.loaded.skipped", "at most 20")),
        ({"loaded": {"policy": "Fresh"}}, ("status.claim.loaded.reason", "Required value")),
        ({"end": {"how": "Exploded", "time": "2026-11-22T09:12:05Z"}}, ("status.claim.end.how", "supported values")),
    ],
    ids=repr,
)
def test_a_bad_claim_is_refused_with_a_text_that_helps(
    team: Team, begun: str, bad: dict[str, Any], texts: tuple[str, ...]
) -> None:
    body = claim(0, team.pod)
    body["status"]["claim"].update(bad)
    team.pod.api.patch(f"{begun}/status", body).refused(422, *texts)


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_pod_claims_for_itself_only(team: Team, held: str) -> None:
    mine = f"this is pod {team.pod.name} with UID {team.pod.uid}"
    team.pod.api.patch(f"{held}/status", claim(4, team.mate)).refused(403, "must be those of the claiming pod", mine)
    for half in ({"name": team.mate.name, "uid": team.pod.uid}, {"name": team.pod.name, "uid": team.mate.uid}):
        alias = claim(4, team.pod, holder=half)
        team.pod.api.patch(f"{held}/status", alias).refused(403, "must be those of the claiming pod", mine)
    nobody = claim(4, None)
    team.pod.api.patch(f"{held}/status", nobody).refused(403, "must be those of the claiming pod", mine)


@pytest.mark.parametrize(
    "more",
    [{"loaded": loaded()}, {"job": "mine"}, {"end": {"how": "Failed", "time": "2026-11-22T09:12:05Z"}}],
    ids=repr,
)
def test_a_pod_does_not_write_into_anothers_claim(team: Team, held: str, more: dict[str, Any]) -> None:
    team.mate.api.patch(f"{held}/status", {"status": {"claim": more}}).refused(
        403, "must be those of the claiming pod", team.mate.uid
    )


def test_a_process_in_no_pod_claims_without_one(team: Team, held: str) -> None:
    account = team.server.as_account(team.namespace, "trainer")
    account.patch(f"{held}/status", claim(4, team.pod)).refused(403, "this is no pod: system:serviceaccount:")
    account.patch(f"{held}/status", claim(4, None)).expect(200)


def test_a_claim_does_not_jump_far(team: Team, held: str) -> None:
    """A number that is far off would be a mistake, and could never be taken back."""
    team.pod.api.patch(f"{held}/status", claim(104, team.pod)).refused(
        403, "status.claim.attempt jumps from 3 to 104; read the object again"
    )
    team.pod.api.patch(f"{held}/status", claim(103, team.pod)).expect(200)
    team.operator.patch(f"{held}/status", claim(9000, None)).expect(200)


@pytest.mark.parametrize(
    "status",
    [
        {"state": "Succeeded"},
        {"conditions": [condition()]},
        {"outcome": {"result": "Failed", "time": "2026-11-22T09:12:05Z"}},
    ],
    ids=lambda status: next(iter(status)),
)
def test_a_pod_writes_nothing_of_the_status_but_its_claim(team: Team, held: str, status: dict[str, Any]) -> None:
    team.pod.api.patch(f"{held}/status", {"status": status}).refused(
        403, "pods write status.claim only", f"(changed: {next(iter(status))})"
    )
    team.operator.patch(f"{held}/status", {"status": status}).expect(200)
    team.pod.api.patch(f"{held}/status", {"status": {next(iter(status)): None}}).refused(403, "(changed: ")


@pytest.mark.parametrize("intent", [{"stop": True}, {"resumeFrom": "latest"}], ids=repr)
def test_a_pod_starts_no_run_with_what_people_want(team: Team, at: str, intent: dict[str, Any]) -> None:
    team.pod.api.post(at, run(new_task(), **intent)).refused(403, "stop and resumeFrom are set afterwards, by people")


def test_the_operator_tells_how_the_run_stands(team: Team, held: str) -> None:
    attempts = [
        {
            "attempt": n,
            "nonce": NONCE,
            "podName": "llm-x7k2p",
            "podUID": "u",
            "nodeName": "gpu-7",
            "startTime": "2026-11-22T09:12:05Z",
            "endTime": "2026-11-22T15:40:05Z",
            "result": "Disrupted",
            "exitCode": 143,
            "reason": "NodeLost",
            "message": "node gpu-7 went away",
            "loaded": "llm-1-1-1",
            "fromStep": 0,
            "toStep": 6200,
            "lostSteps": 38,
            "charged": False,
        }
        for n in range(10)
    ]
    status = {
        "observedGeneration": 1,
        "state": "Waiting",
        "attempts": attempts,
        "resume": {"checkpoint": "llm-1-1-9", "step": 6200, "reason": "Newest", "message": "newest that verifies"},
        "latest": {"checkpoint": "llm-1-1-9", "step": 6200},
        "best": {"checkpoint": "llm-1-1-8", "step": 6100, "metric": "loss", "value": "0.031"},
        "lastSaveTime": "2026-11-22T15:39:05Z",
        "retries": {"charged": 1, "free": 2, "startFailures": 0, "limit": 5},
        "display": {"best": "0.031 (6100)", "retries": "1/5"},
        "conditions": [condition("Ready"), condition("Active", "False"), condition("RetriesExhausted", "False")],
    }
    found = team.operator.patch(f"{held}/status", {"status": status}).expect(200)["status"]
    assert {name: found[name] for name in status} == status
    eleven = [*attempts, {"attempt": 10}]
    team.operator.patch(f"{held}/status", {"status": {"attempts": eleven}}).refused(422, "at most 10")


def test_the_example_of_the_reference_is_accepted(team: Team) -> None:
    page = (ROOT / "docs/reference/checkpointrun.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    done = team.server.kubectl("apply", "-n", team.namespace, "--dry-run=server", "-f", "-", stdin=example)
    assert done.returncode == 0, done.stderr
