"""The six arguments of a standalone kernel: their sizes, and their contents made from a problem's operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.problem import Conv2d
from mmasched.templates.program import Program, aligned

# Poison, so that an element nothing wrote does not pass for a right one.
OUTPUT_POISON = 0x5A
WORKSPACE_POISON = 0xA5


def storage(problem: Conv2d) -> str:
    """The element type in which kernels take the output: int32 accumulators, or bytes."""
    return "int32" if problem.requantize is None else "uint8"


def argument_sizes(problem: Conv2d, program: Program, copies: int = 1) -> dict[str, int]:
    """Elements of each argument (see templates.program.ARGUMENTS), with so many copies of the weights."""
    return {
        "x": int(np.prod(problem.input_shape)),
        "w": copies * aligned(program.weight_bytes),
        "c": program.constant_words,
        "r": int(np.prod(problem.output_shape)) if problem.residual else 1,
        "y": int(np.prod(problem.output_shape)),
        "ws": program.workspace_bytes,
    }


def packed_operands(
    problem: Conv2d, program: Program, operands: dict[str, Any], copies: int = 1
) -> dict[str, np.ndarray]:
    """The arguments x, w, c, r as kernels take them.

    operands: x NHWC, w OHWI, bias [O] int32 or None, residual NHWC or None: see mmasched.reference.
    """
    activations = np.ascontiguousarray(operands["x"], dtype=problem.input_dtype).view(np.uint8)
    residual = operands.get("residual")
    added = np.zeros(1, np.uint8)
    if residual is not None:
        added = np.ascontiguousarray(residual, dtype=problem.output_dtype).view(np.uint8)
    weights = np.zeros((copies, aligned(program.weight_bytes)), np.int8)
    weights[:, : program.weight_bytes] = program.pack_weights(operands["w"])
    constants = program.pack_constants(operands["w"], operands.get("bias"))
    return {"x": activations, "w": weights, "c": constants, "r": added}
