"""Fixtures of the rung: one cluster for all tests, a namespace, a bucket and an image for each.

``TRAINPOINT_CLUSTER=current`` takes the cluster of the kubeconfig at hand. Tests that need its nodes, or an image or a
bucket that is not given (TRAINPOINT_TEST_IMAGE, TRAINPOINT_TEST_OPERATOR_IMAGE, TRAINPOINT_TEST_STORE with AWS_*), are
then reported as not run, and the command fails unless --allow-not-run says that this is known.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

import pytest

from tests.support.cluster import Cluster, Namespace
from tests.support.clusterserver import ClusterServer, NotUsableError, no_operator
from tests.support.installed import wait_for_admission
from tests.support.kind import KindCluster, settings_at_hand
from tests.support.nodes import Nodes
from tests.support.place import Place
from tests.support.pods import STORE_SECRET
from tests.support.release import Operator, TeamSpace
from tests.support.team import Team, install
from tools.kind.places import Places
from tools.s3server import DEFAULT_BUCKET, S3Server

CHOICE: Final = "TRAINPOINT_CLUSTER"
_RUN: Final = "TRAINPOINT_CLUSTER_RUN"
_NOT_RUN: Final = "not run: "
_GIVEN = settings_at_hand(os.environ)
_kind: KindCluster | None = None
_failed = pytest.StashKey[bool]()


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """A bucket that tests and pods reach by the same address."""

    url: str
    environ: Mapping[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster")
    group.addoption("--keep-cluster", action="store_true", help="leave a cluster that this run has created")
    group.addoption("--allow-not-run", action="store_true", help="succeed although tests could not be run here")


def pytest_configure(config: pytest.Config) -> None:
    """A name for this run, which its worker processes inherit."""
    os.environ.setdefault(_RUN, f"{os.getpid()}-{secrets.token_hex(4)}")
    config.addinivalue_line("markers", "alone: has the cluster to itself (set by the fixture of that name)")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "alone" in getattr(item, "fixturenames", ()):
            item.add_marker("alone")


@pytest.hookimpl(trylast=True)  # after the worker processes have ended, who use the cluster too
def pytest_sessionfinish(session: pytest.Session) -> None:
    """What could not be run is no success; a cluster that was created for this run goes."""
    if hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    not_run = [report for report in skipped if _NOT_RUN in str(report.longrepr)]
    if (
        reporter
        and not_run
        and session.exitstatus == 0
        and not session.config.getoption("--allow-not-run", default=False)
    ):
        reporter.write_line(f"\n{len(not_run)} tests were not run on this cluster; --allow-not-run accepts that")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if _on_kind() and not session.config.getoption("--keep-cluster", default=False):
        (_kind or KindCluster(os.environ[_RUN])).down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


def _not_run(reason: str) -> NoReturn:
    pytest.skip(_NOT_RUN + reason)


def _on_kind() -> bool:
    choice = os.environ.get(CHOICE, "kind")
    if choice not in ("kind", "current"):
        raise pytest.UsageError(f"{CHOICE}={choice} is not a cluster; choose kind or current")
    return choice == "kind"


@contextlib.contextmanager
def _hold(what: Literal["tests", "operator"], *, alone: bool) -> Iterator[None]:
    """Hold the cluster, or the operator in it, alone or together with others; for all runs of the tests on it.

    Whoever needs both takes the cluster first.
    """
    place = Places.of().state if _on_kind() else Path(tempfile.gettempdir())
    with open(place / (f"{what}.lock" if _on_kind() else f"trainpoint-{what}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_settings_from_outside() -> None:
    """What a developer has in the environment must not reach the tests: obstore reads it too."""
    for name in _GIVEN:
        del os.environ[name]


@pytest.fixture(scope="session")
def kind() -> Iterator[KindCluster]:
    """Where the test cluster is: its engine, images, addresses. Not for tests."""
    global _kind
    if not _on_kind():
        _not_run("the cluster at hand has no such thing")
    _kind = _kind or KindCluster(os.environ[_RUN])
    yield _kind


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster; created if it is not there."""
    if not _on_kind():
        return Cluster(nodes=None)
    kind: KindCluster = request.getfixturevalue("kind")
    return Cluster(nodes=kind.up())


@pytest.fixture
def nodes(cluster: Cluster) -> Nodes:
    """The nodes from beneath."""
    if cluster.nodes is None:
        _not_run("needs the nodes from beneath")
    return cluster.nodes


@pytest.fixture
def alone() -> None:
    """For tests that disturb all others, as by stopping the API server: none runs beside."""


