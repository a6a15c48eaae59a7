"""Twenty processes with the tokens of pods that run claim one run at once."""

from __future__ import annotations

from tests.api.conftest import team
from tests.api.test_sdk import test_twenty_pods_claim_one_run_in_turn_by_their_own_tokens

__all__ = ["team", "test_twenty_pods_claim_one_run_in_turn_by_their_own_tokens"]
