"""CheckpointStore as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from trainpoint.api.types_condition import Condition


class CheckpointStoreS3(TypedDict):
    """A bucket of S3, or of a server that answers like it. Never changes."""

    endpoint: NotRequired[str]
    """Address of the server, such as ``https://s3.storage:8333``. Absent for AWS itself."""
    bucket: str
    """Name of the bucket."""
    region: NotRequired[str]
    """Region of the bucket. Absent for the server's default."""


class CheckpointStoreCredentialsSecretRef(TypedDict):
    """A Secret in the same namespace, with keys ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``."""

    name: str
    """Name of the Secret."""


class CheckpointStoreCredentials(TypedDict):
    """How the operator reaches the store: it reads, writes and deletes. Absent: by the identity of its own pod."""

    secretRef: CheckpointStoreCredentialsSecretRef


class CheckpointStoreWriterCredentialsSecretRef(TypedDict):
    """A Secret in the same namespace, with keys ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``."""

    name: str
    """Name of the Secret."""


class CheckpointStoreWriterCredentials(TypedDict):
    """How training pods reach the store: they read, write and list beneath their namespace's folder and need not be
    able to delete. Absent: by the identity of the pod.
    """

    secretRef: CheckpointStoreWriterCredentialsSecretRef


class CheckpointStoreSpec(TypedDict):
    """Where the bytes lie. The place itself never changes; credentials may."""

    type: NotRequired[Literal["S3"]]
    """What kind of store it is."""
    s3: CheckpointStoreS3
    prefix: NotRequired[str]
    """Everything lies beneath it. Stores of several namespaces may share a bucket and a prefix; each namespace has a
    folder of its own in it. Never changes.
    """
    credentials: NotRequired[CheckpointStoreCredentials]
    writerCredentials: NotRequired[CheckpointStoreWriterCredentials]
    caBundle: NotRequired[str]
    """Certificates, as PEM text, that the server's own has to be signed by. Absent for those of the system."""
    createBucket: NotRequired[bool]
    """True lets the operator create the bucket if it is missing."""


class CheckpointStoreStatusCapabilities(TypedDict):
    """What the server was seen to do."""

    conditionalWrites: NotRequired[bool]
    """It can refuse to overwrite an object. Nothing depends on it."""
    versioning: NotRequired[bool]
    """The bucket keeps earlier versions, so that deleting frees no space by itself."""
    objectLock: NotRequired[bool]
    """The bucket can refuse deletions."""


class CheckpointStoreStatusDisplay(TypedDict):
    """Short texts for the columns of ``kubectl get``. No program reads them."""

    stored: NotRequired[str]
    """Bytes stored, such as ``980Gi``."""


class CheckpointStoreStatus(TypedDict):
    """What the operator has seen of the store."""

    observedGeneration: NotRequired[int]
    """The generation of the object that the operator has last looked at."""
    storeID: NotRequired[str]
    """The store's own mark, found or made in its ``trainpoint.json``."""
    server: NotRequired[str]
    """What the server says it is."""
    capabilities: NotRequired[CheckpointStoreStatusCapabilities]
    checkpoints: NotRequired[int]
    """How many Checkpoint objects name this store."""
    storedBytes: NotRequired[int]
    """Bytes that those take."""
    lastProbeTime: NotRequired[str]
    """When the operator has last tried the store."""
    conditions: NotRequired[list[Condition]]
    """``Ready``: the store was reached and did what is needed of it; if not, the message says what failed and what to
    do.
    """
    display: NotRequired[CheckpointStoreStatusDisplay]


class CheckpointStore(TypedDict):
    """CheckpointStore says where the bytes of checkpoints lie, and with whose credentials they are reached. It cannot
    be deleted while checkpoints lie in it; deleting it deletes no bytes.
    """

    apiVersion: NotRequired[str]
    """Always ``trainpoint.dev/v1alpha1``."""
    kind: NotRequired[str]
    """Always ``CheckpointStore``."""
    metadata: NotRequired[dict[str, object]]
    spec: CheckpointStoreSpec
    status: NotRequired[CheckpointStoreStatus]
