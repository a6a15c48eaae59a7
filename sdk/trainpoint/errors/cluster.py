"""The cluster."""

from __future__ import annotations

from trainpoint.errors.base import TrainpointError


class ClusterUnreachableError(TrainpointError, ConnectionError):
    """The API server does not answer.

    A start waits for it for up to ten minutes, since the claim needs it; saves under way go on without it and are
    recorded when it is back. Check the API server, and network policies between the pod and it.
    """

    code = "TP201"


class ClusterPermissionError(TrainpointError, PermissionError):
    """The API server refused a request of this service account or person.

    Training pods need the role ``trainpoint-trainer`` in their namespace: get, list and create checkpoints and runs,
    patch their status, get the ConfigMap ``trainpoint`` and pods. The message names the verb and the resource.
    """

    code = "TP202"


class NotConfiguredError(TrainpointError, FileNotFoundError):
    """The namespace has no ConfigMap ``trainpoint``, no such policy in it, or no store in the policy.

    The operator compiles that ConfigMap from the namespace's CheckpointPolicies and CheckpointStores. See whether it
    runs, and whether both exist and are Ready: ``kubectl get ckptstore,ckptpolicy``.
    """

    code = "TP203"


class ObjectChangedError(TrainpointError, RuntimeError):
    """An object on the API server has changed meanwhile, or a rule of its kind objects to the request.

    A claim that meets it reads the object again by itself. Elsewhere the message has the server's own words: correct
    the value they name.
    """

    code = "TP204"
