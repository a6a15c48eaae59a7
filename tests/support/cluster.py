"""The cluster as tests use it: kubectl with deadlines, a namespace of one's own, the nodes from beneath.

Commands that people give go through kubectl. What tests only want to know does not need it: see ``direct``.

Whether it is the test cluster of ``tools/kind`` or the one that the kubeconfig at hand names is not seen here, but for
``Cluster.nodes``, which only the first has.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from tests.support.direct import AnswerError, direct
from tests.support.direct import Object as Object
from tests.support.nodes import Nodes

DEADLINE_SECONDS: Final = 240.0
_POLL_SECONDS: Final = 0.2
_MOST_SECONDS: Final = 1.0
"""between two looks, when the first have seen nothing: they would keep a core busy that the pods need"""
_T = TypeVar("_T")


class ClusterError(AssertionError):
    """What was wanted of the cluster did not happen; the message shows what was seen."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Verbs on the whole cluster."""

    nodes: Nodes | None
    """None on a cluster that is not ours"""

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 120) -> str:
        """Standard output of kubectl; ClusterError with its standard error where it fails."""
        done = self.try_kubectl(*words, stdin=stdin, seconds=seconds)
        if done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
        return done.stdout

    def try_kubectl(
        self, *words: str, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """kubectl with whatever exit code it ends, for tests of refusals."""
        try:
            return subprocess.run(
                ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {' '.join(words)}: not done after {seconds:.0f} s") from error

    def apply(self, *objects: Object | str) -> None:
        """Server-side apply of objects, or of YAML text."""
        for part in objects:
            if isinstance(part, str):
                self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=part)
            else:
                _asked(partial(direct().apply, part))

    def get(self, kind: str, name: str) -> Object:
        return _asked(lambda: direct().get(kind, name))

    def find(self, kind: str, name: str) -> Object | None:
        """None: there is no such object."""
        return _found(lambda: direct().get(kind, name))

    def list(self, kind: str, selector: str = "") -> Sequence[Object]:
        """In all namespaces, where the kind has such."""
        return _asked(lambda: direct().list(kind, "", selector))

    def namespace(self, name: str) -> Namespace:
        return Namespace(self, name)

    @contextmanager
    def fresh_namespace(self) -> Iterator[Namespace]:
        """One that admits only pods without privileges; deleted afterwards, without waiting, if it is still there."""
        mine = self.namespace(f"t-{secrets.token_hex(4)}")
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "trainpoint.dev/test": "true"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": mine.name, "labels": labels}})
        mine.wait("serviceaccount/default", "create", seconds=60)
        yield mine
        self.kubectl("delete", "namespace", mine.name, "--wait=false", "--ignore-not-found")


_OURS: Final = (
    "NAME:.metadata.name,STATE:.status.state,GOING:.metadata.deletionTimestamp,SAID:.status.conditions[*].message"
)


@dataclass(frozen=True, slots=True)
class Namespace:
    """The same verbs in one namespace, and those for pods."""

    cluster: Cluster
    name: str

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 120) -> str:
        return self.cluster.kubectl(f"--namespace={self.name}", *words, stdin=stdin, seconds=seconds)

    def try_kubectl(
        self, *words: str, stdin: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return self.cluster.try_kubectl(f"--namespace={self.name}", *words, stdin=stdin, seconds=seconds)

    def apply(self, *objects: Object | str) -> None:
        for part in objects:
            if isinstance(part, str):
                self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=part)
            else:
                _asked(partial(direct().apply, part, self.name))

    def get(self, kind: str, name: str) -> Object:
        return _asked(lambda: direct().get(kind, name, self.name))

    def find(self, kind: str, name: str) -> Object | None:
        """None: there is no such object."""
        return _found(lambda: direct().get(kind, name, self.name))

    def list(self, kind: str, selector: str = "") -> Sequence[Object]:
        """Objects of a kind, or of several with commas between."""
        return _asked(lambda: direct().list(kind, self.name, selector))

    def secret(self, name: str, values: Mapping[str, str]) -> None:
        """A Secret, for ``envFrom``."""
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)},
        )

    def configmap(self, name: str, values: Mapping[str, str]) -> None:
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(values)})

    # --- waiting: on a condition, never for a time --------------------------------------------------------------------

    def wait(self, resource: str, condition: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Until ``KIND/NAME`` is there (condition ``create``) or has a condition of that type which is True."""
        kind, _, name = resource.partition("/")

        def look() -> Object | None:
            return _answered(lambda: direct().get(kind, name, self.name), None)

        def holds(seen: Object | None) -> bool:
            if seen is None or condition == "create":
                return seen is not None
            return _is_true(seen, condition)

        self.wait_until(f"{resource}: {condition}", look, holds, seconds=seconds)

    def wait_until(
        self, what: str, look: Callable[[], _T], holds: Callable[[_T], bool], *, seconds: float = DEADLINE_SECONDS
    ) -> _T:
        """What ``look`` saw once it ``holds``; ClusterError with what it saw last where it never does."""
        return wait_until(what, look, holds, seconds=seconds, state=self.state)

    # --- pods ---------------------------------------------------------------------------------------------------------

    def logs(self, pod: str, *, container: str | None = None, previous: bool = False) -> str:
        """What the container has printed so far; ``previous``: the one before its last restart."""
        return _asked(lambda: direct().log(pod, self.name, container=container or "", previous=previous))

    def wait_for_log(self, pod: str, text: str, *, seconds: float = DEADLINE_SECONDS) -> str:
        """The log, once the text is in it; ClusterError where the pod ends without, or time is over."""

        def look() -> tuple[str, str]:
            phase = self.phase(pod)
            started = phase in ("Running", "Succeeded", "Failed")
            return phase, _answered(lambda: direct().log(pod, self.name), "") if started else ""

        def holds(seen: tuple[str, str]) -> bool:
            phase, log = seen
            if text not in log and phase in ("Succeeded", "Failed"):
                raise ClusterError(f"pod {pod} is {phase} and never printed {text!r}:\n{log[-3000:]}\n{self.state()}")
            return text in log

        return self.wait_until(f"pod {pod} prints {text!r}", look, holds, seconds=seconds)[1]

    def phase(self, pod: str) -> str:
        """``Pending``, ``Running``, ``Succeeded``, ``Failed``; "" where there is none, or nobody answers."""
        nothing: Object = {}
        found = _answered(lambda: direct().get("pods", pod, self.name), nothing)
        return str(found.get("status", {}).get("phase", ""))

    def wait_for_phase(self, pod: str, *phases: str, seconds: float = DEADLINE_SECONDS) -> str:
        """The first of these phases that the pod is in; an end that is none of them fails at once."""

        def holds(phase: str) -> bool:
            if phase in ("Succeeded", "Failed") and phase not in phases:
                raise ClusterError(f"pod {pod} is {phase}:\n{self.try_kubectl('logs', pod).stdout[-3000:]}")
            return phase in phases

        return self.wait_until(f"pod {pod} is {' or '.join(phases)}", lambda: self.phase(pod), holds, seconds=seconds)

    def exit_code(self, pod: str) -> int:
        """Of the pod's first container, which has ended."""
        state = self.get("pod", pod)["status"]["containerStatuses"][0]["state"]
        return int(state["terminated"]["exitCode"])

    def state(self) -> str:
        """What a person would look at first: objects, events, the end of every log."""
        parts = [self.try_kubectl("get", "jobs,pods", "--output=wide").stdout]
        parts.append(self.try_kubectl("get", "events", "--sort-by=.lastTimestamp").stdout[-4000:])
        parts.append(self.try_kubectl("get", "checkpointruns,checkpoints", f"--output=custom-columns={_OURS}").stdout)
        names = self.try_kubectl("get", "pods", "--output=name").stdout.split()
        parts += [f"{name}:\n{self.try_kubectl('logs', name, '--tail=40').stdout}" for name in names[:8]]
        parts.append(self._of_the_operator())
        return "\n".join(part for part in parts if part)

    def _of_the_operator(self) -> str:
        """Its pods, and what its log says of this namespace and of the Lease."""
        system = self.cluster.namespace("trainpoint-system")
        log = system.try_kubectl("logs", "deployment/trainpoint", "--tail=5000").stdout
        telling = [line for line in log.splitlines() if self.name in line or "lease=" in line or "event=begins" in line]
        return "\n".join(["operator:", system.try_kubectl("get", "pods").stdout, *telling[-60:]])


def _is_true(thing: Object, condition: str) -> bool:
    """Whether it has a condition of that type which is True, and speaks of its present generation."""
    meta, conditions = thing["metadata"], thing.get("status", {}).get("conditions", [])
    return any(
        one["type"] == condition
        and one["status"] == "True"
        and one.get("observedGeneration", 0) in (0, meta.get("generation", 0))
        for one in conditions
    )


def _asked(question: Callable[[], _T]) -> _T:
    """Its answer; ClusterError with what the server said where it has none."""
    try:
        return question()
    except AnswerError as error:
        raise ClusterError(str(error)) from error


def _found(question: Callable[[], _T]) -> _T | None:
    """Its answer; None where there is no such thing."""
    try:
        return question()
    except AnswerError as error:
        if error.status == 404:
            return None
        raise ClusterError(str(error)) from error


def _answered(question: Callable[[], _T], otherwise: _T) -> _T:
    """Its answer, or the other one where the server does not tell: as in an outage."""
    try:
        return question()
    except AnswerError:
        return otherwise


def wait_until(
    what: str,
    look: Callable[[], _T],
    holds: Callable[[_T], bool],
    *,
    seconds: float = DEADLINE_SECONDS,
    state: Callable[[], str] = str,
) -> _T:
    """What ``look`` saw once it ``holds``; ClusterError with what it saw last, and ``state``, where it never does."""
    deadline = time.monotonic() + seconds
    pause = _POLL_SECONDS
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s; seen last: {seen!r}\n{state()}".rstrip())
        time.sleep(pause)
        pause = min(_MOST_SECONDS, pause * 1.3)
