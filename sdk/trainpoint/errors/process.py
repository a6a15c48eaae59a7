"""A process: who it is, and what it may do."""

from __future__ import annotations

from trainpoint.errors.base import EXIT_REFUSED, EXIT_SUPERSEDED, EXIT_USAGE, TrainpointError


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
