"""Keys: where each object of a store lies, and what a key says (docs/reference/format.md).

Nothing here does I/O. Keys are derived from identity and uid, never stored in an object of the API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from trainpoint.api.names import LOCAL_NAMESPACE
from trainpoint.errors import IdentityError, UnstorableError
from trainpoint.format.digest import digest_of

KEY_LIMIT_BYTES: Final = 1024
"""The longest key that S3 takes, in UTF-8 bytes (S3 user guide, "Object key names")."""
SEGMENT_LIMIT_BYTES: Final = 255
"""The longest part of a key between slashes that file systems take, and servers that keep objects on them."""
STORE_MARKER: Final = "trainpoint.json"
NO_INDEX: Final = "_"

_MAX: Final = 9_999_999_999
"""Attempts and sequences in manifest keys are subtracted from this, so that a listing begins with the newest."""
EVERY_SEQUENCE: Final = _MAX
"""As the sequence of a fence: it bars writers of earlier attempts, supersedes nothing (see ``claim.protocol``)."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,7}")
_SNAPSHOT = re.compile(r"(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,9})-([0-9a-f]{16})")
_RAW = re.compile(r"[A-Za-z0-9._-]")


def check_name(kind: str, value: str) -> str:
    """``value`` if it can be the name of a workflow, run, task or series; else IdentityError naming ``kind``."""
    if not _NAME.fullmatch(value):
        raise IdentityError(
            f"{kind} {value!r} cannot be used: at most 63 letters, digits, '-', '_' and '.', "
            "with a letter or digit at both ends",
            remedy=f"choose another {kind}, for example {suggest_name(value)!r}",
        )
    return value


def suggest_name(text: str) -> str:
    """The nearest usable name: other characters become ``-``, ends are trimmed.

    Where nothing is left it is ``unnamed-`` and eight hexadecimal digits, so that two of those are not taken for one.
    """
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:63].strip("-_.")
    return near or f"unnamed-{digest_of(text.encode(errors='backslashreplace'))[:8]}"


def check_index(value: str) -> str:
    """``value`` if it is ``""`` (no index), ``"2"`` or ``"2.1"``; else IdentityError."""
    if value and not _INDEX.fullmatch(value):
        raise IdentityError(
            f"index {value!r} cannot be used: an index is numbers joined by dots, such as 2 or 2.1",
            remedy='pass an int, "2.1", "2/1" or a tuple of ints',
        )
    return value


@dataclass(frozen=True, slots=True, order=True)
class TaskPath:
    """One task and index of one run: the scope of claims, attempts and checkpoints."""

    workflow: str
    run: str
    task: str
    index: str = ""
    namespace: str = LOCAL_NAMESPACE

    def __post_init__(self) -> None:
        check_name("workflow", self.workflow)
        check_name("run", self.run)
        check_name("task", self.task)
        check_index(self.index)
        if self.namespace != LOCAL_NAMESPACE:
            check_name("namespace", self.namespace)

    def __str__(self) -> str:
        return "/".join([self.workflow, self.run, self.task, *([self.index] if self.index else [])])

    @property
    def _tail(self) -> str:
        return f"{self.workflow}/{self.run}/{self.task}/{self.index or NO_INDEX}/"

    @property
    def attempts(self) -> str:
        """Prefix of attempt markers and records."""
        return f"{tasks_prefix(self.namespace)}{self._tail}attempts/"

    @property
    def artifacts(self) -> str:
        """Prefix of published values."""
        return f"{tasks_prefix(self.namespace)}{self._tail}artifacts/"

    @property
    def manifests(self) -> str:
        """Prefix of manifests, their markers and the claims' fences."""
        return f"{tasks_prefix(self.namespace)}{self._tail}manifests/"

    @property
    def data(self) -> str:
        """Prefix of the data of all checkpoints of this task and index."""
        return f"{data_root(self.namespace)}{self._tail}"


@dataclass(frozen=True, slots=True, order=True)
class SnapshotId:
    """What tells one checkpoint of a task from another. Ordered as checkpoints are: by attempt, then sequence, uid."""

    attempt: int
    """from 0"""
    sequence: int
    """from 1, going on across attempts"""
    uid: str
    """16 hexadecimal digits"""

    def __str__(self) -> str:
        return f"{self.attempt}-{self.sequence}-{self.uid}"

    @classmethod
    def parse(cls, text: str) -> SnapshotId:
        """The inverse of ``str``; ValueError if it is not one."""
        match = _SNAPSHOT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not <attempt>-<sequence>-<uid>")
        return cls(int(match[1]), int(match[2]), match[3])


