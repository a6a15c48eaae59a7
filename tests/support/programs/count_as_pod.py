"""Counts to TOTAL as a training pod would, with that pod's token; saves at even numbers, fails at FAIL_AT.

Before, it loads what CHOOSE names, one after the other; with PLAIN it saves once without a step.
"""

from __future__ import annotations

import os
import sys

import trainpoint.cluster
from tests.support.programs.claim_as_pod import kube_of
from trainpoint import Checkpoint
from trainpoint.cluster import Cluster
from trainpoint.pod import Pod
from trainpoint.policies.settings import PolicySettings


def cluster(*_: object, **__: object) -> Cluster:
    """What a pod finds out by its token and its namespace's ConfigMap; there is no kubelet here to give it them."""
    environ = dict(os.environ)
    asked = environ.get("ANNOTATION", "")
    pod = Pod(
        environ["NAMESPACE"],
        environ["POD"],
        environ["POD_UID"],
        controller_kind="Job",
        controller_name="counter",
        controller_uid="4c1d9e02-ab57-4d0f-8a53-5b5f6f3f3a10",
        annotations={"trainpoint.dev/resume-from": asked} if asked else {},
    )
    return Cluster(kube_of(environ["API_TOKEN"]), pod, "", PolicySettings(), "main", environ["STORE"], {}, "the test")


def main() -> None:
    trainpoint.cluster.find_cluster = cluster
    with Checkpoint() as ckpt:
        print(f"start={ckpt.step} attempt={ckpt.attempt} {ckpt.why.reason if ckpt.why else ''}", flush=True)
        for name in os.environ.get("CHOOSE", "").split():
            ckpt.load(name)
        if os.environ.get("PLAIN"):
            ckpt.save()
        for number in range(ckpt.step + 1, int(os.environ["TOTAL"]) + 1):
            if number == int(os.environ.get("FAIL_AT", "0")):
                sys.exit("fails")
            if number % 2 == 0:
                with ckpt.stage(step=number) as folder:
                    (folder / "counter").write_text(str(number))


if __name__ == "__main__":
    main()
