"""Which candidates verify_cuda.py tries: problems by part and group, and the draft model's favourites of each."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.hardware import Hardware, hardware
from mmasched.network import network
from mmasched.problem import Conv2d
from mmasched.space import Config

NETWORKS = ("resnet50", "vgg16", "inception_v3", "resnet18_expanded")
CHIPS = ("sm_75", "sm_80", "sm_90")
# Bits of both operands, and the precisions of the template that multiply them as the group's name says.
PRECISIONS = {"int8": (8, ("s8",)), "int4": (4, ("s4", "s4_as_s8")), "binary 2x2": (2, ("b1",))}
DRAWN = 512
DRAWS = 16384
TOP = {"a": 5, "b": 20}
SPARES = 20  # favourites that take the places of those that spill


@dataclass(frozen=True)
class Task:
    """One problem on one chip: `group` names precision and chip, `layer` the network's layer that it is."""

    part: str
    group: str
    layer: str
    problem: Conv2d
    chip: Hardware
    top: int

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions whose configs are tried."""
        return PRECISIONS[self.group.rpartition(" ")[0]][1]


@dataclass(frozen=True)
class Choice:
    """The favourites of a task, best first and with spares; of how many different valid configs; seconds each."""

    configs: tuple[Config, ...]
    valid: int
    seconds: float


def part_a() -> Iterator[Task]:
    """Every distinct convolution of the networks at batch 1 in int8 on sm_80."""
    seen = set()
    for name in NETWORKS:
        for number, (problem, _) in enumerate(network(name).layers):
            if problem.key not in seen:
                seen.add(problem.key)
                yield Task("a", "int8 sm_80", f"{name} {number}", problem, hardware("cuda/sm_80"), TOP["a"])


def part_b() -> Iterator[Task]:
    """The stratified shapes in every other pair of precision and chip."""
    for precision, (bits, _) in PRECISIONS.items():
        for chip in CHIPS:
            if (precision, chip) != ("int8", "sm_80"):
                for name, layer, batch in strata():
                    problem = network(name, batch=batch, bits=bits).layers[layer][0]
                    yield Task(
                        "b", f"{precision} {chip}", f"{name} {layer}", problem, hardware(f"cuda/{chip}"), TOP["b"]
                    )


def _few(p: Conv2d) -> bool:
    return p.in_channels < 8


def _odd(p: Conv2d) -> bool:
    return not _few(p) and p.in_channels % 4 != 0


def _plain(p: Conv2d, edge: int) -> bool:
    return not _few(p) and not _odd(p) and p.kernel == (edge, edge)


# Every shape of the networks falls into the first of these that takes it, or none; of each the shape with the median
# of multiply-accumulates is tried, at batch 1 and 16 in turn.
STRATA: tuple[Callable[[Conv2d], bool], ...] = (
    lambda p: _few(p) and p.kernel == (7, 7),
    lambda p: _few(p),
    lambda p: _odd(p) and p.kernel == (1, 1),
    lambda p: _odd(p) and p.residual,
    lambda p: _odd(p),
    lambda p: _plain(p, 1) and p.residual,
    lambda p: _plain(p, 1) and p.stride != (1, 1),
    lambda p: _plain(p, 1),
    lambda p: _plain(p, 3) and p.stride != (1, 1),
    lambda p: _plain(p, 3) and p.out_height >= 28,
    lambda p: _plain(p, 3),
    lambda p: p.kernel[0] != p.kernel[1],
)


def strata() -> list[tuple[str, int, int]]:
    """(network, number of the layer, batch) of the shape that stands for each of STRATA."""
    members: list[dict[str, tuple[int, str, int]]] = [{} for _ in STRATA]
    for name in NETWORKS:
        for number, (problem, _) in enumerate(network(name).layers):
            kind = next((i for i, takes in enumerate(STRATA) if takes(problem)), None)
            if kind is not None:
                members[kind].setdefault(problem.key, (problem.macs, name, number))
    chosen = []
    for kind, found in enumerate(members):
        ordered = sorted(found.values())
        _, name, number = ordered[len(ordered) // 2]
        chosen.append((name, number, 16 if kind % 2 else 1))
    return chosen


def tasks(parts: Sequence[str], quick: bool) -> list[Task]:
    """All tasks of the parts; of each group only the first and, with another network, the last one when quick."""
    found = [task for part in parts for task in {"a": part_a, "b": part_b}[part]()]
    if not quick:
        return found
    ends = {}
    for task in found:
        ends.setdefault(task.group, [task, task])[1] = task
    return [dataclasses.replace(task, top=1) for pair in ends.values() for task in pair]


def choose(task: Task) -> Choice:
    """The draft model's favourites among DRAWN configs drawn uniformly from the valid ones of the task's precisions."""
    from mmasched.templates import space_for
    from mmasched.templates.cuda.family import draft_cycles

    start = time.process_time()
    space, rng = space_for(task.problem, task.chip), np.random.default_rng(0)
    found: dict[Config, None] = {}
    drawn = 0
    while len(found) < DRAWN and drawn < DRAWS:
        rows = space.sample_rows(rng, DRAWN)
        drawn += len(rows)
        if not len(rows):
            break
        fitting = (config for config in map(space.config, rows) if config["precision"] in task.precisions)
        found.update(dict.fromkeys(fitting))

    def cost(config: Config) -> tuple[float, str]:
        return draft_cycles(task.problem, config, task.chip, 1), str(sorted(config.as_dict().items()))

    ordered = sorted(found, key=cost)
    spent = time.process_time() - start
    return Choice(tuple(ordered[: task.top + SPARES]), len(found), spent / max(1, len(found)))


def described(task: Task, config: Config) -> dict[str, Any]:
    """What identifies a candidate in a record."""
    return {"problem": task.problem.key, "target": str(task.chip.target), "config": config.as_dict()}
