"""Tables of 256 bytes applied to vectors of bytes.

VPSHUFB looks up 16 entries and gives zero for an index with the top bit set.  Sixteen of them, each on the index less
another 16 (signed, saturating), add up by XOR: an index of i has met the tables 0...i // 16 at the same low four bits,
and if table k holds entry k XOR entry k - 1, what remains is entry i // 16.  The upper half of the indices comes to the
same with the top bit flipped.  CPUs with AVX512_VBMI look up 128 entries in one instruction (VPERMI2B).
"""

from __future__ import annotations

import numpy as np
from tvm import tirx

from mmasched.templates.emitter import Expr, intrinsic, load, reinterpret, shuffle, vector
from mmasched.templates.x86.glue.kernel import Kernel
from mmasched.templates.x86.glue.lanes import fill, lanes_of

SHUFFLES = {64: "llvm.x86.avx512.pshuf.b.512", 32: "llvm.x86.avx2.pshuf.b", 16: "llvm.x86.ssse3.pshuf.b.128"}


def table_bytes(table: bytes) -> np.ndarray:
    """uint8 [512], what a kernel is given for a table: the entries, then their differences (see above)."""
    entries = np.frombuffer(table, np.uint8)
    rows = entries.reshape(2, 8, 16)
    differences = rows.copy()
    differences[:, 1:] ^= rows[:, :-1]
    return np.concatenate([entries, differences.reshape(-1)])


class Table:
    """Emits look-ups in one table."""

    def __init__(self, kernel: Kernel, name: str, byte_permute: bool):
        self.kernel, self.memory = kernel, kernel.buffers[name]
        self.rows = hasattr(kernel.isa, "table")  # Arm's registers together are the table
        self.byte_permute = byte_permute and kernel.isa.wide

    def widths(self) -> list[int]:
        """Vectors of bytes that `apply` takes."""
        return sorted({self.kernel.isa.bytes, 16, 1}, reverse=True)

    def apply(self, value: Expr) -> Expr:
        """The entries at a vector of indices."""
        size = lanes_of(value)
        if size == 1:
            return load(self.memory, tirx.Cast("int32", value), "uint8")
        if self.rows:
            rows = [load(self.memory, 16 * i, "uint8x16") for i in range(16)]
            found = self.kernel.isa.table([reinterpret("int8x16", row) for row in rows], value)
            return reinterpret("uint8x16", found)
        return self._permute(value) if size == 64 and self.byte_permute else self._shuffle(value, size)

    def _permute(self, value: Expr) -> Expr:
        kind = "int8x64"
        index = reinterpret(kind, value)
        quarters = [reinterpret(kind, load(self.memory, 64 * i, "uint8x64")) for i in range(4)]
        low, high = (
            intrinsic(kind, "llvm.x86.avx512.vpermi2var.qi.512", a, index, b) for a, b in (quarters[:2], quarters[2:])
        )
        return reinterpret("uint8x64", tirx.Select(index < fill(0, "int8", 64), high, low))

    def _shuffle(self, value: Expr, size: int) -> Expr:
        e, kind = self.kernel.e, vector("int8", size)
        result = None
        for half in (0, 1):
            index = reinterpret(kind, value)
            if half:
                index = index ^ fill(-128, "int8", size)
            for row in range(8):
                if row:
                    index = intrinsic(kind, "llvm.ssub.sat", index, fill(16, "int8", size))
                index = e.let(index, "index")
                entries = load(self.memory, 256 + 128 * half + 16 * row, "uint8x16")
                if size > 16:
                    entries = shuffle([entries] * (size // 16), range(size))
                found = intrinsic(kind, SHUFFLES[size], reinterpret(kind, entries), index)
                result = found if result is None else result ^ found
        return reinterpret(vector("uint8", size), e.let(result, "found"))
