"""Columns, field selectors and explanations once more, on this server."""

from __future__ import annotations

from tests.api.conftest import team
from tests.api.test_kubectl import (
    story,
    test_both_and_the_category_in_one_command,
    test_checkpoints_are_selected_by_field,
    test_explain,
    test_get_checkpoints,
    test_get_checkpoints_wide,
    test_get_runs,
    test_runs_are_selected_by_field,
    test_wait,
)

__all__ = [
    "story",
    "team",
    "test_both_and_the_category_in_one_command",
    "test_checkpoints_are_selected_by_field",
    "test_explain",
    "test_get_checkpoints",
    "test_get_checkpoints_wide",
    "test_get_runs",
    "test_runs_are_selected_by_field",
    "test_wait",
]

WITHOUT_OPERATOR = True  # it would fill the columns that the tests want to see blank
