"""Cycles of translation blocks by llvm-mca, which steps instructions through LLVM's scheduling model of a core."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mmasched.build.toolchain import llvm_tools, version
from mmasched.measure.emulation.plugin import Block

TRIPLE = "aarch64-linux-gnu"
# Iterations of a block, so that filling the pipeline weighs little; long blocks need few, and would take long.
ITERATIONS = ((64, 64), (512, 16))


def model_name() -> str:
    """Which release's scheduling models price the blocks, for records."""
    return f"llvm-mca {version(llvm_tools()['llvm-mca'])}"


def block_cycles(blocks: Sequence[Block], core: str, features: Sequence[str]) -> list[float | None]:
    """Cycles of one execution of each block in a row of its like; None for a block that LLVM has no model of.

    core: LLVM's name of it. features: LLVM's names of instruction sets that the code may use beyond the core's.
    Raises Missing where llvm-mca is not installed.
    """
    target = [f"-mtriple={TRIPLE}", f"-mcpu={core}", f"-mattr={','.join(f'+{name}' for name in features)}"]
    texts = _disassembled(blocks, target)
    cycles: list[float | None] = [None] * len(blocks)
    for most, iterations in ITERATIONS:
        least = 0 if most == ITERATIONS[0][0] else ITERATIONS[0][0]
        chosen = [i for i, text in enumerate(texts) if text is not None and least < len(text) <= most]
        for i, total in zip(chosen, _priced([texts[i] for i in chosen], target, iterations)):
            cycles[i] = total
    return cycles


def _disassembled(blocks: Sequence[Block], target: Sequence[str]) -> list[list[str] | None]:
    """The assembly lines of each block; None for a block with an instruction that LLVM does not know."""
    tool = llvm_tools()["llvm-mc"]
    known = _lines(tool, [word for block in blocks for word in block.words], target)
    if len(known) == sum(len(block.words) for block in blocks):
        rest = iter(known)
        return [[next(rest) for _ in block.words] for block in blocks]
    singly = [_lines(tool, block.words, target) for block in blocks]
    return [lines if len(lines) == len(block.words) else None for lines, block in zip(singly, blocks)]


def _lines(tool: Path, words: Sequence[int], target: Sequence[str]) -> list[str]:
    given = "\n".join(" ".join(f"0x{byte:02x}" for byte in word.to_bytes(4, "little")) for word in words)
    triple, *others = target
    command = [tool, "--disassemble", triple.replace("-mtriple", "--triple"), *others]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    lines = (line.split("//")[0].strip() for line in done.stdout.splitlines())
    return [line for line in lines if line and not line.startswith(".")]


def _priced(texts: Sequence[Sequence[str]], target: Sequence[str], iterations: int) -> list[float | None]:
    """Cycles per iteration of each text, priced in one process where possible."""
    if not texts:
        return []
    regions = []
    for number, text in enumerate(texts):
        regions += [f"# LLVM-MCA-BEGIN {number}", *(_as_jump(line) for line in text), f"# LLVM-MCA-END {number}"]
    quiet = ("-instruction-info=false", "-resource-pressure=false", f"-iterations={iterations}")
    command = [llvm_tools()["llvm-mca"], *target, *quiet, "-json", "-"]
    done = subprocess.run(command, input="\n".join(regions) + "\n", capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["CodeRegions"]
        totals = {int(region["Name"]): region["SummaryView"]["TotalCycles"] for region in found}
        return [totals[number] / iterations for number in range(len(texts))]
    except (ValueError, KeyError):
        if len(texts) == 1:
            return [None]
    # One instruction without a model fails the whole input.
    return [_priced([text], target, iterations)[0] for text in texts]


def _as_jump(line: str) -> str:
    """A call as the jump that it is for the pipeline: llvm-mca would charge it 100 cycles for what is called."""
    mnemonic, _, operands = line.partition("\t")
    return f"{ {'bl': 'b', 'blr': 'br'}.get(mnemonic, mnemonic) }\t{operands}"
