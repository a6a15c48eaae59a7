"""How an attempt ended, from what a kubelet, the Job controller and the attempt itself leave behind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.runs import at, claim, end, ended, entry, fine, pod, running, waiting
from trainpoint.format.digest import JsonObject
from trainpoint_operator.decisions.endings import LEAVING, Ending, attempt_of, ending
from trainpoint_operator.views import PodView

NOW = 100.0


def decide(
    seen: PodView | None,
    *,
    of: JsonObject | None = None,
    newest: JsonObject | None = None,
    gone: bool = False,
    now: float = NOW,
) -> Ending | None:
    """How an attempt that claimed 5 s after the beginning ended; ``newest``: the run's claim, its own by default."""
    return ending(attempt_of(of or entry(), newest or claim()), seen, gone=gone, now=at(now))


def said(how: str, code: int | None = None, **more: Any) -> JsonObject:
    return claim(end=end(how, code, **more))


OVER: JsonObject = {"phase": "Failed"}
PREEMPTED = said("Preempted", 143, time=40)
LATER = claim(1, 60, pod="llm-9zz9z", uid="pod-1")
"""the next attempt, in another pod"""

SEEN: list[tuple[str, PodView, JsonObject, tuple[str, str, str, int | None]]] = [
    # case, its pod, the newest claim, (result, reason, message, exit code)
    ("exit 0", pod(ended(1, 40, 0), phase="Succeeded"), claim(), ("Completed", "Completed", "completed", 0)),
    (
        "exit 0 after SIGTERM ends the Job",
        pod(ended(1, 40, 0), phase="Succeeded", deleted=38),
        PREEMPTED,
        ("Completed", "Completed", "exit 0 after SIGTERM, which its Job counts as complete", 0),
    ),
    ("exit 3", pod(ended(1, 40, 3), **OVER), claim(), ("Failed", "Exited", "exit 3", 3)),
    (
        "an exception that it could tell, in many lines",
        pod(ended(1, 40, 1), **OVER),
        said("Failed", 1, message="RuntimeError: shapes\n  do not match"),
        ("Failed", "Exited", "exit 1: RuntimeError: shapes do not match", 1),
    ),
    ("kill -9", pod(ended(1, 40, 137), **OVER), claim(), ("Failed", "Killed", "killed by signal 9", 137)),
    ("exit -1 is no signal", pod(ended(1, 40, 255), **OVER), claim(), ("Failed", "Exited", "exit 255", 255)),
    (
        "a code of another system fits no byte",
        pod(ended(1, 40, 3221225477), **OVER),
        claim(),
        ("Failed", "Exited", "exit 3221225477", None),
    ),
    (
        "out of memory",
        pod(ended(1, 40, 137, "OOMKilled"), **OVER),
        claim(),
        ("Failed", "OOMKilled", "out of memory: the limit of its container was reached", 137),
    ),
    (
        "refused",
        pod(ended(1, 40, 86), **OVER),
        said("Refused", 86, message="stopped"),
        ("Refused", "Refused", "stopped", 86),
    ),
    (
        "evicted, and refused all the same",
        pod(ended(1, 40, 86), **OVER, disruption="EvictionByEvictionAPI"),
        claim(),
        ("Refused", "Refused", "it was not allowed to go on", 86),
    ),
    ("overtaken", pod(ended(1, 40, 87), **OVER), LATER, ("Failed", "Superseded", "a newer attempt took over", 87)),
    (
        "kubectl delete pod, which sets no condition",
        pod(ended(1, 40, 143), **OVER, deleted=38),
        PREEMPTED,
        ("Disrupted", "PodDeleted", "pod llm-x7k2p was deleted", 143),
    ),
    (
        "killed when the grace period was over",
        pod(ended(1, 68, 137), **OVER, deleted=38),
        claim(),
        ("Disrupted", "PodDeleted", "pod llm-x7k2p was deleted", 137),
    ),
    (
        "it failed, and was deleted much later",
        pod(ended(1, 40, 1), **OVER, deleted=90, grace=0),
        claim(),
        ("Failed", "Exited", "exit 1", 1),
    ),
    (
        "eviction",
        pod(ended(1, 40, 143), **OVER, deleted=38, disruption="EvictionByEvictionAPI", disrupted=38),
        PREEMPTED,
        ("Disrupted", "EvictionByEvictionAPI", "evicted (EvictionByEvictionAPI)", 143),
    ),
    (
        "the node was tainted",
        pod(ended(1, 40, 143), **OVER, deleted=38, disruption="DeletionByTaintManager", disrupted=38),
        PREEMPTED,
        ("Disrupted", "DeletionByTaintManager", "its node was lost or drained (DeletionByTaintManager)", 143),
    ),
    (
        "preempted, and the program died of it",
        pod(ended(1, 40, 1), **OVER, deleted=38, disruption="PreemptionByScheduler", disrupted=38),
        said("Failed", 1, message="KeyboardInterrupt"),
        ("Disrupted", "PreemptionByScheduler", "preempted by a pod of higher priority (PreemptionByScheduler)", 1),
    ),
    (
        "a disruption by a program that writes its own words",
        pod(ended(1, 40, 137), **OVER, disruption="out of quota: team-b"),
        claim(),
        ("Disrupted", "Disrupted", "disrupted (out of quota: team-b)", 137),
    ),
    (
        "the kubelet ran short of memory",
        pod(**OVER, reason="Evicted", message="The node was low on resource: memory."),
        claim(),
        ("Disrupted", "Evicted", "The node was low on resource: memory. (Evicted)", None),
    ),
    (
        "a kubelet that was started again does not take it back",
        pod(running(1), **OVER, reason="OutOfnvidia.com/gpu", message="Pod was rejected"),
        claim(),
        ("Disrupted", "Disrupted", "Pod was rejected (OutOfnvidia.com/gpu)", None),
    ),
    (
        "its own deadline, which another attempt meets too",
        pod(ended(1, 40, 143), **OVER, reason="DeadlineExceeded"),
        PREEMPTED,
        ("Failed", "DeadlineExceeded", "activeDeadlineSeconds of its pod have passed", 143),
    ),
    (
        "SIGTERM from somebody else, such as a liveness probe",
        pod(running(42), last=ended(1, 40, 143)),
        PREEMPTED,
        ("Disrupted", "Preempted", "ended by SIGTERM", 143),
    ),
    (
        "restarted in place",
        pod(running(42), last=ended(1, 40, 3)),
        claim(),
        ("Failed", "Exited", "exit 3", 3),
    ),
    (
        "in a crash loop",
        pod(waiting("CrashLoopBackOff"), last=ended(1, 40, 3)),
        claim(),
        ("Failed", "Exited", "exit 3", 3),
    ),
    (
        "restarted in place, then evicted: that concerns the process after it",
        pod(ended(42, 90, 143), last=ended(1, 40, 3), **OVER, disruption="EvictionByEvictionAPI", disrupted=88),
        claim(1, 45),
        ("Failed", "Exited", "exit 3", 3),
    ),
    (
        "the container that should have come after it could not be started",
        pod(ended(-1e9, 60, 128, "StartError"), last=ended(1, 40, 3), **OVER),
        claim(),
        ("Failed", "Exited", "exit 3", 3),
    ),
    (
        "the node is gone, and so is its kubelet: what the container does is no longer told",
        pod(running(1), **OVER, deleted=38, disruption="DeletionByPodGC", disrupted=80),
        claim(),
        ("Disrupted", "DeletionByPodGC", "its node is gone (DeletionByPodGC)", None),
    ),
    (
        "somebody set the phase of a pod whose node is lost",
        pod(running(1), **OVER, deleted=38, disruption="DeletionByTaintManager"),
        claim(),
        ("Disrupted", "DeletionByTaintManager", "its node was lost or drained (DeletionByTaintManager)", None),
    ),
    (
        "the kubelet lost track of it",
        pod({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}, **OVER),
        claim(),
        ("Unknown", "NotSeen", "pod llm-x7k2p has ended, and nobody saw how", None),
    ),
    (
        "it ended twice ago, and nobody looked",
        pod(running(80), last=ended(42, 78, 1)),
        claim(),
        ("Unknown", "NotSeen", "pod llm-x7k2p has another process now, and nobody saw how the one before ended", None),
    ),
    (
        "another process in the same container, started by a launcher",
        pod(running(1)),
        claim(1, 60),
        ("Unknown", "NotSeen", "pod llm-x7k2p has another process now, and nobody saw how the one before ended", None),
    ),
    (
        "the launcher's end is not the end of a process before",
        pod(ended(1, 90, 0), phase="Succeeded"),
        claim(1, 60),
        ("Unknown", "NotSeen", "pod llm-x7k2p has ended, and nobody saw how", None),
    ),
    (
        "overtaken while its node does not answer",
        pod(running(1), deleted=38, disruption="DeletionByTaintManager"),
        LATER,
        ("Disrupted", "DeletionByTaintManager", "its node was lost or drained (DeletionByTaintManager)", None),
    ),
]


