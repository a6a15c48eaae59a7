"""The last sight of pods that are gone."""

from __future__ import annotations

from tests.support.runs import ended, pod, pod_object, running
from trainpoint_operator.engine.cache import Cache
from trainpoint_operator.pods import LastSights
from trainpoint_operator.views import PodView


def test_a_pod_that_is_gone_is_known_as_it_was_last_seen() -> None:
    sights, cache = LastSights(), Cache(PodView.of)
    cache.listeners.append(sights.on_change)
    cache.apply("ADDED", pod_object(running(1)))
    assert sights.of("pod-0") is None, "it is there"
    cache.apply("MODIFIED", pod_object(ended(1, 40, 3), phase="Failed"))
    cache.apply("DELETED", pod_object())
    last = sights.of("pod-0")
    assert last is not None
    assert [e.exit_code for e in last.ends] == [3]
    assert sights.of("pod-1") is None


def test_a_pod_of_the_same_name_is_another_one() -> None:
    sights = LastSights()
    sights.on_change(pod(uid="pod-0"), pod(uid="pod-1"))
    assert sights.of("pod-0") is not None
    assert sights.of("pod-1") is None


def test_pods_that_a_list_no_longer_has_are_remembered_too() -> None:
    sights, cache = LastSights(), Cache(PodView.of)
    cache.listeners.append(sights.on_change)
    cache.apply("ADDED", pod_object(running(1)))
    cache.replace([])
    assert sights.of("pod-0") is not None


def test_the_oldest_are_forgotten() -> None:
    sights = LastSights(limit=2)
    for number in range(3):
        sights.on_change(pod(uid=f"pod-{number}"), None)
    assert [sights.of(f"pod-{number}") is not None for number in range(3)] == [False, True, True]
