"""CUDA C without a compiler: the text, its launches and what kernels take."""

from __future__ import annotations

import dataclasses

import pytest
import tvm
from tvm import tirx
from tvm.tirx import IntImm

from mmasched.build import BuildError
from mmasched.build.cuda import cuda_source
from mmasched.build.cuda.source import architecture, kernel_parameters
from mmasched.templates import generate
from mmasched.templates.cuda.program import Launch
from tests.templates.cuda.random_tuples import random_tuple


def test_the_text_holds_the_kernel_with_its_instructions(tiny, sm_80):
    source = cuda_source(tiny.mma_program(), sm_80)
    assert "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32" in source.text
    assert source.text.count("__global__ void __launch_bounds__(32) main_kernel(") == 2  # Declared and defined.


def test_launches_are_those_of_the_host_function(tiny, sm_80):
    source = cuda_source(tiny.mma_program(tiles=7), sm_80)
    assert source.launches == (Launch("main_kernel", 7, 32, 16 * 32 + 8 * 32),)
    assert set(source.parameters["main_kernel"]) == {"x", "w", "y"}


@pytest.mark.parametrize(
    "stated",
    [
        Launch("main_kernel", 5, 32, 768),
        Launch("main_kernel", 4, 64, 768),
        Launch("main_kernel", 4, 32, 0),
        Launch("kernel", 4, 32, 768),
    ],
)
def test_a_program_that_states_other_launches_is_refused(tiny, sm_80, stated):
    program = dataclasses.replace(tiny.mma_program(), launches=(stated,))
    with pytest.raises(BuildError, match="the program states"):
        cuda_source(program, sm_80)


def test_two_kernels_are_launched_in_order(tiny, sm_80):
    source = cuda_source(tiny.copy_program(256), sm_80)
    assert source.launches == (Launch("main_kernel", 8, 32), Launch("main_kernel_1", 4, 64))
    assert {name: set(taken) for name, taken in source.parameters.items()} == {
        "main_kernel": {"x", "ws"},
        "main_kernel_1": {"ws", "y"},
    }


def test_a_launch_in_a_loop_is_refused(tiny, sm_80):
    def repeated() -> tvm.IRModule:
        function = tiny.mma_program().module["main"]
        loop = tirx.For(
            tirx.Var("i", "int32"), IntImm("int32", 0), IntImm("int32", 3), tirx.ForKind.SERIAL, function.body
        )
        main = tirx.PrimFunc(list(function.params), loop).with_attr("global_symbol", "main")
        return tvm.IRModule({"main": main.with_attr("tirx.noalias", True)})

    with pytest.raises(BuildError, match="inside a For"):
        cuda_source(dataclasses.replace(tiny.mma_program(), make_module=repeated), sm_80)


def test_a_kernel_that_takes_anything_else_is_refused():
    with pytest.raises(BuildError, match="'int n'"):
        kernel_parameters('extern "C" __global__ void main_kernel(uint* __restrict__ x_ptr, int n) {')


@pytest.mark.parametrize("number", range(0, 24, 2))
def test_flattening_leaves_a_flat_program_as_it_is(number):
    problem, config, chip = random_tuple(number)
    program = generate(problem, config, chip)
    assert program.flat == (problem.groups == 1)
    if program.flat:
        assert cuda_source(program, chip) == cuda_source(dataclasses.replace(program, flat=False), chip)


def test_what_lowering_refuses_is_a_build_error(tiny, sm_80):
    def broken() -> tvm.IRModule:
        raise ValueError("no such instruction\nmore")

    with pytest.raises(BuildError, match="no such instruction"):
        cuda_source(dataclasses.replace(tiny.mma_program(), make_module=broken), sm_80)


def test_hopper_is_compiled_with_its_own_instructions(sm_80, sm_90):
    assert (architecture(sm_80), architecture(sm_90)) == ("sm_80", "sm_90a")
