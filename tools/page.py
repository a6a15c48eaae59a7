"""Write a generated page of the documentation, or tell that it is behind what it is made from."""

from __future__ import annotations

from pathlib import Path


def write_or_check(target: Path, text: str, *, source: str, arguments: list[str]) -> int:
    """Exit code of a generator: the page is written; with ``--check`` it is compared, and 1 where it is behind."""
    if "--check" not in arguments:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"{target.relative_to(target.parents[2])} is not what {source}; run: make generate")
    return 1
