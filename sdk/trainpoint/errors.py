"""The one error family.

Every class has a code (``TP…``), an exit code for a job's process, and a docstring that is the entry of the error
reference: ``trainpoint explain TP021`` prints it, and ``docs/reference/errors.md`` is generated from it. A message says
what happened and where; ``remedy`` says what to do. Each class also subclasses the builtin that a caller would catch.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_RETRY = 1
"""Another start may well succeed: storage, network, credentials, a live holder."""
EXIT_USAGE = 2
"""The command line itself is wrong."""
EXIT_REFUSED = 86
"""No retry can mend it; a Job's ``podFailurePolicy`` turns this code into FailJob."""
EXIT_SUPERSEDED = 87
"""A newer attempt has taken over; nothing is wrong with the run."""
EXIT_PREEMPTED = 143
"""Ended by SIGTERM (128 + 15): never 0, since a Job would count itself complete."""


class TrainpointError(Exception):
    """Any error that trainpoint raises on purpose."""

    code: ClassVar[str] = "TP000"
    exit_code: ClassVar[int] = EXIT_RETRY

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message: str = message
        """what happened, and where"""
        self.remedy: str = remedy
        """what to do; empty where nothing can be said"""

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}" + (f"\n    {self.remedy}" if self.remedy else "")

    def report(self) -> str:
        """The text for a person: name, code, what and where, what to do, where to read more. No stack trace."""
        lines = [f"trainpoint.{type(self).__name__} [{self.code}]: {self.message}"]
        lines += [f"    {line}" for line in self.remedy.splitlines()]
        return "\n".join([*lines, f"    more: trainpoint explain {self.code}"])


# --- who we are, and what we may do -----------------------------------------------------------------------------------


class IdentityError(TrainpointError, ValueError):
    """A workflow, run, task or index is missing or cannot be used in a path.

    Names are at most 63 characters of letters, digits, ``-``, ``_`` and ``.``, and begin and end with a letter or digit
    (the rule of Kubernetes label values), so that the same name works as label, object name and path. An index is
    numbers joined by dots, such as ``2`` or ``2.1``.
    """

    code = "TP010"
    exit_code = EXIT_REFUSED


class NotInJobError(TrainpointError, RuntimeError):
    """Something was to be saved by a process that has no identity.

    A notebook or a plain script reads checkpoints; it does not write them, since nobody could tell later to which
    workflow and run they belong. Name the workflow (``Checkpoint(workflow="mnist")`` or ``TRAINPOINT_WORKFLOW``), or
    start the script with ``trainpoint run -- python script.py``.
    """

    code = "TP011"
    exit_code = EXIT_REFUSED


class PolicyError(TrainpointError, ValueError):
    """A load policy is unknown, or the CheckpointPolicy in force forbids it.

    The load policies are ``"fresh"`` (the default: this run's own checkpoints), ``"eager"`` (also those of the newest
    earlier run) and ``None`` (the program chooses). ``load.allowed`` of a policy file can narrow the choice.
    """

    code = "TP021"
    exit_code = EXIT_REFUSED


class PolicyFileError(TrainpointError, ValueError):
    """A policy file cannot be read, or does not fit the schema of CheckpointPolicy.

    The message names the field by its path. The schema is that of ``crds/checkpointpolicies.yaml``; a file that is
    accepted here is accepted by ``kubectl apply``.
    """

    code = "TP022"
    exit_code = EXIT_USAGE


class ResumeRequestError(TrainpointError, FileNotFoundError):
    """A resume request names nothing that can be started from.

    It came by the argument ``resume_from``, by ``TRAINPOINT_RESUME_FROM``, by the annotation
    ``trainpoint.dev/resume-from``, by ``spec.resumeFrom`` of a CheckpointRun, or as ``--checkpoint`` of an app; the
    message says by which. What it names does not exist, was deleted, or is corrupt. Nothing was loaded, and no training
    code has run: a job that is to go on from somewhere never starts from nothing instead. Correct the request, or take
    it away.
    """

    code = "TP023"
    exit_code = EXIT_REFUSED


