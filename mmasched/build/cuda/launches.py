"""The kernel launches that a lowered host function really makes, read off its code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tvm
from tvm import tirx

from mmasched.build.compile import BuildError
from mmasched.templates.cuda.program import Launch

KERNEL_CALL = "tirx.call_ffi_kernel"
GRID, BLOCK, SHARED = "blockIdx.x", "threadIdx.x", "tirx.use_dyn_shared_memory"


def host_launches(host: tvm.IRModule) -> tuple[Launch, ...]:
    """The launches of the host functions in order.

    Raises BuildError for one whose number or size is only known when it runs (in a loop or a branch, or with an extent
    that is no constant), and for a grid or block of more than one dimension.
    """
    found = [launch for function in host.functions.values() for launch in _launches(function.body, "")]
    if not found:
        raise BuildError("the host function launches no kernel")
    return tuple(found)


def _launches(statement: tirx.Stmt, inside: str) -> Iterator[Launch]:
    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from _launches(part, inside)
        return
    if isinstance(statement, tirx.Evaluate):
        call = statement.value
        if isinstance(call, tvm.ir.Call) and getattr(call.op, "name", "") == KERNEL_CALL:
            if inside:
                raise BuildError(f"kernel {call.args[0].value} is launched inside a {inside}")
            yield _launch(call)
        return
    if isinstance(statement, (tirx.For, tirx.While, tirx.IfThenElse)):
        inside = inside or type(statement).__name__
    for name in ("body", "then_case", "else_case"):
        part = getattr(statement, name, None)
        if part is not None:
            yield from _launches(part, inside)


def _launch(call: Any) -> Launch:
    """The name comes first, then the kernel's arguments, then one value for each launch parameter."""
    name, parameters = call.args[0].value, [str(tag) for tag in call.attrs.launch_params]
    values = dict(zip(parameters, list(call.args)[len(call.args) - len(parameters) :], strict=True))
    for tag, value in values.items():
        if not isinstance(value, tirx.IntImm):
            raise BuildError(f"kernel {name} is launched with {tag} = {value}, which is no constant")
    sizes = {tag: int(value) for tag, value in values.items()}
    other = [tag for tag, size in sizes.items() if tag not in (GRID, BLOCK, SHARED) and size != 1]
    if other:
        raise BuildError(f"kernel {name} is launched with {', '.join(other)}: grids and blocks have one dimension here")
    return Launch(name, sizes.get(GRID, 1), sizes.get(BLOCK, 1), sizes.get(SHARED, 0))
