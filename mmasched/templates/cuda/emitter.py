"""Statements of a CUDA kernel: the common Emitter plus threads, shared memory, PTX and the float functions of CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import tvm
import tvm.backend.cuda  # registers the PTX namespace of the script dialect
from tvm import tirx
from tvm.script import tirx as T
from tvm.tirx import IntImm

from mmasched.templates.emitter import Emitter, Expr, sequence


def div(a: Expr | int, b: int) -> Expr | int:
    """a / b for non-negative a."""
    return a // b if isinstance(a, int) else (a if b == 1 else tirx.truncdiv(a, IntImm("int32", b)))


def mod(a: Expr | int, b: int) -> Expr | int:
    """a % b for non-negative a."""
    return a % b if isinstance(a, int) else (IntImm("int32", 0) if b == 1 else tirx.truncmod(a, IntImm("int32", b)))


def both(conditions: Sequence[Expr | None]) -> Expr | None:
    """The conjunction of the conditions that are given."""
    result = None
    for condition in conditions:
        if condition is not None:
            result = condition if result is None else tirx.And(result, condition)
    return result


def call(dtype: str, name: str, *args: Expr) -> Expr:
    """A function of CUDA by its name."""
    return tirx.call_extern(dtype, name, *args)


class Cells:
    """Memory as cells of equal size: unsigned integers of 8 to 32 bits, or vectors of 32-bit ones.

    The cells are elements of their own rather than runs of words, since a run is only read at once where the compiler
    can prove its alignment.
    """

    def __init__(self, e: CudaEmitter, buffer: tirx.Var, size: int) -> None:
        self.size = size
        self.dtype = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint32x2", 16: "uint32x4"}[size]
        self.view = e.view(buffer, self.dtype, 1 << 20, f"cells{size}")
        self.e = e

    def _index(self, byte: Expr) -> Expr:
        shift = self.size.bit_length() - 1
        return tirx.shift_right(byte, IntImm("int32", shift)) if shift else byte

    def load(self, byte: Expr) -> Expr:
        """The cell at a byte offset, a multiple of the size."""
        return self.view[self._index(byte)]

    def store(self, byte: Expr, value: Expr) -> None:
        """Store to the cell at a byte offset."""
        self.e.add(tirx.BufferStore(self.view, value, [self._index(byte)]))


class CudaEmitter(Emitter):
    """One kernel. `block` and `thread` are its block's and thread's number."""

    def __init__(self, grid: int, threads: int) -> None:
        super().__init__()
        self.grid, self.threads = grid, threads
        self.block, self.thread = tirx.Var("block", "int32"), tirx.Var("thread", "int32")

    def ptx(self, text: str, *operands: Expr | int) -> None:
        """One PTX instruction."""
        self.evaluate(T.ptx[text](*operands))

    def barrier(self) -> None:
        """All threads of the block meet; their shared-memory accesses before it are seen after it."""
        self.evaluate(T.cuda.cta_sync())

    def local(self, dtype: str, size: int, name: str) -> tirx.Var:
        """An array in registers; every index must be a constant once loops are unrolled."""
        buffer = tirx.decl_buffer((size,), dtype, name=self._unique(name), scope="local")
        self.add(tirx.AllocBuffer(buffer))
        return buffer

    def variable(self, value: Expr | int, name: str) -> tirx.Var:
        """A mutable int32 register: read it as v[0]."""
        buffer = self.local("int32", 1, name)
        self.store(buffer, 0, IntImm("int32", value) if isinstance(value, int) else value)
        return buffer

    def shared(self, size: int, name: str = "shared") -> tirx.Var:
        """The dynamic shared memory of the block, `size` bytes."""
        buffer = tirx.decl_buffer((size,), "uint8", name=name, scope="shared.dyn")
        self.add(tirx.AllocBuffer(buffer))
        return buffer

    def view(self, buffer: tirx.Var, dtype: str, size: int, name: str) -> tirx.Var:
        """The same memory as elements of another type."""
        other = tirx.decl_buffer((size,), dtype, name=self._unique(name), scope=buffer.scope())
        pointer = tirx.reinterpret(tvm.ir.PointerType(tvm.ir.PrimType(dtype), buffer.scope()), tirx.buffer_data(buffer))
        self.add(tirx.DeclBuffer(other, data=pointer))
        return other

    def cells(self, buffer: tirx.Var, size: int) -> Cells:
        """The same memory as cells of `size` bytes (1 to 16), each loaded and stored by one instruction."""
        return Cells(self, buffer, size)

    def kernel(self) -> tirx.Stmt:
        """The collected statements, launched on the grid."""
        body = sequence(self._scopes[0])
        for var, tag, extent in ((self.thread, "threadIdx.x", self.threads), (self.block, "blockIdx.x", self.grid)):
            axis = tirx.IterVar(tvm.ir.Range(0, extent), var, 1, tag)
            body = tirx.AttrStmt(axis, "thread_extent", IntImm("int32", extent), body)
        return body
