"""From a policy's fields to settings, and through the compiled form."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.api.types import CheckpointPolicySpec
from trainpoint.errors import InvalidArgumentError, PolicyFileError
from trainpoint.policies.duration import FOREVER_SECONDS, parse_duration, show_duration
from trainpoint.policies.settings import (
    AppFileSettings,
    LoadSettings,
    PolicySettings,
    RetrySettings,
    SaveSettings,
    from_json,
    settings_from,
    to_json,
    with_retries,
)


def test_an_empty_spec_is_the_defaults() -> None:
    assert settings_from({}, "the defaults") == PolicySettings()


def test_every_field_is_taken_over() -> None:
    spec: CheckpointPolicySpec = {
        "load": {"policy": "Eager", "allowed": ["Eager", "None"]},
        "save": {"everySteps": 7, "every": "1h30m", "deadline": "90s"},
        "retry": {
            "limit": 1,
            "noProgressLimit": 2,
            "startFailures": 4,
            "fatalExitCodes": [2, 78],
            "backoff": {"base": "3s", "max": "2m"},
        },
        "appFiles": {"keepLatest": 5, "keepOneEvery": "15m"},
    }
    assert settings_from(spec, "policy.yaml") == PolicySettings(
        load=LoadSettings(policy="eager", allowed=("eager", "none")),
        save=SaveSettings(every_steps=7, every_seconds=5400, deadline_seconds=90),
        retry=RetrySettings(1, 2, 4, (2, 78), 3, 120),
        app_files=AppFileSettings(5, 900),
        source="policy.yaml",
    )


def test_the_defaults_are_those_of_the_crd() -> None:
    schema = json.loads(resources.files("trainpoint.api").joinpath("schema/checkpointpolicies.json").read_text("utf-8"))
    spec = schema["properties"]["spec"]["properties"]
    retry, files = spec["retry"]["properties"], spec["appFiles"]["properties"]
    filled: CheckpointPolicySpec = {
        "retry": {
            "limit": retry["limit"]["default"],
            "noProgressLimit": retry["noProgressLimit"]["default"],
            "startFailures": retry["startFailures"]["default"],
            "fatalExitCodes": retry["fatalExitCodes"]["default"],
            "backoff": {name: inner["default"] for name, inner in retry["backoff"]["properties"].items()},  # type: ignore[typeddict-item]
        },
        "appFiles": {"keepLatest": files["keepLatest"]["default"], "keepOneEvery": files["keepOneEvery"]["default"]},
    }
    assert settings_from(filled, "the defaults") == PolicySettings()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1d1h1m1s", 90061), ("30s30s", 60)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, what="every") == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "1.5h", "-1s", "1 h", "1h ", "10s\n", "1w", "１s"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"save\.every"):
        parse_duration(text, what="save.every")


def test_a_duration_longer_than_the_system_can_wait_is_as_long_as_can_be() -> None:
    assert parse_duration("99999999999d", what="every") == FOREVER_SECONDS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (2, "2 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (95, "1 min 35 s"),
        (5400, "1 h 30 min"),
        (100000, "1 d 3 h"),
    ],
)
def test_durations_for_people_have_at_most_two_units(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


policies = st.sampled_from(["fresh", "eager", "none"])
times = st.floats(0, 1e9)


@given(
    st.builds(
        PolicySettings,
        load=st.builds(LoadSettings, policy=st.none() | policies, allowed=st.lists(policies).map(tuple)),
        save=st.builds(SaveSettings, st.none() | st.integers(1), st.none() | times, times),
        retry=st.builds(
            RetrySettings, st.integers(), st.integers(), st.integers(), st.lists(st.integers()).map(tuple), times, times
        ),
        app_files=st.builds(AppFileSettings, st.integers(2), times),
        source=st.text(),
    )
)
def test_the_compiled_form_comes_back_as_it_was(settings: PolicySettings) -> None:
    assert from_json(to_json(settings), where="policy.json") == settings


def test_fields_of_a_newer_version_are_ignored_and_missing_ones_take_their_default() -> None:
    text = '{"load": {"policy": "eager", "later": 1}, "retention": {}, "source": "x"}'
    assert from_json(text, where="policy.json") == PolicySettings(load=LoadSettings(policy="eager"), source="x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kind: CheckpointPolicy",
        '{"load": 1}',
        '{"load": {"policy": "newest"}}',
        '{"load": {"allowed": "fresh"}}',
        '{"save": {"every_steps": "10"}}',
        '{"save": {"every_steps": true}}',
        '{"save": {"deadline_seconds": null}}',
        '{"retry": {"limit": 1.5}}',
        '{"retry": {"fatal_exit_codes": ["2"]}}',
        '{"app_files": {"keep_latest": 1}}',
    ],
)
def test_what_is_no_compiled_policy_is_refused_by_name(text: str) -> None:
    with pytest.raises(PolicyFileError, match=r"policy\.json is not a compiled policy"):
        from_json(text, where="policy.json")


def test_retries_of_the_command_line_bound_programs_that_never_open_a_checkpoint() -> None:
    assert with_retries(RetrySettings(), 2) == RetrySettings(limit=2, start_failures=3)
    assert with_retries(RetrySettings(), 9) == RetrySettings(limit=9, start_failures=5)
