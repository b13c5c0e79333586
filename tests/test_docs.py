"""What README and docs/ say can be done: links resolve, commands and options exist, the README's examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mmasched.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "tuning_logs" / "README.md"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Commands stand in `...` or on a line of their own, in a block.
COMMAND = re.compile(r"(?:`|^ *)(mmasched [a-z][^`\n]*)(?:`|$)", re.MULTILINE)
SCRIPT = re.compile(r"(?:`|^ *)(?:bash |python )?(tools/\w+\.(?:py|sh))([^`#\n]*)", re.MULTILINE)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The names by which links reach the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pages
def test_local_links_resolve(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)[1:]
        command = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command.name != "mmasched" and command is not typer.main.get_command(app), line
        known = {option for parameter in command.params for option in parameter.opts}
        assert [word for word in words if word.startswith("-") and word not in known] == [], line


@pages
def test_scripts_and_their_options_exist(page: Path) -> None:
    for script, rest in SCRIPT.findall(page.read_text(encoding="utf-8")):
        path = ROOT / script
        assert path.is_file(), script
        # quickstart.sh hands its arguments on.
        sources = [path, *path.parent.glob("_*.py"), path.with_suffix(".py")]
        text = "".join(source.read_text(encoding="utf-8") for source in sources if source.is_file())
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in text, f"{script} {option}"


@pytest.mark.timeout(900)
def test_examples_of_the_readme_run(tmp_path: Path) -> None:
    """All of them in one folder and in order, since later ones use what earlier ones wrote."""
    pytest.importorskip("onnxruntime", reason="the examples quantize a model: pip install mmasched[test]")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {language for language, _ in blocks} == {"python", "sh"}
    for language, text in blocks:
        if language == "python":
            commands = [["-c", text]]
        else:
            commands = [["-m", *shlex.split(line)] for line in text.splitlines()]
        for command in commands:
            done = subprocess.run(
                [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
