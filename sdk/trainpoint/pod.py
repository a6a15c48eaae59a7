"""The pod this process runs in: what it knows of itself, and the identity that follows from it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from trainpoint.api import names
from trainpoint.clock import Chance
from trainpoint.errors import IdentityError
from trainpoint.format.digest import JsonObject
from trainpoint.format.layout import TaskPath
from trainpoint.identity import RUN_PREFIX_LENGTH, Identity, IndexArgument, index_text, login_name, new_run, ranks_of

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
JOB_LIKE: Final = frozenset({"Job", "JobSet", "TrainJob", "RayJob", "PyTorchJob"})
"""Controllers whose pods run to an end. Pods of others, and bare ones, are readers unless a workflow is named."""
JOBSET_NAME: Final = "jobset.sigs.k8s.io/jobset-name"
JOBSET_UID: Final = "jobset.sigs.k8s.io/jobset-uid"
"""Labels of a JobSet's pods. A TrainJob's pods have them too: it makes a JobSet of its own name."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What a process can know of its own pod."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    controller_kind: str = ""
    controller_name: str = ""
    controller_uid: str = ""
    service_account: str = ""
    node: str = ""
    image: str = ""
    subdomain: str = ""
    """of a headless service, by which the pods of a gang find each other"""
    source: Literal["environment", "API"] = "API"
    """by which way this is known"""

    @property
    def launch(self) -> tuple[str, str]:
        """Name and UID of what a person has launched; empty texts where that is unknown.

        A JobSet that restarts makes its Jobs anew, with other UIDs: what lasts is the JobSet.
        """
        jobset = self.labels.get(JOBSET_NAME, ""), self.labels.get(JOBSET_UID, "")
        return jobset if all(jobset) else (self.controller_name, self.controller_uid)

    def setting(self, name: str) -> str:
        """The label ``trainpoint.dev/<name>``, else the annotation; empty if neither is there."""
        key = f"{names.GROUP}/{name}"
        return self.labels.get(key) or self.annotations.get(key) or ""


def pod_of_environment(environ: Mapping[str, str]) -> Pod | None:
    """From the documented contract of the pod template; None where it is not there."""
    name, namespace, uid = (environ.get(n, "") for n in (names.ENV_POD_NAME, names.ENV_NAMESPACE, names.ENV_POD_UID))
    if not (name and namespace and uid):
        return None
    job = environ.get(names.ENV_JOB, "")
    labels = {
        "batch.kubernetes.io/job-completion-index": environ.get("JOB_COMPLETION_INDEX", ""),
        JOBSET_NAME: environ.get(names.ENV_JOBSET, ""),
        JOBSET_UID: environ.get(names.ENV_JOBSET_UID, ""),
    }
    return Pod(
        namespace=namespace,
        name=name,
        uid=uid,
        labels={name: value for name, value in labels.items() if value},
        controller_kind="Job" if job else "",
        controller_name=job,
        controller_uid=environ.get(names.ENV_JOB_UID, ""),
        service_account=environ.get(names.ENV_SERVICE_ACCOUNT, ""),
        node=environ.get(names.ENV_NODE, ""),
        source="environment",
    )


def pod_of_object(value: JsonObject) -> Pod:
    """From the pod's own object, read from the API server."""
    meta, spec = value["metadata"], value.get("spec", {})
    controller: JsonObject = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), {})
    containers = spec.get("containers") or [{}]
    return Pod(
        namespace=str(meta["namespace"]),
        name=str(meta["name"]),
        uid=str(meta["uid"]),
        labels=dict(meta.get("labels") or {}),
        annotations=dict(meta.get("annotations") or {}),
        controller_kind=str(controller.get("kind", "")),
        controller_name=str(controller.get("name", "")),
        controller_uid=str(controller.get("uid", "")),
        service_account=str(spec.get("serviceAccountName", "")),
        node=str(spec.get("nodeName", "")),
        image=str(containers[0].get("image", "")),
        subdomain=str(spec.get("subdomain", "") or ""),
    )


def token_claims(directory: Path = SERVICE_ACCOUNT) -> tuple[str, str] | None:
    """(namespace, pod name) from the service account's token; None where there is none.

    The token is not verified: it says which pod to ask the API server about, and that server verifies it.
    """
    try:
        payload = (directory / "token").read_text().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"]
        return str(claims["namespace"]), str(claims["pod"]["name"])
    except (OSError, IndexError, KeyError, ValueError, TypeError):
        return None


# --- identity ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CompletionIndex:
    """What ``JOB_COMPLETION_INDEX`` means here, and which rule says so."""

    meaning: Literal["Rank", "Task", "None"]
    rule: str


