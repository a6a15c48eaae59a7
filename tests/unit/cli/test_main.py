"""What every verb has in common."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from tests.support import command_line
from trainpoint.cli.main import VERBS, main


def invoke(*arguments: str) -> tuple[int, str, str]:
    done = command_line.invoke(*arguments)
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_there_with_its_help(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    assert command.get_short_help_str()
    code, out, _ = invoke(verb, "--help")
    assert code == 0
    assert out.startswith(f"Usage: main {verb} ")


def test_help_lists_the_verbs_and_imports_none_of_them() -> None:
    program = (
        "import json, sys\n"
        "from trainpoint.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    text, _, modules = done.stdout.rstrip().rpartition("\n")
    for verb, (place, line) in VERBS.items():
        assert f"  {verb} " in text
        assert line in text
        assert place.partition(":")[0] not in json.loads(modules)
    assert not {"rich", "yaml", "jsonschema", "asyncio"} & set(json.loads(modules))


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["explain", "--nonsense"], ["explain", "a", "b"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")


def test_an_error_of_ours_is_its_own_report_and_exit_code() -> None:
    code, out, err = invoke("run", "--policy", "/no/such/policy.yaml", "--", "true")
    assert (code, out) == (2, "")
    assert err == (
        "trainpoint.PolicyFileError [TP022]: /no/such/policy.yaml cannot be read: No such file or directory\n"
        "    pass --policy FILE\n"
        "    more: trainpoint explain TP022\n"
    )


def test_the_version_is_that_of_the_package() -> None:
    code, out, _ = invoke("--version")
    assert code == 0
    assert out.startswith("trainpoint 0.")
