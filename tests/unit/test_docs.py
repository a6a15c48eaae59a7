"""Every example in the documents runs (tests/support/documents.py says how)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import (
    LANGUAGES,
    NEEDS_CLUSTER,
    NEEDS_S3,
    Reader,
    blocks,
    has_examples,
    pages,
    stderr_first,
)
from tests.support.repository import ROOT


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def needs_server(page: Path) -> bool:
    return not {NEEDS_S3, NEEDS_CLUSTER}.isdisjoint(page.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("page", [p for p in pages() if has_examples(p) and not needs_server(p)], ids=name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    Reader.at(tmp_path / "me", {}).try_page(page)


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_block_is_in_a_language_that_is_known_to_be_run_or_not(page: Path) -> None:
    assert {b.language for b in blocks(page)} <= LANGUAGES
    fences = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("```")]
    assert len(fences) == 2 * len(blocks(page)), "a block is not closed, or is indented"


def page_with(text: str, folder: Path) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ echo one\none\n```\n",
        "```console\n$ printf 'a 1\\nb\\nc\\n'\na 12.5 MiB\n...\n```\n",
        "```console\n$ echo run-7f3a90c21e took 2.5 s\nrun-0000000000 took 31 ms\n```\n",
        "```console\n$ echo up for 2m5s\nup for 31s\n```\n",
        '```console\n$ echo "see $HOME/x"\nsee /home/me/...\n```\n',
        "```console\n$ false\n$ echo $?\n1\n```\n",
        "```console\n$ export A=b C='d e'\n$ echo $A $C\nb d e\n```\n",
        "<!-- file: a.txt -->\n```text\nhello\n```\n\n```console\n$ cat a.txt\nhello\n```\n",
        "```python\nprint(1)\n```\n",
    ],
)
def test_an_example_that_is_right_passes(text: str, tmp_path: Path) -> None:
    Reader.at(tmp_path / "me", {}).try_page(page_with(text, tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ printf 'one\\ntwo\\n'\none\n```\n",
        "```console\n$ echo one\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ exit 3\n$ echo $?\n4\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
    ],
)
def test_an_example_that_is_wrong_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.documents.ROOT", tmp_path)
    with pytest.raises(AssertionError, match=r"page\.md:\d"):
        Reader.at(tmp_path / "me", {}).try_page(page_with(text, tmp_path))


def test_of_a_containers_two_streams_stderr_is_compared_first_each_in_its_order() -> None:
    printed = "trainpoint  run llm\nattempt 1\ntrainpoint  loaded\nstep 16\n"
    assert stderr_first(printed) == "trainpoint  run llm\ntrainpoint  loaded\nattempt 1\nstep 16\n"
