"""How tensors lie in a GPU's memory: layouts by explicit indexing, packed weights by the fragments of the manual."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmasched import Conv2d
from mmasched.hardware import hardware
from mmasched.templates import space_for
from mmasched.templates.cuda.fragments import channel_map
from mmasched.templates.cuda.layout import Layout
from mmasched.templates.cuda.operands import pack_weights
from mmasched.templates.cuda.plan import Plan
from tests.templates.cuda.random_tuples import random_config

BLOCKS = {"nchw32": 32, "nchw64": 64}


@st.composite
def layouts(draw) -> tuple[Layout, int, str]:
    """(layout, significant bits of a value, dtype of the unpacked array)."""
    kind = draw(st.sampled_from(["nhwc", "hwnc", "nchw32", "nchw64"]))
    bits = draw(st.sampled_from([4, 8, 32] if kind in BLOCKS else [1, 4, 8, 32]))
    planes = draw(st.integers(1, 8)) if bits == 1 else 1
    channels = draw(st.integers(1, 3)) * BLOCKS[kind] if kind in BLOCKS else draw(st.integers(1, 70))
    shape = [draw(st.integers(1, 3)) for _ in range(3)]
    significant = planes if bits == 1 else bits
    signed = draw(st.booleans()) and significant > 1
    dtype = "int32" if bits == 32 else "int8" if signed else "uint8"
    return Layout(kind, *shape, channels, bits, planes), significant, dtype


def random_values(layout: Layout, significant: int, dtype: str, seed: int) -> np.ndarray:
    low = 0 if dtype == "uint8" else -(1 << significant - 1)
    shape = (layout.batch, layout.height, layout.width, layout.channels)
    return np.random.default_rng(seed).integers(low, low + (1 << significant), shape).astype(dtype)


def code(value: int, bits: int) -> int:
    """The two's complement bits of a value."""
    return value & ((1 << bits) - 1)