@pytest.mark.parametrize(("seen", "newest", "expected"), [c[1:] for c in SEEN], ids=[c[0] for c in SEEN])
def test_a_pod_that_is_there(seen: PodView, newest: JsonObject, expected: tuple[str, str, str, int | None]) -> None:
    found = decide(seen, newest=newest)
    assert found is not None
    assert (found.result, found.reason, found.message, found.exit_code) == expected


GONE: list[tuple[str, PodView | None, JsonObject, tuple[str, str]]] = [
    ("never seen, it said that it completed", None, said("Completed", 0), ("Completed", "Completed")),
    ("never seen, it said that SIGTERM had come", None, PREEMPTED, ("Disrupted", "Preempted")),
    ("never seen, it said what went wrong", None, said("Failed", 1, message="KeyError"), ("Failed", "Exited")),
    ("never seen, killed", None, claim(), ("Unknown", "NotSeen")),
    ("last seen running", pod(running(1)), claim(), ("Unknown", "NotSeen")),
    ("last seen terminating", pod(running(1), deleted=38), claim(), ("Disrupted", "PodDeleted")),
    ("last seen terminating, it said more", pod(running(1), deleted=38), PREEMPTED, ("Disrupted", "PodDeleted")),
    ("its last save failed", pod(running(1), deleted=38), said("Failed", 1), ("Disrupted", "PodDeleted")),
    ("it completed just then", pod(running(1), deleted=38), said("Completed", 0), ("Completed", "Completed")),
    ("last seen with its end", pod(ended(1, 40, 3), **OVER), claim(), ("Failed", "Exited")),
    ("replaced, and never seen", None, LATER, ("Unknown", "NotSeen")),
    ("refused", None, claim(refused={"reason": "StoppedByUser", "message": "stopped"}), ("Refused", "StoppedByUser")),
]


