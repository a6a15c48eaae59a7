"""Every name that people and other programs rely on: group, kinds, labels, environment."""

from __future__ import annotations

from typing import Final, Literal

GROUP: Final = "trainpoint.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
Plural = Literal["checkpoints", "checkpointruns", "checkpointpolicies", "checkpointstores"]

SAVE_REQUESTED: Final = "trainpoint.dev/save-requested"
"""Annotation of a CheckpointRun: whenever its value changes, the process at work saves at its next step."""
ENV_WORKFLOW: Final = "TRAINPOINT_WORKFLOW"
ENV_RUN: Final = "TRAINPOINT_RUN"
ENV_TASK: Final = "TRAINPOINT_TASK"
ENV_INDEX: Final = "TRAINPOINT_INDEX"
ENV_OWNER: Final = "TRAINPOINT_OWNER"
ENV_STORE: Final = "TRAINPOINT_STORE"
ENV_POLICY: Final = "TRAINPOINT_POLICY"
ENV_LOAD_POLICY: Final = "TRAINPOINT_LOAD_POLICY"
ENV_RESUME_FROM: Final = "TRAINPOINT_RESUME_FROM"
ENV_CHECKPOINT: Final = "TRAINPOINT_CHECKPOINT"
"""What an app starts from, as ``--checkpoint`` says it."""
ENV_TEMP_DIR: Final = "TRAINPOINT_TEMP_DIR"
ENV_COMPLETION_INDEX: Final = "TRAINPOINT_COMPLETION_INDEX"
ENV_TAKEOVER: Final = "TRAINPOINT_TAKEOVER"
ENV_PROGRESS_FILE: Final = "TRAINPOINT_PROGRESS_FILE"
"""Set by ``trainpoint run`` for its child; holds the last step that training reached."""

# Set by the pod contract (docs/reference/pod-contract.md), from the downward API.
ENV_NAMESPACE: Final = "TRAINPOINT_NAMESPACE"
ENV_POD_NAME: Final = "TRAINPOINT_POD_NAME"
ENV_POD_UID: Final = "TRAINPOINT_POD_UID"
ENV_NODE: Final = "TRAINPOINT_NODE"
ENV_SERVICE_ACCOUNT: Final = "TRAINPOINT_SERVICE_ACCOUNT"
ENV_JOB: Final = "TRAINPOINT_JOB"
ENV_JOB_UID: Final = "TRAINPOINT_JOB_UID"
ENV_JOBSET: Final = "TRAINPOINT_JOBSET"
ENV_JOBSET_UID: Final = "TRAINPOINT_JOBSET_UID"

CONFIG_MAP: Final = "trainpoint"
"""What a namespace's policies and stores come to, in one ConfigMap; its mount in a pod is CONFIG_MOUNT."""
CONFIG_MOUNT: Final = "/etc/trainpoint"

DATA_FINALIZER: Final = f"{GROUP}/data"
"""Keeps a Checkpoint until its bytes are gone, or are to stay."""
STORE_FINALIZER: Final = f"{GROUP}/store"
"""Keeps a CheckpointStore while checkpoints name it."""

LOCAL_NAMESPACE: Final = "_"
"""The namespace of everything saved off-cluster."""
DEFAULT_TASK: Final = "main"
DEFAULT_STORE: Final = "~/.trainpoint"
