"""``make demo-cluster``: a training job on Kubernetes that is killed with -9 and goes on at its last checkpoint.

Three Helm charts, as a user installs them: the operator, a namespace with a store, a job. The cluster is the project's
test cluster, which is made where it is not there. Leaves nothing behind, also after Ctrl-C, unless told to (--keep); a
cluster that was there before stays as it was.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.demo_display import Display, display  # noqa: E402
from tools.demo_release import (  # noqa: E402
    NAMESPACE,
    RELEASE,
    SYSTEM,
    Operator,
    make_namespace,
    mark_of_system,
    remove,
    running_operator,
)
from tools.images import BuildError  # noqa: E402
from tools.kind.client import Client, Object  # noqa: E402
from tools.kind.images import operator_image, s3_image, trainer_image  # noqa: E402
from tools.kind.places import ToolError  # noqa: E402
from tools.kind.processes import kill  # noqa: E402
from tools.kind.use import Use  # noqa: E402
from tools.s3server import ServerError  # noqa: E402

BIN: Final = Path(sys.executable).parent
HERE: Final = "examples/cluster"
JOB: Final = "llm"
KILL_AFTER: Final = 17
"""The step after which the job is killed, once a checkpoint is verified."""
STEPS: Final = 40
READY_SECONDS: Final = 180.0
TRAIN_SECONDS: Final = 300.0

BEGINS: Final = re.compile(r"^attempt (\d+) begins at step (\d+)$", re.M)
STEP: Final = re.compile(r"^step (\d+) of \d+, loss ([0-9.]+)$", re.M)


class DemoError(RuntimeError):
    """Something did not go as it should; the message is for the person who watches."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is, from the log of its newest process."""

    attempt: int
    begun_at: int
    step: int
    loss: str
    notes: tuple[str, ...]
    """what the SDK has said"""


def progress_of(log: str) -> Progress | None:
    """None while it has not begun."""
    begun = BEGINS.search(log)
    if begun is None:
        return None
    steps = STEP.findall(log)
    step, loss = steps[-1] if steps else (begun[2], "")
    notes = tuple(line for line in log.splitlines() if line.startswith("trainpoint "))
    return Progress(int(begun[1]), int(begun[2]), int(step), loss, notes)


@dataclass(frozen=True, slots=True)
class Training:
    """The job, as it is watched."""

    client: Client
    show: Display

    def pod(self) -> Object | None:
        """Its newest pod."""
        found = self.client.list("pods", f"--namespace={NAMESPACE}", f"--selector=batch.kubernetes.io/job-name={JOB}")
        return max(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)

    def saved(self) -> list[int]:
        """Steps of the checkpoints that are verified, in order."""
        found = self.client.list("checkpoints.trainpoint.dev", f"--namespace={NAMESPACE}")
        good = [c for c in found if c.get("status", {}).get("state") == "Verified"]
        return sorted(int(c["spec"]["snapshot"]["step"]) for c in good)

    def look(self) -> tuple[Object, Progress] | None:
        """Its newest pod and how far that is; None while there is nothing to see."""
        pod = self.pod()
        if pod is None or pod["status"].get("phase") == "Pending":
            return None
        try:
            log = self.client.kubectl("logs", pod["metadata"]["name"], f"--namespace={NAMESPACE}")
        except ToolError:
            return None  # its container is just being made
        progress = progress_of(log)
        if progress is None:
            return None
        if progress.loss:
            self.show.progress(progress.step, STEPS, f"loss {progress.loss}")
        return pod, progress

    def until_killed(self) -> tuple[Object, int]:
        """Kill its process from its node after a step; its pod, and the newest step that was safe by then."""

        def far_enough() -> tuple[Object, list[int]] | None:
            seen = self.look()
            if seen is None or seen[1].step < KILL_AFTER:
                return None
            saved = self.saved()
            return (seen[0], saved) if saved else None

        pod, saved = self.client.until(
            f"the job has reached step {KILL_AFTER}, with a checkpoint verified", far_enough, seconds=TRAIN_SECONDS
        )
        process = kill(self.client.on_node, pod, matching="train.py")
        self.show.no_progress()
        self.show.say(f"kill -9 {process.pid}, on node {pod['spec']['nodeName']}: {process.command}")
        return pod, saved[-1]

    def until_resumed(self, killed: Object) -> tuple[Progress, Progress]:
        """How far the killed process had come, and the next attempt, once it trains."""

        def resumed() -> tuple[Object, Progress] | None:
            seen = self.look()
            return seen if seen is not None and seen[1].attempt > 0 else None

        pod, progress = self.client.until("another attempt has begun", resumed, seconds=READY_SECONDS)
        name = killed["metadata"]["name"]
        same = pod["metadata"]["name"] == name
        log = self.client.kubectl("logs", name, f"--namespace={NAMESPACE}", f"--previous={str(same).lower()}")
        before = progress_of(log)
        if before is None:
            raise DemoError(f"the killed process has left no log:\n{log}")
        where = "the same pod, its container started again" if same else f"another pod, {pod['metadata']['name']}"
        self.show.say(f"it had come to step {before.step}; now in {where}:")
        return before, progress

    def until_told(self) -> Object:
        """The run, once it is over and its checkpoints are verified."""

        def over() -> Object | None:
            self.look()
            runs = self.client.list("checkpointruns.trainpoint.dev", f"--namespace={NAMESPACE}")
            if any(run.get("status", {}).get("state") in ("Failed", "Exhausted", "Stopped") for run in runs):
                raise DemoError(f"the run has failed: {runs[0]['status'].get('outcome')}")
            done = [run for run in runs if run.get("status", {}).get("state") == "Succeeded"]
            return done[0] if done and self.saved()[-1:] == [STEPS] else None

        return self.client.until("the run is over, and its last checkpoint verified", over, seconds=TRAIN_SECONDS)


