"""The tool that makes the test cluster: it survives runs that died, and gives the machine back as it found it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, wait_until
from tests.support.kind import KindCluster
from tests.support.repository import ROOT
from tools.kind.commands import run
from tools.kind.engine import SYSCTLS, Engine, leftovers
from tools.kind.hosts import Kind
from tools.kind.places import HERE, NODES, Places


@pytest.fixture
def places(cluster: Cluster, kind: KindCluster, tmp_path: Path) -> Iterator[Places]:
    """A cache folder of its own, so that another engine may run beside, with the results that are there already."""
    if kind.engine_kind() is not Kind.OWN:
        pytest.skip("the machine's own engine is used, and is not ours to start and kill")
    mine = Places(tmp_path / "cache")
    mine.cache.mkdir()
    for result in kind.places.cache.glob("*-????????????"):
        (mine.cache / result.name).symlink_to(result)
    yield mine
    tool(mine, "down", "--purge")
    shutil.rmtree(mine.cache)


def tool(places: Places, verb: str, *words: str) -> str:
    return run(ROOT / "tools/kind" / verb, *words, env=environment(places), timeout=600)


def environment(places: Places) -> dict[str, str]:
    env = {**os.environ, "TRAINPOINT_KIND_CACHE": str(places.cache), "PYTHON": sys.executable}
    return {name: value for name, value in env.items() if name not in ("DOCKER_HOST", "KUBECONFIG")}


def sysctls() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in SYSCTLS}


def processes_in(network: int) -> Sequence[int]:
    """Those in the network namespace of that inode."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").stat().st_ino == network:
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_an_engine_that_was_killed_is_cleaned_up_and_one_that_ends_leaves_nothing(
    places: Places, tmp_path: Path
) -> None:
    before = sysctls()
    engine = Engine(places)
    engine.up()
    run("gcc", "-Os", "-static", "-o", tmp_path / "pause", HERE / "pause.c")
    run("tar", "-C", tmp_path, "-cf", tmp_path / "pause.tar", "pause")
    image = run("docker", "import", tmp_path / "pause.tar", env=engine.env()).strip()
    run("docker", "run", "--detach", "--privileged", image, "/pause", env=engine.env())
    network = places.netns.stat().st_ino
    pid = engine.pid()
    assert pid is not None
    assert len(processes_in(network)) >= 3

    os.kill(pid, signal.SIGKILL)
    wait_until("all inside ends with it", lambda: processes_in(network), lambda pids: not pids)
    assert engine.pid() is None
    assert leftovers(places), "the test is of no use where a killed engine leaves nothing"

    engine.up()
    assert run("docker", "ps", "--all", "--quiet", env=engine.env()) == ""
    network = places.netns.stat().st_ino

    engine.down()
    assert leftovers(places) == []
    assert processes_in(network) == []
    assert sysctls() == before
    engine.down()  # once more: nothing to do


def test_a_creation_that_was_killed_is_taken_up_and_kind_down_leaves_nothing(places: Places) -> None:
    before = sysctls()
    tool(places, "prepare")
    engine = Engine(places)
    with subprocess.Popen([ROOT / "tools/kind/up"], env=environment(places), stderr=subprocess.PIPE) as creation:
        wait_until(
            "the nodes are there",
            lambda: run("docker", "ps", "--format={{.Names}}", env=engine.env()).split(),
            lambda names: set(names) >= set(NODES),
        )
        creation.kill()
    tool(places, "up")
    nodes = tool(places, "in", "kubectl", "get", "nodes", "--output=name").split()
    assert sorted(nodes) == sorted(f"node/{name}" for name in NODES)
    network = places.netns.stat().st_ino
    created = run("docker", "ps", "--quiet", env=engine.env())
    tool(places, "up")
    assert run("docker", "ps", "--quiet", env=engine.env()) == created, "a second `up` leaves the cluster as it is"

    tool(places, "down")
    assert leftovers(places) == []
    assert processes_in(network) == []
    assert sysctls() == before
    assert not places.kubeconfig.exists()
