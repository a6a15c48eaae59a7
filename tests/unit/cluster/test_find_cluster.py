"""Which policy and store a pod works with, from the ConfigMap of its namespace."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.certificates import private_authority
from trainpoint.catalog.kube import Kube
from trainpoint.cluster import Cluster, chosen_policy, find_cluster, until_reachable
from trainpoint.errors import (
    ClusterPermissionError,
    ClusterUnreachableError,
    NotConfiguredError,
    PolicyError,
    StoreUrlError,
)
from trainpoint.store.url import open_store
from trainpoint.testing import FakeChance, FakeClock

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def policy(*, default: bool = False, name: str = "main") -> str:
    return json.dumps({"default": default, "store": {"name": name, "url": "s3://b/p"}})


def test_the_named_policy_else_the_default() -> None:
    data = {"default": policy(default=True), "sweep.json": policy(), "README": "a person's note"}
    assert chosen_policy(data, "", namespace="team-a")[0] == "default"
    assert chosen_policy(data, "sweep", namespace="team-a")[0] == "sweep"
    with pytest.raises(PolicyError, match="there: default, sweep") as caught:
        chosen_policy(data, "sweeep", namespace="team-a")
    assert caught.value.exit_code == 86
    with pytest.raises(NotConfiguredError, match="no default CheckpointPolicy"):
        chosen_policy({"sweep": policy()}, "", namespace="team-a")


def test_outside_of_a_pod_there_is_no_cluster_and_a_pod_without_token_is_told(tmp_path: Path) -> None:
    options = {"clock": FakeClock(), "chance": FakeChance(), "say": lambda _: None, "account": tmp_path}
    assert find_cluster({}, **options) is None  # type: ignore[arg-type]
    with pytest.raises(NotConfiguredError, match="TRAINPOINT_STORE"):
        find_cluster({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, **options)  # type: ignore[arg-type]


class OneConfigMap:
    """An API server that has one ConfigMap."""

    namespace = "team-a"

    def __init__(self, **entries: object) -> None:
        self.data = {name: json.dumps(entry) for name, entry in entries.items()}

    def config_map(self, name: str) -> dict[str, str]:
        assert name == "trainpoint"
        return self.data


def found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, said: list[str] | None = None, **entries: object
) -> Cluster:
    """What a pod with the contract's variables finds, without a mounted ConfigMap; ``said``: what it logs."""
    told: list[str] = [] if said is None else said
    payload = base64.urlsafe_b64encode(
        json.dumps({"kubernetes.io": {"namespace": "team-a", "pod": {"name": "p-0", "uid": "u"}}}).encode()
    ).decode()
    (tmp_path / "token").write_text(f"e30.{payload}.sig")
    (tmp_path / "namespace").write_text("team-a")
    monkeypatch.setattr(Kube, "in_pod", lambda namespace: OneConfigMap(**entries))
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "TRAINPOINT_NAMESPACE": "team-a",
        "TRAINPOINT_POD_NAME": "p-0",
        "TRAINPOINT_POD_UID": "u",
    }
    cluster = find_cluster(
        environ,
        clock=FakeClock(),
        chance=FakeChance(),
        say=told.append,
        account=tmp_path,
        mount=tmp_path / "nothing",
    )
    assert cluster is not None
    return cluster


def test_what_the_operator_adds_is_read_and_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = {"name": "main", "url": "s3://b/p", "endpoint": "https://s3:1", "region": "eu", "caBundle": PEM}
    full = {"default": True, "store": store, "operator": {"finalizer": "trainpoint.dev/data", "later": 1}}
    cluster = found(monkeypatch, tmp_path, llm=full)
    assert cluster.finalizer == "trainpoint.dev/data"
    assert cluster.store_environ == {"AWS_ENDPOINT_URL": "https://s3:1", "AWS_REGION": "eu", "AWS_CA_BUNDLE": PEM}
    bare = {"default": True, "store": {"name": "main", "url": "s3://b/p"}}
    for entry in (bare, {**bare, "operator": "of the future"}, {**bare, "operator": {}}, {**bare, "error": None}):
        cluster = found(monkeypatch, tmp_path, llm=entry)
        assert (cluster.finalizer, cluster.store_environ) == ("", {})


def test_the_operators_sentence_is_raised_before_anything_else_is_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = {"reason": "StoreNotFound", "message": "CheckpointPolicy llm names CheckpointStore x", "remedy": "create x"}
    with pytest.raises(NotConfiguredError) as caught:
        found(monkeypatch, tmp_path, llm={"default": True, "error": error})
    assert (caught.value.message, caught.value.remedy) == (error["message"], error["remedy"])


def test_the_operators_note_is_logged_and_the_job_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    entry = {"default": True, "store": {"name": "main", "url": "s3://b/p"}, "note": "CheckpointStore main is not ready"}
    assert found(monkeypatch, tmp_path, said=said, llm=entry).store_name == "main"
    assert said == ["CheckpointStore main is not ready"]


def test_the_text_of_a_ca_bundle_is_a_certificate_authority(tmp_path: Path) -> None:
    """As a pod without any place for a file gets it."""
    private_authority(tmp_path)
    open_store("s3://bucket", environ={"AWS_CA_BUNDLE": (tmp_path / "ca.pem").read_text()})
    with pytest.raises(StoreUrlError, match="no valid certificate"):
        open_store("s3://bucket", environ={"AWS_CA_BUNDLE": PEM})


def test_a_refusal_of_a_server_that_is_just_back_is_asked_again_and_believed_later() -> None:
    """It answers before it has read the roles."""
    away, refused = ClusterUnreachableError("it does not answer"), ClusterPermissionError("cannot get configmaps")

    def ask_with(*answers: Exception | str) -> str:
        left = iter(answers)

        def ask() -> str:
            answer = next(left)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return until_reachable(ask, clock=FakeClock(), chance=FakeChance(), say=lambda _: None)

    assert ask_with(away, refused, refused, "here") == "here"
    with pytest.raises(ClusterPermissionError):
        ask_with(away, *[refused] * 50)
    with pytest.raises(ClusterPermissionError):
        ask_with(refused, "not asked again: it was not away")


def test_a_server_that_is_away_is_waited_for_and_told_once() -> None:
    clock, said = FakeClock(), list[str]()
    answers = iter([ClusterUnreachableError("the API server does not answer")] * 5 + ["here"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until_reachable(ask, clock=clock, chance=FakeChance(), say=said.append) == "here"
    assert len(said) == 1
    assert "waiting for it, up to 10 minutes" in said[0]


def test_a_server_that_stays_away_ends_the_start_after_ten_minutes() -> None:
    clock = FakeClock()

    def ask() -> str:
        raise ClusterUnreachableError("the API server does not answer")

    with pytest.raises(ClusterUnreachableError):
        until_reachable(ask, clock=clock, chance=FakeChance(), say=lambda _: None)
    assert 600 <= clock.monotonic() < 620
