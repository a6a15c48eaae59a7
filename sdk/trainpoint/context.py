"""Where this process runs, put together: settings, identity, load policy, store, catalog."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trainpoint.api.names import (
    DEFAULT_STORE,
    DEFAULT_TASK,
    ENV_LOAD_POLICY,
    ENV_NAMESPACE,
    ENV_POD_NAME,
    ENV_POLICY,
    ENV_RESUME_FROM,
    ENV_STORE,
    LOCAL_NAMESPACE,
)
from trainpoint.catalog.bucket import BucketCatalog
from trainpoint.clock import Chance, Clock, SystemChance, SystemClock
from trainpoint.errors import PolicyFileError, StoreError, StorePermissionError
from trainpoint.format.layout import check_name
from trainpoint.format.reference import CheckpointRef
from trainpoint.identity import Identity, IndexArgument, resolve
from trainpoint.pod import identity_in_pod, only_reads, owner_of
from trainpoint.policies.load import UNSET, LoadPolicyArgument, PolicyDecision, resolve_policy
from trainpoint.policies.request import Asked, first_of
from trainpoint.policies.settings import PolicySettings, from_json
from trainpoint.store.url import open_store

if TYPE_CHECKING:
    from trainpoint.cluster import Cluster

FindAsked = Callable[[], CheckpointRef | None]
"""The checkpoint that is meant; None: it is a file, which is no checkpoint. Raises ResumeRequestError."""

logger = logging.getLogger("trainpoint")

_launches: dict[tuple[int, str], str] = {}
"""run by process and workflow, where nothing else names it: one process is one launch, whatever it opens"""

_ACCESS_KEY = "AWS_ACCESS_KEY_ID"
FIRST_CONTACT_SECONDS = 30.0
"""How long a start goes on trying to reach its store."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that a handle works with. Nothing in it changes while the handle is open."""

    identity: Identity | None
    """None: a reader"""
    settings: PolicySettings
    decision: PolicyDecision
    catalog: BucketCatalog
    clock: Clock
    chance: Chance
    environ: Mapping[str, str]
    store_url: str
    cluster: Cluster | None = None
    """None: no API server is involved"""
    asked: Asked | None = None
    """a resume request by argument, environment or annotation"""
    find_asked: FindAsked | None = None
    """what looks that request up where it is one of an app"""
    match: Mapping[str, object] = field(default_factory=dict)
    """what a checkpoint's metadata must say for it to be loaded"""
    owner_argument: str | None = None
    reads: str = ""
    """the namespace that a reader was told to read; empty: its own"""
    store_name: str = ""
    """the CheckpointStore that was found in the cluster of a person's kubeconfig"""

    @property
    def owner(self) -> str:
        """The person whose runs are meant where nobody is named, a reader's too; empty: unknown."""
        if self.identity is not None:
            return self.identity.owner
        if self.owner_argument is not None:
            return self.owner_argument
        return owner_of(self.cluster.pod if self.cluster else None, self.environ)

    def first_contact(self, *, reads_only: bool = False) -> None:
        """Ask the store for its marker, and make it if this process may write and there is none.

        With less patience than later: a wrong address should be told before the first training step, and a server that
        is away for longer is left to the next start of the job.

        Raises:
            StoreError: it cannot be reached or used; NewerFormatError: a newer trainpoint wrote it.
        """
        impatient = open_store(
            self.store_url,
            environ=self.environ,
            deadline=FIRST_CONTACT_SECONDS,
            clock=self.clock,
            chance=self.chance,
        )
        catalog = BucketCatalog(impatient, clock=self.clock, chance=self.chance)
        try:
            catalog.check_marker(create=self.identity is not None and not reads_only)
        except StoreError as error:
            if self.store_name and (isinstance(error, StorePermissionError) or not self.environ.get(_ACCESS_KEY)):
                raise self._no_keys(error) from None
            raise

    def _no_keys(self, error: StoreError) -> StorePermissionError:
        """The API server told where the checkpoints lie; to read them takes keys of one's own."""
        return StorePermissionError(
            f"CheckpointStore {self.store_name} of namespace {self.reads}, {self.store_url}"
            + (f" at {endpoint}" if (endpoint := self.environ.get("AWS_ENDPOINT_URL")) else "")
            + f", cannot be read from here: {error.message}",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may get and list it; whoever runs the "
            f"cluster can give them (kubectl -n {self.reads} get ckptstore {self.store_name} -o yaml says where it is)",
        )

    @property
    def namespace(self) -> str:
        if self.reads:
            return self.reads
        if self.cluster is not None:
            return self.cluster.kube.namespace
        return self.identity.task.namespace if self.identity else LOCAL_NAMESPACE


