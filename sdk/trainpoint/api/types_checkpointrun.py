"""CheckpointRun as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from trainpoint.api.types_condition import Condition


class CheckpointRunIdentity(TypedDict):
    """Which task of which run this is. Never changes."""

    workflow: str
    """The training program."""
    run: str
    """One launch of the workflow, with all its retries. For a Job its name and ten digits of its UID."""
    task: str
    """One step of the run; ``main`` where the program names none."""
    index: NotRequired[str]
    """Which one of a task's parallel copies, such as ``2`` or ``2.1``. Absent or empty in a single one."""
    launchUID: NotRequired[str]
    """UID of the object that the run is named after (Job, JobSet, TrainJob). A process whose own differs has met a run
    of the same name that is not its own. Absent where a person named the run.
    """
    owner: NotRequired[str]
    """The person who launched the run. Absent or empty where that is not known."""


class CheckpointRunPolicyRef(TypedDict):
    """The CheckpointPolicy, in the same namespace, that the run follows. Absent for the namespace's default."""

    name: str
    """Name of the CheckpointPolicy."""


class CheckpointRunStoreRef(TypedDict):
    """The CheckpointStore, in the same namespace, that the run saves to. Absent where the program named a store by its
    address. Once set, it never changes.
    """

    name: str
    """Name of the CheckpointStore."""


class CheckpointRunSpec(TypedDict):
    """Which task of which run this is, and what people want for it."""

    identity: CheckpointRunIdentity
    policyRef: NotRequired[CheckpointRunPolicyRef]
    storeRef: NotRequired[CheckpointRunStoreRef]
    resumeFrom: NotRequired[str]
    """What the next attempt starts from, whatever the load policy says: the name of a checkpoint; ``workflow/run`` (the
    newest good one of this task and index there); ``latest``; ``best`` by the policy's metric, or
    ``best:<metric>:<min|max>``. Attempts after that go on from what was saved since, else from the same again. A change
    goes back anew; taking it away changes nothing of what was done. The program's own argument, its environment and its
    pod's annotation ``trainpoint.dev/resume-from`` go before it. An attempt that trains is not disturbed.
    """
    stop: NotRequired[bool]
    """True: no further attempt is allowed. A process that starts is refused (exit 86), which fails its Job; one that
    trains goes on.
    """


class CheckpointRunStatusClaimHolderProcess(TypedDict):
    """Tells the process from others in the same pod, so that another one can see whether it still lives."""

    pid: int
    """Number of the process."""
    started: str
    """When it started, as the system counts it; tells a number used again from the same process."""
    boot: str
    """Boot of the machine and namespace of process numbers; only within the same can numbers be compared."""
    uid: str
    """Drawn once by every process."""


class CheckpointRunStatusClaimHolder(TypedDict):
    """The process that holds the claim. Changes only with the attempt."""

    name: str
    """Name of its pod; empty for a process outside of the cluster."""
    uid: str
    """UID of its pod; empty for a process outside of the cluster. A pod may only write its own."""
    nodeName: NotRequired[str]
    """The node of its pod."""
    host: NotRequired[str]
    """Name of the machine, as the process saw it."""
    user: NotRequired[str]
    """The system's user of the process."""
    process: NotRequired[CheckpointRunStatusClaimHolderProcess]


class CheckpointRunStatusClaimSeen(TypedDict):
    attempt: int
    """Number of the earlier attempt."""
    sequence: int
    """Its highest sequence."""


class CheckpointRunStatusClaimLoadedRef(TypedDict):
    """Where that checkpoint lies."""

    namespace: NotRequired[str]
    """Its namespace; absent if it is this one."""
    workflow: str
    """Its workflow."""
    run: str
    """Its run."""
    task: str
    """Its task."""
    index: NotRequired[str]
    """Its index; absent or empty for none."""
    attempt: int
    """The attempt that saved it."""
    sequence: int
    """Its sequence."""
    uid: str
    """Its uid."""


class CheckpointRunStatusClaimLoadedSkipped(TypedDict):
    checkpoint: str
    """Name of the checkpoint."""
    step: NotRequired[int]
    """Its step, if it has one."""
    reason: str
    """Why it was passed over, in CamelCase, such as ``Corrupt`` or ``Superseded``."""
    message: str
    """Why it was passed over, in a sentence."""


