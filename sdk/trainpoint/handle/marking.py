"""What is said of a checkpoint after it was committed: later metrics, pins, deletion."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.catalog import intent, marks
from trainpoint.errors import StoreError
from trainpoint.format.reference import CheckpointRef
from trainpoint.handle.arguments import Scalar, metrics_text
from trainpoint.handle.load import Reference, resolve
from trainpoint.handle.reading import Reading
from trainpoint.identity import login_name

if TYPE_CHECKING:
    from trainpoint.catalog.kube import Kube


class Marking(Reading):
    """What every :class:`~trainpoint.Checkpoint` can say of a checkpoint that exists, a reader's too.

    Each of these writes the store, or asks the API server to, with the rights of whoever calls it.
    """

    def record_metrics(self, ref: Reference, metrics: Mapping[str, Scalar]) -> None:
        """Add metrics to a checkpoint, such as those of an evaluation that ended after it was saved.

        Metrics are only added. The same value again is fine, and so are several evaluators at once. ``list``,
        ``latest`` and ``best`` count them in from then on.

        Args:
            metrics: numbers by name, as in ``save``; with those that are there at most 32.
        Raises:
            MetricRecordedError: one is there with another value. Nothing was added.
            InvalidArgumentError: no number, no name, or too many.
            CheckpointNotFoundError, CheckpointDeletedError, StorePermissionError.

        >>> ckpt.record_metrics(ref, {"f1": 0.93})
        >>> ckpt.latest().metrics["f1"]
        0.93
        """
        texts = metrics_text(metrics)
        found = self._meant(ref)
        if texts:
            marks.record_metrics(self._context.catalog, found, texts, by=self._by)

    def pin(self, ref: Reference, *, reason: str) -> None:
        """Keep a checkpoint: nothing deletes it until somebody unpins it.

        Args:
            reason: why it has to stay, for whoever would like to delete it; at most 256 characters.
        Raises:
            PinnedError: it is pinned for another reason.
            CheckpointNotFoundError, CheckpointDeletedError, StorePermissionError.
            ClusterPermissionError: on a cluster, without the right to change checkpoints; a training pod has none.

        >>> ckpt.pin("best:accuracy:max", reason="table 2 of the paper")
        >>> ckpt.latest().pinned
        'table 2 of the paper'
        """
        found, text = self._meant(ref), marks.check_reason(reason)
        if not self._pin_object(found, text):
            marks.pin(self._context.catalog, found, reason=text, by=self._by)

    def unpin(self, ref: Reference) -> None:
        """Take a pin away; a checkpoint that is not pinned stays as it is.

        Raises:
            StorePermissionError: these credentials may not delete from the store.
            PinnedError: on a cluster, without the verb ``unpin`` (role ``trainpoint-admin``); or its object there is
                pinned, and this process knows no cluster.
            CheckpointNotFoundError.

        >>> ckpt.pin(ref, reason="table 2 of the paper")
        >>> ckpt.unpin(ref)
        >>> ckpt.latest().pinned
        ''
        """
        found = self._meant(ref)
        asked = self._unpin_object(found)
        there = marks.read_pin(self._context.catalog.store, found.task, found.id)
        if there is not None and not (asked and there.of_object):  # the operator takes a copy away
            marks.unpin(self._context.catalog, found)

    def delete(self, ref: Reference) -> None:
        """Delete a checkpoint for good. Deleting it twice is fine.

        Without a cluster its bytes are gone on return. On a cluster this deletes its object, and the operator deletes
        the bytes, unless its ``deletionPolicy`` is ``Retain``. What was loaded from it before stays: that is a copy.

        Raises:
            PinnedError: somebody needs it.
            CheckpointNotFoundError: there never was one.
            StorePermissionError, ClusterPermissionError: this process may not; a training pod may not, on purpose.

        >>> ckpt.delete(ref)
        >>> [info.step for info in ckpt.list()]
        [100]
        """
        found = self._meant(ref)
        kube = self._kube(found)
        if kube is not None and intent.delete(kube, found.name) in ("Asked", "Retained"):
            return
        marks.delete(self._context.catalog, found, by=self._by)

    def _pin_object(self, ref: CheckpointRef, reason: str) -> bool:
        """Pin by the object, which is what counts on a cluster; False where there is none.

        The mark in the bucket follows, for whoever looks only there; the operator sees to it, too.
        """
        kube = self._kube(ref)
        if kube is None or not intent.pin(kube, ref.name, reason=reason, by=self._by):
            return False
        with suppress(StoreError):
            marks.mirror_pin(self._context.catalog, ref, {"reason": reason, "by": self._by})
        return True

    def _unpin_object(self, ref: CheckpointRef) -> bool:
        """The same the other way round. A pin that lies in the bucket alone is not this."""
        kube = self._kube(ref)
        if kube is None or not intent.unpin(kube, ref.name):
            return False
        with suppress(StoreError):
            marks.mirror_pin(self._context.catalog, ref, None)
        return True

    def _kube(self, ref: CheckpointRef) -> Kube | None:
        """Where the objects of a checkpoint's namespace are; None where no API server has to do with it."""
        context, namespace = self._context, ref.task.namespace
        if namespace == LOCAL_NAMESPACE:
            return None
        if context.cluster is not None:
            return context.cluster.kube.in_namespace(namespace)
        if not context.store_name:
            return None
        from trainpoint.catalog.kube import Kube  # a notebook that has found its store by a person's kubeconfig

        return Kube.from_kubeconfig(namespace)

    def _meant(self, ref: Reference) -> CheckpointRef:
        self._need_open()
        return resolve(self._context.catalog, ref, self._own_task, namespace=self._context.namespace)

    @property
    def _by(self) -> str:
        identity = self._context.identity
        return (identity.owner if identity is not None else "") or login_name() or "unknown"
