"""A generated convolution for a GPU: one or more kernel launches, and how their operands are packed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import tvm

# Arguments of the host function, in this order: input, weights, constants, residual, output, workspace.
ARGUMENTS = ("x", "w", "c", "r", "y", "ws")
MAIN = "main"


@dataclass(frozen=True)
class Launch:
    """One kernel launch: the kernel's name in the generated source, blocks, threads of a block, bytes of dynamic
    shared memory. Grid and block have one dimension."""

    name: str
    grid: int
    block: int
    shared_bytes: int = 0


@dataclass(frozen=True, eq=False)
class CudaProgram:
    """One convolution as `launches`, in launch order.

    make_module gives the IRModule {"main": PrimFunc} over the flat buffers of ARGUMENTS; each kernel takes those that
    it uses, as pointers x_ptr, w_ptr, c_ptr, r_ptr, y_ptr, ws_ptr. `sizes` has the 32-bit words of every buffer, at
    least 1; `dtypes` their element types, "uint32" unless named otherwise. The workspace is zeroed once by the caller;
    kernels leave it zeroed again. `identity` is equal for programs with equal code: they differ only in what they pack.
    `flat`: TVM's FlattenBuffer would leave the code as it is, and lowering goes without.

    pack_input: NHWC activations to flat uint32 words. pack_weights: OHWI weights to the same. pack_constants: (weights,
    bias or None) to the same. pack_residual: NHWC residual to the same. unpack_output: flat uint32 words to NHWC in the
    problem's output dtype.
    """

    launches: tuple[Launch, ...]
    make_module: Callable[[], tvm.IRModule]
    identity: object
    sizes: Mapping[str, int]
    pack_input: Callable[[np.ndarray], np.ndarray]
    pack_weights: Callable[[np.ndarray], np.ndarray]
    pack_constants: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    pack_residual: Callable[[np.ndarray], np.ndarray]
    unpack_output: Callable[[np.ndarray], np.ndarray]
    dtypes: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(ARGUMENTS, "uint32"))
    flat: bool = False

    @cached_property
    def module(self) -> tvm.IRModule:
        """The generated module."""
        return self.make_module()
