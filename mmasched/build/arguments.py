"""The six arguments of a standalone kernel: their sizes, and their contents made from a problem's operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.problem import Conv2d
from mmasched.problem.activations import input_field, output_field, pixel_bytes, restored, stored
from mmasched.templates.program import Program, aligned

# Poison, so that an element nothing wrote does not pass for a right one.
OUTPUT_POISON = 0x5A
WORKSPACE_POISON = 0xA5


def storage(problem: Conv2d) -> str:
    """The element type in which kernels take the output: int32 accumulators, or bytes."""
    return "int32" if problem.requantize is None else "uint8"


def argument_sizes(problem: Conv2d, program: Program, copies: int = 1) -> dict[str, int]:
    """Elements of each argument (see templates.program.ARGUMENTS), with so many copies of the weights."""
    outputs = _elements(problem.output_shape, output_field(problem))
    return {
        "x": _elements(problem.input_shape, input_field(problem)),
        "w": copies * aligned(program.weight_bytes),
        "c": program.constant_words,
        "r": outputs if problem.residual else 1,
        "y": outputs,
        "ws": program.workspace_bytes,
    }


def _elements(shape: tuple[int, ...], field: int | None) -> int:
    return int(np.prod(shape[:-1])) * pixel_bytes(shape[-1], field)


def unpacked_output(problem: Conv2d, data: np.ndarray) -> np.ndarray:
    """The output that a kernel wrote, flat elements of `storage`, as NHWC in the problem's output dtype."""
    return restored(data, problem.output_shape, problem.output_dtype, output_field(problem))


def packed_operands(
    problem: Conv2d, program: Program, operands: dict[str, Any], copies: int = 1
) -> dict[str, np.ndarray]:
    """The arguments x, w, c, r as kernels take them.

    operands: x NHWC, w OHWI, bias [O] int32 or None, residual NHWC or None: see mmasched.reference.
    """
    activations = stored(operands["x"], problem.input_dtype, input_field(problem))
    residual = operands.get("residual")
    added = np.zeros(1, np.uint8)
    if residual is not None:
        added = stored(residual, problem.output_dtype, output_field(problem))
    weights = np.zeros((copies, aligned(program.weight_bytes)), np.int8)
    weights[:, : program.weight_bytes] = program.pack_weights(operands["w"])
    constants = program.pack_constants(operands["w"], operands.get("bias"))
    return {"x": activations, "w": weights, "c": constants, "r": added}


def kernel_arguments(problem: Conv2d, program: Program, operands: dict[str, Any], copies: int = 1) -> list[np.ndarray]:
    """All six arguments: packed operands, then output and workspace, both poisoned."""
    output = np.full(argument_sizes(problem, program)["y"], OUTPUT_POISON, storage(problem))
    workspace = np.full(program.workspace_bytes, WORKSPACE_POISON, np.uint8)
    return [*packed_operands(problem, program, operands, copies).values(), output, workspace]
