"""Values that a chart refuses, before anything reaches a cluster, each with a sentence that names the value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.support.helm import CHARTS, Helm, HelmError

Values = dict[str, Any]
STORE: Values = {"s3": {"bucket": "checkpoints"}}
JOB: Values = {"image": "x"}

REFUSED: list[tuple[str, Values, tuple[str, ...]]] = [
    ("trainpoint", {"replica": 2}, ("replica",)),
    ("trainpoint", {"replicas": "two"}, ("/replicas", "integer")),
    ("trainpoint", {"replicas": 11}, ("/replicas", "10")),
    ("trainpoint", {"image": {"tag": 1.5}}, ("/image/tag", "string")),
    ("trainpoint", {"image": {"digest": "abc"}}, ("/image/digest", "sha256")),
    ("trainpoint", {"image": {"repository": "x@sha256:1"}}, ("/image/repository",)),
    ("trainpoint", {"image": {"name": "x"}}, ("/image", "name")),
    ("trainpoint", {"log": {"level": "loud"}}, ("/log/level", "warning")),
    ("trainpoint", {"watchNamespaces": ["Team A"]}, ("/watchNamespaces/0",)),
    ("trainpoint", {"watchNamespaces": ["a", "a"]}, ("/watchNamespaces",)),
    ("trainpoint", {"leaseSeconds": 1}, ("/leaseSeconds", "3")),
    ("trainpoint", {"serviceAccount": {"create": False}}, ("/serviceAccount/name",)),
    ("trainpoint", {"rbac": {"allSecrets": "yes"}}, ("/rbac/allSecrets", "boolean")),
    ("trainpoint", {"owners": {"stamp": "auto"}}, ("/owners/stamp", "boolean")),
    ("trainpoint", {"owners": {"check": "no"}}, ("/owners/check", "boolean")),
    ("trainpoint-namespace", {"stores": {"Main": STORE}}, ("Main",)),
    ("trainpoint-namespace", {"stores": {"main": {}}}, ("/stores/main", "s3")),
    ("trainpoint-namespace", {"stores": {"main": {"s3": {"bucket": "b"}}}}, ("/stores/main/s3/bucket", "3")),
    ("trainpoint-namespace", {"stores": {"main": {**STORE, "bucket": "x"}}}, ("/stores/main", "bucket")),
    ("trainpoint-namespace", {"stores": {"main": {**STORE, "credentials": {}}}}, ("/stores/main/credentials",)),
    (
        "trainpoint-namespace",
        {"stores": {"main": {**STORE, "credentials": {"accessKeyId": "a"}}}},
        ("/stores/main/credentials", "secretAccessKey"),
    ),
    (
        "trainpoint-namespace",
        {"stores": {"main": {**STORE, "credentials": {"existingSecret": "a", "accessKeyId": "b"}}}},
        ("/stores/main/credentials",),
    ),
    ("trainpoint-namespace", {"writerCredentials": {"accessKeyId": "a"}}, ("/writerCredentials", "secretAccessKey")),
    (
        "trainpoint-namespace",
        {"writerCredentials": {"existingSecret": True, "accessKeyId": "a", "secretAccessKey": "b"}},
        ("/writerCredentials/existingSecret",),
    ),
    ("trainpoint-namespace", {"policies": {"a": {"laod": {}}}}, ("/policies/a", "laod")),
    ("trainpoint-namespace", {"policies": {"a": {"load": {"policy": "newest"}}}}, ("/policies/a/load/policy", "Eager")),
    ("trainpoint-namespace", {"policies": {"a": {"retry": {"limit": -1}}}}, ("/policies/a/retry/limit",)),
    ("trainpoint-namespace", {"policies": {"a": {"save": {"every": "5 min"}}}}, ("/policies/a/save/every",)),
    ("trainpoint-namespace", {"trainers": "default"}, ("/trainers", "array")),
    ("training-job", {}, ("image: say which image to run",)),
    ("training-job", {**JOB, "imagee": "x"}, ("imagee",)),
    ("training-job", {**JOB, "command": "python train.py"}, ("/command", "array")),
    ("training-job", {**JOB, "loadPolicy": "eager"}, ("/loadPolicy", "Eager")),
    ("training-job", {**JOB, "run": "a/b"}, ("/run",)),
    ("training-job", {**JOB, "task": "x" * 64}, ("/task", "63")),
    ("training-job", {**JOB, "owner": "x" * 254}, ("/owner", "253")),
    ("training-job", {**JOB, "retry": {"inPlace": "maybe"}}, ("/retry/inPlace", "auto")),
    ("training-job", {**JOB, "retry": {"fatalExitCodes": [0]}}, ("/retry/fatalExitCodes/0", "1")),
    ("training-job", {**JOB, "retry": {"fatalExitCodes": [86]}}, ("/retry/fatalExitCodes/0",)),
    ("training-job", {**JOB, "retry": {"fatalExitCodes": [256]}}, ("/retry/fatalExitCodes/0", "255")),
    ("training-job", {**JOB, "restartPolicy": "Always"}, ("/restartPolicy", "OnFailure")),
    ("training-job", {**JOB, "completionIndex": "rank"}, ("/completionIndex", "Rank")),
    ("training-job", {**JOB, "env": {"A": ["x"]}}, ("/env/A",)),
    ("training-job", {**JOB, "nameSuffix": "B2"}, ("/nameSuffix",)),
    ("training-job", {**JOB, "terminationGracePeriodSeconds": 0}, ("/terminationGracePeriodSeconds",)),
]


@pytest.mark.parametrize(
    ("chart", "values", "said"), REFUSED, ids=[f"{chart}-{json.dumps(values)[:50]}" for chart, values, _ in REFUSED]
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, chart: str, values: Values, said: tuple[str, ...]) -> None:
    with pytest.raises(HelmError) as refusal:
        helm.template(chart, values=values)
    assert [text for text in said if text not in str(refusal.value)] == [], str(refusal.value)


@pytest.mark.parametrize("chart", ["trainpoint", "trainpoint-namespace", "training-job"])
def test_schema_and_values_name_the_same(chart: str) -> None:
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    known = set(paths_of_schema(schema)) - {"global", "trainpoint-lib"}
    assert known == set(paths_of_values(values, schema))


def paths_of_schema(schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield above + name
        yield from paths_of_schema(inner, f"{above}{name}.")


def paths_of_values(values: Mapping[str, Any], schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Down to where the schema leaves it to Kubernetes what is in a value."""
    for name, value in values.items():
        yield above + name
        inner = schema["properties"].get(name, {})
        if "properties" in inner:
            yield from paths_of_values(value, inner, f"{above}{name}.")
