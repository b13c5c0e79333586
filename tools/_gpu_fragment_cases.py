"""Single instructions as kernels: each thread reads its registers from memory, executes one, and stores what it gave.

Forms, operand counts and descriptors: PTX ISA 9.0.  Every kernel has the name `one` and the parameters

    const unsigned* in       [blocks, words]   what a block reads: registers by thread, then its shared memory
    unsigned* out            [blocks, threads, results], or the block's shared memory after it where `after` is set

Each block is one independent trial on operands of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WARP = 32


@dataclass(frozen=True)
class Case:
    """One instruction form.

    source: CUDA C++. threads: of a block. registers, results: 32-bit words that each thread reads and writes. shared:
    bytes of shared memory that the block loads first. after: `out` is the shared memory, not registers. capability: the
    first chip that has it; only: the single chip, where it is one's own. operands: (random, blocks) -> uint32 [blocks,
    words].
    tensor_map: fields of the tensor map that comes as a third parameter, None for no such parameter.
    """

    name: str
    source: str
    threads: int
    registers: int
    results: int
    operands: Callable[[np.random.Generator, int], np.ndarray]
    shared: int = 0
    after: bool = False
    capability: int = 75
    only: int = 0
    tensor_map: dict[str, Any] | None = field(default=None)

    @property
    def words(self) -> int:
        """32-bit words that a block reads."""
        return self.threads * self.registers + self.shared // 4

    @property
    def out_words(self) -> int:
        """32-bit words that a block writes."""
        return self.shared // 4 if self.after else self.threads * self.results

    def runs_on(self, capability: int) -> bool:
        """Whether a chip has the instruction."""
        return capability == self.only if self.only else capability >= self.capability


def kernel(case_body: str, threads: int, registers: int, results: int, shared: int = 0, after: bool = False) -> str:
    """The text around an instruction. `r` holds the thread's words, `d` its results, `memory` the shared bytes."""
    load = (
        f"const unsigned* mine = in + blockIdx.x * {threads * registers + shared // 4}u + threadIdx.x * {registers}u;"
    )
    lines = [
        'extern "C" __global__ void one(const unsigned* in, unsigned* out) {', load,
        f"unsigned r[{max(1, registers)}], d[{max(1, results)}];",
        f"for (int i = 0; i < {registers}; ++i) r[i] = mine[i];", f"for (int i = 0; i < {results}; ++i) d[i] = 0;",
    ]  # fmt: skip
    if shared:
        start = f"in + blockIdx.x * {threads * registers + shared // 4}u + {threads * registers}u"
        lines += [
            f"__shared__ __align__(1024) unsigned char memory[{shared}];",
            f"for (int i = threadIdx.x; i < {shared // 4}; i += {threads}) ((unsigned*)memory)[i] = ({start})[i];",
            "const unsigned base = (unsigned)__cvta_generic_to_shared(memory);",
            "__syncthreads();",
        ]
    lines.append(case_body)
    if after:
        lines += [
            "__syncthreads();",
            f"for (int i = threadIdx.x; i < {shared // 4}; i += {threads})",
            f"  out[blockIdx.x * {shared // 4}u + i] = ((unsigned*)memory)[i];",
        ]
    else:
        lines.append(f"for (int i = 0; i < {results}; ++i)")
        lines.append(f"  out[(blockIdx.x * {threads}u + threadIdx.x) * {results}u + i] = d[i];")
    return "\n".join([*lines, "}", ""])


