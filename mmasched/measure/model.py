"""Modelled cycles for cores that are not here: counted under emulation, priced by LLVM's model of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmasched.build.toolchain import host_compiler, llvm_tools
from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import Hardware
from mmasched.log.choose import MODELLED_TIE
from mmasched.measure.emulation import plugin
from mmasched.measure.emulation.base import EmulationRunner
from mmasched.measure.emulation.caches import WAYS_AND_WAITS
from mmasched.measure.outcome import Outcome

BLIND_SPOTS = (
    f"modelled cycles assume that every access hits the first-level cache and know neither branch prediction nor other "
    f"cores; differences under {MODELLED_TIE:.0%} are ties, decided by executed instructions, then by bytes moved"
)


class ModelRunner(EmulationRunner):
    """Outcomes of kind "modelled": verified under emulation like EmulatedRunner's, with cycles as their cost.

    A qemu plugin counts how often every translation block of one call runs; llvm-mca prices the hottest ones in the
    scheduling model of the core. Only in-order cores are modelled, one of them at a time. Resources: executed
    instructions, bytes_moved, l1_misses, l2_misses, cache_cycles (what exposed misses of simulated caches would add to
    the cost), cycles and instructions per multiplication, and the lint of the loop that ran most.

    Raises BadInput for more than one thread, Unsupported for a core without a model, Missing for programs that are not
    installed.
    """

    kind = "modelled"
    price = True

    def __init__(self, hardware: Hardware, threads: int | None = None, **options: Any) -> None:
        if not covers(hardware):
            known = ", ".join(f"arm/{chip}" for chip in WAYS_AND_WAITS)
            raise Unsupported(f"there is no cost model for {hardware.target}: in-order cores only ({known})")
        if threads not in (None, 1):
            raise BadInput(f"the cost model prices one core, not {threads!r} threads: leave --threads out or make it 1")
        host_compiler()
        llvm_tools()
        super().__init__(hardware, 1, **options)
        plugin.interface()

    def remarks(self, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
        """The model's blind spots, and what the cache-miss term would change for one problem."""
        return (BLIND_SPOTS, *cache_remark(outcomes))


def covers(hardware: Hardware) -> bool:
    """True when LLVM's scheduling model of the core is good enough to rank schedules: Cortex-A53 and A55."""
    return hardware.target.family == "arm" and hardware.target.chip in WAYS_AND_WAITS


def create(hardware: Hardware, argument: str, threads: int | None) -> ModelRunner:
    """The runner that the name "model" stands for."""
    return ModelRunner(hardware, threads)


def cache_remark(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """One sentence on the cache-miss term of a problem's modelled outcomes; none when there are none.

    It says how much the term adds to the cheapest outcome, and which place that one has when costs include the term.
    """
    priced = [o for o in outcomes if o.ok and o.cost and "cache_cycles" in o.resources]
    if not priced:
        return ()
    best = min(priced, key=lambda o: o.cost)

    def with_misses(outcome: Outcome) -> float:
        return outcome.cost + outcome.resources["cache_cycles"]

    place = sum(with_misses(o) < with_misses(best) for o in priced)
    added = best.resources["cache_cycles"] / best.cost
    winner = min(priced, key=with_misses)
    p = best.problem
    where = f"{p.kernel[0]}x{p.kernel[1]} {p.in_channels}->{p.out_channels} @{p.height}"
    text = (
        f"{where}: cache misses would add {added:.0%} to the {best.cost:,.0f} modelled cycles of the cheapest schedule"
    )
    if place == 0:
        return (f"{text}, which stays the cheapest",)
    ahead = f"{with_misses(winner):,.0f} cycles with misses against {with_misses(best):,.0f}"
    return (f"{text} and leave it in place {place + 1} of {len(priced)} ({ahead})",)
