"""The store, and what lies in it."""

from __future__ import annotations

from trainpoint.errors.base import EXIT_REFUSED, TrainpointError


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
