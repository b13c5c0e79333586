"""Modelled cycles of convolutions beside other libraries' on the same core: which problems, what of each, and gains.

Everyone runs under the same emulation, is counted by the same plugin and priced by the same model of one core, with the
caches taken to hit. One call of the whole convolution counts: ours and ONNX Runtime's from NHWC bytes to requantized
NHWC bytes; ncnn's from planar int8 to planar int8, packing of both included. Weights are packed beforehand by all. The
peers take signed activations with zero points of 0; so do ours at 8 bits, below that unsigned ones.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmasched.compare.arm.peers import ArmPeer, run_peer
from mmasched.compare.arm.root import ArmPython
from mmasched.errors import Missing, Unsupported
from mmasched.hardware import Hardware
from mmasched.measure.emulation.price import Priced
from mmasched.measure.model import ModelRunner
from mmasched.measure.operands import operand_sets
from mmasched.problem import Conv2d, Requantize
from mmasched.problem.activations import BYTES, in_form, packable
from mmasched.space import Config

Row = dict[str, Any]
"""What JSON has of a shape: "shape" (str), "macs", "peers" {name: figures or None} and "ours" {bits: figures or None}.

Figures are cycles (None for ours that fail), cache_cycles (what exposed misses would add), instructions and more.
"""


def distinct(problems: Iterable[Conv2d]) -> list[Conv2d]:
    """Convolutions as int8 with zero points of 0 and no residual, each once."""
    found: dict[str, Conv2d] = {}
    for problem in problems:
        shape = narrowed(dataclasses.replace(problem, residual=False, requantize=Requantize([1.0])), 8)
        found.setdefault(shape.key, shape)
    return list(found.values())


def narrowed(shape: Conv2d, bits: int, output_bits: int = 8, activations: str = BYTES) -> Conv2d:
    """The shape with so many bits in both operands and the outputs; signed activations at 8 bits only.

    activations: "packed" packs those of 1, 2 and 4 bits; a shape without any keeps bytes.
    """
    signed = bits == 8
    fields = {
        "input_bits": bits, "weight_bits": bits, "output_bits": output_bits, "input_signed": signed,
        "output_signed": signed,
        "weight_range": (-127, 127) if signed else None, "input_zero_point": 0, "weight_zero_point": 0,
        "requantize": Requantize([1.0] * shape.out_channels),
    }  # fmt: skip
    problem = dataclasses.replace(shape, **fields, activations=BYTES)
    return Conv2d.from_key((in_form(problem, activations) if packable(problem) else problem).key)


def check_installed(peers: Sequence[ArmPeer], python: ArmPython) -> None:
    """Raises Missing for the first peer that a Python does not have."""
    for peer in peers:
        if not python.has(peer.module):
            raise Missing(f"{peer.name} is not in {python.folder}: bash tools/arm64_root.sh {python.folder}")


def peer_figures(peer: ArmPeer, shape: Conv2d, chip: Hardware, python: ArmPython) -> dict[str, Any] | None:
    """The figures of a peer, None for a shape that it does not compute."""
    try:
        with tempfile.TemporaryDirectory(prefix="mmasched-") as folder:
            result = run_peer(peer, shape, operand_sets(shape)[-1], chip, python, Path(folder))
    except Unsupported:
        return None
    found = {"version": result.version, "differing": result.differing, "largest_difference": result.largest}
    return {**_figures(result.priced, shape), **found}


def _figures(priced: Priced, shape: Conv2d) -> dict[str, Any]:
    return {
        "cycles": priced.cycles, "instructions": priced.counts.instructions, "bytes_moved": priced.counts.bytes_moved,
        "cache_cycles": priced.cache_cycles, "cycles_per_mac": priced.cycles / shape.macs, "model": priced.model,
    }  # fmt: skip


def own_figures(problem: Conv2d, config: Config, tuned: bool, runner: ModelRunner) -> dict[str, Any]:
    """The figures of a schedule of ours; tuned: whether it is from a log rather than the default one."""
    outcome = runner.run(problem, [config])[0]
    if not outcome.ok:
        return {"cycles": None, "tuned": tuned, "detail": f"{outcome.status}: {outcome.detail}"}
    found = {"cycles": outcome.cost, "tuned": tuned, "template": config.template, "config": config.as_dict()}
    return {**found, **{name: value for name, value in outcome.resources.items() if name != "core"}}


def best_peer(row: Row) -> float | None:
    """Cycles of the fastest peer of a row."""
    return min((figures["cycles"] for figures in row["peers"].values() if figures), default=None)


def own_cycles(row: Row, bits: int) -> float | None:
    """Our cycles at a bit width; None where nothing of ours computes the shape."""
    return row["ours"][bits]["cycles"] if row["ours"][bits] else None


def gain(row: Row, bits: int) -> float | None:
    """The best peer's cycles by ours."""
    bar, cycles = best_peer(row), own_cycles(row, bits)
    return bar / cycles if bar and cycles else None


def summary(rows: Iterable[Row], widths: Sequence[int]) -> dict[int, float]:
    """The geometric mean over all rows of the gains at each bit width; widths without one are left out."""
    found = {}
    rows = list(rows)
    for bits in widths:
        gains = [value for row in rows if (value := gain(row, bits))]
        if gains:
            found[bits] = math.exp(sum(map(math.log, gains)) / len(gains))
    return found
