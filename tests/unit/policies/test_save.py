"""When it is time to save."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainpoint.policies.save import Due, NotDue, SaveInput, is_due
from trainpoint.policies.settings import SaveSettings

NEITHER = SaveSettings()
STEPS = SaveSettings(every_steps=10)
TIME = SaveSettings(every_seconds=60)
BOTH = SaveSettings(every_steps=10, every_seconds=60)


@pytest.mark.parametrize(
    ("settings", "steps", "seconds", "expected"),
    [
        (NEITHER, 1000, 299.9, NotDue()),
        (NEITHER, 1, 300.0, Due("TimePassed")),
        (STEPS, 9, 9999.0, NotDue()),
        (STEPS, 10, 0.0, Due("StepsPassed")),
        (TIME, 9999, 59.9, NotDue()),
        (TIME, 1, 60.0, Due("TimePassed")),
        (BOTH, 9, 59.9, NotDue()),
        (BOTH, 10, 0.0, Due("StepsPassed")),
        (BOTH, 1, 60.0, Due("TimePassed")),
        (TIME, 0, 9999.0, NotDue()),
        (TIME, -5, 60.0, Due("TimePassed")),
    ],
)
def test_is_due_by_steps_or_time(settings: SaveSettings, steps: int, seconds: float, expected: Due | NotDue) -> None:
    assert is_due(SaveInput(settings, step=100 + steps, last_step=100, seconds_since_save=seconds)) == expected


@pytest.mark.parametrize("settings", [NEITHER, STEPS, TIME, BOTH])
def test_a_request_makes_it_due_where_there_is_something_new(settings: SaveSettings) -> None:
    asked = SaveInput(settings, step=101, last_step=100, seconds_since_save=0, requested=True)
    assert is_due(asked) == Due("SaveRequested")
    assert is_due(replace(asked, step=100)) == NotDue()
    assert is_due(replace(asked, preempted=True)) == Due("Preempted")
    assert is_due(replace(asked, preempted=True, final_save_due=False)) == NotDue()


@pytest.mark.parametrize("settings", [NEITHER, STEPS, TIME, BOTH])
def test_preemption_makes_it_due_once(settings: SaveSettings) -> None:
    first = SaveInput(settings, step=100, last_step=100, seconds_since_save=0, preempted=True)
    assert is_due(first) == Due("Preempted")
    again = SaveInput(settings, 900, last_step=100, seconds_since_save=9999, preempted=True, final_save_due=False)
    assert is_due(again) == NotDue()


@given(st.integers(1, 100), st.integers(1, 1000))
def test_saving_whenever_it_is_due_saves_every_n_steps(every: int, total: int) -> None:
    saved = [0]
    for step in range(1, total + 1):
        if isinstance(is_due(SaveInput(SaveSettings(every_steps=every), step, saved[-1], 0.0)), Due):
            saved.append(step)
    assert saved == list(range(0, total + 1, every))
