"""charts/trainpoint-lib puts the same lines into a pod as `trainpoint inject` does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.helm import CHARTS, Helm, one
from trainpoint.contract import inject

CHART = """\
apiVersion: v2
name: own
version: 0.1.0
dependencies:
  - {name: trainpoint-lib, version: 0.1.0, repository: "file://../trainpoint-lib"}
"""
TEMPLATE = """\
apiVersion: batch/v1
kind: Job
metadata: {name: own}
spec:
  template:
    spec: {{- include "trainpoint-lib.inject" .Values.spec | nindent 6 }}
"""

SPECS: dict[str, dict[str, Any]] = {
    "nothing of its own": {"containers": [{"name": "main", "image": "x"}]},
    "two containers": {"restartPolicy": "Never", "containers": [{"name": "a"}, {"name": "b", "args": ["--n", "3"]}]},
    "its own stays": {
        "volumes": [{"name": "shm", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "env": [{"name": "MINE", "value": "$(TRAINPOINT_RUN)"}, {"name": "TRAINPOINT_OWNER", "value": "ada"}],
                "envFrom": [{"configMapRef": {"name": "settings"}}],
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            }
        ],
    },
    "its own goes before ours": {
        "volumes": [{"name": "trainpoint", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "envFrom": [{"secretRef": {"name": "trainpoint-writer"}}],
                "volumeMounts": [{"name": "other", "mountPath": "/etc/trainpoint"}],
            }
        ],
    },
    "containers that start before": {
        "initContainers": [{"name": "fetch", "image": "y"}],
        "containers": [{"name": "main", "ports": [{"containerPort": 1000000}]}],
    },
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart of somebody's own that depends on the library."""
    folder = tmp_path_factory.mktemp("charts") / "own"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "templates/job.yaml").write_text(TEMPLATE)
    shutil.copytree(CHARTS / "trainpoint-lib", folder / "charts/trainpoint-lib")
    return folder


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_it_injects_what_the_command_injects(helm: Helm, own: Path, spec: dict[str, Any]) -> None:
    rendered = one(helm.template(own, values={"spec": spec}), "Job")["spec"]["template"]["spec"]
    assert rendered == inject(spec)


def test_what_is_injected_twice_is_there_once(helm: Helm, own: Path) -> None:
    once = inject(SPECS["two containers"])
    assert one(helm.template(own, values={"spec": once}), "Job")["spec"]["template"]["spec"] == once