def play(show: Display, client: Client) -> None:
    """The story."""
    show.heading("2. The images")
    show.say("built from this checkout and put on the nodes: operator, trainer, and an S3 server for the demo")
    images = {"operator": operator_image(client.host), "trainer": trainer_image(client.host)}
    images["s3"] = s3_image(client.host)
    for name in images.values():
        show.say(name)

    show.heading("3. The operator, once in a cluster")
    operator = install_operator(show, client, images["operator"])

    show.heading("4. A namespace that trains: S3 server, store, policy, rights")
    make_namespace(client, NAMESPACE, **{"pod-security.kubernetes.io/enforce": "restricted"})
    manifest = (ROOT / HERE / "s3.yaml").read_text().replace("S3_IMAGE", images["s3"])
    client.kubectl("apply", f"--namespace={NAMESPACE}", "--filename=-", stdin=manifest)
    client.kubectl("rollout", "status", "deployment/s3", f"--namespace={NAMESPACE}", "--timeout=180s", seconds=200)
    elsewhere = [
        f"--set=operator.namespace={operator.namespace}", f"--set=operator.serviceAccount={operator.account}"
    ] if (operator.namespace, operator.account) != (SYSTEM, RELEASE) else []  # fmt: skip
    helm(
        show, client, "install", "team", "charts/trainpoint-namespace", "-n", NAMESPACE, "-f", f"{HERE}/team.yaml",
        f"--set=stores.main.s3.endpoint=http://s3.{NAMESPACE}:8333", *elsewhere,
    )  # fmt: skip
    for kind, name in (("checkpointstore", "main"), ("checkpointpolicy", "default")):
        wait_ready(client, kind, name)
    kubectl(show, client, "get", "ckptstore,ckptpolicy", "-n", NAMESPACE)

    show.heading("5. A training job")
    kubectl(show, client, "create", "configmap", "program", "-n", NAMESPACE, f"--from-file={HERE}/train.py")
    helm(
        show, client, "install", JOB, "charts/training-job", "-n", NAMESPACE, "-f", f"{HERE}/job.yaml",
        f"--set=image={images['trainer']}",
    )  # fmt: skip
    training = Training(client, show)
    pod, safe = training.until_killed()
    before, resumed = training.until_resumed(pod)
    for note in resumed.notes:
        show.say(note)
    lost = before.step - resumed.begun_at
    show.say(f"attempt {resumed.attempt} goes on at step {resumed.begun_at}; steps of work lost: {lost}")
    if not safe <= resumed.begun_at <= before.step:
        raise DemoError(f"it began at step {resumed.begun_at}, although step {safe} was safe: a bug of trainpoint")
    run = training.until_told()
    show.no_progress()
    tell(show, client, run, resumed)


def tell(show: Display, client: Client, run: Object, resumed: Progress) -> None:
    """What anybody can see afterwards."""
    show.heading("6. What happened")
    kubectl(show, client, "get", "ckpt", "-n", NAMESPACE)
    kubectl(show, client, "get", "ckptrun", "-n", NAMESPACE)
    kubectl(show, client, "trainpoint", "why", f"job/{JOB}", "-n", NAMESPACE)
    first = run["status"]["attempts"][0]
    if first.get("exitCode") != 137 or first.get("toStep") != resumed.begun_at:
        raise DemoError(f"the run does not tell what happened: {first}")