class NotMatchingError(TrainpointError, ValueError):
    """A checkpoint that was named has other metadata than ``match=`` of the handle asks for.

    ``match={"lr": 0.1}`` keeps a sweep whose values were put into another order from going on with another value's
    weights. Policies pass over such a checkpoint; one that was named is refused. Nothing was loaded.
    """

    code = "TP024"
    exit_code = EXIT_REFUSED


class RefusedError(TrainpointError, RuntimeError):
    """This start was refused by the run's own record, for a reason that another start would not change.

    The retry budget is spent, several attempts in a row made no progress, or a person stopped the run.
    ``trainpoint why`` shows the attempts that led there.
    """

    code = "TP030"
    exit_code = EXIT_REFUSED


class SupersededError(TrainpointError, RuntimeError):
    """A newer attempt has claimed this task; this process may not commit any more.

    It was taken for dead (its heartbeat stopped for two minutes, its pod was replaced) and its successor has started.
    The save that met this does not count, and nothing of the successor is touched. The process ends with exit code 87.
    """

    code = "TP041"
    exit_code = EXIT_SUPERSEDED


class ConflictError(TrainpointError, TimeoutError):
    """Another live process is writing the same workflow, run, task and index.

    Only one process at a time may write a task. This one waited for the holder to end, in vain. Give it a run, task or
    index of its own, or stop the holder. If the holder is certainly gone but cannot be seen to be (another host that
    lost power), ``trainpoint run --takeover`` or ``TRAINPOINT_TAKEOVER=1`` claims the task at once.
    """

    code = "TP042"


class ClosedError(TrainpointError, RuntimeError):
    """A checkpoint handle was used after its block had ended, or in a forked child.

    Open one handle per process. Child processes of a data loader do not save: return the data to the main process.
    """

    code = "TP043"


class NoCurrentCheckpointError(TrainpointError, LookupError):
    """``current.checkpoint`` was asked for where no checkpoint handle is meant.

    None is open: decorate the function that trains with ``@checkpoint``, or open one by ``with Checkpoint() as ckpt``.
    Or several are open and this thread is in the block of none: pass it the handle.
    """

    code = "TP044"
    exit_code = EXIT_REFUSED


class RanksError(TrainpointError, TimeoutError):
    """The processes (ranks) of one task could not begin together.

    All of them load the same checkpoint before any of them goes on: rank 0 waits for the others, and they for rank 0.
    The message names who did not come, or what a rank could not do. Look at the log of that rank. Start all ranks with
    the same store and run. Where only rank 0 opens a ``Checkpoint``, pass ``collective=False`` there. Exit code 1: the
    next start of the job tries again.
    """

    code = "TP045"


# --- the cluster ------------------------------------------------------------------------------------------------------


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


# --- the store --------------------------------------------------------------------------------------------------------


class StoreError(TrainpointError, OSError):
    """The store answered with something that has no name of its own.

    The message has the server's own code. Another start may succeed; if it does not, look at the server's log.
    """

    code = "TP101"


class StoreUnreachableError(StoreError, ConnectionError):
    """No answer came from the store's address, or the connection broke and did not come back within the time limit.

    Check the address (``AWS_ENDPOINT_URL``), the network, and for ``https`` the certificate authority
    (``AWS_CA_BUNDLE``). Saves that were under way are not committed; all that was committed before is safe.
    """

    code = "TP102"


class StorePermissionError(StoreError, PermissionError):
    """The store refused the credentials, or they may not do this.

    ``SignatureDoesNotMatch`` is a wrong secret key, ``InvalidAccessKeyId`` an unknown access key, ``ExpiredToken`` a
    session token that ran out, ``AccessDenied`` missing rights. Writers need to put, get and list under the store's
    prefix; readers need to get and list.
    """

    code = "TP103"


class CheckpointNotFoundError(TrainpointError, FileNotFoundError):
    """No committed checkpoint has that name, or the task has none yet.

    A save that was cut off leaves no checkpoint. ``trainpoint list`` shows those that there are.
    """

    code = "TP104"


class StoreFullError(StoreError):
    """The disk, the quota or the bucket has no room for another object.

    The save is not committed; earlier checkpoints are untouched. Free space, for example with ``trainpoint rm``.
    """

    code = "TP105"


