"""What each convolution of a network may run, by the layout of its activations, and which layouts the network takes.

A convolution reads and writes one layout. Convolutions that share a tensor therefore agree on one; between groups of
them stand kernels that read and write any (pools, additions on their own, conversions).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from mmasched.deploy.schedules import kin
from mmasched.errors import Unsupported
from mmasched.log import Record, best_record, matching
from mmasched.network import graph as g
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import default_config, space_for
from mmasched.templates.cuda.family import draft_cycles
from mmasched.templates.cuda.layout import KINDS

THREADS = 1  # records of CUDA targets have one: the thread that launches
BYTE_PRECISIONS = ("s8", "w4a8")  # those that read activations as whole bytes
SAMPLES = 256


@dataclass(frozen=True)
class Choice:
    """A config for one layout. seconds: measured, None without a record of the very problem; cycles: modelled."""

    config: Config
    seconds: float | None
    cycles: float


@dataclass
class CudaSchedules:
    """Looks up records by problem, target and chip; remembers which problems had none for the layout they run in."""

    records: Sequence[Record]
    hardware: Any
    untuned: dict[str, Conv2d] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key: dict[str, list[Record]] = defaultdict(list)
        self._by_kin: dict[str, list[Record]] = defaultdict(list)
        for record in matching(list(self.records), None, str(self.hardware.target), self.hardware.chip, THREADS):
            self._by_key[record.problem].append(record)
            self._by_kin[kin(record.problem)].append(record)

    def choice(self, problem: Conv2d, kind: str) -> Choice | None:
        """The best record whose activations are bytes of this layout, else the draft model's favourite; None where
        neither is. A problem of its kin lends its record, but counts as untuned."""
        found = self._recorded(problem, self._by_key.get(problem.key, ()), kind)
        if found is not None:
            config, seconds = found
        else:
            lent = self._recorded(problem, self._by_kin.get(kin(problem.key), ()), kind)
            config, seconds = lent[0] if lent else drafted(problem, self.hardware, kind), None
        if config is None:
            return None
        return Choice(config, seconds, draft_cycles(problem, config, self.hardware, THREADS))

    def _recorded(self, problem: Conv2d, found: Sequence[Record], kind: str) -> tuple[Config, float] | None:
        records = [record for record in found if stored_as(record.config, kind)]
        while (best := best_record(records)) is not None:
            config = Config.from_dict(best.template, best.config)
            if not space_for(problem, self.hardware).violated(config):
                return config, best.cost
            records = [record for record in records if record.config_key != best.config_key]
        return None


def stored_as(values: Mapping[str, Any], kind: str) -> bool:
    """Whether a config's activations are whole bytes in this layout."""
    return values["layout"] == kind and values["precision"] in BYTE_PRECISIONS


def drafted(problem: Conv2d, hardware: Any, kind: str) -> Config | None:
    """The draft model's favourite in this layout, or what comes nearest to it; None where that has no such form (the
    plain layout always has one)."""
    return _drafted(problem.key, hardware, kind)


@lru_cache(maxsize=4096)
def _drafted(key: str, hardware: Any, kind: str) -> Config | None:
    problem = Conv2d.from_key(key)
    space = space_for(problem, hardware)

    def moved(config: Config) -> Config | None:
        changed = Config.from_dict(config.template, {**config.as_dict(), "layout": kind})
        return changed if stored_as(changed.as_dict(), kind) and not space.violated(changed) else None

    favourite = default_config(problem, hardware, THREADS)
    at_once = moved(favourite)
    if at_once is not None:
        return at_once
    candidates = {moved(config) for config in space.neighbours(favourite)} - {None}
    if not candidates and kind == KINDS[0]:
        rng = np.random.default_rng(0)
        candidates = {moved(space.config(row)) for row in space.sample_rows(rng, SAMPLES)} - {None}
    return min(
        sorted(candidates, key=str), key=lambda config: draft_cycles(problem, config, hardware, THREADS), default=None
    )


def choose(
    convolutions: Iterable[g.QConv | g.QGemm], schedules: CudaSchedules, resolve: Callable[[str], str]
) -> tuple[dict[str, Config], dict[str, str]]:
    """({convolution's output: config}, {tensor: layout}), the layout that serves each group of convolutions best.

    Fewest convolutions without a record come first, then the sum of measured times where every convolution has one, of
    modelled cycles otherwise, then the plainest layout. Raises Unsupported where a group has no common layout.
    """
    configs: dict[str, Config] = {}
    kinds: dict[str, str] = {}
    for group in _groups(list(convolutions), resolve):
        ranked = []
        for order, kind in enumerate(KINDS):
            choices = [schedules.choice(node.problem, kind) for node in group]
            if None in choices:
                continue
            untuned = sum(choice.seconds is None for choice in choices)
            cost = sum(c.cycles if untuned else c.seconds for c in choices)
            ranked.append((untuned, cost, order, kind, choices))
        if not ranked:
            raise Unsupported(_no_layout(group, schedules))
        *_, kind, choices = min(ranked, key=lambda entry: entry[:3])
        for node, choice in zip(group, choices, strict=True):
            configs[node.output] = choice.config
            if choice.seconds is None:
                schedules.untuned.setdefault(node.problem.key, node.problem)
            kinds.update({resolve(name): kind for name in (*node.inputs, node.output) if name})
    return configs, kinds


def _no_layout(group: Sequence[g.QConv | g.QGemm], schedules: CudaSchedules) -> str:
    for node in group:
        if all(schedules.choice(node.problem, kind) is None for kind in KINDS):
            target = schedules.hardware.target
            return f"{node.name} has no schedule whose activations are bytes on {target}: {node.problem.key}"
    return f"the convolutions around {group[0].name} have no layout in common on {schedules.hardware.target}"


def _groups(convolutions: list[g.QConv | g.QGemm], resolve: Callable[[str], str]) -> list[list[g.QConv | g.QGemm]]:
    """Convolutions that are connected by tensors which they share."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for node in convolutions:
        first, *others = (find(resolve(name)) for name in (*node.inputs, node.output) if name)
        for other in others:
            leader[find(other)] = find(first)
    groups: dict[str, list[g.QConv | g.QGemm]] = defaultdict(list)
    for node in convolutions:
        groups[find(resolve(node.output))].append(node)
    return list(groups.values())