def place_of(layout: Layout, n: int, h: int, w: int, c: int, plane: int) -> tuple[int, int]:
    """(byte, bit in it) of the lowest bit of a value, from the definition of the layout alone."""
    words = -(-layout.channels * layout.bits // 32)
    row = layout.channels * layout.bits // 8 if layout.bits >= 8 else 4 * words
    if layout.kind in BLOCKS:
        block = BLOCKS[layout.kind]
        blocks = layout.channels // block
        pixel = ((n * blocks + c // block) * layout.height + h) * layout.width + w
        bit = pixel * block * layout.bits + c % block * layout.bits
    else:
        pixel = (h * layout.width + w) * layout.batch + n
        if layout.kind == "nhwc":
            pixel = (n * layout.height + h) * layout.width + w
        bit = (pixel * layout.planes + plane) * row * 8 + c * layout.bits
    return bit // 8, bit % 8


@given(layouts(), st.integers(0, 2**32 - 1))
def test_unpacking_inverts_packing(case: tuple[Layout, int, str], seed: int) -> None:
    layout, significant, dtype = case
    values = random_values(layout, significant, dtype, seed)
    words = layout.pack(values)
    assert words.dtype == np.uint32 and words.size == layout.words
    back = layout.unpack(words, dtype, significant)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, values)


@settings(max_examples=40, deadline=None)
@given(layouts(), st.integers(0, 2**32 - 1))
def test_every_value_lies_where_the_layout_says(case: tuple[Layout, int, str], seed: int) -> None:
    layout, significant, dtype = case
    values = random_values(layout, significant, dtype, seed)
    packed = layout.pack(values).view(np.uint8)
    seen = 0
    for index in itertools.product(*map(range, values.shape)):
        for plane in range(layout.planes):
            byte, bit = place_of(layout, *index, plane)
            word = int.from_bytes(packed[byte : byte + max(1, layout.bits // 8)].tobytes(), "little")
            wanted = code(int(values[index]), significant) >> plane
            assert word >> bit & ((1 << layout.bits) - 1) == wanted & ((1 << layout.bits) - 1)
            seen += bin(wanted & ((1 << layout.bits) - 1)).count("1")
    # And nothing else is set: tails are zeros.
    assert seen == int(np.unpackbits(packed).sum())


@pytest.mark.parametrize("precision", ["s8", "s4", "b1", "w4a8", "s4_as_s8"])
@pytest.mark.parametrize("seed", range(3))
def test_packed_weights_are_the_fragments_of_the_manual(precision: str, seed: int) -> None:
    """Reads B as instructions do (PTX ISA: lane 4 g + t holds rows of column g) and undoes the columns' permutation."""
    rng = np.random.default_rng(seed)
    bits = {"s8": (8, 8), "s4": (4, 4), "b1": (2, 2), "w4a8": (8, 4), "s4_as_s8": (4, 4)}[precision]
    channels, outputs = int(rng.choice([64, 65, 256])), int(rng.choice([24, 65, 128]))
    problem = Conv2d(1, 8, 8, channels, outputs, 1, input_bits=bits[0], weight_bits=bits[1], output_bits=32)
    chip = hardware("cuda/sm_80")
    plan = Plan(problem, random_config(space_for(problem, chip), precision, rng).as_dict(), 80)
    low = -(1 << bits[1] - 1)
    weights = rng.integers(low, -low, (outputs, 1, 1, channels)).astype(np.int8)
    wanted = np.zeros((plan.n_tiles * plan.block_n, plan.reduction.slices * plan.reduction.slice_values), np.int64)
    wanted[:outputs, :channels] = weights[:, 0, 0]
    np.testing.assert_array_equal(read_fragments(plan, pack_weights(plan, weights)), wanted)


def read_fragments(plan: Plan, words: np.ndarray) -> np.ndarray:
    """int64 [channels, reduction values] of packed weights of a convolution without groups and with one tap."""
    precision, registers = plan.precision, plan.n_fragments * plan.precision.b_words
    vector = min(4, registers)
    shape = (
        plan.n_tiles,
        plan.reduction.slices,
        plan.b_planes,
        plan.steps,
        plan["warps_n"],
        registers // vector,
        32,
        vector,
    )
    held = np.moveaxis(words.reshape(shape), -2, -1).reshape(*shape[:5], plan.n_fragments, precision.b_words, 32)
    result = np.zeros((plan.n_tiles * plan.block_n, plan.reduction.slices * plan.reduction.slice_values), np.int64)
    columns = channel_map(plan)
    bits, factors = precision.b_bits, plan.factors[1]
    per_word = 32 // bits
    for tile, part, plane, step, warp, fragment, register, lane in np.ndindex(held.shape):
        word = int(held[tile, part, plane, step, warp, fragment, register, lane])
        g, t = lane // 4, lane % 4
        channel = tile * plan.block_n + warp * plan["warp_n"] + columns[fragment, g]
        for i in range(per_word):
            value = word >> (i * bits) & ((1 << bits) - 1)
            if precision.name == "b1":
                value *= factors[plane]
            else:
                value -= (value >> bits - 1) << bits
            k = (register * 4 + t) * per_word + i
            if precision.name == "w4a8":
                # A word's even nibbles become the bytes of the first register, its odd ones of the second.
                k = (i % 2) * 16 + 4 * t + i // 2
            result[channel, part * plan.reduction.slice_values + step * precision.k + k] += value
    return result


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_columns_of_a_warp_are_a_permutation_with_runs_in_every_lane(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = Conv2d(1, 8, 8, 64, 128, 1, output_bits=32)
    chip = hardware("cuda/sm_80")
    plan = Plan(problem, random_config(space_for(problem, chip), "s8", rng).as_dict(), 80)
    columns = channel_map(plan)
    assert sorted(columns.reshape(-1).tolist()) == list(range(plan["warp_n"]))
    # An accumulator's lane t holds columns 2 t and 2 t + 1 (PTX ISA): neighbouring channels.
    assert (columns[:, 1::2] == columns[:, ::2] + 1).all()