@pytest.fixture
def operator_to_oneself() -> None:
    """For tests that have the operator away for a while: none that needs it runs beside."""


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Namespace]:
    """A fresh one, which admits only pods without privileges; deleted afterwards, without waiting."""
    name = f"t-{secrets.token_hex(4)}"
    with _hold("tests", alone="alone" in request.fixturenames):
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "trainpoint.dev/test": "true"}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        mine = cluster.namespace(name)
        mine.wait("serviceaccount/default", "create", seconds=60)
        yield mine
        if request.node.stash.get(_failed, False):
            sys.stderr.write(f"--- namespace {name}, when the test failed ---\n{mine.state()}\n")
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, cluster: Cluster, trainer_image: str) -> Iterator[ClusterServer]:
    """The API server with our kinds, as ``tests/api`` uses it; no test has it away until the module is done.

    With ``WITHOUT_OPERATOR = True`` in a module no operator runs meanwhile: objects stay as it has written them.
    """
    without = getattr(request.module, "WITHOUT_OPERATOR", False)
    with _hold("tests", alone=False), contextlib.ExitStack() as until_done:
        try:
            server = ClusterServer(cluster, trainer_image)
        except NotUsableError as error:
            _not_run(str(error))
        until_done.callback(server.close)
        install(cluster)
        wait_for_admission(server.admin, "default")
        if without:
            until_done.enter_context(_hold("operator", alone=True))
            until_done.enter_context(no_operator(cluster))
        yield server


@pytest.fixture(scope="session")
def bucket_settings(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[BucketSettings]:
    """A real S3 server that pods reach; on the test cluster one for this process."""
    if not _on_kind():
        if "TRAINPOINT_TEST_STORE" not in _GIVEN:
            _not_run("needs a bucket: TRAINPOINT_TEST_STORE=s3://bucket/prefix and AWS_*")
        keys = {name: value for name, value in _GIVEN.items() if name.startswith("AWS_")}
        yield BucketSettings(_GIVEN["TRAINPOINT_TEST_STORE"], keys)
        return
    kind: KindCluster = request.getfixturevalue("kind")
    with S3Server(host=kind.gateway()) as server:
        yield BucketSettings(f"s3://{DEFAULT_BUCKET}", server.env())


@pytest.fixture
def bucket(namespace: Namespace, bucket_settings: BucketSettings) -> Place:
    """An empty prefix of the S3 server; in the namespace, the Secret ``store`` holds all that a pod needs for it."""
    place = Place(f"{bucket_settings.url}/{namespace.name}", environ=bucket_settings.environ)
    namespace.secret(STORE_SECRET, {**place.environ, "TRAINPOINT_STORE": place.url})
    return place


@pytest.fixture(scope="session")
def trainer_image(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """The project's image, with this checkout's code and the programs of the tests under /programs."""
    if not _on_kind():
        if "TRAINPOINT_TEST_IMAGE" not in _GIVEN:
            _not_run("needs an image that the cluster can pull: TRAINPOINT_TEST_IMAGE")
        return _GIVEN["TRAINPOINT_TEST_IMAGE"]
    kind: KindCluster = request.getfixturevalue("kind")
    return kind.trainer_image()


@pytest.fixture
def by_hand(cluster: Cluster, namespace: Namespace, bucket: Place, trainer_image: str) -> Team:
    """A namespace in which everything that the operator would do is done already."""
    install(cluster)
    team = Team(namespace, bucket, trainer_image)
    team.set_up()
    return team


@pytest.fixture(scope="session")
def operator_image(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """The operator's image with this checkout's code."""
    if not _on_kind():
        if "TRAINPOINT_TEST_OPERATOR_IMAGE" not in _GIVEN:
            _not_run("needs an image that the cluster can pull: TRAINPOINT_TEST_OPERATOR_IMAGE")
        return _GIVEN["TRAINPOINT_TEST_OPERATOR_IMAGE"]
    kind: KindCluster = request.getfixturevalue("kind")
    return kind.operator_image()


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest, cluster: Cluster, operator_image: str) -> Operator:
    """How the operator is installed; not yet installed. For tests that do it themselves, alone."""
    return Operator(cluster, operator_image)


@pytest.fixture
def operator(request: pytest.FixtureRequest, release: Operator, namespace: Namespace) -> Iterator[Operator]:
    """The operator, installed by Helm and ready. While a namespace is held: no test has the API server away."""
    with _hold("operator", alone="operator_to_oneself" in request.fixturenames):
        release.ensure()
        yield release


@pytest.fixture
def team(operator: Operator, namespace: Namespace, bucket: Place, trainer_image: str) -> TeamSpace:
    """A namespace set up by its chart: a store on the S3 server, a default policy, both ready."""
    team = TeamSpace(namespace, bucket, trainer_image)
    team.install()
    team.ready()
    return team
