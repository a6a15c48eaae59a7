"""Reasons: CamelCase words that are API. They stand in records, conditions, logs, documentation and tests."""

from __future__ import annotations

from typing import Final

# Why an attempt starts from what it starts from.
NEWEST: Final = "Newest"
"""the newest eligible checkpoint of this task"""
NEWEST_OF_EARLIER_RUN: Final = "NewestOfEarlierRun"
"""eager: the newest run with an eligible checkpoint"""
SAME_AS_FIRST_ATTEMPT: Final = "SameAsFirstAttempt"
"""eager: this run has nothing of its own yet, so a retry repeats what attempt 0 chose"""
NOTHING_FOUND: Final = "NothingFound"
"""there is no eligible checkpoint in scope"""
PROGRAM_CHOOSES: Final = "ProgramChooses"
"""load policy none: nothing is loaded by itself"""
NAMED: Final = "Named"
"""a person or the program named the checkpoint"""

# Why a checkpoint was passed over.
CORRUPT: Final = "Corrupt"
DELETED: Final = "Deleted"
SUPERSEDED: Final = "Superseded"
NOT_LATEST: Final = "NotLatest"
"""saved with latest=False"""
UNREADABLE: Final = "Unreadable"
"""its manifest is damaged"""

# Why a start waits or is refused (trainpoint.policies.start).
HOLDER_ALIVE: Final = "HolderAlive"
UNRESOLVED_INTENT: Final = "UnresolvedIntent"
OPEN_IN_THIS_PROCESS: Final = "OpenInThisProcess"
STOPPED_BY_USER: Final = "StoppedByUser"

# Why a process is, or is not, started again (trainpoint.policies.retry).
COMPLETED: Final = "Completed"
PROGRESS: Final = "Progress"
NO_PROGRESS: Final = "NoProgress"
DISRUPTED: Final = "Disrupted"
FATAL_EXIT_CODE: Final = "FatalExitCode"
RETRIES_EXHAUSTED: Final = "RetriesExhausted"
START_FAILURES: Final = "StartFailures"
REFUSED: Final = "Refused"
INTERRUPTED: Final = "Interrupted"

# Why it is time to save (trainpoint.policies.save).
PREEMPTED: Final = "Preempted"
"""the process was asked to end: the final save"""
STEPS_PASSED: Final = "StepsPassed"
TIME_PASSED: Final = "TimePassed"

# Why a CheckpointStore is, or is not, Ready. All but the first stand for something that is wrong.
PROBED: Final = "Probed"
"""it was read, written and listed"""
SECRET_NOT_FOUND: Final = "SecretNotFound"
SECRET_INCOMPLETE: Final = "SecretIncomplete"
SECRET_FORBIDDEN: Final = "SecretForbidden"
"""the operator may not read Secrets in that namespace"""
BUCKET_NOT_FOUND: Final = "BucketNotFound"
ACCESS_DENIED: Final = "AccessDenied"
"""the server refuses the keys, or they may not do what is needed"""
UNREACHABLE: Final = "Unreachable"
BAD_CERTIFICATE: Final = "BadCertificate"
NEWER_FORMAT: Final = "NewerFormat"
"""a newer version of trainpoint wrote there"""
STORE_REPLACED: Final = "StoreReplaced"
"""what lies there is not the store that was there before"""
PROBE_FAILED: Final = "ProbeFailed"
"""it answers, and does not do what is needed of it"""
CHECKPOINTS_REMAIN: Final = "CheckpointsRemain"
"""it is to be deleted, and Checkpoint objects name it"""

# Why a CheckpointPolicy is, or is not, Ready.
COMPILED: Final = "Compiled"
"""it is in force"""
STORE_NOT_FOUND: Final = "StoreNotFound"
STORE_NOT_READY: Final = "StoreNotReady"
"""it is in force, and its store does not work"""
NO_STORE: Final = "NoStore"
"""it names none, and the namespace has none, or several"""
MORE_THAN_ONE_DEFAULT: Final = "MoreThanOneDefault"
CONFIG_MAP_CONFLICT: Final = "ConfigMapConflict"
"""the ConfigMap that jobs read was made by somebody else"""
INVALID_POLICY: Final = "InvalidPolicy"
"""a field has a value that cannot be understood"""
