"""Modelled cycles of one call: how often every translation block ran, times what llvm-mca says one run of it costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmasched.build.cross import CrossBinary
from mmasched.build.lint import hot_loop, lint
from mmasched.measure.emulation import mca, plugin, qemu
from mmasched.measure.emulation.caches import caches_of
from mmasched.measure.emulation.plugin import Block, Counts

PRICED_SHARE = 0.98
"""Blocks are priced from the hottest on until they hold this share of all executed instructions; the rest is taken to
cost as much per instruction."""


@dataclass(frozen=True)
class Priced:
    """Modelled cycles, with first-level cache hits assumed throughout, and what they were made from.

    block_costs: the priced blocks with the cycles of all their executions. share: of the executed instructions, that
    llvm-mca priced. cache_cycles: what exposed misses of the simulated caches would add; not part of `cycles`.
    """

    cycles: float
    counts: Counts
    block_costs: tuple[tuple[Block, float], ...]
    share: float
    cache_cycles: int
    model: str

    def cycles_in(self, start: int, end: int) -> float:
        """Modelled cycles of the priced blocks that begin between two addresses, inclusive."""
        return sum(cost for block, cost in self.block_costs if start <= block.address <= end)


def price_counts(counts: Counts, hardware: Any) -> Priced:
    """Price what a plugin counted. Raises Missing where llvm-mca is not installed."""
    total = counts.instructions
    hottest, covered = [], 0
    for block in sorted(counts.blocks, key=lambda block: -block.work):
        if covered >= PRICED_SHARE * total:
            break
        hottest.append(block)
        covered += block.work
    singles = mca.block_cycles(hottest, hardware.mcpu, sorted(hardware.features))
    known = [(block, block.executions * cycles) for block, cycles in zip(hottest, singles) if cycles is not None]
    priced = sum(block.work for block, _ in known)
    cycles = sum(cost for _, cost in known)
    # One cycle per instruction where nothing could be priced at all.
    cycles += (total - priced) * (cycles / priced if priced else 1.0)
    caches = caches_of(hardware)
    lost = caches.cycles(counts.exposed_l2, counts.exposed_memory)
    return Priced(cycles, counts, tuple(known), priced / total if total else 1.0, lost, mca.model_name())


def count(
    binary: CrossBinary, hardware: Any, core: qemu.Core, operands: dict[str, Any], folder: Path, seconds: float
) -> Counts:
    """What one call executes. Raises EmulationError and EmulationTimeout like qemu.run."""
    out = folder / "counts"
    out.unlink(missing_ok=True)
    options = plugin.options(plugin.build(folder), out, caches_of(hardware))
    qemu.run(binary, core, [operands], folder, seconds, options)
    return plugin.read(out)


def record(binary: CrossBinary, priced: Priced) -> dict[str, Any]:
    """The resources of a modelled outcome, JSON-able: what the run counted, and the lint of the loop that ran most."""
    counts, macs = priced.counts, binary.problem.macs
    found: dict[str, Any] = {
        "model": priced.model,
        "executed": counts.instructions,
        "bytes_moved": counts.bytes_moved,
        "l1_misses": counts.l1_misses,
        "l2_misses": counts.l2_misses,
        "cache_cycles": priced.cache_cycles,
        "priced_share": round(priced.share, 4),
        "cycles_per_mac": round(priced.cycles / macs, 5),
        "instructions_per_mac": round(counts.instructions / macs, 5),
    }
    loop = hot_loop(binary.code, counts.executed)
    if loop is not None:
        work = counts.executed(loop.start, loop.end)
        inside = priced.cycles_in(loop.start, loop.end)
        found["lint"] = {
            **lint(binary.code, loop, binary.program.required),
            "share": round(inside / priced.cycles, 4),
            "cycles_per_mac": round(inside / macs, 5),
            "instructions_per_mac": round(work / macs, 5),
        }
    return found
