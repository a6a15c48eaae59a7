"""What a CheckpointPolicy comes to: its fields with the defaults filled in, durations in seconds.

Every default is here, and a test compares those that the CRD has too. :func:`to_json` is the compiled form that a
training process reads, without a YAML parser: the child of ``trainpoint run`` from a file, a pod from the ConfigMap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from trainpoint.api.types_checkpointpolicy import (
    CheckpointPolicyAppFiles,
    CheckpointPolicyLoad,
    CheckpointPolicyMetric,
    CheckpointPolicyRetry,
    CheckpointPolicyRetryBackoff,
    CheckpointPolicySave,
    CheckpointPolicySpec,
)
from trainpoint.errors import InvalidArgumentError, PolicyFileError
from trainpoint.policies.duration import parse_duration
from trainpoint.policies.load import LoadPolicy

DEFAULT_SAVE_EVERY_SECONDS = 300.0
"""How often ``should_save`` says yes where neither steps nor a time are given."""
LOCAL_BACKOFF_BASE_SECONDS = 1.0
"""First pause of ``trainpoint run`` without a policy file: nobody else's cluster is to be spared."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What an attempt starts from."""

    policy: LoadPolicy | None = None
    """None: not set, so that the default of :mod:`trainpoint.policies.load` holds"""
    allowed: tuple[LoadPolicy, ...] = ()
    """empty: all"""


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """By what the checkpoints of a run are compared."""

    name: str = ""
    """empty: none"""
    highest: bool = False
    """the highest value is the best, not the lowest"""


