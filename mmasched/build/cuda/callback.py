"""What TVM's CUDA runtime calls to compile a source: replaced for the time of a `with` block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import tvm_ffi
from tvm.support.nvcc import tvm_callback_cuda_compile as shipped_compiler

CALLBACK = "tvm_callback_cuda_compile"
Compile = Callable[[str], bytes]


@contextmanager
def compiled_by(compile_source: Compile) -> Iterator[None]:
    """TVM compiles CUDA sources by `compile_source(text) -> cubin` inside the block, and by its own means after it."""
    tvm_ffi.register_global_func(CALLBACK, lambda code, *_: compile_source(code), override=True)
    try:
        yield
    finally:
        tvm_ffi.register_global_func(CALLBACK, shipped_compiler, override=True)


def source_only() -> AbstractContextManager[None]:
    """TVM generates sources inside the block and compiles none: its modules hold the text alone."""
    return compiled_by(lambda _: b"not compiled")
