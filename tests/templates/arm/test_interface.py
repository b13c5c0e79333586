"""Packed activations around every kernel, under emulation: exact, laid out as pack_bits has it, spare bits zero."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulate import check, need_tools

from mmasched.build.cross import cross_compile
from mmasched.deploy.schedules import Schedules
from mmasched.errors import Unsupported
from mmasched.hardware import hardware
from mmasched.log import Record
from mmasched.measure.emulation import qemu as emulator
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, integer_range, pack_bits, random_operands, reference
from mmasched.space import Config
from mmasched.templates import default_config, features, generate, space_for
from mmasched.templates.arm.family import spaces
from mmasched.templates.cpu.spec import Placement

A53 = "arm/cortex-a53"
COMPILED = {
    "load": "repeat", "tile_w": 3, "tile_h": 1, "vectors": 2, "unroll": 1, "block_m": 4096, "block_n": 4096,
    "block_order": "mn", "tile_order": "nm", "parallel": "m", "loop": "compiled",
}  # fmt: skip


def problem_of(bits: int, signed: bool, channels: int, outputs: int, **fields) -> Conv2d:
    """Padding, zero points on all sides and a residual."""
    low, high = integer_range(bits, signed)
    scale = Requantize(3e-2, low, residual_scale=0.5, residual_zero_point=high)
    values = {"kernel": 3, "padding": (1, 0, 1, 2), "input_zero_point": high, "residual": True, "requantize": scale}
    return Conv2d(1, 5, 7, channels, outputs, input_bits=bits, weight_bits=bits, output_bits=bits, input_signed=signed,
                  output_signed=signed, activations="packed", **(values | fields))  # fmt: skip


def chosen(template: str, mode: str) -> Config:
    """A config of each template that does not depend on the problem."""
    if template == "neon_winograd":
        return Config(template, {"input": mode, "outputs": 2, "lanes": 32, "tiles": 2, "vectors": 2, "block": 1,
                                 "loop": "compiled"})  # fmt: skip
    packed = {} if template == "bitserial" else {"weights": "bytes"}
    return Config(template, {"input": mode, **COMPILED, **packed})


@pytest.mark.parametrize("bits, signed, channels, outputs", [
    (4, False, 16, 16), (4, True, 5, 7), (2, False, 67, 20), (2, True, 16, 33), (1, False, 64, 40), (1, True, 13, 9),
])  # fmt: skip
def test_every_scheme_is_exact(bits: int, signed: bool, channels: int, outputs: int) -> None:
    problem = problem_of(bits, signed, channels, outputs)
    for space in spaces(problem, hardware(A53), 1):
        check(problem, chosen(space.template, "pad"), A53)


@pytest.mark.parametrize("target, template", [("arm/cortex-a76", "neon_sdot"), ("arm/generic-i8mm", "neon_smmla")])
def test_dot_products_are_exact(target: str, template: str) -> None:
    problem = problem_of(4, True, 21, 12)
    config = Config(template, {**chosen(template, "pad").as_dict(), "tile_w": 2})
    assert not space_for(problem, hardware(target)).violated(config)
    check(problem, config, target)


@pytest.mark.parametrize("mode, kernel, channels, threads", [("direct", 1, 40, 2), ("direct", 1, 9, 1),
                                                             ("im2col", 3, 10, 2)])  # fmt: skip
def test_kernels_without_a_padded_copy(mode: str, kernel: int, channels: int, threads: int) -> None:
    problem = problem_of(2, True, channels, 24, kernel=kernel, padding=0 if mode == "direct" else 1)
    config = chosen("neon_smlal", mode)
    assert not space_for(problem, hardware(A53), threads).violated(config)
    check(problem, config, A53, threads)


@pytest.mark.parametrize("input_bits, output_bits, fields", [
    (8, 4, {}), (3, 1, {}), (4, 32, {"requantize": None, "residual": False}),
    (1, 8, {"requantize": Requantize(0.01, add=QuantizedAdd(0.7, 0.6, 1.5, (0, 200)))}),
])  # fmt: skip
def test_only_one_side_packed(input_bits: int, output_bits: int, fields: dict) -> None:
    values = {"input_zero_point": 1, "residual": True, "requantize": Requantize(2e-2, residual_scale=0.3)} | fields
    problem = Conv2d(2, 5, 5, 12, 20, 3, 1, 1, input_bits=input_bits, weight_bits=4, output_bits=output_bits,
                     activations="packed", **values)  # fmt: skip
    check(problem, chosen("neon_smlal", "pad"), A53, 2)


def test_depthwise_is_exact() -> None:
    problem = problem_of(4, False, 19, 19, groups=19)
    (space,) = spaces(problem, hardware(A53), 1)
    check(problem, space.sample(np.random.default_rng(0)), A53)


@pytest.mark.parametrize("groups, block", [(2, None), (1, (4, 24))])
def test_bit_planes_of_groups_and_blocks(groups: int, block: tuple[int, int] | None) -> None:
    """Whose channels begin at a byte of their own in a plane, but not in a packed pixel."""
    scale = np.full((24 // block[0], 48 // block[1]), 2e-2) if block else 2e-2
    problem = problem_of(2, False, 48 if block else 26, 24, groups=groups, residual=False, requantize=Requantize(scale))
    check(problem, chosen("bitserial", "pad"), A53)


@pytest.mark.parametrize("bits, signed, outputs", [(4, True, 13), (2, False, 35), (1, True, 40), (1, False, 64)])
def test_outputs_are_words_of_pack_bits(bits: int, signed: bool, outputs: int) -> None:
    need_tools()
    problem, chip = problem_of(bits, signed, 8, outputs), hardware(A53)
    case = random_operands(problem, 1)
    with tempfile.TemporaryDirectory() as name:
        binary = cross_compile(problem, generate(problem, chosen("neon_smlal", "pad"), chip), chip, Path(name))
        emulator.run(binary, emulator.core_for(chip), [case], Path(name), 60)
        written = np.fromfile(Path(name) / "output", "<i4")
    np.testing.assert_array_equal(written, pack_bits(reference(problem, **case), bits).reshape(-1))


def test_schedules_of_the_two_forms_are_kept_apart() -> None:
    packed, chip = problem_of(4, False, 16, 16), hardware(A53)
    plain = replace(packed, activations="bytes")
    config = next(c for c in space_for(plain, chip).enumerate() if c != default_config(plain, chip))
    record = Record(problem=plain.key, target=A53, chip=chip.chip, threads=1, template=config.template,
                    config=config.as_dict(), outcome="correct", kind="modelled", cost=1.0)  # fmt: skip
    schedules = Schedules([record], chip, 1)
    assert schedules.find(plain) == config and not schedules.untuned
    assert schedules.find(packed) == default_config(packed, chip) and list(schedules.untuned) == [packed.key]
    assert all(np.isfinite(features(packed, config, chip)))


@pytest.mark.parametrize("target", ["x86/avx2", "x86/amx", "cuda/sm_80"])
def test_other_targets_have_no_packed_activations(target: str) -> None:
    with pytest.raises(Unsupported, match="packed.*arm/.*bytes"):
        space_for(problem_of(4, False, 16, 16), hardware(target))


def test_networks_keep_bytes() -> None:
    problem = problem_of(4, False, 16, 16)
    with pytest.raises(Unsupported, match="networks keep bytes"):
        generate(problem, chosen("neon_smlal", "pad"), hardware(A53), 1, Placement())