@dataclass(frozen=True, slots=True)
class SaveSettings:
    """When it is time to save, and how long a save may take to get through."""

    every_steps: int | None = None
    every_seconds: float | None = None
    deadline_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often an attempt that failed is followed by another."""

    limit: int = 5
    """charged failures that are followed by another attempt; 0: every failure is final"""
    no_progress_limit: int = 3
    """attempts in a row from the same step without progress that end the run"""
    start_failures: int = 5
    """processes in a row that died before they opened a Checkpoint, that end the run"""
    fatal_exit_codes: tuple[int, ...] = ()
    """128 + n for signal n"""
    backoff_base_seconds: float = 10.0
    backoff_max_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class AppFileSettings:
    """Which checkpoint files of an app stay; those that none of the fields keeps are deleted."""

    keep_latest: int = 20
    """so many of the newest"""
    keep_one_every_seconds: float = 3600.0
    """of every span of so many seconds the newest; 0: nothing but ``keep_latest``"""

    def __post_init__(self) -> None:
        if self.keep_latest < 2:  # the schema says so too; but with less, a damaged file would leave nothing
            raise InvalidArgumentError(f"appFiles.keepLatest is {self.keep_latest}, less than 2")


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """A compiled CheckpointPolicy."""

    load: LoadSettings = field(default_factory=LoadSettings)
    save: SaveSettings = field(default_factory=SaveSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    source: str = "the defaults"
    """who says so, in words that finish "… , from …": ``CheckpointPolicy default in policy.yaml``"""
    metric: MetricSettings = field(default_factory=MetricSettings)
    app_files: AppFileSettings = field(default_factory=AppFileSettings)


def settings_from(spec: CheckpointPolicySpec, source: str) -> PolicySettings:
    """Compile a spec that fits the schema.

    Raises:
        InvalidArgumentError: a duration cannot be read (the schema would have refused it).
    """
    return PolicySettings(
        load=_load(spec.get("load", {})),
        metric=_metric(spec["metric"]) if "metric" in spec else MetricSettings(),
        save=_save(spec.get("save", {})),
        retry=_retry(spec.get("retry", {})),
        app_files=_app_files(spec.get("appFiles", {})),
        source=source,
    )


def with_retries(settings: RetrySettings, retries: int) -> RetrySettings:
    """As ``trainpoint run --retries N`` means it: a program that never opens a Checkpoint is not tried more often."""
    return replace(settings, limit=retries, start_failures=min(settings.start_failures, retries + 1))


def _load(load: CheckpointPolicyLoad) -> LoadSettings:
    return LoadSettings(
        policy=_policy(load["policy"]) if "policy" in load else None,
        allowed=tuple(_policy(name) for name in load.get("allowed", ())),
    )


def _policy(name: str) -> LoadPolicy:
    # CamelCase in YAML, lower case in Python; the schema admits no fourth.
    return "eager" if name == "Eager" else "none" if name == "None" else "fresh"


def _metric(metric: CheckpointPolicyMetric) -> MetricSettings:
    return MetricSettings(name=metric["name"], highest=metric.get("mode") == "Max")


def _save(save: CheckpointPolicySave) -> SaveSettings:
    return SaveSettings(
        every_steps=save.get("everySteps"),
        every_seconds=_seconds(save.get("every"), None, what="save.every"),
        deadline_seconds=_seconds(save.get("deadline"), SaveSettings().deadline_seconds, what="save.deadline"),
    )


def _retry(retry: CheckpointPolicyRetry) -> RetrySettings:
    default = RetrySettings()
    backoff: CheckpointPolicyRetryBackoff = retry.get("backoff", {})
    return RetrySettings(
        limit=retry.get("limit", default.limit),
        no_progress_limit=retry.get("noProgressLimit", default.no_progress_limit),
        start_failures=retry.get("startFailures", default.start_failures),
        fatal_exit_codes=tuple(retry.get("fatalExitCodes", default.fatal_exit_codes)),
        backoff_base_seconds=_seconds(backoff.get("base"), default.backoff_base_seconds, what="retry.backoff.base"),
        backoff_max_seconds=_seconds(backoff.get("max"), default.backoff_max_seconds, what="retry.backoff.max"),
    )


def _app_files(files: CheckpointPolicyAppFiles) -> AppFileSettings:
    default = AppFileSettings()
    return AppFileSettings(
        keep_latest=files.get("keepLatest", default.keep_latest),
        keep_one_every_seconds=_seconds(
            files.get("keepOneEvery"), default.keep_one_every_seconds, what="appFiles.keepOneEvery"
        ),
    )


_Default = TypeVar("_Default", float, None)


def _seconds(text: str | None, default: _Default, *, what: str) -> float | _Default:
    return default if text is None else parse_duration(text, what=what)


# --- the compiled form ------------------------------------------------------------------------------------------------


def to_json(settings: PolicySettings) -> str:
    """The compiled form: one JSON object, fields as in the dataclasses, durations in seconds."""
    return json.dumps(asdict(settings), indent=1, sort_keys=True) + "\n"


def from_json(text: str | bytes, *, where: str) -> PolicySettings:
    """The inverse of :func:`to_json`. Fields of a newer version are ignored, missing ones take their default.

    Raises:
        PolicyFileError: it is no compiled policy; the message names ``where``.
    """
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise TypeError("not an object")
        return PolicySettings(
            load=_read(LoadSettings, value.get("load", {})),
            metric=_read(MetricSettings, value.get("metric", {})),
            save=_read(SaveSettings, value.get("save", {})),
            retry=_read(RetrySettings, value.get("retry", {})),
            app_files=_read(AppFileSettings, value.get("app_files", {})),
            source=str(value.get("source", where)),
        )
    except (ValueError, TypeError) as error:
        raise PolicyFileError(
            f"{where} is not a compiled policy: {error}",
            remedy="TRAINPOINT_POLICY names a file that `trainpoint run --policy policy.yaml` wrote for its child",
        ) from None


_Settings = TypeVar("_Settings", LoadSettings, MetricSettings, SaveSettings, RetrySettings, AppFileSettings)


def _read(cls: type[_Settings], value: Mapping[str, object]) -> _Settings:
    """An instance of ``cls``; TypeError for a member whose type is not that of the field."""
    known: dict[str, Any] = {}
    for f in fields(cls):
        if f.name not in value:
            continue
        member = value[f.name]
        if isinstance(member, list):
            member = tuple(member)
        if not _fits(str(f.type), member):
            raise TypeError(f"{f.name} is {member!r}")
        known[f.name] = member
    return cls(**known)


_POLICIES = ("fresh", "eager", "none")


def _fits(annotation: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "int": isinstance(value, int) and number,
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
        "float": number,
        "int | None": value is None or (isinstance(value, int) and number),
        "float | None": value is None or number,
        "LoadPolicy | None": value is None or value in _POLICIES,
        "tuple[LoadPolicy, ...]": isinstance(value, tuple) and all(v in _POLICIES for v in value),
        "tuple[int, ...]": isinstance(value, tuple) and all(type(v) is int for v in value),
    }[annotation]