# --- keys of a namespace ----------------------------------------------------------------------------------------------


def namespace_root(namespace: str) -> str:
    return f"ns/{namespace}/"


def tasks_prefix(namespace: str) -> str:
    return f"{namespace_root(namespace)}tasks/"


def data_root(namespace: str) -> str:
    """All data of a namespace; a manifest may name objects beneath it and nowhere else."""
    return f"{namespace_root(namespace)}data/"


def all_runs_prefix(namespace: str) -> str:
    """Of the records of all runs of a namespace; under it come workflow and run."""
    return f"{namespace_root(namespace)}runs/"


def runs_prefix(namespace: str, workflow: str) -> str:
    return f"{all_runs_prefix(namespace)}{workflow}/"


def run_key(namespace: str, workflow: str, run: str) -> str:
    """Written once, by the first claim: its modification time orders the runs by the server's clock."""
    return f"{runs_prefix(namespace, workflow)}{run}.json"


def run_end_key(namespace: str, workflow: str, run: str) -> str:
    return f"{runs_prefix(namespace, workflow)}{run}.end.json"


def log_key(namespace: str, time: datetime, uid: str) -> str:
    """One entry per commit or deletion, written before it; sorts by time."""
    return f"{namespace_root(namespace)}log/{time.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{uid}.json"


# --- keys of a task: manifests ----------------------------------------------------------------------------------------

ManifestSuffix = Literal["json", "tombstone", "archived", "pin", "corrupt", "fence"]
_MANIFEST_KEY = re.compile(r"([0-9]{10})-([0-9]{10})-([0-9a-f]{16})\.(json|tombstone|archived|pin|corrupt|fence)")


def _descending(number: int) -> str:
    if not 0 <= number <= _MAX:
        raise ValueError(f"{number} is out of range")
    return f"{_MAX - number:010d}"


def manifest_key(task: TaskPath, snapshot: SnapshotId, suffix: ManifestSuffix = "json") -> str:
    """The manifest of a checkpoint, or a marker beside it.

    ``fence`` belongs to a claim, not to a checkpoint: its attempt, the highest sequence the claim saw, its uid. It
    sorts behind all checkpoints of its own attempt and before those of earlier ones, so that whoever reads a listing
    from the newest on knows, without another request, which checkpoints an overtaken writer added too late.
    """
    return f"{beside(task, snapshot)}.{suffix}"


def manifests_older_than(task: TaskPath, attempt: int) -> str:
    """A key behind which a listing holds only attempts up to and including ``attempt``."""
    return f"{task.manifests}{_descending(attempt)}"


def manifests_from(task: TaskPath, attempt: int, sequence: int) -> str:
    """A key behind which a listing begins with the checkpoints of that attempt and sequence."""
    return f"{task.manifests}{_descending(attempt)}-{_descending(sequence)}"


def parse_manifest_key(key: str) -> tuple[SnapshotId, ManifestSuffix] | None:
    """What a key beneath ``manifests/`` says; None for anything else that lies there."""
    match = _MANIFEST_KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    attempt, sequence, uid, suffix = match.groups()
    return SnapshotId(_MAX - int(attempt), _MAX - int(sequence), uid), suffix  # type: ignore[return-value]


def beside(task: TaskPath, snapshot: SnapshotId) -> str:
    """What the keys of a manifest and of all marks beside it begin with; a listing behind it begins with those."""
    return f"{task.manifests}{_descending(snapshot.attempt)}-{_descending(snapshot.sequence)}-{snapshot.uid}"


@dataclass(frozen=True, slots=True, order=True)
class MetricMark:
    """A metric that was recorded later, as its key shows it.

    The value is in the key too: two evaluators at once write two objects, or the same one, and never over each other.
    """

    name: str
    """first 16 hex digits of the BLAKE3 of the metric's name"""
    value: str
    """the same of its value, as text"""

    @classmethod
    def of(cls, name: str, value: str) -> MetricMark:
        return cls(digest_of(name.encode())[:16], digest_of(value.encode())[:16])


_METRIC_KEY = re.compile(r"([0-9]{10})-([0-9]{10})-([0-9a-f]{16})\.metric-([0-9a-f]{16})-([0-9a-f]{16})")


def metric_key(task: TaskPath, snapshot: SnapshotId, mark: MetricMark) -> str:
    """Where a metric lies that was recorded later; :func:`parse_manifest_key` does not know it, nor do old readers."""
    return f"{beside(task, snapshot)}.metric-{mark.name}-{mark.value}"


