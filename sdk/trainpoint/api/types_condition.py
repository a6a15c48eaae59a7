"""Condition as YAML and JSON have it. Made from crds/ by tools/generate.py: do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Condition(TypedDict):
    """One aspect of an object, and why it is so."""

    type: str
    """Which aspect, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    observedGeneration: NotRequired[int]
    """The generation of the object that this was found for."""
    lastTransitionTime: str
    """When the status last changed."""
    reason: str
    """One word, in CamelCase, for programs."""
    message: str
    """A sentence for people."""
