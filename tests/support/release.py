"""The project as its users install it: Helm releases of the charts, in a cluster of the tests."""

from __future__ import annotations

import fcntl
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.support.cluster import Cluster, ClusterError, Namespace, Object
from tests.support.place import Place
from tests.support.pods import PROGRAMS
from tests.support.repository import ROOT
from trainpoint.format.digest import digest_of

CHARTS: Final = ROOT / "charts"
SYSTEM: Final = "trainpoint-system"
RELEASE: Final = "trainpoint"
LEASE_SECONDS: Final = 15
"""The chart's own: with a shorter one, an operator on a busy machine ends, since it could not renew in time."""
_REST: Final[dict[str, Any]] = {
    "leaseSeconds": LEASE_SECONDS,
    "log": {"level": "debug"},
    "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
}


def helm(*words: str, values: Mapping[str, Any] | None = None, seconds: float = 180) -> str:
    """Standard output of helm; ClusterError with what it said where it fails. JSON is YAML, so values are JSON."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(values or {}, file)
        file.flush()
        given = [f"--values={file.name}"] if values is not None else []
        done = subprocess.run(
            ["helm", *words, *given], capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT
        )
    if done.returncode != 0:
        raise ClusterError(f"helm {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Helm changes a release for one caller at a time; the test's processes share it."""
    with open(Path(tempfile.gettempdir(), "trainpoint-release.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_kinds(cluster: Cluster) -> None:
    """The chart as it is in this checkout; the operator in it goes on if it is there, else none runs."""
    with one_at_a_time():
        if _description() == _chart_digest():
            return  # an upgrade would undo what a test beside does with the number of replicas
        image, replicas, _ = _installed(cluster)
        repository, _, tag = (image or "trainpoint/operator:none").rpartition(":")
        _install({"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, "replicas": replicas} | _REST)


def _description() -> str:
    """What the newest revision of the release says of itself; of none: nothing."""
    found = json.loads(helm("list", f"--namespace={SYSTEM}", f"--filter=^{RELEASE}$", "--output=json"))
    if not found or found[0]["status"] != "deployed":
        return ""
    return str(json.loads(helm("status", RELEASE, f"--namespace={SYSTEM}", "--output=json"))["info"]["description"])


@cache
def _chart_digest() -> str:
    """Of the chart's files in this checkout."""
    files = sorted(path for path in (CHARTS / RELEASE).rglob("*") if path.is_file())
    return digest_of(b"".join(path.read_bytes() for path in files))


def _installed(cluster: Cluster) -> tuple[str, int, int]:
    """Image, replicas wanted, replicas ready; of none: an empty image."""
    value = cluster.namespace(SYSTEM).find("deployment", RELEASE)
    if value is None:
        return "", 0, 0
    image = str(value["spec"]["template"]["spec"]["containers"][0]["image"])
    return image, int(value["spec"]["replicas"]), int(value["status"].get("readyReplicas", 0))


def _install(values: Mapping[str, Any]) -> str:
    return helm(
        "upgrade", "--install", RELEASE, str(CHARTS / "trainpoint"), f"--namespace={SYSTEM}", "--create-namespace",
        "--wait", "--timeout=120s", f"--description={_chart_digest()}", values=values,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operator:
    """``charts/trainpoint`` in the cluster, for all namespaces."""

    cluster: Cluster
    image: str

    @property
    def system(self) -> Namespace:
        return self.cluster.namespace(SYSTEM)

    def values(self) -> dict[str, Any]:
        repository, _, tag = self.image.rpartition(":")
        return {"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}, "replicas": 1} | _REST

    def install(self, **values: Any) -> str:
        """Install or upgrade, and wait until it is ready. What Helm printed."""
        with one_at_a_time():
            printed = _install({**self.values(), **values})
            self._wait_for_pods(int(values.get("replicas", 1)))
        return printed

    def ensure(self) -> None:
        """Installed with this image and working, unless it is."""
        with one_at_a_time():
            if _installed(self.cluster) != (self.image, 1, 1):
                _install(self.values())
            self._wait_for_pods(1)

    def uninstall(self) -> None:
        """Remove the release, and wait until nothing of it runs."""
        helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--wait", "--timeout=120s")
        self._wait_for_pods(0)

    def pods(self) -> Sequence[Object]:
        return [p for p in self.system.list("pods") if p["metadata"]["labels"].get("app.kubernetes.io/name") == RELEASE]

    def scale(self, replicas: int) -> None:
        """Change how many run, and wait until it is so."""
        self.system.kubectl("scale", f"deployment/{RELEASE}", f"--replicas={replicas}")
        self._wait_for_pods(replicas)

    def _wait_for_pods(self, count: int) -> None:
        """Until so many are ready, and those of before have ended."""
        self.system.wait_until(
            f"{count} operators run",
            self.pods,
            lambda pods: (
                len(pods) == count
                and all(s["ready"] for pod in pods for s in pod["status"].get("containerStatuses", [{"ready": False}]))
            ),
        )

    def log(self) -> str:
        names = [str(pod["metadata"]["name"]) for pod in self.pods()]
        return "\n".join(self.system.try_kubectl("logs", name, "--tail=200").stdout for name in names)


@dataclass(frozen=True, slots=True)
class TeamSpace:
    """``charts/trainpoint-namespace`` in a namespace of the test, with a store on a real S3 server."""

    namespace: Namespace
    place: Place
    image: str
    """of training pods"""

    def values(self) -> dict[str, Any]:
        keys = {
            "accessKeyId": self.place.environ["AWS_ACCESS_KEY_ID"],
            "secretAccessKey": self.place.environ["AWS_SECRET_ACCESS_KEY"],
        }
        bucket, _, prefix = self.place.url.removeprefix("s3://").partition("/")
        return {
            "stores": {
                "main": {
                    "s3": {"endpoint": self.place.environ["AWS_ENDPOINT_URL"], "bucket": bucket},
                    "prefix": prefix,
                    "credentials": keys,
                }
            },
            "writerCredentials": keys,
            "policies": {
                "default": {"default": True, "storeRef": {"name": "main"}, "metric": {"name": "loss", "mode": "Min"}}
            },
        }

    def install(self, **values: Any) -> str:
        return helm(
            "upgrade", "--install", "team", str(CHARTS / "trainpoint-namespace"), f"--namespace={self.namespace.name}",
            values={**self.values(), **values},
        )  # fmt: skip

    def ready(self) -> None:
        """Wait until store and policy are."""
        self.namespace.wait("checkpointstore/main", "Ready", seconds=180)
        self.namespace.wait("checkpointpolicy/default", "Ready", seconds=180)

    def train(
        self, name: str, program: str = "steps.py", *, env: Mapping[str, str] | None = None, **values: Any
    ) -> str:
        """``charts/training-job`` with a program of the tests."""
        return helm(
            "install", name, str(CHARTS / "training-job"), f"--namespace={self.namespace.name}",
            values={
                "image": self.image,
                "imagePullPolicy": "Never",
                "command": ["python", f"{PROGRAMS}/{program}"],
                "env": dict(env or {}),
                "terminationGracePeriodSeconds": 30,
                **values,
            },
        )  # fmt: skip

    # --- what is there ------------------------------------------------------------------------------------------------

    def pods_of(self, job: str) -> Sequence[Object]:
        """Pods of a Job, oldest first."""
        found = self.namespace.list("pods", f"batch.kubernetes.io/job-name={job}")
        return sorted(found, key=lambda one: str(one["metadata"]["creationTimestamp"]))

    def pod_of(self, job: str, count: int = 1) -> str:
        """Name of the newest pod of a Job, once it has had ``count``."""
        found = self.namespace.wait_until(
            f"Job {job} has {count} pods", lambda: self.pods_of(job), lambda pods: len(pods) >= count
        )
        return str(found[-1]["metadata"]["name"])

    def runs(self) -> Sequence[Object]:
        return self.namespace.list("checkpointruns.trainpoint.dev")

    def run_of(self, job: str) -> Object:
        """The run of a Job."""
        (found,) = [run for run in self.runs() if run.get("status", {}).get("claim", {}).get("job") == job]
        return found

    def checkpoints(self, job: str = "") -> Sequence[Object]:
        """Checkpoint objects in the order of their steps."""
        found = self.namespace.list("checkpoints.trainpoint.dev", f"trainpoint.dev/workflow={job}" if job else "")
        return sorted(found, key=lambda one: int(one["spec"]["snapshot"].get("step", 0)))

    def wait_for_run(self, job: str, state: str, *, seconds: float = 120) -> Object:
        """The run of a Job, once it is in that state."""

        def look() -> Sequence[Object]:
            return [run for run in self.runs() if run.get("status", {}).get("claim", {}).get("job") == job]

        def holds(runs: Sequence[Object]) -> bool:
            return len(runs) == 1 and runs[0].get("status", {}).get("state") == state

        return self.namespace.wait_until(f"the run of {job} is {state}", look, holds, seconds=seconds)[0]

    def wait_until_verified(self, steps: Sequence[int], job: str = "", *, seconds: float = 60) -> Sequence[Object]:
        """Checkpoints of a Job, once exactly these steps are there and verified."""

        def seen() -> list[tuple[int, str]]:
            return [
                (int(c["spec"]["snapshot"]["step"]), str(c.get("status", {}).get("state", "")))
                for c in self.checkpoints(job)
            ]

        self.namespace.wait_until(
            f"checkpoints {list(steps)} are verified",
            seen,
            lambda found: found == [(step, "Verified") for step in steps],
            seconds=seconds,
        )
        return self.checkpoints(job)