def completion_index(pod: Pod, environ: Mapping[str, str]) -> CompletionIndex:
    """Node rank of one distributed task, or the index of one task of many?

    Raises:
        IdentityError: nothing tells; the message names the label that does.
    """
    said = environ.get(names.ENV_COMPLETION_INDEX) or pod.setting("completion-index")
    if said:
        if said.lower() not in ("rank", "task"):
            raise IdentityError(
                f"trainpoint.dev/completion-index: {said!r} is neither Rank nor Task", remedy="write one of the two"
            )
        return CompletionIndex("Rank" if said.lower() == "rank" else "Task", "the label completion-index")
    if not _index_of(pod, environ):
        return CompletionIndex("None", "the Job is not indexed")
    if _number(environ, "GROUP_WORLD_SIZE") > 1:
        return CompletionIndex("Rank", "GROUP_WORLD_SIZE is above 1")
    if _number(environ, "WORLD_SIZE") > max(1, _number(environ, "LOCAL_WORLD_SIZE")):
        return CompletionIndex("Rank", "WORLD_SIZE is above LOCAL_WORLD_SIZE")
    if any(label.startswith("jobset.sigs.k8s.io/") for label in pod.labels):
        return CompletionIndex("Rank", "the pod belongs to a JobSet")
    rendezvous = next((v for v in ("MASTER_ADDR", "PET_RDZV_ENDPOINT") if environ.get(v)), "")
    if "WORLD_SIZE" not in environ and (rendezvous or pod.subdomain):
        raise IdentityError(
            f"JOB_COMPLETION_INDEX may be a node rank or a task's index, and nothing tells which ({rendezvous or 'a '}"
            + ("" if rendezvous else f"headless service, {pod.subdomain},")
            + " is there, and WORLD_SIZE is not)",
            remedy="set the label trainpoint.dev/completion-index: Rank (one distributed task) or Task (a sweep) "
            "in the pod template",
        )
    return CompletionIndex("Task", "nothing says that the pods of this Job train together")


def identity_in_pod(
    pod: Pod,
    *,
    workflow: str | None,
    run: str | None,
    task: str | None,
    index: IndexArgument | None,
    owner: str | None,
    default_task: str | None = None,
    environ: Mapping[str, str],
    chance: Chance,
) -> Identity | None:
    """Identity from arguments, environment, labels, then the Job; None for a reader.

    Raises:
        IdentityError: a name cannot be used, the completion index is undecidable, or nothing says how
            many ranks there are.
    """
    if only_reads(pod, workflow, environ):
        return None
    named = workflow or environ.get(names.ENV_WORKFLOW, "") or pod.setting("workflow")
    job_like = pod.controller_kind in JOB_LIKE
    own_run = run or environ.get(names.ENV_RUN, "") or pod.setting("run")
    launched = False
    named = named or pod.labels.get(JOBSET_NAME) or pod.controller_name
    if not own_run:
        own_run = run_of_launch(pod) if job_like else ""
        launched = not own_run
        own_run = own_run or new_run(named, chance)
    meaning = completion_index(pod, environ)
    ordinal = _index_of(pod, environ)
    rank, world_size = ranks_of(environ, ordinal=ordinal if meaning.meaning == "Rank" else "")
    given = index if index is not None else environ.get(names.ENV_INDEX) or pod.setting("index") or None
    if given is None and meaning.meaning == "Task":
        given = ordinal
    path = TaskPath(
        workflow=named,
        run=own_run,
        task=task or environ.get(names.ENV_TASK, "") or pod.setting("task") or default_task or names.DEFAULT_TASK,
        index=index_text(given),
        namespace=pod.namespace,
    )
    who = owner if owner is not None else owner_of(pod, environ)
    return Identity(task=path, owner=who, launched=launched, world_size=world_size, rank=rank)


def only_reads(pod: Pod, workflow: str | None, environ: Mapping[str, str]) -> bool:
    """Whether it has no identity: it belongs to nothing that runs to an end, and no workflow is named."""
    named = workflow or environ.get(names.ENV_WORKFLOW) or pod.setting("workflow")
    return not named and pod.controller_kind not in JOB_LIKE


def owner_of(pod: Pod | None, environ: Mapping[str, str]) -> str:
    """The person behind a process where no argument says so; without a pod the login name. Empty: unknown."""
    said = environ.get(names.ENV_OWNER, "")
    if said or pod is None:
        return said or login_name()
    account = "" if pod.service_account in ("", "default") else pod.service_account
    return pod.setting("owner") or account


def run_of_launch(pod: Pod) -> str:
    """The run that a JobSet, a Job or its like is: its name and ten digits of its UID; empty without one."""
    name, uid = pod.launch
    return f"{name[:RUN_PREFIX_LENGTH]}-{uid.replace('-', '')[:10]}" if uid else ""


def _index_of(pod: Pod, environ: Mapping[str, str]) -> str:
    return environ.get("JOB_COMPLETION_INDEX", "") or pod.labels.get("batch.kubernetes.io/job-completion-index", "")


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ.get(name) or 0)
    except ValueError:
        raise IdentityError(f"{name}={environ.get(name)!r} is not a number", remedy="let the launcher set it") from None