@pytest.mark.parametrize(("seen", "newest", "expected"), [c[1:] for c in GONE], ids=[c[0] for c in GONE])
def test_a_pod_that_is_gone(seen: PodView | None, newest: JsonObject, expected: tuple[str, str]) -> None:
    found = decide(seen, newest=newest, gone=True)
    assert found is not None
    assert (found.result, found.reason) == expected


GOES_ON: list[tuple[str, PodView | None, JsonObject]] = [
    ("it runs", pod(running(1)), claim()),
    ("its pod is to end, and may still save", pod(running(1), deleted=95), PREEMPTED),
    ("it has said how it ended, and has not left yet", pod(running(1)), said("Failed", 1, time=99)),
    ("it has just said that it completed", pod(running(1)), said("Completed", 0, time=99)),
    ("overtaken, and at work", pod(running(1)), LATER),
    ("a process of no pod", None, claim(pod="")),
]


@pytest.mark.parametrize(("seen", "newest"), [c[1:] for c in GOES_ON], ids=[c[0] for c in GOES_ON])
def test_it_goes_on_when(seen: PodView | None, newest: JsonObject) -> None:
    assert decide(seen, newest=newest) is None


def test_a_program_that_goes_on_after_its_training_has_completed_it() -> None:
    newest = said("Completed", 0, time=50)
    beside = pod(running(1))
    assert decide(beside, newest=newest, now=50 + LEAVING.total_seconds() - 0.1) is None
    found = decide(beside, newest=newest, now=50 + LEAVING.total_seconds())
    assert found is not None
    assert (found.result, found.time) == ("Completed", fine(50))


