"""``mmasched.costs``: the best known cost per layer and pair of bit widths, estimates where nothing is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from mmasched.costs.estimate import Estimates
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import kin
from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import Target, hardware
from mmasched.log import Record, best_record, matching
from mmasched.measure.affinity import check_threads
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.problem.activations import BYTES, check_known, in_form, packable
from mmasched.templates import check_form
from mmasched.tune.network import as_network

SECONDS, CYCLES = "seconds", "cycles"


@dataclass(frozen=True)
class Entry:
    """The cost of a layer with so many bits in weights and activations.

    kind: "measured" (seconds), "modelled" (cycles) or "estimated": a draft by formula, in the unit of the records that
    it was scaled to, or in raw cycles where the log has none. None with kind "unsupported" where no template serves it.
    """

    weight_bits: int
    input_bits: int
    cost: float | None
    unit: str
    kind: str
    template: str | None


@dataclass(frozen=True)
class LayerCosts:
    """A distinct convolution of the network, how often it occurs, and its costs."""

    problem: str
    names: tuple[str, ...]
    count: int
    entries: tuple[Entry, ...]

    def at(self, weight_bits: int, input_bits: int) -> Entry:
        """The entry of a pair of bit widths. Raises BadInput for a pair that was not asked for."""
        for entry in self.entries:
            if (entry.weight_bits, entry.input_bits) == (weight_bits, input_bits):
                return entry
        raise BadInput(f"the table has no costs for {weight_bits} bits by {input_bits}: ask for more with bits=")


@dataclass(frozen=True)
class CostTable:
    """Costs of all layers of a network on a target; `to_json` is what --json writes."""

    network: str
    target: str
    chip: str
    threads: int
    layers: tuple[LayerCosts, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return {"schema": 1, **asdict(self)}


def costs(
    network: Any, target: str | Target = "native", bits: Iterable[int] = range(1, 9), log: Any = None,
    threads: int | None = None, *, activations: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CostTable:  # fmt: skip
    """The best recorded cost of every layer for every pair of weight and activation bits, else an estimate.

    network: as for tune_network. log: a log, a path or several; records that ship with the project are used besides.
    Records count for the very problem and for those of its kin (other signs, zero points or kinds of scales).
    activations: "packed" for costs with those of 1, 2 and 4 bits packed, "bytes" for none, None as the problems say.
    progress: called with (layers done, layers). Raises BadInput for bits outside 1 to 8 and what tune_network raises.
    """
    widths = sorted(set(bits))
    if not widths or not all(isinstance(b, int) and not isinstance(b, bool) and 1 <= b <= 8 for b in widths):
        raise BadInput(f"bits are {widths}: give integers from 1 to 8")
    chip = hardware(target)
    count = 1 if threads is None and chip.target.family != "x86" else threads or check_threads(None)
    layers: Network = as_network(network)
    if activations is not None:
        check_known(activations)
    for problem in layers.problems:
        check_form(activations or problem.activations, chip)
    found = _Costs(chip, count, matching(records_for(log), None, str(chip.target), chip.chip, count))
    made = []
    for number, ((problem, times), names) in enumerate(zip(layers.layers, layers.names, strict=True)):
        entries = tuple(found.entry(with_bits(problem, w, x, activations)) for w in widths for x in widths)
        made.append(LayerCosts(problem.key, tuple(names), times, entries))
        if progress is not None:
            progress(number + 1, len(layers))
    return CostTable(layers.name, str(chip.target), chip.chip, count, tuple(made))


def with_bits(problem: Conv2d, weight_bits: int, input_bits: int, activations: str | None = None) -> Conv2d:
    """The problem with other operand widths; zero points become 0 and full ranges are assumed where a width changes.

    Activations are packed where that is asked for, here or by the problem (None), and anything can be packed.
    """
    form, problem = activations or problem.activations, in_form(problem, BYTES)
    fields: dict[str, Any] = {}
    if weight_bits != problem.weight_bits:
        fields |= {"weight_bits": weight_bits, "weight_range": None, "weight_zero_point": 0}
    if input_bits != problem.input_bits:
        fields |= {"input_bits": input_bits, "input_zero_point": 0}
    found = Conv2d.from_key(replace(problem, **fields).key) if fields else problem
    return in_form(found, form) if packable(found) else found


class _Costs:
    """Looks records up, and estimates in their unit."""

    def __init__(self, chip: Any, threads: int, records: list[Record]):
        self.by_key: dict[str, list[Record]] = defaultdict(list)
        self.by_kin: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            self.by_key[record.problem].append(record)
            self.by_kin[kin(record.problem)].append(record)
        self.estimates = Estimates(chip, threads, records)

    def entry(self, problem: Conv2d) -> Entry:
        widths = problem.weight_bits, problem.input_bits
        best = best_record(self.by_key.get(problem.key, [])) or best_record(self.by_kin.get(kin(problem.key), []))
        if best is not None:
            unit = SECONDS if best.kind == "measured" else CYCLES
            return Entry(*widths, best.cost, unit, best.kind, best.template)
        try:
            cost, template = self.estimates.of(problem)
        except Unsupported:
            return Entry(*widths, None, self.estimates.unit, "unsupported", None)
        return Entry(*widths, cost, self.estimates.unit, "estimated", template)
