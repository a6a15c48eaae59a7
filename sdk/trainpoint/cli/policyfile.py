"""A policy file: the CheckpointPolicy manifest that a cluster takes too, checked here as the API server checks it.

The schema is the CRD's own. Rules that it can only say in CEL are mirrored by :data:`RULES`, by their messages; a test
fails when the CRD has one that is not mirrored.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, cast

import yaml
from jsonschema import Draft202012Validator, ValidationError

from trainpoint.api.types import CheckpointPolicy
from trainpoint.errors import PolicyFileError
from trainpoint.policies.duration import parse_duration
from trainpoint.policies.settings import PolicySettings, settings_from

KIND: Final = "CheckpointPolicy"
_REMEDY: Final = "the fields are described in docs/reference/checkpointpolicy.md"

FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file."""

    path: FieldPath
    text: str


def load_policy_file(path: Path) -> PolicySettings:
    """Read, check and compile a policy file.

    Raises:
        PolicyFileError: it cannot be read, is no YAML, holds no or several policies, or does not fit the schema. All
            problems are named at once, each with its line.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise PolicyFileError(f"{path} cannot be read: {error.strerror}", remedy="pass --policy FILE") from None
    except UnicodeDecodeError:
        raise PolicyFileError(f"{path} is not UTF-8", remedy="save it as UTF-8") from None
    node, document = _only_policy(text, path)
    problems = check(document)
    if problems:
        raise PolicyFileError(_listed(path, node, problems), remedy=_REMEDY)
    policy = cast(CheckpointPolicy, document)
    name = document["metadata"]["name"]
    return settings_from(policy["spec"], f"{KIND} {name} in {path}")


def check(document: object) -> list[Problem]:
    """All that is wrong with a parsed manifest, in the order of its fields."""
    schema = policy_schema()
    found = [p for error in Draft202012Validator(schema).iter_errors(document) for p in _problems(error)]
    unfit = {p.path for p in found}
    found += [p for p in _broken_rules(schema, document, ()) if not any(_within(path, p.path) for path in unfit)]
    unique = dict.fromkeys(found)  # the schema's reader complains of every missing field once for each of them
    return sorted(unique, key=lambda p: [str(part) for part in p.path])


def policy_schema() -> dict[str, Any]:
    """The structural schema of the CRD as JSON Schema."""
    text = resources.files("trainpoint.api").joinpath("schema/checkpointpolicies.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


# --- YAML -------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, as ``kubectl`` does; YAML's own reader keeps the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, str) else object())
        return super().construct_mapping(node, deep=deep)


def _only_policy(text: str, path: Path) -> tuple[yaml.Node, dict[str, Any]]:
    """The one CheckpointPolicy among a file's documents, with its node, which knows the lines."""
    try:
        nodes = [node for node in yaml.compose_all(text, _Loader) if node is not None]
        documents = [d for d in yaml.load_all(text, _Loader) if d is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise PolicyFileError(f"{path} is not valid YAML: {where}{what}", remedy="correct that line") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyFileError(f"{path} is not valid YAML: {error}", remedy="write it as YAML text") from None
    kinds = [d.get("kind") if isinstance(d, dict) else None for d in documents]
    chosen = [i for i, kind in enumerate(kinds) if kind == KIND] if len(documents) > 1 else list(range(len(documents)))
    if len(chosen) != 1:
        named = ", ".join(sorted({str(kind) for kind in kinds})) or "nothing"
        raise PolicyFileError(
            f"{path} has to hold one {KIND}; it holds {len(chosen)} (kinds found: {named})",
            remedy=f"write one document with kind: {KIND}",
        )
    document = documents[chosen[0]]
    if not isinstance(document, dict):
        raise PolicyFileError(
            f"{path} holds no {KIND}, but {_shown(document)}", remedy=f"begin it with apiVersion: and kind: {KIND}"
        )
    return nodes[chosen[0]], document


def _listed(path: Path, node: yaml.Node, problems: Sequence[Problem]) -> str:
    found = sorted((_line(node, p.path), f"{_dotted(p.path) or KIND} {p.text}") for p in problems)
    lines = [f"line {line}: {text}" for line, text in found]
    if len(lines) == 1:
        return f"{path}, {lines[0]}"
    return "\n    ".join([f"{path} does not fit {KIND}, {len(lines)} problems:", *lines])


def _line(node: yaml.Node, path: FieldPath) -> int:
    """Line of the field at ``path``, or of the nearest one above it that is there."""
    line = node.start_mark.line
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            pair = (node.value[part], node.value[part])
        else:
            pair = None
        if pair is None:
            break
        line, node = pair[0].start_mark.line, pair[1]
    return int(line) + 1


# --- the schema's complaints, in words --------------------------------------------------------------------------------


def _problems(error: ValidationError) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    value, wanted = cast(Any, error.instance), cast(Any, error.validator_value)
    match str(error.validator):
        case "additionalProperties":
            known = list(cast(Mapping[str, Any], error.schema)["properties"])
            for name in [n for n in value if n not in known]:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}? " if near else ""
                yield Problem((*path, name), f"is not a field ({hint}known here: {', '.join(known)})")
        case "required":
            yield from (Problem((*path, name), "is missing") for name in wanted if name not in value)
        case "type" if "enum" in cast(Mapping[str, Any], error.schema):
            return  # the enum complains too, and says more
        case "type":
            yield Problem(path, f"has to be {_NAMES.get(wanted, wanted)}, not {_shown(value)}")
        case "enum":
            near = [w for w in wanted if str(w).lower() == str(value).lower()]
            hint = f"; write {near[0]}" if near else ""
            yield Problem(path, f"has to be one of {', '.join(map(str, wanted))}, not {_shown(value)}{hint}")
        case "const":
            yield Problem(path, f"has to be {wanted}, not {_shown(value)}")
        case "pattern" if "m|h|d" in wanted:
            yield Problem(path, f"has to be a duration such as 90s, 10m or 1h30m, not {_shown(value)}")
        case "pattern":
            yield Problem(path, f"has to match {wanted}, not {_shown(value)}")
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            yield Problem(path, f"has to be {bound} {wanted}, not {_shown(value)}")
        case "maxLength":
            yield Problem(path, f"may have at most {wanted} characters, and has {len(value)}")
        case "minItems" | "maxItems":
            bound = "at least" if error.validator == "minItems" else "at most"
            yield Problem(path, f"has to be a list of {bound} {wanted}, and has {len(value)}")
        case "uniqueItems":
            yield Problem(path, "has an item twice")
        case _:
            yield Problem(path, error.message)


