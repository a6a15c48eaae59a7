"""Policy files: what a cluster would refuse is refused here, in words, all at once, with the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repository import ROOT
from trainpoint.cli.policyfile import RULES, check, load_policy_file, policy_schema
from trainpoint.errors import PolicyFileError
from trainpoint.policies.settings import LoadSettings, PolicySettings, RetrySettings, SaveSettings

HEAD = "apiVersion: trainpoint.dev/v1alpha1\nkind: CheckpointPolicy\nmetadata: {name: team}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(PolicyFileError) as raised:
        load_policy_file(write(folder, text))
    return raised.value.message.replace(f"{folder}/", "")


def spec_problems(spec: str) -> list[str]:
    """What is wrong with a spec, without the lines."""
    document = yaml.safe_load(f"{HEAD}spec: {spec}")
    return [f"{'.'.join(map(str, p.path))} {p.text}" for p in check(document)]


def test_a_whole_policy_becomes_settings(tmp_path: Path) -> None:
    spec = (
        "spec:\n"
        "  load: {policy: Eager, allowed: [Fresh, Eager]}\n"
        "  save: {everySteps: 500, every: 10m, deadline: 1h30m}\n"
        "  retry: {limit: 2, fatalExitCodes: [2], backoff: {base: 1s}}\n"
    )
    path = write(tmp_path, HEAD + spec)
    assert load_policy_file(path) == PolicySettings(
        LoadSettings("eager", ("fresh", "eager")),
        SaveSettings(500, 600, 5400),
        RetrySettings(limit=2, fatal_exit_codes=(2,), backoff_base_seconds=1),
        source=f"CheckpointPolicy team in {path}",
    )


def test_what_kubectl_prints_can_be_used_as_a_file(tmp_path: Path) -> None:
    printed = (
        "apiVersion: trainpoint.dev/v1alpha1\n"
        "kind: CheckpointPolicy\n"
        "metadata:\n"
        "  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}\n"
        '  creationTimestamp: "2026-11-22T01:02:03Z"\n'
        "  generation: 1\n"
        "  name: team\n"
        "  namespace: team-a\n"
        '  resourceVersion: "123"\n'
        "  uid: 2b1d3c1e-0000-4000-8000-000000000000\n"
        "spec: {}\n"
    )
    assert load_policy_file(write(tmp_path, printed)).retry == RetrySettings()


def test_the_policy_is_found_among_other_documents(tmp_path: Path) -> None:
    text = f"# ours\n---\nkind: ConfigMap\n---\n{HEAD}spec: {{retry: {{limit: 1}}}}\n---\n"
    assert load_policy_file(write(tmp_path, text)).retry.limit == 1


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("{}", []),
        ("{load: {policy: newest}}", ['spec.load.policy has to be one of Fresh, Eager, None, not "newest"']),
        ("{load: {policy: none}}", ['spec.load.policy has to be one of Fresh, Eager, None, not "none"; write None']),
        (
            "{load: {policy: null}}",
            ["spec.load.policy has to be one of Fresh, Eager, None, not empty; write None"],
        ),
        ("{load: {allowed: []}}", ["spec.load.allowed has to be a list of at least 1, and has 0"]),
        ("{load: {allowed: [Fresh, Fresh]}}", ["spec.load.allowed has an item twice"]),
        (
            "{load: {policy: Fresh, allowed: [Eager]}}",
            ["spec.load is not allowed: load.policy must be one of load.allowed"],
        ),
        (
            "{load: {allowed: [Eager, None]}}",
            [
                "spec.load is not allowed: load.policy is needed here, since its default, Fresh, is not one of "
                "load.allowed"
            ],
        ),
        ("{save: {everySteps: 0}}", ["spec.save.everySteps has to be at least 1, not 0"]),
        ("{save: {everySteps: 1.5}}", ["spec.save.everySteps has to be an integer, not 1.5"]),
        ("{save: {everySteps: true}}", ["spec.save.everySteps has to be an integer, not true"]),
        ("{save: {every: 10}}", ["spec.save.every has to be a text, not 10"]),
        ("{save: {every: 1.5h}}", ['spec.save.every has to be a duration such as 90s, 10m or 1h30m, not "1.5h"']),
        ("{save: {every: 0s}}", ["spec.save.every is not allowed: must be longer than 0s"]),
        ("{save: {deadline: 1000000000000s}}", ["spec.save.deadline may have at most 12 characters, and has 14"]),
        ("{retry: {limit: 1001}}", ["spec.retry.limit has to be at most 1000, not 1001"]),
        ("{retry: {fatalExitCodes: [1, 0]}}", ["spec.retry.fatalExitCodes.1 has to be at least 1, not 0"]),
        (
            "{retry: {backoff: {base: 301s}}}",
            ["spec.retry.backoff is not allowed: backoff.base must not be longer than backoff.max"],
        ),
        ("{retry: {backoff: {base: 300s}}}", []),
        ("{retry: {backoff: {base: 1d, max: 1d1s}}}", []),
        (
            "{retry: {limits: 3}}",
            [
                "spec.retry.limits is not a field (did you mean limit? known here: limit, noProgressLimit, "
                "startFailures, fatalExitCodes, backoff)"
            ],
        ),
        (
            "{retention: {}}",
            ["spec.retention is not a field (known here: default, storeRef, metric, load, save, retry, appFiles)"],
        ),
        ("[]", ["spec has to be a map, not a list"]),
        ("{retry: {backoff: 3}, save: [], load: x}", [
            'spec.load has to be a map, not "x"',
            "spec.retry.backoff has to be a map, not 3",
            "spec.save has to be a map, not a list",
        ]),
    ],
)  # fmt: skip
def test_a_problem_names_the_field_and_what_is_allowed(spec: str, problems: list[str]) -> None:
    assert spec_problems(spec) == problems


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = (
        "apiVersion: trainpoint.dev/v1\n"
        "kind: CheckpointPolicy\n"
        "metadata: {}\n"
        "spec:\n"
        "  retry:\n"
        "    limit: -1\n"
        "    fatalExitCodes:\n"
        "      - 1\n"
        "      - 300\n"
        "  load:\n"
        "    allowed: [Eager]\n"
        "  svae: {}\n"
    )
    assert refusal(tmp_path, text).splitlines() == [
        "policy.yaml does not fit CheckpointPolicy, 6 problems:",
        '    line 1: apiVersion has to be trainpoint.dev/v1alpha1, not "trainpoint.dev/v1"',
        "    line 3: metadata.name is missing",
        "    line 6: spec.retry.limit has to be at least 0, not -1",
        "    line 9: spec.retry.fatalExitCodes[1] has to be at most 255, not 300",
        "    line 10: spec.load is not allowed: load.policy is needed here, since its default, Fresh, is not one of "
        "load.allowed",
        "    line 12: spec.svae is not a field (did you mean save? known here: default, storeRef, metric, load, save, "
        "retry, appFiles)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2\n", "policy.yaml is not valid YAML: line 2, column 2: "),
        ("kind: A\nkind: B\n", "policy.yaml is not valid YAML: line 2, column 1: the key 'kind' is there twice"),
        ("{[1]: 2}", "policy.yaml is not valid YAML: line 1, column 2: "),
        ("a: !!python/name:os.system x\n", "policy.yaml is not valid YAML: line 1, column 4: "),
        ("a\x00", "policy.yaml is not valid YAML: "),
        ("", "policy.yaml has to hold one CheckpointPolicy; it holds 0 (kinds found: nothing)"),
        ("kind: A\n---\nkind: B\n", "it holds 0 (kinds found: A, B)"),
        (f"{HEAD}spec: {{}}\n---\n{HEAD}spec: {{}}\n", "it holds 2 (kinds found: CheckpointPolicy)"),
        ("hello\n", 'policy.yaml holds no CheckpointPolicy, but "hello"'),
        ("kind: CheckpointStore\n", "line 1: kind has to be CheckpointPolicy, not \"CheckpointStore\""),
    ],
)  # fmt: skip
def test_what_is_no_policy_at_all_is_refused_with_the_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize(("name", "said"), [("missing.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(PolicyFileError, match=said):
        load_policy_file(tmp_path / name)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes((HEAD + "spec: {}").encode("utf-16"))
    with pytest.raises(PolicyFileError, match="is not UTF-8"):
        load_policy_file(path)


def rules_in(node: Any) -> set[str]:
    """The messages of all CEL rules beneath a node of a schema."""
    if isinstance(node, list):
        return set().union(*map(rules_in, node))
    if not isinstance(node, dict):
        return set()
    own = {rule["message"] for rule in node.get("x-kubernetes-validations", ())}
    return own.union(*map(rules_in, node.values()))


def test_every_rule_that_the_crd_says_in_cel_is_mirrored_and_no_other() -> None:
    crd = yaml.safe_load((ROOT / "crds/checkpointpolicies.yaml").read_text(encoding="utf-8"))
    assert rules_in(crd) == set(RULES) == rules_in(policy_schema())
