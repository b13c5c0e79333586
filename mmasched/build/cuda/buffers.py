"""Operands of a convolution as the flat buffers that its kernels take."""

from __future__ import annotations

import numpy as np

from mmasched.build.compile import BuildError
from mmasched.templates.cuda.program import CudaProgram

# What the output holds before a run: an element that nothing wrote does not pass for a right one.
POISON = 0x5A5A5A5A


def operand_buffers(
    program: CudaProgram,
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """{"x", "w", "c", "r"}: flat uint32 words, packed. x NHWC, w OHWI, bias [O], residual NHWC: see mmasched.reference.

    Raises BuildError where packing gives another size than the program states.
    """
    buffers = {
        "x": program.pack_input(x),
        "w": program.pack_weights(w),
        "c": program.pack_constants(w, bias),
        "r": np.zeros(program.sizes["r"], np.uint32) if residual is None else program.pack_residual(residual),
    }
    for name, words in buffers.items():
        if words.dtype.itemsize != 4 or words.shape != (program.sizes[name],):
            stated = f"{program.sizes[name]} words"
            raise BuildError(
                f"buffer {name} is packed to {words.dtype}{list(words.shape)}, the program states {stated}"
            )
    return {name: np.ascontiguousarray(words).view(np.uint32) for name, words in buffers.items()}


def poisoned(program: CudaProgram) -> np.ndarray:
    """The output buffer as a run finds it."""
    return np.full(program.sizes["y"], POISON, np.uint32)
