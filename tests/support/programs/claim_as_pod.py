"""Claim one run as so many pods would at once: a process for each, with that pod's token. PODS: JSON, name, uid, token.

Each says that it has claimed and that it is about to end, a line in LEDGER for either, and prints how many requests
it took. All are forks of this one, which has imported what they need.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from kubernetes import client

from tests.support.programs.claimants import child
from trainpoint.catalog.kube import Kube
from trainpoint.claim.cluster import Claimant, claim_on_cluster
from trainpoint.claim.liveness import this_process
from trainpoint.clock import SystemChance, SystemClock, rfc3339
from trainpoint.cluster import Cluster
from trainpoint.format.layout import TaskPath
from trainpoint.format.records import EndRecord
from trainpoint.pod import Pod
from trainpoint.policies.settings import PolicySettings
from trainpoint.store.url import open_store


def say(pod: Pod, text: str) -> None:
    with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:
        ledger.write(f"{pod.name} {text}\n".encode())


def kube_of(token: str) -> Kube:
    configuration = client.Configuration()
    configuration.host = os.environ["API_URL"]
    configuration.ssl_ca_cert = os.environ["API_CA"]
    configuration.api_key = {"authorization": f"Bearer {token}"}
    return Kube(client.ApiClient(configuration), os.environ["NAMESPACE"])


def take_a_turn(pod: Pod, token: str) -> None:
    clock, chance = SystemClock(), SystemChance()
    kube = kube_of(token)
    url = os.environ["TRAINPOINT_STORE"]
    store = open_store(url, environ=os.environ)
    cluster = Cluster(kube, pod, "", PolicySettings(), "main", url, {}, "the test")
    task = TaskPath("crowd", "r", "main", namespace=pod.namespace)
    claimed = claim_on_cluster(
        Claimant(task, this_process(chance), "", cluster, store, clock, chance), on_wait=lambda _: None
    )
    say(pod, f"begin {claimed.attempt}")
    say(pod, f"end {claimed.attempt}")
    claimed.end(EndRecord(claimed.attempt, claimed.uid, "Completed", 0, time=rfc3339(clock.now())))
    os.write(1, f"{kube.requests}\n".encode())


def main() -> int:
    pods = json.loads(os.environ["PODS"])
    children = [
        child(partial(take_a_turn, Pod(os.environ["NAMESPACE"], one["name"], one["uid"]), one["token"])) for one in pods
    ]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
