"""The x86 family: which templates serve a problem on a chip, their spaces, features and default configs."""

from __future__ import annotations

from typing import Any

from mmasched.errors import Unsupported
from mmasched.problem import Conv2d
from mmasched.space import Config, SearchSpace, load_space
from mmasched.templates.cpu.geometry import weight_terms
from mmasched.templates.cpu.spec import Placement
from mmasched.templates.program import Program
from mmasched.templates.x86 import constraints
from mmasched.templates.x86.draft import draft
from mmasched.templates.x86.programs import generate_program, make_spec
from mmasched.templates.x86.site import Site

TABLES = {"x86_amx": constraints.MATRIX, "x86_gemm": constraints.VECTOR, "x86_depthwise": constraints.DEPTHWISE}


def templates_for(problem: Conv2d, hardware: Any) -> list[str]:
    """Names of the templates that can serve the problem. Raises Unsupported for 8-bit floats."""
    if problem.is_fp8:
        lacking = f"operand_type {problem.operand_type} has no x86 instructions"
        raise Unsupported(f"{lacking}: use a target from cuda/sm_89 on, or int operands")
    if depthwise(problem):
        return ["x86_depthwise"]
    # Block scales need their partial sums in registers, which AMX tiles are not.
    if hardware.target.chip == "amx" and not problem.scale_block and _rows_of_four(problem):
        return ["x86_amx", "x86_gemm"]
    return ["x86_gemm"]


def notes(problem: Conv2d) -> tuple[str, ...]:
    """What a user should know about how the problem runs."""
    narrow = min(problem.input_bits, problem.weight_bits)
    if narrow == 8:
        return ()
    path = "the 8-bit path: x86 has no narrower multiplication, and every value takes a byte"
    return (f"operands of {narrow} bits run on {path}",)


def depthwise(problem: Conv2d) -> bool:
    """One filter per channel, its weights in a byte each."""
    return problem.is_depthwise and problem.out_channels == problem.in_channels and weight_terms(problem) == 1


def _rows_of_four(problem: Conv2d) -> bool:
    # A tile row holds whole groups of four bytes; grouped taps shorter than that would read their neighbour's channels,
    # which zero weights make harmless only where the copy has slack.
    return problem.groups == 1 or (problem.in_channels // problem.groups) % 4 == 0


def spaces(problem: Conv2d, hardware: Any, threads: int) -> list[SearchSpace]:
    """One space per template that has a valid config."""
    site = Site.of(hardware, threads)
    found = [load_space(name, TABLES[name], problem, site) for name in templates_for(problem, hardware)]
    return [space for space in found if next(iter(space.enumerate()), None) is not None]


def features(problem: Conv2d, config: Config, hardware: Any, threads: int) -> list[float]:
    """The draft's figures (see draft.Draft.features)."""
    return draft(problem, config, Site.of(hardware, threads)).features()


def draft_cycles(problem: Conv2d, config: Config, hardware: Any, threads: int) -> float:
    """Modelled cycles of a config."""
    return draft(problem, config, Site.of(hardware, threads)).cycles


def generate(problem: Conv2d, config: Config, hardware: Any, threads: int, placement: Placement | None) -> Program:
    """The kernel of a valid config."""
    return generate_program(make_spec(problem, config, Site.of(hardware, threads), placement))
