"""What an API server would say of an object: our CRDs' schemas, structural ones, as JSON Schema reads them."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import yaml

from tests.support.repository import ROOT
from trainpoint.format.digest import JsonObject


def objections(plural: str, part: str, value: JsonObject) -> list[str]:
    """What is wrong with the ``spec`` or ``status`` of an object; also fields that a server would drop without a word.

    Rules in CEL are the server's own and not asked here (tests/api does).
    """
    found = _validator(plural, part).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


@cache
def _validator(plural: str, part: str) -> jsonschema.Draft202012Validator:
    crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    checker = jsonschema.FormatChecker(())
    checker.checks("date-time", raises=ValueError)(_is_time)
    return jsonschema.Draft202012Validator(_closed(schema), format_checker=checker)


def _is_time(value: object) -> bool:
    from trainpoint.clock import parse_rfc3339

    return isinstance(value, str) and parse_rfc3339(value) is not None


def _closed(schema: Any) -> Any:
    """No field but those that are described; no two items with the same key where a list is a map."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(item) for name, item in schema.items() if not name.startswith("x-kubernetes")}
    if "properties" in made and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made
