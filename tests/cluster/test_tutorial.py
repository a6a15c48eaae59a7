"""The tutorial of the cluster does what it says, and so does the demo that shows the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Namespace, wait_until
from tests.support.documents import NEEDS_CLUSTER, Reader, pages
from tests.support.kind import KindCluster
from tests.support.release import SYSTEM, Operator
from tests.support.repository import ROOT
from tools.kind.images import s3_image, trainer_image

PAGES = [page for page in pages() if NEEDS_CLUSTER in page.read_text(encoding="utf-8").splitlines()]
PLACES = ("KUBECONFIG", "DOCKER_HOST")
DEMO_SECONDS = 900


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_do_what_it_says(
    page: Path,
    cluster: Cluster,
    kind: KindCluster,
    release: Operator,
    alone: None,
    namespace: Namespace,
    tmp_path: Path,
) -> None:
    release.install()  # whatever the tests have installed is Helm's from now on
    release.uninstall()
    cluster.kubectl("delete", "namespace", SYSTEM, "--timeout=120s", seconds=150)
    home = tmp_path / "me"
    environ = {name: os.environ[name] for name in PLACES if name in os.environ}
    images = {"OPERATOR": release.image, "TRAINER": trainer_image(kind.host), "S3": s3_image(kind.host)}
    reader = Reader.at(home, {**environ, **{f"{name}_IMAGE": image for name, image in images.items()}})
    for folder in ("charts", "examples"):
        (home / folder).symlink_to(ROOT / folder)
    try:
        reader.try_page(page)
    finally:
        release.install()  # without it a namespace with checkpoints would never end
        cluster.kubectl("delete", "namespace", "team-a", "--ignore-not-found", "--wait=false")


def test_there_is_such_a_page() -> None:
    assert PAGES


def demo(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "tools/demo_cluster.py"], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_demo_kills_a_job_that_goes_on_and_leaves_nothing_behind(
    cluster: Cluster, operator: Operator, tmp_path: Path
) -> None:
    before = [one["metadata"]["name"] for one in cluster.list("namespaces")]
    with demo(tmp_path) as process:
        printed, _ = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 0, printed
    for text in ("it is used, and stays as it is", "kill -9 ", "attempt 1 goes on at step ", "Verified", "Succeeded"):
        assert text in printed, printed
    assert "demo" not in before
    assert cluster.find("namespace", "demo") is None
    assert operator.pods(), "the operator that was there is gone"
    assert not list(tmp_path.iterdir())


def test_an_interrupted_demo_leaves_nothing_behind(cluster: Cluster, operator: Operator, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("$ helm install llm "):
                break
        wait_until(
            "the job's pod is there",
            lambda: cluster.namespace("demo").list("pods", "job-name=llm"),
            bool,
        )
        process.send_signal(signal.SIGINT)
        after, _ = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 130, "".join(said) + after
    assert cluster.find("namespace", "demo") is None
    assert operator.pods(), "the operator that was there is gone"
    assert not list(tmp_path.iterdir())