def install_operator(show: Display, client: Client, image: str) -> Operator:
    there = running_operator(client)
    if there is not None:
        show.say(f"one runs in namespace {there.namespace} already: it is used, and stays as it is")
        return there
    make_namespace(client, SYSTEM, mark_of_system(client))
    name, _, tag = image.rpartition(":")
    helm(
        show, client, "install", RELEASE, "charts/trainpoint", "-n", SYSTEM,
        f"--set=image.repository={name}", f"--set-string=image.tag={tag}", "--wait", "--timeout=180s",
    )  # fmt: skip
    return Operator(SYSTEM, RELEASE)


def wait_ready(client: Client, kind: str, name: str) -> None:
    """Raises DemoError with what the object itself says."""

    def ready() -> bool | None:
        found = client.find(kind, name, f"--namespace={NAMESPACE}") or {}
        conditions: list[Object] = found.get("status", {}).get("conditions", [])
        said: Object = next((c for c in conditions if c["type"] == "Ready"), {})
        seen.append(f"{said.get('reason', 'nothing')}: {said.get('message', 'the operator has not looked at it')}")
        return True if said.get("status") == "True" else None

    seen: list[str] = []
    try:
        client.until(f"{kind} {name} is ready", ready, seconds=READY_SECONDS)
    except ToolError as error:
        raise DemoError(f"{error}; {seen[-1]}") from None


def kubectl(show: Display, client: Client, *words: str) -> None:
    """Run and show."""
    show.command(f"kubectl {' '.join(words)}", client.kubectl(*words).rstrip("\n"))


def helm(show: Display, client: Client, *words: str) -> None:
    """Run and show, with what the chart says of what comes next."""
    said = client.helm(*words).partition("\nNOTES:\n")[2]
    show.command(f"helm {' '.join(words)}", said.strip("\n"))


def finish(show: Display, use: Use, client: Client | None) -> None:
    """Undo what was made. Ctrl-C is not heard any more: each step has a deadline of its own."""
    show.no_progress()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    show.heading("Cleaning up")
    try:
        if use.made:
            show.say("the cluster goes, with all that is in it")
        elif client is not None:
            for what in remove(client):
                show.say(f"{what}: gone")
    finally:
        use.end()


def state(client: Client) -> str:
    """What a person would look at first."""
    try:
        pods = client.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=wide")
        return pods + client.kubectl("events", f"--namespace={NAMESPACE}", "--types=Warning")
    except ToolError as error:
        return str(error)


def demo(show: Display, keep: bool) -> None:
    """The whole demo. Raises DemoError, ToolError, BuildError, ServerError."""
    use = Use(f"demo-{secrets.token_hex(4)}", progress=lambda line: show.say(line.removeprefix("kind: ")))
    client: Client | None = None
    try:
        show.heading("1. A cluster of three nodes")
        show.say("kind makes it, unless it is there; the very first time Kubernetes may have to be compiled: coffee")
        client = Client(use.begin())
        show.say("commands are shown as on any cluster; on this one put tools/kind/in before them")
        remove(client)  # of a demo that was killed, or kept
        play(show, client)
    except (DemoError, ToolError):
        if client is not None:
            show.command("kubectl get pods; kubectl events", state(client))
        finish(show, use, client)
        raise
    except BaseException:
        finish(show, use, client)
        raise
    if keep:
        look_around(show, use)
    else:
        finish(show, use, client)


def look_around(show: Display, use: Use) -> None:
    show.heading("All of it stays")
    for line in (
        f"tools/kind/in kubectl describe ckptrun -n {NAMESPACE}",
        f"tools/kind/in kubectl delete ckpt NAME -n {NAMESPACE}     its bytes go, and the run's latest moves",
        f"tools/kind/in helm uninstall {JOB} -n {NAMESPACE}     the checkpoints stay",
        "make kind-down     the end of it" if use.made else "make demo-cluster     once more, and clean up",
    ):
        show.say(line)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A job on Kubernetes that is killed, and goes on.")
    parser.add_argument("--keep", action="store_true", help="leave cluster, operator and job, to look around")
    return parser.parse_args(arguments)


def interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: through every ``finally``."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"  # for kubectl to find kubectl-trainpoint
    begun = time.monotonic()
    try:
        with display() as show:
            demo(show, options.keep)
    except KeyboardInterrupt:
        print("\ninterrupted; what the demo had made is gone", file=sys.stderr)
        return 130
    except (DemoError, ToolError, BuildError, ServerError) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        return 1
    left = "" if options.keep else "; nothing is left behind. To look around in it: make demo-cluster DEMO=--keep"
    print(f"\n{time.monotonic() - begun:.0f} s{left}\nYour turn: docs/tutorial/cluster.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