class CheckpointRunStatusClaimLoaded(TypedDict):
    """What the attempt started from, and why."""

    checkpoint: NotRequired[str]
    """Name of the checkpoint; absent or empty if it started from nothing."""
    ref: NotRequired[CheckpointRunStatusClaimLoadedRef]
    digest: NotRequired[str]
    """BLAKE3 of its manifest's bytes, as 64 hexadecimal digits; absent or empty if it started from nothing."""
    step: NotRequired[int]
    """Its step, if it has one."""
    reason: str
    """Why this one, in CamelCase, such as ``Newest``, ``NewestOfEarlierRun`` or ``NothingFound``."""
    message: str
    """Why this one, in a sentence."""
    request: NotRequired[str]
    """The resume request in force, in its one spelling; absent or empty for none."""
    requestBy: NotRequired[Literal["Argument", "Environment", "Annotation", "Run"]]
    """Who made it: the program's argument, its environment, the annotation of its pod, or ``spec.resumeFrom`` of this
    run. Absent for none.
    """
    since: NotRequired[int]
    """The attempt of the last rollback: what was saved before it is not gone on from. Absent or 0 where there was none.
    """
    policy: Literal["Fresh", "Eager", "None"]
    """The load policy in force."""
    source: str
    """Who decided the load policy, in words."""
    skipped: NotRequired[list[CheckpointRunStatusClaimLoadedSkipped]]
    """Newer checkpoints that were passed over, newest first, and why."""


class CheckpointRunStatusClaimRefused(TypedDict):
    """The attempt was not allowed to start; it ended with exit code 86 before any training."""

    reason: str
    """Why, in CamelCase, such as ``StoppedByUser`` or ``NoProgress``."""
    message: str
    """Why, and what would allow it."""


class CheckpointRunStatusClaimEnd(TypedDict):
    """How the attempt ended, as it said itself. Absent while it runs, and for one that was killed."""

    how: Literal["Completed", "Failed", "Preempted", "Killed", "Refused"]
    """How it ended."""
    exitCode: NotRequired[int]
    """The exit code that it left with."""
    signal: NotRequired[int]
    """The signal that ended it."""
    message: NotRequired[str]
    """What went wrong, in a sentence."""
    lastStep: NotRequired[int]
    """The last step that training completed, saved or not."""
    time: str
    """When, by the clock of the process."""


class CheckpointRunStatusClaim(TypedDict):
    """The newest attempt: its number, its one writer, what it loaded and how it ended. Written by the pod that holds
    it, which may only write its own.
    """

    attempt: int
    """Number of the attempt, counted from 0. Never falls."""
    holder: CheckpointRunStatusClaimHolder
    nonce: str
    """16 hexadecimal digits, drawn for every claim; its copy in the store has the same."""
    job: NotRequired[str]
    """Name of the Job that the pod belongs to."""
    policy: NotRequired[str]
    """Name of the CheckpointPolicy that the attempt follows."""
    time: str
    """When it was claimed, by the clock of the process. For people; nothing is ordered by it."""
    seen: NotRequired[list[CheckpointRunStatusClaimSeen]]
    """The highest sequence that was committed by each earlier attempt, the newest 64 of them. What an earlier attempt
    commits above it came too late and is never chosen.
    """
    firstSequence: NotRequired[int]
    """The sequence of the attempt's first checkpoint, above all that were there."""
    loaded: NotRequired[CheckpointRunStatusClaimLoaded]
    refused: NotRequired[CheckpointRunStatusClaimRefused]
    end: NotRequired[CheckpointRunStatusClaimEnd]


class CheckpointRunStatusAttempts(TypedDict):
    attempt: int
    """Number of the attempt."""
    nonce: NotRequired[str]
    """Of its claim."""
    podName: NotRequired[str]
    """Its pod."""
    podUID: NotRequired[str]
    """UID of its pod."""
    nodeName: NotRequired[str]
    """The node that its pod ran on."""
    startTime: NotRequired[str]
    """When it claimed."""
    endTime: NotRequired[str]
    """When it ended; absent while it runs."""
    result: NotRequired[Literal["Completed", "Failed", "Disrupted", "Refused", "Unknown"]]
    """How it ended; absent while it runs. ``Disrupted``: something outside ended it, such as preemption, a drained or
    lost node, or a person who deleted the pod. ``Unknown``: nobody saw it end.
    """
    exitCode: NotRequired[int]
    """Its exit code, if one was seen; 128 + n for signal n."""
    reason: NotRequired[str]
    """Why, in CamelCase."""
    message: NotRequired[str]
    """Why, in a sentence."""
    loaded: NotRequired[str]
    """Name of the checkpoint that it started from; absent for nothing."""
    fromStep: NotRequired[int]
    """The step that it started at."""
    toStep: NotRequired[int]
    """The highest step that it committed."""
    lostSteps: NotRequired[int]
    """Steps that it had completed and that no checkpoint holds."""
    charged: NotRequired[bool]
    """Whether it counts against the retries of the policy."""


