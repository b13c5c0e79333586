"""Instructions of the hot loop per matrix instruction, in machine code: our kernels and CUTLASS's of the same tile.

    python tools/sass_cuda.py                     # the table below docs/benchmarks.md's heading
    python tools/sass_cuda.py --only "int8 sm_80" --markdown docs/benchmarks.md

Needs nvcc and nvdisasm (pip install 'mmasched[cuda]') and CUTLASS's headers (nvidia-cutlass, or those in TVM's wheel),
and no GPU: counted in machine code, not measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmasched.build.cuda import compile_cubin, cuda_source, find_toolkit
from mmasched.build.cuda.report import resources
from mmasched.build.cuda.sass import MMA, Instruction, disassemble, hot_loop, matrix_instructions
from mmasched.compare.cuda.cutlass_peer import headers
from mmasched.compare.cuda.cutlass_source import Tile, source
from mmasched.compare.cuda.nvcc import compile_cuda
from mmasched.errors import Missing, MmaschedError
from mmasched.hardware import hardware
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config
from mmasched.templates import generate, space_for

BEGIN, END = "<!-- sass_cuda begin -->", "<!-- sass_cuda end -->"
HEADING = "## CUDA hot loops: counted in machine code, not measured"
# Columns of the table: families of instructions whose counts are added up.
COLUMNS = {
    "LDSM": ("LDSM",), "LDGSTS": ("LDGSTS", "UTMALDG"), "LDS": ("LDS",), "LDG, STS": ("LDG", "STS"),
    "integer": (
        "IADD3", "IADD", "VIADD", "IMAD", "LEA", "LOP3", "PLOP3", "SHF", "ISETP", "IMNMX", "SEL", "PRMT", "MOV", "CS2R",
        "POPC", "FLO", "I2F", "P2R", "R2P", "R2UR", "S2UR", "UIADD3", "UIMAD", "ULEA", "ULOP3", "UPLOP3", "USHF",
        "UISETP", "USEL", "UMOV", "VOTE", "VOTEU",
    ),
    "waiting": ("BAR", "DEPBAR", "LDGDEPBAR", "BRA", "WARPSYNC", "NOP", "BSSY", "BSYNC"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One precision on one chip with a tile, as both sides can state it: bits of operands, CUTLASS's tile, or None."""

    name: str
    chip: str
    problem: Conv2d
    values: dict[str, Any]
    tile: Tile | None
    bits: int


def conv(bits: int) -> Conv2d:
    """3 x 3 at 14 x 14, batch 16, to 256 channels from 256 (narrower than 8 bits: 512): symmetric, per channel.

    So many that nvcc does not unroll the whole reduction, which would leave no loop to count.
    """
    signs = {"input_signed": True, "output_signed": True}
    inputs = 256 if bits == 8 else 512
    return Conv2d(16, 14, 14, inputs, 256, 3, padding=1, input_bits=bits, weight_bits=bits, output_bits=bits,
                  requantize=Requantize([0.01] * 256), **signs)  # fmt: skip


def values(precision: str, tile: Tile, block_k: int, **others: Any) -> dict[str, Any]:
    """Our knobs for CUTLASS's tile; block_k in bytes."""
    output = {"s8": "bytes", "fp8": "words", "b1": "planes"}.get(precision, "nibbles")
    return {
        "precision": precision, "warps_m": tile.m // tile.warp_m, "warps_n": tile.n // tile.warp_n,
        "warp_m": tile.warp_m, "warp_n": tile.warp_n, "block_k": block_k, "stages": tile.stages, "load_bytes": 16,
        "input_load": "im2col", "tile_width": 8, "offsets": "arithmetic", "shared_layout": "swizzled",
        "packing": "registers", "layout": "nhwc", "output": output, "split_k": 1, "split_mode": "serial",
        "raster": "channels", "unroll": "no", **others,
    }  # fmt: skip


def cases() -> list[Case]:
    """The rows: CUTLASS's tiles in int8 and int4, our other precisions, and unrolled variants."""
    found = []
    for tile in (Tile(128, 128, 64, 64, 64, 3), Tile(128, 64, 64, 64, 32, 4), Tile(64, 64, 64, 32, 32, 5)):
        name = f"{tile.m}x{tile.n}x{tile.k}, {tile.stages} stages"
        for chip in ("sm_80", "sm_90"):
            for unroll in ("no", "stages"):
                label = f"int8 {chip} {name}{', unrolled' if unroll == 'stages' else ''}"
                knobs = values("s8", tile, 64, unroll=unroll)
                found.append(Case(label, chip, conv(8), knobs, tile if unroll == "no" else None, 8))
        found.append(Case(f"int4 sm_80 {name}", "sm_80", conv(4), values("s4", tile, 64), tile, 4))
        found.append(Case(f"int4 as int8 sm_90 {name}", "sm_90", conv(4), values("s4_as_s8", tile, 64), None, 4))
    tile = Tile(64, 64, 64, 32, 32, 3)
    found.append(Case("2 x 2 bits sm_80 64x64, 3 stages", "sm_80", conv(2), values("b1", tile, 32), None, 2))
    found.append(Case("int8 sm_75 64x64x64, 2 stages", "sm_75", conv(8),
                      values("s8", Tile(64, 64, 64, 32, 32, 2), 64), None, 8))  # fmt: skip
    return found


