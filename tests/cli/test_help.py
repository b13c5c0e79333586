"""Help is there for every command, with an example, and costs nothing."""

import subprocess
import sys

import pytest
import typer

from mmasched import __version__
from mmasched.cli.app import app

ROOT = typer.main.get_command(app)
COMMANDS = [
    [name, *([sub] if sub else [])]
    for name, command in ROOT.commands.items()
    for sub in (None, *getattr(command, "commands", {}))
]


def test_the_commands_are_those_of_the_contract():
    expected = {"tune", "compile", "run", "bench", "compare", "verify", "log", "networks", "space", "doctor", "costs"}
    assert set(ROOT.commands) == expected
    assert set(ROOT.commands["log"].commands) == {"show", "best", "validate", "merge", "export"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_is_a_command(mmasched, words):
    result = mmasched(*words, "--help")
    assert result.status == 0 and result.err == ""
    examples = result.out.partition("Example")[2].splitlines()[1:]
    assert any(line.strip().startswith(f"mmasched {words[0]}") for line in examples)


def test_no_arguments_print_the_help(mmasched):
    for words in ((), ("log",)):
        result = mmasched(*words)
        assert result.status == 0 and result.out.startswith("Usage: mmasched") and "Example" in result.out


def test_the_default_log_is_named(mmasched):
    for command in ("tune", "compile", "compare"):
        assert "mmasched.jsonl" in " ".join(mmasched(command, "--help").out.split())


def test_version(mmasched):
    assert mmasched("--version").out.strip() == __version__


def test_the_module_is_the_command_and_imports_little():
    heavy = "('numpy', 'tvm', 'onnx', 'xgboost', 'mmasched.problem', 'mmasched.tune')"
    code = f"import sys, mmasched.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
    done = subprocess.run([sys.executable, "-m", "mmasched", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, __version__)