def bits(words: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Operands of random bits."""
    return lambda random, blocks: random.integers(0, 1 << 32, (blocks, words), dtype=np.uint32)


def small_integer_codes(kind: str) -> np.ndarray:
    """Codes of -4 ... 4 in e4m3 or e5m2, whose products and their sums every accumulator holds exactly."""
    mantissa, bias = (3, 7) if kind == "e4m3" else (2, 15)
    codes = [0]
    for value in (1, 2, 3, 4):
        exponent = value.bit_length() - 1
        fraction = (value << mantissa >> exponent) & ((1 << mantissa) - 1)
        codes += [code := (exponent + bias) << mantissa | fraction, code | 0x80]
    return np.array(codes, np.uint8)


def asm(
    text: str, outputs: int, inputs: list[str], letter: str = "r", output: str = "d", in_place: bool = False
) -> str:
    """An asm statement with `outputs` registers of the array `output` and these operands."""
    sign = "+" if in_place else "="
    left = ", ".join(f'"{sign}{letter}"({output}[{i}])' for i in range(outputs))
    return f'asm volatile("{text}" : {left} : {", ".join(inputs)} : "memory");'


# ---- mma.sync: (shape, registers of A, B, C, operand types, modifiers, first chip)
_INTEGERS = [
    ("m8n8k16", 1, 1, 2, "s8", 75), ("m16n8k16", 2, 1, 4, "s8", 80), ("m16n8k32", 4, 2, 4, "s8", 80),
    ("m8n8k32", 1, 1, 2, "s4", 75), ("m16n8k32", 2, 1, 4, "s4", 80), ("m16n8k64", 4, 2, 4, "s4", 80),
]  # fmt: skip
_BINARY = [
    ("m8n8k128", 1, 1, 2, "xor", 75), ("m8n8k128", 1, 1, 2, "and", 80), ("m16n8k128", 2, 1, 4, "xor", 80),
    ("m16n8k128", 2, 1, 4, "and", 80), ("m16n8k256", 4, 2, 4, "xor", 80), ("m16n8k256", 4, 2, 4, "and", 80),
]  # fmt: skip


def mma_cases() -> list[Case]:
    """mma.sync of every integer, binary and fp8 form; registers A, B, C in this order."""
    found = []
    for shape, a, b, c, kind, chip in _INTEGERS:
        for left in ("s", "u"):
            for right in ("s", "u"):
                types = f"s32.{left}{kind[1]}.{right}{kind[1]}.s32"
                found.append(_mma(f"mma.sync.aligned.{shape}.row.col.{types}", a, b, c, chip))
        found.append(_mma(f"mma.sync.aligned.{shape}.row.col.satfinite.s32.{kind}.{kind}.s32", a, b, c, chip))
    for shape, a, b, c, operation, chip in _BINARY:
        found.append(_mma(f"mma.sync.aligned.{shape}.row.col.s32.b1.b1.s32.{operation}.popc", a, b, c, chip))
    for left in ("e4m3", "e5m2"):
        for right in ("e4m3", "e5m2"):
            found.append(_mma(f"mma.sync.aligned.m16n8k32.row.col.f32.{left}.{right}.f32", 4, 2, 4, 89, left, right))
    return found


def _mma(ptx: str, a: int, b: int, c: int, chip: int, left: str = "", right: str = "") -> Case:
    group = lambda first, count: "{" + ", ".join(f"%{first + i}" for i in range(count)) + "}"  # noqa: E731
    text = f"{ptx} {group(0, c)}, {group(c, a)}, {group(c + a, b)}, {group(c + a + b, c)};"
    inputs = [f'"r"(r[{i}])' for i in range(a + b + c)]
    total = a + b + c
    operands = bits(WARP * total)
    if left:
        codes = {kind: small_integer_codes(kind) for kind in (left, right)}

        def operands(random: np.random.Generator, blocks: int) -> np.ndarray:
            rows = [
                random.choice(codes[kind], (blocks, WARP, count, 4)).astype(np.uint8).view(np.uint32)[..., 0]
                for kind, count in ((left, a), (right, b))
            ]
            whole = random.integers(-64, 65, (blocks, WARP, c)).astype(np.float32).view(np.uint32)
            return np.concatenate([*rows, whole], axis=2).reshape(blocks, -1)

    body = asm(text, c, inputs) if not left else _floats(text, c, a, b)
    return Case(ptx, kernel(body, WARP, total, c), WARP, total, c, operands, capability=chip)


def _floats(text: str, c: int, a: int, b: int) -> str:
    operands = [*(f'"r"(r[{i}])' for i in range(a + b)), *(f'"f"(__uint_as_float(r[{a + b + i}]))' for i in range(c))]
    lines = [f"float f[{c}];", asm(text, c, operands, letter="f", output="f")]
    return "\n".join([*lines, f"for (int i = 0; i < {c}; ++i) d[i] = __float_as_uint(f[i]);"])


# ---- ldmatrix, stmatrix, cp.async
ROWS = 128  # rows of 16 bytes


def _addresses(registers: int, column: int, step: int, count: int, shared: int) -> Callable[..., np.ndarray]:
    """Random bits, but register `column` of every thread is a multiple of `step` below `step * count`, no two alike in
    a warp; so many bytes of shared memory follow."""

    def make(random: np.random.Generator, blocks: int) -> np.ndarray:
        made = random.integers(0, 1 << 32, (blocks, WARP * registers + shared // 4), dtype=np.uint32)
        for block in made:
            block[: WARP * registers].reshape(WARP, registers)[:, column] = step * random.permutation(count)[:WARP]
        return made

    return make


def matrix_cases() -> list[Case]:
    """ldmatrix (register 0: byte offset of the row) and stmatrix (then the values)."""
    found, shared = [], 16 * ROWS
    for count in (1, 2, 4):
        for trans in ("", ".trans"):
            ptx = f"ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16"
            group = "{" + ", ".join(f"%{i}" for i in range(count)) + "}"
            body = asm(f"{ptx} {group}, [%{count}];", count, ['"r"(base + r[0])'])
            text = kernel(body, WARP, 1, count, shared)
            found.append(Case(ptx, text, WARP, 1, count, _addresses(1, 0, 16, ROWS, shared), shared))
            ptx = f"stmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16"
            group = "{" + ", ".join(f"%{i + 1}" for i in range(count)) + "}"
            values = ", ".join(['"r"(base + r[0])', *(f'"r"(r[{i + 1}])' for i in range(count))])
            body = f'asm volatile("{ptx} [%0], {group};" :: {values} : "memory");'
            text = kernel(body, WARP, 1 + count, 0, shared, after=True)
            found.append(
                Case(ptx, text, WARP, 1 + count, 0, _addresses(1 + count, 0, 16, ROWS, shared), shared, True, 90)
            )
    return found


def copy_cases() -> list[Case]:
    """cp.async from the block's own `in` words into shared memory: register 0 byte offset of the target, 1 bytes read.

    The source is the thread's place in the block's shared image, as it lies in global memory; the rest of a copy that
    reads fewer bytes is zero.
    """
    found, shared = [], 16 * ROWS
    for cache, size in (("ca", 4), ("ca", 8), ("ca", 16), ("cg", 16)):
        ptx = f"cp.async.{cache}.shared.global [%0], [%1], {size}, %2;"

        def operands(random: np.random.Generator, blocks: int, size: int = size) -> np.ndarray:
            made = _addresses(2, 0, size, ROWS * 16 // size, shared)(random, blocks)
            for block in made:
                block[: 2 * WARP].reshape(WARP, 2)[:, 1] = random.integers(0, size + 1, WARP)
            return made

        words = 2 * WARP + shared // 4
        source = f"(const unsigned char*)(in + blockIdx.x * {words}u + {2 * WARP}u) + threadIdx.x * {size}"
        body = "\n".join([
            f'asm volatile("{ptx}" :: "r"(base + r[0]), "l"({source}), "r"(r[1]) : "memory");',
            'asm volatile("cp.async.commit_group;" ::: "memory");',
            'asm volatile("cp.async.wait_group 0;" ::: "memory");',
        ])  # fmt: skip
        name = f"cp.async.{cache}.shared.global {size}"
        found.append(Case(name, kernel(body, WARP, 2, 0, shared, True), WARP, 2, 0, operands, shared, True, 80))
    return found