def ours(case: Case) -> tuple[Sequence[Instruction], dict[str, Any]]:
    """(hot loop, resource report) of our kernel. Raises MmaschedError for knobs outside the space."""
    chip, config = hardware(f"cuda/{case.chip}"), Config.from_dict("cuda_mma", case.values)
    broken = space_for(case.problem, chip).violated(config)
    if broken:
        raise MmaschedError(f"{case.name} breaks {', '.join(broken)}")
    cubin = compile_cubin(cuda_source(generate(case.problem, config, chip), chip), chip)
    kernels = disassemble(cubin.image, cubin.toolkit.nvdisasm)
    return hot_loop(kernels["main_kernel"]), resources(cubin)


def theirs(case: Case, include: Path, cache: Path) -> Sequence[Instruction]:
    """The hot loop of CUTLASS's kernel of the tile."""
    alignment = {8: 16, 4: 32}[case.bits]
    capability = int(case.chip.removeprefix("sm_"))
    image, _ = compile_cuda(source(case.tile, case.bits, alignment), capability, includes=(include,), cache=cache)
    loops = [hot_loop(code) for code in disassemble(image, find_toolkit().nvdisasm).values()]
    return max(loops, key=matrix_instructions)


def cutlass_headers() -> Path:
    """The package's, else those that TVM's wheel ships. Raises Missing without either."""
    found = headers()
    if found is not None:
        return found
    spec = importlib.util.find_spec("tvm")
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "3rdparty" / "cutlass" / "include"
        if (folder / "cutlass" / "cutlass.h").is_file():
            return folder
    raise Missing("CUTLASS's headers are missing: pip install nvidia-cutlass")


def row(name: str, who: str, loop: Sequence[Instruction], note: str = "") -> list[str]:
    """Cells of the table: counts per matrix instruction."""
    matrix = matrix_instructions(loop)
    if not matrix:
        return [name, who, "no loop holds a matrix instruction", *[""] * (len(COLUMNS) + 2), note]
    counted = Counter(one.family for one in loop)
    kinds = "+".join(sorted({one.opcode for one in loop if one.family in MMA}))
    known = {family for families in COLUMNS.values() for family in families}
    rest = sum(number for family, number in counted.items() if family not in known and family not in MMA)
    cells = [sum(counted[family] for family in families) for families in COLUMNS.values()] + [rest]
    per = [f"{number / matrix:.2f}" for number in cells]
    return [name, who, f"{matrix} {kinds}", *per, f"{(len(loop) - matrix) / matrix:.2f}", note]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    head = ["kernel", "of", "matrix instructions", *COLUMNS, "others", "all but matrix", "registers, spills"]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only kernels whose name has TEXT")
    parser.add_argument("--cache", type=Path, default=Path("out/gpu/cutlass"), help="what nvcc made of CUTLASS")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table between the marks of a file")
    arguments = parser.parse_args()
    rows = []
    for case in (case for case in cases() if arguments.only in case.name):
        try:
            loop, report = ours(case)
            spilled = report["spill_stores"] + report["spill_loads"]
            rows.append(row(case.name, "mmasched", loop, f"{report['registers']}, {spilled}"))
            if case.tile is not None:
                rows.append(row(case.name, "CUTLASS", theirs(case, cutlass_headers(), arguments.cache)))
        except MmaschedError as error:
            print(f"error: {case.name}: {error}", file=sys.stderr)
            return 2
        print("\n".join(" | ".join(cells) for cells in rows[-2:] if cells[0] == case.name), flush=True)
    if arguments.markdown:
        insert(arguments.markdown, table(rows))
    return 0


def insert(path: Path, text: str) -> None:
    """The table between the marks, which are made at the end of the file where there are none."""
    whole = path.read_text(encoding="utf-8")
    if BEGIN not in whole:
        whole = f"{whole.rstrip()}\n\n{HEADING}\n\n{BEGIN}\n{END}\n"
    before, _, rest = whole.partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