def open_context(
    *,
    load_policy: LoadPolicyArgument = UNSET,
    workflow: str | None = None,
    run: str | None = None,
    task: str | None = None,
    index: IndexArgument | None = None,
    owner: str | None = None,
    store: str | None = None,
    resume_from: str | None = None,
    match: Mapping[str, object] | None = None,
    default_task: str = DEFAULT_TASK,
    namespace: str | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    chance: Chance | None = None,
) -> Context:
    """Resolve everything that needs no request to a store. Arguments first, then the environment, then the policy,
    then defaults.

    Args:
        namespace: what a reader reads; of no meaning to a process with an identity.

    Raises:
        PolicyError, PolicyFileError, IdentityError, StoreUrlError: mistakes, all found before the store is asked.
        ClusterUnreachableError, ClusterPermissionError, NotConfiguredError: the API server did not tell which store.
    """
    around = environ = dict(os.environ) if environ is None else environ
    clock, chance = clock or SystemClock(), chance or SystemChance()
    cluster = None
    reads = _namespace_to_read(namespace, environ)
    if not (store or environ.get(ENV_STORE)) and environ.get("KUBERNETES_SERVICE_HOST"):
        # Only here: a laptop needs neither the official client nor the half second that it takes to load.
        from trainpoint.cluster import find_cluster

        cluster = find_cluster(
            environ,
            clock=clock,
            chance=chance,
            say=logger.warning,
            elsewhere=lambda pod: reads if only_reads(pod, workflow, around) else "",
        )
    settings = _settings(environ) if cluster is None else cluster.settings
    decision = resolve_policy(
        argument=load_policy,
        environment=environ.get(ENV_LOAD_POLICY),
        label=cluster.pod.setting("load-policy") if cluster else None,
        setting=settings.load.policy,
        setting_source=settings.source,
        allowed=settings.load.allowed,
    )
    if cluster is None:
        identity = resolve(
            workflow=workflow,
            run=run,
            task=task,
            index=index,
            owner=owner,
            default_task=default_task,
            environ=environ,
            chance=chance,
        )
    else:
        identity = identity_in_pod(
            cluster.pod,
            workflow=workflow,
            run=run,
            task=task,
            index=index,
            owner=owner,
            default_task=default_task,
            environ=environ,
            chance=chance,
        )
        environ = {**environ, **cluster.store_environ}
        logger.info(
            "pod %s, namespace %s, policy %s, store %s; configured by %s",
            cluster.pod.name,
            cluster.pod.namespace,
            cluster.policy,
            cluster.store_name,
            cluster.way,
        )
    if identity is not None:
        reads = ""
        if identity.launched:
            identity = _of_this_launch(identity)
    url = cluster.store_url if cluster else store or environ.get(ENV_STORE) or ""
    store_name = ""
    if reads and not url:
        from trainpoint.cluster import read_namespace  # only here, as above

        found = read_namespace(reads, clock=clock, chance=chance, say=logger.warning)
        # The cluster's address, not that of a store of one's own; keys are the person's.
        kept = {
            k: v
            for k, v in environ.items()
            if k != "AWS_ENDPOINT_URL_S3" or "AWS_ENDPOINT_URL" not in found.store_environ
        }
        environ, url, store_name = {**kept, **found.store_environ}, found.store_url, found.store_name
        logger.info("namespace %s by kubeconfig, store %s: %s", reads, store_name, url)
    url = url or DEFAULT_STORE
    opened = open_store(url, environ=environ, clock=clock, chance=chance)
    catalog = BucketCatalog(opened, clock=clock, chance=chance)
    asked = first_of(
        argument=resume_from,
        environment=environ.get(ENV_RESUME_FROM),
        annotation=cluster.pod.setting("resume-from") if cluster else None,
    )
    return Context(
        identity, settings, decision, catalog, clock, chance, environ, url, cluster, asked=asked, match=match or {},
        owner_argument=owner, reads=reads, store_name=store_name,
    )  # fmt: skip


def _namespace_to_read(argument: str | None, environ: Mapping[str, str]) -> str:
    """The namespace of a reader: the argument, or the variable where it is not the pod contract that has set it.

    A kubeconfig alone says nothing: whoever has one still keeps checkpoints at home by default.
    """
    said = argument
    if said is None:
        said = "" if environ.get(ENV_POD_NAME) else environ.get(ENV_NAMESPACE, "")
    return said if said in ("", LOCAL_NAMESPACE) else check_name("namespace", said)


def _of_this_launch(identity: Identity) -> Identity:
    """Its tasks and indexes, opened one after the other or side by side, are those of one run."""
    run = _launches.setdefault((os.getpid(), identity.task.workflow), identity.task.run)
    return replace(identity, task=replace(identity.task, run=run))


def _settings(environ: Mapping[str, str]) -> PolicySettings:
    path = environ.get(ENV_POLICY)
    if not path:
        return PolicySettings()
    try:
        with open(path, "rb") as file:
            return from_json(file.read(), where=path)
    except OSError as error:
        raise PolicyFileError(
            f"{ENV_POLICY}={path} cannot be read: {error.strerror}",
            remedy="pass a policy file by: trainpoint run --policy policy.yaml -- python script.py",
        ) from None
