"""Examples in documents, run as a reader would run them.

A page is run from top to bottom in one fresh home directory, so that later examples see what earlier ones left:

- a ``python`` block after ``<!-- file: NAME -->`` (also ``yaml`` or ``text``) is written to that file; any other
  ``python`` block is run as a script and has to succeed;
- in a ``console`` block each ``$ command`` is run by bash, and the lines beneath it are compared with what it prints,
  stdout and stderr together. A command has to succeed, unless the next one is ``echo $?``, which shows its exit code.
  Variables that a command exports are there for the next;
- blocks without a language and ``text`` blocks are for reading only; ``pycon`` blocks come from docstrings, where
  tests/unit/test_docstrings.py runs them.

What is shown and what is printed are compared after the same normalisation, since a page cannot know what differs from
run to run:

- the home directory is ``/home/me``, the name of the machine ``laptop``, the login name ``me``;
- words of 8 or more hexadecimal digits, and of 5 or more behind a ``-``, are ``#``;
- every number, with its unit if it has one (``0.9 s``, ``412 MiB``, ``2m5s``), is ``0``; only of ``echo $?`` it counts
  as it is;
- white space counts as one blank, and none at the end of a line;
- ``...`` in a shown line stands for anything in it; alone on a line, for any number of lines;
- of ``kubectl logs`` a page shows first what trainpoint says: that is the container's stderr, and nobody knows which of
  its two streams is read first.

So the words, their order and the number of lines are compared, and the exact figures are not: other tests see to those.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from tests.support.repository import ROOT

LANGUAGES = frozenset({"", "text", "python", "pycon", "console", "json", "yaml"})
COMMAND_SECONDS = 400
NEEDS_S3 = "<!-- needs: s3 -->"
"""A page with this line is run by the store rung, with the ``AWS_*`` variables of a real server."""
NEEDS_CLUSTER = "<!-- needs: cluster -->"
"""A page with this line is run by the cluster rung, in a checkout, with the names of images in ``*_IMAGE``."""

_BLOCK = re.compile(r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    file: str = ""
    """the name of the file that it is; empty for an example to run"""

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, m.start("text")) + 1, m["language"], m["text"], m["file"] or "")
        for m in _BLOCK.finditer(text)
    ]


def has_examples(page: Path) -> bool:
    """Whether there is anything to run."""
    return any(b.language in ("python", "console") for b in blocks(page))


@dataclass
class Reader:
    """Somebody who tries a page's examples, in a home directory of their own."""

    home: Path
    environ: dict[str, str]
    last_exit: int = 0

    @classmethod
    def at(cls, home: Path, extra: Mapping[str, str]) -> Reader:
        """With nothing of this machine's settings but what a program needs to run."""
        home.mkdir(parents=True, exist_ok=True)
        kept = {
            k: v for k, v in os.environ.items() if k in ("LANG", "TMPDIR", "SYSTEMROOT") or k.startswith("OPENBLAS")
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return cls(home, {**kept, "PATH": path, "HOME": str(home), "COLUMNS": "140", "PYTHONUTF8": "1", **extra})

    def try_page(self, page: Path) -> None:
        """Run its examples in order; AssertionError for the first that does not do what the page says."""
        for block in blocks(page):
            if block.file:
                (self.home / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                self._python(block)
            elif block.language == "console":
                self._console(block)

    def _python(self, block: Block) -> None:
        script = self.home / "example.py"
        script.write_text(block.text, encoding="utf-8")
        code, printed = self._run([sys.executable, str(script)])
        script.unlink()
        assert code == 0, f"{block.where}: the example ended with {code}\n{printed}"

    def _console(self, block: Block) -> None:
        commands = list(_commands(block.text))
        for number, (command, shown) in enumerate(commands):
            following = commands[number + 1][0] if number + 1 < len(commands) else ""
            code, printed = self._command(command)
            assert code == 0 or following == "echo $?", f"{block.where}: `{command}` ended with {code}\n{printed}"
            if command.startswith("kubectl logs "):
                printed = stderr_first(printed)
            same = printed == shown if command == "echo $?" else self._pattern(shown).fullmatch(self._normal(printed))
            assert same, (
                f"{block.where}: `{command}` does not print what the page shows\n"
                f"--- shown ---\n{shown}--- printed ---\n{printed}"
            )

    def _command(self, command: str) -> tuple[int, str]:
        """One command of the reader's shell, which remembers exported variables and the last exit code."""
        memory = self.home / ".memory"
        code, printed = self._run(
            ["bash", "-c", f"trap 'env -0 > {shlex.quote(str(memory))}' EXIT\n(exit {self.last_exit})\n{command}"]
        )
        pairs = (pair.partition("=") for pair in memory.read_text(encoding="utf-8").split("\0") if pair)
        self.environ = {name: value for name, _, value in pairs if name not in ("_", "SHLVL")}
        memory.unlink()
        self.last_exit = code
        return code, printed

    def _run(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def _normal(self, text: str) -> str:
        text = text.replace(str(self.home), "/home/me").replace(gethostname(), "laptop")
        text = re.sub(rf"\b{re.escape(getpass.getuser())}\b", "me", text)
        text = re.sub(r"\b[0-9a-f]{8,}\b|(?<=-)[0-9a-f]{5,}\b", "#", text)
        text = re.sub(r"\b(\d+[dhms]){2,}\b", "0", text)
        text = re.sub(r"\b\d+(\.\d+)?( ?(ms|s|m|min|h|d|B|kB|MB|GB|KiB|MiB|GiB|Ki|Mi|Gi)\b)?", "0", text)
        return "".join(" ".join(line.split()) + "\n" for line in text.splitlines())

    def _pattern(self, shown: str) -> re.Pattern[str]:
        lines = self._normal(shown).splitlines()
        return re.compile(
            "".join(
                "(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in lines
            )
        )


def stderr_first(printed: str) -> str:
    return "".join(sorted(printed.splitlines(keepends=True), key=lambda line: not line.startswith("trainpoint  ")))


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, what is shown beneath it); a line that ends with ``\\`` goes on in the next."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, shown = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield command.strip(), shown
