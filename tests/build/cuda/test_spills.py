"""Code that spills: compiled again with all registers, and given up where these do not do."""

from __future__ import annotations

import pytest

from mmasched.build import BuildError
from mmasched.build.cuda import compile as compiling
from mmasched.build.cuda import cuda_source, resources
from mmasched.build.cuda.candidate import build_binary
from mmasched.build.cuda.compile import compile_cubin, spilled
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import generate

COMMON = {"precision": "s8", "input_load": "im2col", "tile_width": 8, "layout": "nhwc", "output": "bytes", "split_k": 1,
          "split_mode": "serial"}  # fmt: skip
# ptxas 13.0 keeps these at 96 registers and spills 8 bytes; with a limit of 255 it needs no more and spills none.
OCCUPANCY = (
    "conv2d/n1/h14w14/i1024o512/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel",
    {"warps_m": 1, "warps_n": 4, "warp_m": 32, "warp_n": 16, "block_k": 128, "stages": 3, "load_bytes": 4,
     "offsets": "arithmetic", "shared_layout": "swizzled", "packing": "registers", "raster": "pixels",
     "unroll": "stages"},
)  # fmt: skip
# 128 accumulators and 16 copies of the input in flight: too much for 255 registers.
TOO_MUCH = (
    "conv2d/n1/h224w224/i3o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u+zp/w8s:-127..127/y8u/channel",
    {"warps_m": 2, "warps_n": 2, "warp_m": 128, "warp_n": 32, "block_k": 32, "stages": 2, "load_bytes": 4,
     "offsets": "table", "shared_layout": "padded", "packing": "shuffle", "raster": "channels", "unroll": "no"},
)  # fmt: skip


def program(case, chip):
    key, config = case
    return generate(Conv2d.from_key(key), Config("cuda_mma", {**COMMON, **config}), chip)


def test_spills_of_a_log_are_added_up():
    line = "    {} bytes stack frame, {} bytes spill stores, {} bytes spill loads\n"
    assert spilled(line.format(8, 4, 12) + "ptxas info\n" + line.format(0, 0, 1)) == 17
    assert spilled("") == 0


def test_registers_are_not_saved_at_the_price_of_spills(nvcc, sm_80, monkeypatch):
    source = cuda_source(program(OCCUPANCY, sm_80), sm_80)
    report = resources(compile_cubin(source, sm_80), source.launches, instructions=False)
    assert report["spill_stores"] == report["spill_loads"] == 0
    # A block of 128 threads with so many registers still fits a multiprocessor several times.
    assert report["registers"] * 128 <= 65536 // 4
    monkeypatch.setattr(compiling, "ALL_REGISTERS", "-maxrregcount=64")  # Worse than the first try, which stands then.
    worse = resources(compile_cubin(source, sm_80), source.launches, instructions=False)
    assert worse["spill_stores"] <= 8


def test_code_that_still_spills_is_no_candidate(nvcc, sm_80):
    with pytest.raises(BuildError, match="255 registers do not hold a thread's values: [1-9][0-9]* bytes are spilled"):
        build_binary(program(TOO_MUCH, sm_80), sm_80)