def parse_metric_key(key: str) -> tuple[SnapshotId, MetricMark] | None:
    """The inverse of :func:`metric_key`; None for anything else."""
    match = _METRIC_KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    attempt, sequence, uid, name, value = match.groups()
    return SnapshotId(_MAX - int(attempt), _MAX - int(sequence), uid), MetricMark(name, value)


# --- keys of a task: attempts -----------------------------------------------------------------------------------------

AttemptSuffix = Literal["intent", "lost", "json", "beat", "loaded", "go", "end"]
"""Of an attempt: wants n; gave n up; won n (the record); is alive; what it loaded and why; all its ranks have that;
how it ended."""
_ATTEMPT_KEY = re.compile(r"(0|[1-9][0-9]{0,9})-([0-9a-f]{16})\.(intent|lost|json|beat|loaded|go|end)")


def attempt_key(task: TaskPath, attempt: int, uid: str, suffix: AttemptSuffix = "json") -> str:
    return f"{task.attempts}{attempt}-{uid}.{suffix}"


def parse_attempt_key(key: str) -> tuple[int, str, AttemptSuffix] | None:
    """(attempt, uid of the claim, suffix); None for anything else that lies there."""
    match = _ATTEMPT_KEY.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    return int(match[1]), match[2], match[3]  # type: ignore[return-value]


def save_request_key(task: TaskPath, attempt: int, uid: str) -> str:
    """Where people ask an attempt to save now; a later request replaces an earlier one."""
    return f"{tasks_prefix(task.namespace)}{task._tail}requests/{attempt}-{uid}.save"


_RANK = re.compile(r"0|[1-9][0-9]{0,8}")


def votes_prefix(task: TaskPath, attempt: int, uid: str) -> str:
    """What the other ranks of one claim say. Not beneath ``attempts/``, whose listing every claim reads whole."""
    return f"{tasks_prefix(task.namespace)}{task._tail}votes/{attempt}-{uid}/"


def vote_key(task: TaskPath, attempt: int, uid: str, rank: int) -> str:
    return f"{votes_prefix(task, attempt, uid)}{rank}"


def parse_vote_key(key: str) -> int | None:
    """The rank of a key beneath :func:`votes_prefix`; None for anything else that lies there."""
    match = _RANK.fullmatch(key.rpartition("/")[2])
    return int(match[0]) if match else None


# --- keys of data -----------------------------------------------------------------------------------------------------


def snapshot_data(task: TaskPath, snapshot: SnapshotId) -> str:
    """Prefix of one checkpoint's data."""
    return f"{task.data}{snapshot}/"


def file_key(task: TaskPath, snapshot: SnapshotId, path: str) -> str:
    """The object of one whole file; readable with any S3 tool.

    Segments keep letters, digits, ``.``, ``_``, ``-`` and what is printable beyond ASCII; of all else every byte
    becomes ``%XX``, since listings come as XML, which has no way to write some characters.
    Raises UnstorableError for a path whose key would be too long or is no UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UnstorableError(
            f"{path!r} cannot be stored: its name is not valid UTF-8", remedy="rename the file"
        ) from None
    segments = ["".join(_encode(c) for c in segment) for segment in path.split("/")]
    longest = max(len(segment.encode()) for segment in segments)
    if longest > SEGMENT_LIMIT_BYTES:
        raise UnstorableError(
            f"{path!r} cannot be stored: a name in it would be {longest} bytes long in its key, and stores take "
            f"{SEGMENT_LIMIT_BYTES} (other characters than letters, digits and '._-' count three times)",
            remedy="shorten the name",
        )
    key = f"{snapshot_data(task, snapshot)}files/{'/'.join(segments)}"
    if len(key.encode()) > KEY_LIMIT_BYTES:
        raise UnstorableError(
            f"{path!r} cannot be stored: its key would be {len(key.encode())} bytes long, and stores take "
            f"{KEY_LIMIT_BYTES}",
            remedy="shorten the path, or the names of workflow, run and task",
        )
    return key


def _encode(char: str) -> str:
    if _RAW.match(char) or (char >= "\x80" and char.isprintable()):
        return char
    return "".join(f"%{byte:02X}" for byte in char.encode())


def pack_key(task: TaskPath, snapshot: SnapshotId, rank: int, number: int) -> str:
    """The object of many small files."""
    return f"{snapshot_data(task, snapshot)}packs/{rank}-{number}"