class NewerFormatError(StoreError, ValueError):
    """The store, or a checkpoint in it, was written by a newer version of trainpoint in a format this one cannot read.

    Update trainpoint in this environment. Nothing was read in part and nothing was written.
    """

    code = "TP106"
    exit_code = EXIT_REFUSED


class StoreTimeoutError(StoreError, TimeoutError):
    """The store did not finish within the deadline.

    What was being saved is not committed; all that was committed before is safe. Another start may succeed. If it
    happens often, the connection is too slow for the size of the checkpoints.
    """

    code = "TP107"


class ObjectNotFoundError(StoreError, FileNotFoundError):
    """An object that a record speaks of is not in the store.

    It was removed by something other than trainpoint, such as a lifecycle rule of the bucket, or by a deletion that is
    under way. Restore it from an earlier version of the bucket, or load an older checkpoint.
    """

    code = "TP108"


class ReadOnlyStoreError(StoreError, PermissionError):
    """The store's directory cannot be written by this user, or lies on a read-only file system.

    Change its owner or mode, or name another directory (``store=`` or ``TRAINPOINT_STORE``). Reading it works.
    """

    code = "TP109"


class BucketNotFoundError(StoreError, FileNotFoundError):
    """The bucket, or the directory above a store's directory, does not exist.

    Create the bucket, or correct the store's URL (``s3://bucket/prefix``).
    """

    code = "TP110"


class StoreUrlError(TrainpointError, ValueError):
    """A store's URL cannot be understood.

    Stores are ``s3://bucket/prefix``, ``file:///path`` (or just a path) and, for tests, ``memory://name``.
    """

    code = "TP111"
    exit_code = EXIT_REFUSED


# --- what is in the store ---------------------------------------------------------------------------------------------


class CorruptCheckpointError(TrainpointError, ValueError):
    """A checkpoint that was asked for by name does not hold what was saved.

    A digest differs or an object is missing. It is marked corrupt, so that nothing chooses it again. Policy loads take
    the next older good one by themselves; an explicit reference fails with this error.
    """

    code = "TP120"


class CorruptRecordError(TrainpointError, ValueError):
    """A record in the store (not a checkpoint) is not what was written there.

    The message names the object's key. trainpoint does not guess around a damaged record of a run or an attempt, since
    a wrong guess could load the wrong checkpoint. Restore the object from a backup or an earlier version of it.
    """

    code = "TP121"


class CheckpointDeletedError(CheckpointNotFoundError):
    """The checkpoint was deleted; a tombstone says when and by whom.

    Its bytes are gone or going. ``trainpoint list`` shows the checkpoints that are left.
    """

    code = "TP122"


class UnsafePathError(TrainpointError, ValueError):
    """A checkpoint names a path that would land outside its directory; nothing was written.

    Absolute paths, ``..``, links out of the tree and duplicate paths are refused at load, whoever wrote them.
    """

    code = "TP123"


class PinnedError(TrainpointError, PermissionError):
    """A checkpoint is pinned: it is not deleted, and its pin is not replaced, before somebody unpins it.

    The message says who pinned it and why. ``ckpt.unpin(ref)`` or ``trainpoint unpin NAME`` takes the pin away; on a
    cluster that takes the verb ``unpin`` (role ``trainpoint-admin``).
    """

    code = "TP124"


class MetricRecordedError(TrainpointError, ValueError):
    """A metric of a checkpoint is there already, with another value.

    Metrics are only ever added, so that nobody's choice of the best changes behind their back. Recording the same value
    again is fine. Record a new measurement under a name of its own, such as ``accuracy/v2``.
    """

    code = "TP125"


class RunNotFoundError(CheckpointNotFoundError, KeyError):
    """There is no workflow, run, task, index or artifact of that name.

    The message says what there is instead. ``trainpoint list`` shows everything in the store. Names are compared as
    they are: a task is called as its run called it, ``main`` by default, and a run's name ends in digits of its launch.
    """

    code = "TP126"


class NotVisibleError(RunNotFoundError):
    """The runs that were asked for are somebody else's, and nobody said that others' runs are meant too.

    What one person starts must not change with what a colleague does, so runs of other owners are passed over unless
    ``owner="*"`` (everyone) or ``owner="name"`` is given. It is a rule of choosing, not of access: who may read the
    store may read them. A process whose owner is unknown sees the runs whose owner is unknown.
    """

    code = "TP127"


