"""A small statement builder for explicit TIR kernels.

Schedule primitives decide too little on their own for register-exact kernels, so the templates write their loops,
register tiles and instructions down themselves.  `Emitter` keeps that readable: Python control flow unrolls,
`loop` stays a loop in the program, `let` names a value once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType
from tvm.tirx import ForKind, IntImm

Expr = tvm.ir.Expr
FENCE = "mmasched_fence"
FENCE_CODE = f"""define i32 @{FENCE}() alwaysinline {{
  call void asm sideeffect "", "~{{memory}}"()
  ret i32 0
}}
"""


def pointer(name: str, dtype: str) -> tirx.Var:
    """A function parameter that points to `dtype` elements."""
    return tirx.Var(name, PointerType(PrimType(dtype)))


def const(value: int | float, dtype: str) -> Expr:
    """A scalar constant of `dtype`."""
    return tirx.const(value, dtype)


def intrinsic(dtype: str, name: str, *args: Expr) -> Expr:
    """A call to an LLVM intrinsic without side effects."""
    return tirx.call_llvm_pure_intrin(dtype, name, *args)


class Emitter:
    """Collects statements in nested scopes; `build` turns them into a private function returning int32 0."""

    def __init__(self) -> None:
        self._scopes: list[list[tirx.Stmt]] = [[]]
        self._names: dict[str, int] = {}
        self._linked: dict[str, str] = {}

    def add(self, stmt: tirx.Stmt) -> None:
        """Append one statement to the innermost scope."""
        self._scopes[-1].append(stmt)

    @property
    def statements(self) -> list[tirx.Stmt]:
        """Those of the innermost scope so far."""
        return list(self._scopes[-1])

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return f"{name}_{count}" if count else name

    def let(self, value: Expr | int, name: str = "v", dtype: str | None = None) -> Expr:
        """Name a value; it is computed once, where it stands."""
        if isinstance(value, int):
            return IntImm(dtype or "int32", value)
        if isinstance(value, IntImm):
            return value
        var = tirx.Var(self._unique(name), value.ty)
        self.add(tirx.Bind(var, value))
        return var

    def buffer(self, data: Expr, dtype: str, size: int, name: str) -> tirx.Var:
        """View memory at a pointer as a flat buffer of `dtype`."""
        buffer = tirx.decl_buffer((size,), dtype, name=self._unique(name))
        wanted = PointerType(PrimType(dtype))
        self.add(tirx.DeclBuffer(buffer, data=tvm.tirx.reinterpret(wanted, data)))
        return buffer

    def register(self, dtype: str, lanes: int, name: str = "acc") -> tirx.Var:
        """A mutable vector variable; scope "global" under 1 KB stays on the stack, which LLVM turns into a register."""
        buffer = tirx.decl_buffer((lanes,), dtype, name=self._unique(name), scope="global")
        self.add(tirx.AllocBuffer(buffer))
        return buffer

    def store(self, buffer: tirx.Var, offset: Expr | int, value: Expr) -> None:
        """Store a scalar or a vector at an element offset."""
        self.add(buffer.vstore(offset, value))

    def evaluate(self, value: Expr) -> None:
        """Evaluate a value for its side effect."""
        self.add(tirx.Evaluate(value))

    def effect(self, name: str, *args: Expr) -> None:
        """Call an LLVM intrinsic that returns nothing."""
        self.evaluate(tirx.call_llvm_intrin("void", name, *args))

    def call(self, name: str, code: str, *args: Expr) -> None:
        """Call a function of LLVM code, which is linked in and expanded in place; it returns int32 0."""
        self._linked[name] = code
        self.evaluate(tirx.call_extern("int32", name, *args))

    def fence(self) -> None:
        """Keep loads and stores on their side, so that what is written before is not held in registers until later."""
        self.call(FENCE, FENCE_CODE)

    @contextmanager
    def scope(self, wrap: Callable[[tirx.Stmt], tirx.Stmt]) -> Iterator[None]:
        """Collect the statements of a block and append `wrap(block)`."""
        self._scopes.append([])
        yield
        body = self._scopes.pop()
        if body:
            self.add(wrap(sequence(body)))

    @contextmanager
    def loop(self, extent: Expr | int, name: str = "i", start: Expr | int = 0, unroll: bool = False) -> Iterator[Expr]:
        """A counted loop; an extent of 1 leaves none."""
        if isinstance(extent, IntImm):
            extent = extent.value
        if isinstance(extent, int) and extent == 1:
            yield start if not isinstance(start, int) else IntImm("int32", start)
            return
        var = tirx.Var(self._unique(name), "int32")
        kind = ForKind.UNROLLED if unroll else ForKind.SERIAL
        as_expr = [IntImm("int32", x) if isinstance(x, int) else x for x in (start, extent)]
        with self.scope(lambda body: tirx.For(var, as_expr[0], as_expr[1], kind, body)):
            yield var

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Statements that run only if the condition holds."""
        with self.scope(lambda body: tirx.IfThenElse(condition, body, None)):
            yield

    def build(self, params: Sequence[tirx.Var]) -> tirx.PrimFunc:
        """The collected statements as a private function (no global symbol) on the host."""
        self.add(tirx.Return(IntImm("int32", 0)))
        body = sequence(self._scopes[0])
        zero, cpu = IntImm("int32", 0), IntImm("int32", 1)
        for code in self._linked.values():
            body = tirx.AttrStmt(zero, "pragma_import_llvm", tvm.ir.StringImm(code), body)
        node = tvm.ir.StringImm("default")
        body = tirx.AttrStmt(node, "device_id", zero, tirx.AttrStmt(node, "device_type", cpu, body))
        func = tirx.PrimFunc(list(params), body, ret_type=PrimType("int32"))
        return func.with_attr("tirx.noalias", True)


def sequence(body: Sequence[tirx.Stmt]) -> tirx.Stmt:
    """One statement out of several."""
    return body[0] if len(body) == 1 else tirx.SeqStmt(list(body))


def load(buffer: tirx.Var, offset: Expr | int, dtype: str) -> Expr:
    """Load `dtype` (a vector is read from consecutive elements) at an element offset."""
    return buffer.vload(offset, dtype)


def vector(dtype: str, lanes: int) -> str:
    """The name of a vector type."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def splat(value: Expr, lanes: int) -> Expr:
    """The value in every lane."""
    return tirx.Broadcast(value, IntImm("int32", lanes))


def reinterpret(dtype: str, value: Expr) -> Expr:
    """The same bits read as another type of the same size."""
    return tirx.reinterpret(dtype, value)


def shuffle(vectors: Sequence[Expr], indices: Sequence[int]) -> Expr:
    """Lanes chosen from the concatenation of vectors, by constant indices."""
    return tirx.Shuffle(list(vectors), [IntImm("int32", i) for i in indices])
