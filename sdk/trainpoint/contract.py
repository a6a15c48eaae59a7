"""The pod contract: the lines of a pod template by which a training process knows who it is. Pure.

Its two faces are ``trainpoint inject`` and the Helm library chart ``charts/trainpoint-lib``, which is generated from
the parts below. All of it is optional for the cluster: a label that is not there gives an empty variable, a ConfigMap
or Secret that is not there an empty mount; nothing keeps a pod from starting.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Final

from trainpoint.api import names
from trainpoint.errors import InvalidArgumentError
from trainpoint.format.digest import JsonObject

WRITER_SECRET: Final = "trainpoint-writer"
"""Keys with which pods write to the store (``AWS_ACCESS_KEY_ID``, …); not needed with workload identity."""
VOLUME: Final = "trainpoint"

FIELDS: Final[dict[str, str]] = {
    names.ENV_NAMESPACE: "metadata.namespace",
    names.ENV_POD_NAME: "metadata.name",
    names.ENV_POD_UID: "metadata.uid",
    names.ENV_NODE: "spec.nodeName",
    names.ENV_SERVICE_ACCOUNT: "spec.serviceAccountName",
    names.ENV_JOB: "metadata.labels['batch.kubernetes.io/job-name']",
    names.ENV_JOB_UID: "metadata.labels['batch.kubernetes.io/controller-uid']",
    names.ENV_JOBSET: "metadata.labels['jobset.sigs.k8s.io/jobset-name']",
    names.ENV_JOBSET_UID: "metadata.labels['jobset.sigs.k8s.io/jobset-uid']",
    names.ENV_WORKFLOW: f"metadata.labels['{names.GROUP}/workflow']",
    names.ENV_RUN: f"metadata.labels['{names.GROUP}/run']",
    names.ENV_TASK: f"metadata.labels['{names.GROUP}/task']",
    names.ENV_INDEX: f"metadata.labels['{names.GROUP}/index']",
    names.ENV_POLICY: f"metadata.labels['{names.GROUP}/policy']",
    names.ENV_LOAD_POLICY: f"metadata.labels['{names.GROUP}/load-policy']",
    names.ENV_COMPLETION_INDEX: f"metadata.labels['{names.GROUP}/completion-index']",
    names.ENV_OWNER: f"metadata.annotations['{names.GROUP}/owner']",
    names.ENV_RESUME_FROM: f"metadata.annotations['{names.GROUP}/resume-from']",
    names.ENV_CHECKPOINT: f"metadata.annotations['{names.GROUP}/checkpoint']",
}
"""Variable by variable, the field of the pod that it is filled from."""


def env() -> list[JsonObject]:
    """For each container: variables from fields of the pod."""
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in FIELDS.items()]


def env_from() -> JsonObject:
    """For each container: the keys of the store."""
    return {"secretRef": {"name": WRITER_SECRET, "optional": True}}


def volume() -> JsonObject:
    """For the pod: what the namespace's policies and stores come to."""
    return {"name": VOLUME, "configMap": {"name": names.CONFIG_MAP, "optional": True}}


def volume_mount() -> JsonObject:
    """For each container: where it looks for it."""
    return {"name": VOLUME, "mountPath": names.CONFIG_MOUNT, "readOnly": True}


def inject(manifest: JsonObject) -> JsonObject:
    """A copy of a workload's manifest with the contract in every pod template; one that has it stays as it is.

    Where the Jobs get generated names, the pod templates also get the label ``trainpoint.dev/workflow``, if they have
    none: a pod could not tell the generated ending from a chosen one.

    Raises:
        InvalidArgumentError: there is no pod template in it.
    """
    result = copy.deepcopy(manifest)
    specs = list(_pod_specs(result))
    if not specs:
        raise InvalidArgumentError(
            f"{manifest.get('kind', 'the manifest')} has no pod template",
            remedy="pass a Job, CronJob, JobSet, or another workload whose pods come from a template",
        )
    for spec in specs:
        _inject(spec)
    if workflow := _lasting_name(result):
        for template in _templates(result):
            labels = template.setdefault("metadata", {}).setdefault("labels", {})
            labels.setdefault(f"{names.GROUP}/workflow", workflow)
    return result


def _lasting_name(manifest: JsonObject) -> str:
    """What the names of all Jobs of this manifest begin with; empty where the name is not a generated one."""
    meta = manifest.get("metadata") or {}
    if manifest.get("kind") == "CronJob":
        return str(meta.get("name") or "")
    return str(meta.get("generateName") or "").rstrip("-._") if not meta.get("name") else ""


def _templates(value: object) -> Iterator[JsonObject]:
    """Every pod template beneath a manifest: what has a spec that is a pod's. A bare pod is none."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "template" and isinstance(item, dict) and "containers" in (item.get("spec") or {}):
                yield item
            else:
                yield from _templates(item)
    elif isinstance(value, list):
        for item in value:
            yield from _templates(item)


def _pod_specs(value: object) -> Iterator[JsonObject]:
    """Every pod spec beneath a manifest: whatever has containers."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
            return
        for item in value.values():
            yield from _pod_specs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pod_specs(item)


def _inject(spec: JsonObject) -> None:
    volumes = spec.setdefault("volumes", [])
    if not any(v.get("name") == VOLUME for v in volumes):
        volumes.append(volume())
    for container in spec["containers"]:
        own = container.setdefault("env", [])
        there = {entry.get("name") for entry in own}
        ours = [entry for entry in env() if entry["name"] not in there]
        container["env"] = [*ours, *own]  # ours first: $(VAR) in the user's own may refer to them
        mounts = container.setdefault("volumeMounts", [])
        if not any(m.get("mountPath") == names.CONFIG_MOUNT for m in mounts):
            mounts.append(volume_mount())
        sources = container.setdefault("envFrom", [])
        if not any(s.get("secretRef", {}).get("name") == WRITER_SECRET for s in sources):
            sources.append(env_from())
