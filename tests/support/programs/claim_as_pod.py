"""Claims one run as a pod would, with that pod's token; says so, ends, says so. LEDGER takes one line for each."""

from __future__ import annotations

import os

from kubernetes import client

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


def say(text: str) -> None:
    with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:
        ledger.write(f"{os.environ['POD']} {text}\n".encode())


def kube_of(environ: dict[str, str]) -> Kube:
    configuration = client.Configuration()
    configuration.host = environ["API_URL"]
    configuration.ssl_ca_cert = environ["API_CA"]
    configuration.api_key = {"authorization": f"Bearer {environ['API_TOKEN']}"}
    return Kube(client.ApiClient(configuration), environ["NAMESPACE"])


def main() -> None:
    environ = dict(os.environ)
    clock, chance = SystemClock(), SystemChance()
    kube = kube_of(environ)
    pod = Pod(environ["NAMESPACE"], environ["POD"], environ["POD_UID"])
    store = open_store(environ["TRAINPOINT_STORE"], environ=environ)
    cluster = Cluster(kube, pod, "", PolicySettings(), "main", environ["TRAINPOINT_STORE"], {}, "the test")
    task = TaskPath("crowd", "r", "main", namespace=environ["NAMESPACE"])
    claimed = claim_on_cluster(
        Claimant(task, this_process(chance), "", cluster, store, clock, chance), on_wait=lambda _: None
    )
    say(f"begin {claimed.attempt}")
    say(f"end {claimed.attempt}")
    claimed.end(EndRecord(claimed.attempt, claimed.uid, "Completed", 0, time=rfc3339(clock.now())))
    print(kube.requests)


if __name__ == "__main__":
    main()