class CheckpointRunStatusResume(TypedDict):
    """What an attempt that started now would load, and why."""

    checkpoint: NotRequired[str]
    """Name of the checkpoint; absent for nothing."""
    step: NotRequired[int]
    """Its step, if it has one."""
    reason: str
    """Why, in CamelCase."""
    message: str
    """Why, in a sentence."""


class CheckpointRunStatusLatest(TypedDict):
    """The newest checkpoint that can be resumed from."""

    checkpoint: str
    """Name of the checkpoint."""
    step: NotRequired[int]
    """Its step, if it has one."""


class CheckpointRunStatusBest(TypedDict):
    """The best checkpoint by the metric that the policy names."""

    checkpoint: str
    """Name of the checkpoint."""
    step: NotRequired[int]
    """Its step, if it has one."""
    metric: str
    """Name of the metric."""
    value: str
    """Its value, as decimal text."""


class CheckpointRunStatusRetries(TypedDict):
    """What the attempts have cost so far."""

    charged: int
    """Failures without progress since the last progress."""
    free: int
    """Attempts that ended and were not charged, such as disruptions."""
    startFailures: int
    """Processes in a row that ended before they opened a Checkpoint."""
    limit: int
    """The limit of the policy."""


class CheckpointRunStatusOutcome(TypedDict):
    """How the run ended; absent while it goes on."""

    result: Literal["Succeeded", "Failed", "Stopped"]
    """How it ended."""
    message: NotRequired[str]
    """Why, in a sentence."""
    time: str
    """When it ended."""


class CheckpointRunStatusDisplay(TypedDict):
    """Short texts for the columns of ``kubectl get``. No program reads them."""

    best: NotRequired[str]
    """The best value and its step, such as ``0.031 (8100)``."""
    retries: NotRequired[str]
    """Charged failures and the limit, such as ``1/5``."""


class CheckpointRunStatus(TypedDict):
    """What was seen. ``claim`` is written by the pod that claims, all else by the operator."""

    observedGeneration: NotRequired[int]
    """The generation of the object that the operator has last looked at."""
    state: NotRequired[Literal["Pending", "Running", "Waiting", "Succeeded", "Failed", "Exhausted", "Stopped"]]
    """The conditions in one word. ``Pending``: no attempt yet. ``Running``: an attempt trains. ``Waiting``: the last
    attempt has ended and another one is to come. ``Succeeded``, ``Failed``: it is over. ``Exhausted``: it failed and
    has no retries left. ``Stopped``: a person stopped it.
    """
    claim: NotRequired[CheckpointRunStatusClaim]
    attempts: NotRequired[list[CheckpointRunStatusAttempts]]
    """The last 10 attempts, oldest first, and how each ended."""
    resume: NotRequired[CheckpointRunStatusResume]
    latest: NotRequired[CheckpointRunStatusLatest]
    best: NotRequired[CheckpointRunStatusBest]
    lastSaveTime: NotRequired[str]
    """When the last checkpoint was committed."""
    retries: NotRequired[CheckpointRunStatusRetries]
    outcome: NotRequired[CheckpointRunStatusOutcome]
    conditions: NotRequired[list[Condition]]
    """``Ready``: an attempt that started now would be allowed, and would load a good checkpoint or rightly nothing.
    ``Active``: an attempt trains; if not, the message says what is waited for. ``RetriesExhausted``: no further attempt
    is allowed.
    """
    display: NotRequired[CheckpointRunStatusDisplay]


class CheckpointRun(TypedDict):
    """CheckpointRun is one task and index of one run of a training program, with all its retries: who writes now, what
    it started from, how the attempts before it ended, and what the next one would start from. A training pod creates
    it; nobody needs to write one by hand. Deleting it deletes no checkpoint.
    """

    apiVersion: NotRequired[str]
    """Always ``trainpoint.dev/v1alpha1``."""
    kind: NotRequired[str]
    """Always ``CheckpointRun``."""
    metadata: NotRequired[dict[str, object]]
    spec: CheckpointRunSpec
    status: NotRequired[CheckpointRunStatus]