def test_a_process_outside_of_any_pod_is_believed() -> None:
    mine = entry(podName="", podUID="")
    found = decide(None, of=mine, newest=claim(pod="", uid="", end=end("Preempted", 143, time=50)))
    assert found is not None
    assert (found.result, found.reason, found.time) == ("Disrupted", "Preempted", fine(50))
    found = decide(None, of=mine, newest=claim(1, 60, pod="", uid=""))
    assert found is not None
    assert (found.result, found.message) == ("Unknown", "nobody saw how its process ended")


def test_no_attempt_ends_before_it_began() -> None:
    """Container times are cut to seconds: it claimed at 5.7 and its end is said to have been at 5."""
    found = decide(pod(ended(1, 5.9, 1), **OVER), of=entry(time=5.7), newest=claim(time=5.7))
    assert found is not None
    assert found.time == fine(5.7)


# --- two processes within one second ----------------------------------------------------------------------------------


def test_a_restart_within_the_second_of_the_claim_is_told_from_the_claimant() -> None:
    """It claimed at 15.1 and died; the next process began at 15.2. Both times read 15."""
    mine, first = entry(time=15.1), claim(time=15.1)
    started_again = pod(running(15.2), last=ended(10, 15.15, 3))
    found = decide(started_again, of=mine, newest=first)
    assert found is not None
    assert (found.result, found.exit_code) == ("Failed", 3)
    found = decide(started_again, of=mine, newest=claim(1, 15.8))
    assert found is not None
    assert found.exit_code == 3
    both_dead = pod(ended(15.2, 15.9, 4), last=ended(10, 15.15, 3), **OVER)
    found = decide(both_dead, of=mine, newest=claim(1, 15.8))
    assert found is not None
    assert found.exit_code == 3
    found = decide(both_dead, of=entry(1, time=15.8), newest=claim(1, 15.8))
    assert found is not None
    assert found.exit_code == 4


def test_two_attempts_within_one_second_get_an_end_each() -> None:
    seen = pod(ended(15.4, 15.8, 4), last=ended(10, 15.35, 3), **OVER)
    newest = claim(1, 15.7)
    found = [decide(seen, of=entry(number, time=time), newest=newest) for number, time in ((0, 15.3), (1, 15.7))]
    assert [end.exit_code for end in found if end] == [3, 4]


def test_where_both_may_be_meant_nothing_is_decided_until_the_next_claim_tells() -> None:
    """It claimed at 15.6, late in the second in which one process ended and the next began."""
    mine = entry(time=15.6)
    seen = pod(running(15.9), last=ended(10, 15.7, 3))
    assert decide(seen, of=mine, newest=claim(time=15.6)) is None
    found = decide(seen, of=mine, newest=claim(1, 17))
    assert found is not None
    assert found.exit_code == 3


