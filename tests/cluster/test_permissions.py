"""The table of permissions once more, on this server: people with certificates, tokens of pods that run."""

from __future__ import annotations

from tests.api.conftest import team
from tests.api.test_permissions import scenes, test_a_cell_of_the_table

__all__ = ["scenes", "team", "test_a_cell_of_the_table"]
