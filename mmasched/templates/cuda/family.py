"""The CUDA family: its spaces, features and programs, as mmasched.templates asks for them."""

from __future__ import annotations

from typing import Any

from mmasched.errors import Unsupported
from mmasched.problem import Conv2d
from mmasched.space import Config, SearchSpace, load_space
from mmasched.templates.cuda.constraints import CHECKS
from mmasched.templates.cuda.draft import draft
from mmasched.templates.cuda.generate import generate_program
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.program import CudaProgram


def notes(problem: Conv2d) -> tuple[str, ...]:
    """What a user should know about how the problem runs."""
    if problem.is_depthwise:
        return ("depthwise channels fill one row in 16 of the tensor cores' tiles, at most",)
    return ()


def spaces(problem: Conv2d, hardware: Any, threads: int) -> list[SearchSpace]:
    """The space of the one template. Raises Unsupported for 8-bit floats on a chip without them."""
    if problem.is_fp8 and hardware.gpu.compute_capability < 89:
        raise Unsupported(f"{hardware.target} has no {problem.operand_type} instructions: use cuda/sm_89 or later")
    return [load_space("cuda_mma", CHECKS, problem, hardware)]


def plan_of(problem: Conv2d, config: Config, hardware: Any) -> Plan:
    """Tiles, layouts and sizes of a valid config."""
    return Plan(problem, config.as_dict(), hardware.gpu.compute_capability)


def features(problem: Conv2d, config: Config, hardware: Any, threads: int) -> list[float]:
    """The draft's figures (see draft.Draft.features)."""
    return draft(plan_of(problem, config, hardware), hardware.gpu, hardware.l2).features()


def draft_cycles(problem: Conv2d, config: Config, hardware: Any, threads: int) -> float:
    """Modelled clock cycles of a config at the chip's boost clock."""
    return draft(plan_of(problem, config, hardware), hardware.gpu, hardware.l2).cycles


def generate(problem: Conv2d, config: Config, hardware: Any, threads: int, placement: Any) -> CudaProgram:
    """The kernels of a valid config."""
    return generate_program(plan_of(problem, config, hardware))
