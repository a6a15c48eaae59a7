"""CheckpointPolicy as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from trainpoint.api.types_condition import Condition


class CheckpointPolicyStoreRef(TypedDict):
    """The CheckpointStore, in the same namespace, that the jobs save to. Absent: the only one there is. Only on a
    cluster; elsewhere the store is named by ``TRAINPOINT_STORE`` or ``--store``.
    """

    name: str
    """Name of the CheckpointStore."""


class CheckpointPolicyMetric(TypedDict):
    """What makes a checkpoint the best of its run. Shown by ``kubectl get``; no policy loads by it, but a resume
    request ``best`` does.
    """

    name: str
    """Name of a metric that the program gives when it saves."""
    mode: NotRequired[Literal["Min", "Max"]]
    """Whether the lowest or the highest value is best."""


class CheckpointPolicyLoad(TypedDict):
    """What an attempt starts from."""

    policy: NotRequired[Literal["Fresh", "Eager", "None"]]
    """``Fresh``: a run starts from nothing, its retries from its own newest checkpoint. ``Eager``: a new run goes on
    from the newest earlier run of the same workflow and owner. ``None``: the program chooses. An argument in the
    program, the environment and a label come before this field; without any of them it is ``Fresh``.
    """
    allowed: NotRequired[list[Literal["Fresh", "Eager", "None"]]]
    """The load policies that programs may choose; any other is refused before training starts. Without this field all
    are allowed.
    """


class CheckpointPolicySave(TypedDict):
    """When ``should_save`` says that it is time. With both ``everySteps`` and ``every``, whichever comes first. With
    neither, every 5 minutes.
    """

    everySteps: NotRequired[int]
    """Save when this many steps were completed since the last save."""
    every: NotRequired[str]
    """Save when this much time has passed since the last save: numbers with ``s``, ``m``, ``h`` or ``d``, such as
    ``90s``, ``10m`` or ``1h30m``.
    """
    deadline: NotRequired[str]
    """How long a save may try again while the store does not answer, before it counts as failed, such as ``10m``.
    Without this field 10 minutes.
    """


class CheckpointPolicyRetryBackoff(TypedDict):
    """The pause before the next attempt: ``base``, doubled by every further attempt without progress, at most ``max``,
    times a random factor between a half and one.
    """

    base: NotRequired[str]
    """The first pause, such as ``10s``."""
    max: NotRequired[str]
    """The longest pause, such as ``5m``."""


class CheckpointPolicyRetry(TypedDict):
    """How often an attempt that failed is followed by another. Only a failure without progress is charged; progress (a
    higher step, or any checkpoint where steps are not given) starts the count again. Disruptions, such as preemption,
    are free.
    """

    limit: NotRequired[int]
    """So many failures without progress are each followed by another attempt; after one more, the run has failed. 0:
    every failure is final, with or without progress.
    """
    noProgressLimit: NotRequired[int]
    """The run has failed when this many attempts in a row began at the same step and failed without progress, whatever
    the limit: trying the same again will not help.
    """
    startFailures: NotRequired[int]
    """The run has failed when this many processes in a row died before they opened a Checkpoint (a missing package, a
    wrong path). They are counted apart from the limit.
    """
    fatalExitCodes: NotRequired[list[int]]
    """Exit codes after which another attempt is pointless; 128 + n stands for a process killed by signal n. 86 (refused
    by trainpoint) always is one and need not be named.
    """
    backoff: NotRequired[CheckpointPolicyRetryBackoff]


class CheckpointPolicyAppFiles(TypedDict):
    """Which checkpoint files of an app (``trainpoint run app``) stay: each run's newest ones, and of every span of time
    the newest. What neither keeps is deleted, unless it is pinned or, on a cluster, still needed. It holds for files
    that are there already, too. Checkpoints of training programs are not meant: they stay.
    """

    keepLatest: NotRequired[int]
    """So many of the newest stay."""
    keepOneEvery: NotRequired[str]
    """Of every span of so much time the newest stays, such as ``1h`` or ``15m``. ``0s``: none but the ``keepLatest``
    newest. ``1s``: all, since an app has one file a second at most.
    """


class CheckpointPolicySpec(TypedDict):
    """What the jobs do."""

    default: NotRequired[bool]
    """True: it holds for every run of the namespace that names no policy. At most one of a namespace. It only fills in
    settings: a job takes part by opening a ``Checkpoint``. Only on a cluster.
    """
    storeRef: NotRequired[CheckpointPolicyStoreRef]
    metric: NotRequired[CheckpointPolicyMetric]
    load: NotRequired[CheckpointPolicyLoad]
    save: NotRequired[CheckpointPolicySave]
    retry: NotRequired[CheckpointPolicyRetry]
    appFiles: NotRequired[CheckpointPolicyAppFiles]


class CheckpointPolicyStatus(TypedDict):
    """What the operator has made of it."""

    observedGeneration: NotRequired[int]
    """The generation of the object that the operator has last looked at."""
    conditions: NotRequired[list[Condition]]
    """``Ready``: it is in force, and jobs that start now follow it; if not, the message says what is wrong, such as a
    store that does not exist, or two defaults in one namespace.
    """


class CheckpointPolicy(TypedDict):
    """CheckpointPolicy says what training jobs do about their checkpoints: what an attempt starts from, when it saves,
    and how often it is started again. The same file configures a job on a cluster and ``trainpoint run --policy
    policy.yaml`` on a laptop.
    """

    apiVersion: NotRequired[str]
    """Always ``trainpoint.dev/v1alpha1``."""
    kind: NotRequired[str]
    """Always ``CheckpointPolicy``."""
    metadata: NotRequired[dict[str, object]]
    spec: CheckpointPolicySpec
    status: NotRequired[CheckpointPolicyStatus]
