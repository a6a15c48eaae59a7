"""Decisions of the operator: pure functions of what was gathered, with their reasons."""
