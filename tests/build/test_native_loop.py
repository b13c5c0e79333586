"""Loops over calls: which copy of the weights each call reads."""

from __future__ import annotations

import numpy as np
import pytest
import tvm

from mmasched.build.arguments import argument_sizes, packed_operands, storage
from mmasched.build.compile import compile_module
from mmasched.build.native_loop import NativeLoop
from mmasched.hardware import hardware, runs_here
from mmasched.problem import Conv2d, Requantize, random_operands, reference
from mmasched.templates import default_config, generate
from mmasched.templates.program import standalone_module

PROBLEM = Conv2d(1, 6, 6, 8, 16, 3, padding=1, weight_range=(-127, 127), requantize=Requantize(0.002))
TARGET = "x86/avx2"
COPIES = 5

pytestmark = pytest.mark.skipif(not runs_here(TARGET), reason=f"needs a machine that runs {TARGET}")


@pytest.fixture(scope="module")
def kernel():
    """(module, arguments with COPIES copies of the weights, the exact result)"""
    chip = hardware(TARGET)
    program = generate(PROBLEM, default_config(PROBLEM, chip, 1), chip, 1)
    sizes = argument_sizes(PROBLEM, program, COPIES)
    module = compile_module(standalone_module(program, sizes, storage(PROBLEM), COPIES), chip)
    operands = random_operands(PROBLEM, 0)
    packed = packed_operands(PROBLEM, program, operands, COPIES)
    output = np.zeros(int(np.prod(PROBLEM.output_shape)), storage(PROBLEM))
    arrays = [*packed.values(), output, np.zeros(program.workspace_bytes, np.uint8)]
    arguments = [tvm.runtime.tensor(np.ascontiguousarray(array).reshape(-1)) for array in arrays]
    return module, arguments, reference(PROBLEM, **operands), list(packed).index("w")


@pytest.mark.parametrize("calls", [[1], [3], [5], [7, 4]])
def test_the_last_call_reads_the_copy_whose_turn_it_is(kernel, calls):
    module, arguments, expected, w = kernel
    last = (sum(calls) - 1) % COPIES
    weights = arguments[w].numpy().reshape(COPIES, -1)
    spoilt = np.where(np.arange(COPIES)[:, None] == last, weights, 0).astype(weights.dtype)
    given = [*arguments[:w], tvm.runtime.tensor(spoilt.reshape(-1)), *arguments[w + 1 :]]
    loop = NativeLoop(module, tvm.cpu(), COPIES)
    assert all(loop.seconds(given, count) > 0 for count in calls)
    np.testing.assert_array_equal(given[4].numpy().reshape(PROBLEM.output_shape), expected)
    loop.seconds(given, 1)
    assert (given[4].numpy().reshape(PROBLEM.output_shape) != expected).any()
