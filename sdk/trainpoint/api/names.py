"""Every name that people and other programs rely on: group, kinds, labels, environment."""

from __future__ import annotations

from typing import Final

GROUP: Final = "trainpoint.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

ENV_WORKFLOW: Final = "TRAINPOINT_WORKFLOW"
ENV_RUN: Final = "TRAINPOINT_RUN"
ENV_TASK: Final = "TRAINPOINT_TASK"
ENV_INDEX: Final = "TRAINPOINT_INDEX"
ENV_OWNER: Final = "TRAINPOINT_OWNER"
ENV_STORE: Final = "TRAINPOINT_STORE"
ENV_POLICY: Final = "TRAINPOINT_POLICY"
ENV_LOAD_POLICY: Final = "TRAINPOINT_LOAD_POLICY"
ENV_TEMP_DIR: Final = "TRAINPOINT_TEMP_DIR"
ENV_TAKEOVER: Final = "TRAINPOINT_TAKEOVER"
ENV_PROGRESS_FILE: Final = "TRAINPOINT_PROGRESS_FILE"
"""Set by ``trainpoint run`` for its child; holds the last step that training reached."""

LOCAL_NAMESPACE: Final = "_"
"""The namespace of everything saved off-cluster."""
DEFAULT_TASK: Final = "main"
DEFAULT_STORE: Final = "~/.trainpoint"