def test_the_end_of_an_attempt_that_nobody_has_seen_is_not_taken_for_that_of_the_one_before() -> None:
    """Its pod began again in the second of its claim, and once more; of its own end the pod tells no more."""
    seen = pod(ended(10.875, 12.875, 1), last=ended(7.875, 9.875, 3), **OVER)
    found = decide(seen, of=entry(1, time=7.5), newest=claim(3, 11.875))
    assert found is not None
    assert found.exit_code is None
    direct = decide(
        pod(ended(10.875, 12.875, 1), last=ended(7.125, 9.875, 3), **OVER),
        of=entry(2, time=7.5),
        newest=claim(3, 11.875),
    )
    assert direct is not None
    assert direct.exit_code == 3, "where nobody came between, it is its own"


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[float, float | None, float, int, bool]]:
    """Processes of one pod, in turn: start, claim, end, exit code, and whether it told how it ended."""
    made: list[tuple[float, float | None, float, int, bool]] = []
    clock = draw(st.floats(0, 1))
    for _ in range(draw(st.integers(1, 5))):
        claims = draw(st.booleans())
        # A process that never claims, in the second of another one's claim, cannot be told from that.
        start = clock + draw(st.floats(0.05, 3) if claims else st.floats(1.1, 3))
        claimed = start + draw(st.floats(0.25, 3)) if claims else None
        over = (claimed or start) + draw(st.floats(0.01, 3) if claims else st.floats(1.1, 3))
        code = draw(st.sampled_from([1, 3, 87, 137, 143]))
        made.append((start, claimed, over, code, claims and code != 137 and draw(st.booleans())))
        clock = over
        if not claims:
            clock += 1.1
    return made


@given(lives(), st.data())
def test_no_attempt_is_ever_given_the_end_of_another(
    made: list[tuple[float, float | None, float, int, bool]], data: st.DataObject
) -> None:
    """However often a pod starts again, and whenever the operator looks: the right exit code, or none."""
    claims = [(number, life) for number, life in enumerate(p for p in made if p[1] is not None)]
    last = made[-1][2]
    looks = sorted({*data.draw(st.lists(st.floats(0, last), max_size=8)), last + 20})
    known: dict[int, Ending] = {}
    listed: dict[int, JsonObject] = {}
    for now in looks:
        there = [life for life in made if life[0] <= now]
        told = [ended(start, over, code) if over <= now else running(start) for start, _, over, code, _ in there[-2:]]
        seen = pod(told[-1] if told else None, last=told[0] if len(told) > 1 else None)
        mine = [(number, life) for number, life in claims if life[1] is not None and life[1] <= now]
        if not mine:
            continue
        number, (_, claimed, over, code, tells) = mine[-1]
        assert claimed is not None
        word: JsonObject = (
            {"end": end("Preempted" if code == 143 else "Failed", code, time=over)} if tells and over <= now else {}
        )
        newest = claim(number, claimed, **word)
        listed.setdefault(number, entry(number, claimed))
        for attempt, item in listed.items():
            if attempt not in known:
                found = decide(seen, of=item, newest=newest, now=now)
                if found is not None:
                    known[attempt] = found
                    assert claims[attempt][1][2] <= now, "it still ran"
    for attempt, found in known.items():
        assert found.exit_code in (None, claims[attempt][1][3])
        assert found.result != "Completed"


@given(st.floats(1, 90), st.floats(0, 60), st.integers(0, 255), st.sampled_from(["", "Evicted", "DeadlineExceeded"]))
def test_whatever_ended_a_pod_its_attempt_has_ended_too(run: float, late: float, code: int, reason: str) -> None:
    phase = "Succeeded" if code == 0 else "Failed"
    for seen in (pod(ended(1, 5 + run, code), phase=phase, reason=reason), pod(running(1), phase=phase, reason=reason)):
        for newest in (claim(), LATER, PREEMPTED):
            found = decide(seen, newest=newest, now=5 + run + late)
            assert found is not None
            assert found.time >= fine(5)