_NAMES: Final = {"object": "a map", "array": "a list", "string": "a text", "integer": "an integer"}


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _dotted(path: FieldPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


# --- what the CRD says in CEL -----------------------------------------------------------------------------------------


def _seconds(text: str) -> float:
    return parse_duration(text, what="duration")


RULES: Final[dict[str, Callable[[Any], bool]]] = {
    "load.policy must be one of load.allowed": lambda load: (
        "policy" not in load or "allowed" not in load or load["policy"] in load["allowed"]
    ),
    "load.policy is needed here, since its default, Fresh, is not one of load.allowed": lambda load: (
        "policy" in load or "Fresh" in load.get("allowed", ["Fresh"])
    ),
    "must be longer than 0s": lambda duration: _seconds(duration) > 0,
    "backoff.base must not be longer than backoff.max": lambda backoff: (
        _seconds(backoff["base"]) <= _seconds(backoff["max"])
    ),
}
"""By the message of the rule in the CRD: whether a value that fits the schema, with its defaults, keeps it."""


def _broken_rules(schema: Mapping[str, Any], value: object, path: FieldPath) -> Iterator[Problem]:
    if isinstance(value, dict):
        properties: Mapping[str, Any] = schema.get("properties", {})
        for name, inner in properties.items():
            if name in value:
                yield from _broken_rules(inner, value[name], (*path, name))
        value = {**{n: inner["default"] for n, inner in properties.items() if "default" in inner}, **value}
    for rule in schema.get("x-kubernetes-validations", ()):
        message = rule["message"]
        try:
            kept = RULES[message](value)
        except (TypeError, ValueError, AttributeError):
            continue  # it does not fit the schema either, and that was said
        if not kept:
            yield Problem(path, f"is not allowed: {message}")


def _within(inner: FieldPath, outer: FieldPath) -> bool:
    return inner[: len(outer)] == outer
