"""Counting hot loops: the table's cells, and that every kernel of the list is in our space. Compiles nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from mmasched.build.cuda.sass import Instruction
from mmasched.hardware import hardware
from mmasched.space import Config
from mmasched.templates import space_for

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return importlib.import_module("sass_cuda")


def test_counts_are_per_matrix_instruction(tool) -> None:
    others = ["LDSM.16.M88.4", "LDGSTS.E.128", "IADD3", "IMAD.IADD", "LOP3.LUT", "BRA", "HADD2"]
    opcodes = ["IMMA.16832.S8.S8"] * 4 + others
    loop = [Instruction(16 * i, opcode) for i, opcode in enumerate(opcodes)]
    cells = tool.row("name", "us", loop, "99, 0")
    assert cells[2] == "4 IMMA.16832.S8.S8" and cells[-1] == "99, 0" and cells[-2] == "1.75"
    shown = dict(zip([*tool.COLUMNS, "others"], cells[3:-2], strict=True))
    assert shown == {"LDSM": "0.25", "LDGSTS": "0.25", "LDS": "0.00", "LDG, STS": "0.00", "integer": "0.75",
                     "waiting": "0.25", "others": "0.25"}  # fmt: skip
    assert len(cells) == len(tool.row("name", "us", loop[4:])) == tool.table([cells]).splitlines()[0].count("|") - 1


def test_every_kernel_is_in_the_space(tool) -> None:
    for case in tool.cases():
        config = Config.from_dict("cuda_mma", case.values)
        assert not space_for(case.problem, hardware(f"cuda/{case.chip}")).violated(config), case.name


def test_the_table_goes_between_its_marks(tool, tmp_path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("# Benchmarks\n\ntext\n")
    tool.insert(path, "old")
    tool.insert(path, "new")
    text = path.read_text()
    assert text.startswith("# Benchmarks\n\ntext\n") and tool.HEADING in text and "new" in text and "old" not in text
