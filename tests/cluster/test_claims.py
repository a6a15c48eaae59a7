"""Twenty processes with the tokens of pods that run claim one run at once; then ``kubectl trainpoint``, here too."""

from __future__ import annotations

from tests.api.conftest import team
from tests.api.test_sdk import (
    recorded,
    run,
    test_list_shows_what_the_objects_say,
    test_rm_needs_the_right_to_delete,
    test_twenty_pods_claim_one_run_in_turn_by_their_own_tokens,
    test_why_tells_what_was_loaded_and_passed_over,
)

__all__ = [
    "recorded",
    "run",
    "team",
    "test_list_shows_what_the_objects_say",
    "test_rm_needs_the_right_to_delete",
    "test_twenty_pods_claim_one_run_in_turn_by_their_own_tokens",
    "test_why_tells_what_was_loaded_and_passed_over",
]