# --- what a caller passed ---------------------------------------------------------------------------------------------


class UnstorableError(TrainpointError, ValueError):
    """A file cannot be stored so that it could be listed, loaded and deleted again.

    Devices, sockets and pipes; names that are not UTF-8; paths whose key would be longer than 1024 bytes; files that
    cannot be read. The message names the path. Nothing was committed.
    """

    code = "TP130"
    exit_code = EXIT_REFUSED


class ChangedDuringSaveError(TrainpointError, RuntimeError):
    """Files changed while they were being saved, so the snapshot would have been a mixture.

    The message names them. Save from ``with ckpt.stage(...) as folder``, which nobody else writes to, or stop writing
    until ``save`` has returned. Nothing was committed.
    """

    code = "TP131"


class LocalFileError(TrainpointError, OSError):
    """This machine could not read or write a file that is being saved or loaded.

    The disk is full, the medium has an error, a directory may not be written. The message has the path and what the
    operating system said. A save that met it is not committed; a load that met it has changed nothing.
    """

    code = "TP132"


class SaveFailedError(TrainpointError, RuntimeError):
    """A save in the background failed; it is reported once, at the next call.

    The cause is in the message and in ``__cause__``. That checkpoint does not exist; training may go on.
    """

    code = "TP140"


class InvalidArgumentError(TrainpointError, ValueError):
    """An argument has a value that could never work: a metric that is no number, a step below zero, a bad reference.

    The message names the argument and what it may be. Nothing was read and nothing was written.
    """

    code = "TP150"
    exit_code = EXIT_REFUSED


# --- apps -------------------------------------------------------------------------------------------------------------


class IncompatibleStateError(TrainpointError, ValueError):
    """A saved state of an app does not fit the app's code, so the app was not started.

    The first line names a component that the state has and the code does not create; all differences follow. Nothing
    was restored: every attribute is as the constructor left it. Create the missing components in ``load_state_dict``
    before it calls ``super().load_state_dict(flow_state, children_states, strict)``, rename or drop variables there, or
    register a ``@migration`` for the version that saved the state. ``trainpoint app check`` shows the differences
    without starting anything; a start that is not strict drops what does not fit.
    """

    code = "TP155"
    exit_code = EXIT_REFUSED

    def __str__(self) -> str:
        # The sentence that people search for comes first, as a line of its own.
        return "\n".join([self.message, *(f"    {line}" for line in self.remedy.splitlines()), f"    [{self.code}]"])


class UnsupportedStateError(TrainpointError, TypeError):
    """An attribute of an app has a value that JSON cannot hold, so the state cannot be saved and given back exactly.

    The message names the attribute. A state holds text, numbers, true and false, None, and lists and dicts of these
    with text as keys. Convert the value (``float(x)``, ``list(x)``, ``str(path)``), or begin the attribute's name with
    ``_``: such attributes are not saved.
    """

    code = "TP156"
    exit_code = EXIT_REFUSED


class ComponentError(TrainpointError, TypeError):
    """The components of an app are put together in a way that cannot be saved or run.

    One component in two places, a circle, an attribute with the name of a method, a constructor that does not call
    ``super().__init__()``, two migrations for one version. The message says which; put it right in the code of the app.
    """

    code = "TP157"
    exit_code = EXIT_REFUSED


class AppFileError(TrainpointError, ImportError):
    """A file holds no app that could be run.

    ``trainpoint run app FILE`` needs a Python file with one root flow: an object named ``app`` (``app = Main()``), or
    exactly one class derived from ``trainpoint.app.Flow`` that can be made without arguments. The message says what
    the file has instead.
    """

    code = "TP158"
    exit_code = EXIT_REFUSED


def error_classes() -> dict[str, type[TrainpointError]]:
    """Every class of this file by its code, in the order of the codes. Subclasses made elsewhere share their codes."""
    found = {
        value.code: value
        for name, value in globals().items()
        if not name.startswith("_") and isinstance(value, type) and issubclass(value, TrainpointError)
        if value is not TrainpointError
    }
    return dict(sorted(found.items()))


for _cls in error_classes().values():
    _cls.__module__ = "trainpoint"  # what a traceback shows is what a caller imports
