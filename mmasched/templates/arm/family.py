"""The Arm family: which templates serve a problem on a chip, their spaces, features and default configs."""

from __future__ import annotations

from typing import Any

from mmasched.errors import Unsupported
from mmasched.problem import Conv2d
from mmasched.problem.activations import BYTES
from mmasched.space import Config, SearchSpace, load_space
from mmasched.templates.arm import depthwise, winograd_constraints
from mmasched.templates.arm.bitserial_constraints import BITSERIAL
from mmasched.templates.arm.constraints import holds, make_scheme_constraints
from mmasched.templates.arm.depthwise_constraints import DEPTHWISE
from mmasched.templates.arm.draft import draft
from mmasched.templates.arm.programs import generate_program, make_spec
from mmasched.templates.arm.registry import SCHEMES
from mmasched.templates.arm.site import Site
from mmasched.templates.cpu.spec import Placement
from mmasched.templates.program import Program


def spaces(problem: Conv2d, hardware: Any, threads: int) -> list[SearchSpace]:
    """One space per scheme that is exact for the problem's bits, within the chip's instructions, and has a config."""
    if problem.is_fp8:
        lacking = f"operand_type {problem.operand_type} has no Advanced SIMD instructions"
        raise Unsupported(f"{lacking}: use a target from cuda/sm_89 on, or int operands")
    site = Site.of(hardware, threads)
    if depthwise.applies(problem):  # the others leave most lanes empty, and would crowd it out of a sample
        return [load_space("neon_depthwise", DEPTHWISE, problem, site)]
    found = [
        load_space(name, make_scheme_constraints(scheme), problem, site)
        for name, scheme in SCHEMES.items()
        if scheme.feature in site.features and holds(problem, scheme)
    ]
    found.append(load_space("bitserial", BITSERIAL, problem, site))
    if winograd_constraints.applies(problem):
        found.append(load_space("neon_winograd", winograd_constraints.WINOGRAD, problem, site))
    return [space for space in found if next(iter(space.enumerate()), None) is not None]


def notes(problem: Conv2d) -> tuple[str, ...]:
    """What a user should know about how the problem runs."""
    return ()


def features(problem: Conv2d, config: Config, hardware: Any, threads: int) -> list[float]:
    """The draft's figures (see draft.Draft.features)."""
    return draft(problem, config, Site.of(hardware, threads)).features()


def draft_cycles(problem: Conv2d, config: Config, hardware: Any, threads: int) -> float:
    """Modelled cycles of a config."""
    return draft(problem, config, Site.of(hardware, threads)).cycles


def generate(problem: Conv2d, config: Config, hardware: Any, threads: int, placement: Placement | None) -> Program:
    """The kernel of a valid config. Raises Unsupported for packed activations in a network, whose tensors are bytes."""
    if placement is not None and problem.activations != BYTES:
        raise Unsupported(f"activations={problem.activations} is for single convolutions: networks keep bytes")
    return generate_program(make_spec(problem, config, Site.of(hardware, threads), placement))
