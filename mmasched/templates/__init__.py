"""Templates: (Conv2d, Config, hardware) to a Program, and the spaces of their configs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from mmasched.errors import Unsupported
from mmasched.problem import Conv2d
from mmasched.problem.activations import BYTES
from mmasched.space import Config, Space, UnionSpace
from mmasched.templates.program import Program

__all__ = [
    "Program", "check_form", "default_config", "draft_cycles", "features", "generate", "notes", "space_for",
    "starting_configs",
]  # fmt: skip

DEFAULT_SAMPLES = 512
DEFAULT_STEPS = 16
HOPELESS = 4.0  # times the best draft: more than drafts err


def _family(hardware: Any) -> Any:
    name = hardware.target.family
    if name == "x86":
        from mmasched.templates.x86 import family

        return family
    if name == "arm":
        from mmasched.templates.arm import family

        return family
    if name == "cuda":
        from mmasched.templates.cuda import family

        return family
    raise Unsupported(f"there is no template for target {hardware.target}: use native or an x86/* target")


@lru_cache(maxsize=256)
def _space(key: str, hardware: Any, threads: int) -> Space:
    # Constraints ask only for what the key holds, so that every problem of a key has the same space.
    problem, family = Conv2d.from_key(key), _family(hardware)
    check_form(problem.activations, hardware)
    found = family.spaces(problem, hardware, threads)
    if not found:
        raise Unsupported(f"no template has a schedule for {key} on {hardware.target}")
    return found[0] if len(found) == 1 else UnionSpace(found)


def check_form(activations: str, hardware: Any) -> None:
    """Raises Unsupported where a target has no kernels for activations of a form ("bytes", "packed")."""
    if activations != BYTES and hardware.target.family != "arm":
        raise Unsupported(
            f"activations={activations} is not for {hardware.target}, only arm/* targets have kernels for it: "
            f"use activations={BYTES}"
        )


def space_for(problem: Conv2d, hardware: Any, threads: int = 1) -> Space:
    """All valid configs of a problem on a chip.

    Raises Unsupported where no template serves it, and for packed activations anywhere but on Arm.
    """
    return _space(problem.key, hardware, threads)


def features(problem: Conv2d, config: Config, hardware: Any, threads: int = 1) -> list[float]:
    """Analytic figures of a config (modelled), for the learned cost model."""
    return _family(hardware).features(problem, config, hardware, threads)


def notes(problem: Conv2d, hardware: Any) -> tuple[str, ...]:
    """Sentences for the user about how a target runs the problem."""
    return _family(hardware).notes(problem)


@lru_cache(maxsize=1024)
def _starts(key: str, hardware: Any, threads: int, samples: int) -> tuple[Config, ...]:
    problem = Conv2d.from_key(key)
    space = space_for(problem, hardware, threads)

    def cycles(config: Config) -> float:
        return draft_cycles(problem, config, hardware, threads)

    # Template by template: a small space would hardly be met in a sample of all.
    drawn = _drawn_at_once if hardware.target.family == "cuda" else _drawn_singly
    found = [_downhill(member, cycles, drawn(member, samples)) for member in getattr(space, "members", (space,))]
    found.sort(key=cycles)
    return tuple(config for config in found if cycles(config) <= HOPELESS * cycles(found[0]))


def _drawn_singly(space: Space, samples: int) -> set[Config]:
    """The sample that the figures for untuned networks on CPUs were taken with."""
    rng = np.random.default_rng(0)
    return {space.sample(rng) for _ in range(samples)}


def _drawn_at_once(space: Space, samples: int) -> set[Config]:
    """As good a sample in a tenth of the time, which counts where a space has many constraints."""
    rng = np.random.default_rng(0)
    found = {space.config(row) for row in space.sample_rows(rng, samples)}
    return found or {space.sample(rng)}  # which says that there is none


def _downhill(space: Space, cycles: Callable[[Config], float], candidates: set[Config]) -> Config:
    best = min(sorted(candidates, key=str), key=cycles)
    for _ in range(DEFAULT_STEPS):  # one knob at a time
        better = min([best, *space.neighbours(best)], key=cycles)
        if better == best:
            break
        best = better
    return best


def draft_cycles(problem: Conv2d, config: Config, hardware: Any, threads: int = 1) -> float:
    """What a config takes by the templates' formulas, in cycles: good for ranking, not for more."""
    return _family(hardware).draft_cycles(problem, config, hardware, threads)


def starting_configs(
    problem: Conv2d, hardware: Any, threads: int = 1, samples: int | None = None
) -> tuple[Config, ...]:
    """The config that the draft model likes best among a fixed sample, for every template that has a promising one.

    The most promising comes first. samples: how many configs of each template (default: DEFAULT_SAMPLES).
    """
    return _starts(problem.key, hardware, threads, samples or DEFAULT_SAMPLES)


def default_config(problem: Conv2d, hardware: Any, threads: int = 1) -> Config:
    """The most promising of the starting configs: what an untuned network runs."""
    return starting_configs(problem, hardware, threads)[0]


def generate(problem: Conv2d, config: Config, hardware: Any, threads: int = 1, placement: Any = None) -> Program:
    """The kernel of a valid config; `placement` (of the family) says where its tensors lie in a network."""
    return _family(hardware).generate(problem, config, hardware, threads, placement)
