#!/usr/bin/env python3
"""Hot loops of every scheme on every Arm core: instructions a multiplication, counted in machine code, not measured.

Each scheme is compiled for each core with the tile that suits its registers, 3x3 64->64 @56, and the loop with most of
the scheme's own instructions is taken from the disassembly. Cycles are llvm-mca's for that loop on end, in LLVM's model
of the core (modelled): bounds for cores that start instructions out of order, whose loads may miss.

Example: python tools/arm_hot_loops.py --json out/arm_hot_loops.json
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _bench
from bench_arm import REFERENCE, narrowed

from mmasched.build.cross import CrossBinary, cross_compile
from mmasched.build.disassembly import Instruction
from mmasched.build.toolchain import cross_tool
from mmasched.hardware import Hardware, hardware
from mmasched.hardware.catalog import chips
from mmasched.measure.emulation.mca import block_cycles
from mmasched.measure.emulation.plugin import Block
from mmasched.problem import Conv2d
from mmasched.report.console import console, table
from mmasched.space import Config
from mmasched.templates import generate, space_for

DENSE = {"input": "pad", "tile_h": 1, "block_m": 8, "block_n": 1, "block_order": "mn", "tile_order": "nm",
         "parallel": "m", "loop": "interleaved", "weights": "bytes"}  # fmt: skip
PLANES = {name: value for name, value in DENSE.items() if name != "weights"}  # which are packed anyway
# name: bits, template, knobs, multiplications of one turn of the loop. Winograd's are counted per product of the
# transformed operands and then by those of the convolution that they stand for.
SCHEMES: dict[str, tuple[int, str, dict[str, Any], float]] = {
    "SMLAL, 8 bits": (8, "neon_smlal", {**DENSE, "load": "repeat", "tile_w": 2, "vectors": 8, "unroll": 8},
                      2 * 32 * 16),
    "SMLAL, 4 bits": (4, "neon_smlal", {**DENSE, "load": "lane", "tile_w": 4, "vectors": 4, "unroll": 8}, 4 * 16 * 16),
    "MLA, 2 bits": (2, "neon_mla", {**DENSE, "load": "lane", "tile_w": 4, "vectors": 4, "unroll": 4}, 4 * 16 * 16),
    "AND + CNT, 1 bit": (1, "bitserial", {**PLANES, "load": "repeat", "tile_w": 4, "vectors": 4, "unroll": 2},
                         4 * 16 * 64),
    "SDOT, 8 bits": (8, "neon_sdot", {**DENSE, "load": "lane", "tile_w": 8, "vectors": 2, "unroll": 4}, 8 * 8 * 16),
    "SMMLA, 8 bits": (8, "neon_smmla", {**DENSE, "load": "repeat", "tile_w": 8, "vectors": 2, "unroll": 2}, 8 * 8 * 16),
    "F(4x4), SMLAL, 8 bits": (8, "neon_winograd", {"input": "pad", "outputs": 4, "lanes": 32, "tiles": 6, "vectors": 4,
                                                   "block": 1, "loop": "interleaved"}, 6 * 16 * 8 * 4),
    "F(2x2), MLA, 2 bits": (2, "neon_winograd", {"input": "pad", "outputs": 2, "lanes": 16, "tiles": 8, "vectors": 2,
                                                 "block": 1, "loop": "interleaved"}, 8 * 16 * 8 * 2.25),
}  # fmt: skip


def main() -> int:
    """Compile, count, print; returns the exit status."""
    made = _bench.parser(__doc__, quick="cortex-a53 and cortex-a55 alone")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Every scheme on every core; returns 0."""
    report.kind = "modelled"
    shape = Conv2d.from_key(REFERENCE)
    known = ["cortex-a53", "cortex-a55"] if arguments.quick else chips("arm")
    out = table("core", "scheme", "instructions per MAC", "cycles per MAC")
    for name in known:
        chip = hardware(f"arm/{name}")
        for scheme, (bits, template, knobs, macs) in SCHEMES.items():
            problem, config = narrowed(shape, bits), Config(template, knobs)
            if space_for(problem, chip, 1).violated(config):
                continue
            found = counted(problem, config, chip, macs)
            report.results.append({"core": name, "scheme": scheme, **found})
            report.save()
            cycles = "-" if found["cycles"] is None else f"{found['cycles']:.4f}"
            out.add_row(name, scheme, f"{found['instructions']:.4f}", cycles)
    console().print(out)
    return 0


def counted(problem: Conv2d, config: Config, chip: Hardware, macs: float) -> dict[str, Any]:
    """Instructions and modelled cycles per multiplication of the hot loop."""
    with tempfile.TemporaryDirectory(prefix="mmasched-") as folder:
        binary = cross_compile(problem, generate(problem, config, chip, 1), chip, Path(folder))
        loop = max(
            binary.code.loops, key=lambda loop: _multiplications(binary.code.inside(loop), binary.program.required)
        )
        inside = binary.code.inside(loop)
        words = _words(binary, loop.start, loop.end)
        cycles = block_cycles([Block(loop.start, 1, tuple(words))], chip.mcpu, sorted(chip.features))[0]
    return {"instructions": len(inside) / macs, "cycles": cycles and cycles / macs}


def _multiplications(inside: Sequence[Instruction], required: Sequence[str]) -> int:
    """How many instructions are the scheme's own; of SMLAL's also those that begin a sum."""
    own = tuple(name for name in (*required, "smull") if name != "sadalp")
    return sum(instruction.mnemonic.startswith(own) for instruction in inside)


def _words(binary: CrossBinary, start: int, end: int) -> list[int]:
    """The instruction words between two addresses of the executable, the last one's included."""
    command = [cross_tool("arm", "objdump"), "-d", f"--start-address={start}", f"--stop-address={end + 4}",
               binary.executable]  # fmt: skip
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return [int(word, 16) for word in re.findall(r"^ *[0-9a-f]+:\t([0-9a-f]{8}) ", done.stdout, re.M)]


if __name__ == "__main__":
    raise SystemExit(main())
