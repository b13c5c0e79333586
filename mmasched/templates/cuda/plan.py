"""Everything that follows from a problem, a config and a chip by arithmetic: tiles, launches, layouts, table sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmasched.problem import Conv2d
from mmasched.templates.cuda.layout import Layout
from mmasched.templates.cuda.precision import PRECISIONS, Precision, plane_factors, planes_of, weight_terms
from mmasched.templates.cuda.reduction import Reduction

PARAMETER_WORDS = 16
# Words of the parameter block at the start of the constants.
PARAMETERS = ("low", "high", "zero_point", "inner_low", "inner_high", "inner_zero_point", "residual_scale",
              "residual_zero_point", "add_scale", "add_residual_scale", "add_offset")  # fmt: skip
OUTPUT_BITS = {"bytes": 8, "nibbles": 4, "planes": 1, "words": 32}


@dataclass(frozen=True)
class Plan:
    """One kernel to generate. `values` are the knobs, `capability` the compute capability (80 for sm_80)."""

    problem: Conv2d
    values: Mapping[str, Any]
    capability: int

    def __getitem__(self, knob: str) -> Any:
        return self.values[knob]

    # Tiles ------------------------------------------------------------------------------------------------------

    @cached_property
    def precision(self) -> Precision:
        """How operands are multiplied."""
        return PRECISIONS[self["precision"]]

    @cached_property
    def block_m(self) -> int:
        """Output pixels of a thread block."""
        return self["warps_m"] * self["warp_m"]

    @cached_property
    def block_n(self) -> int:
        """Output channels of a thread block."""
        return self["warps_n"] * self["warp_n"]

    @cached_property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self["warps_m"] * self["warps_n"]

    @cached_property
    def m_fragments(self) -> int:
        """Fragments of 16 pixels in a warp's tile."""
        return self["warp_m"] // 16

    @cached_property
    def n_fragments(self) -> int:
        """Fragments of 8 channels in a warp's tile."""
        return self["warp_n"] // 8

    @cached_property
    def group_outputs(self) -> int:
        """Output channels of a convolution group."""
        return self.problem.out_channels // self.problem.groups

    @cached_property
    def n_tiles(self) -> int:
        """Tiles along the channels of a group."""
        return -(-self.group_outputs // self.block_n)

    @cached_property
    def padded_outputs(self) -> int:
        """Channels of all groups with their tiles filled up: columns of the constants."""
        return self.problem.groups * self.n_tiles * self.block_n

    @cached_property
    def pixels(self) -> int:
        """Output pixels of the batch."""
        return self.problem.batch * self.problem.out_height * self.problem.out_width

    @cached_property
    def halo(self) -> bool:
        """The input tile with its halo is loaded once for all taps."""
        return self["input_load"] == "halo"

    @cached_property
    def tile_shape(self) -> tuple[int, int]:
        """Rows and columns of a block's rectangle of output pixels, where the halo is shared."""
        columns = self["tile_width"]
        return self.block_m // columns, columns

    @cached_property
    def m_tiles(self) -> int:
        """Tiles along the pixels."""
        if not self.halo:
            return -(-self.pixels // self.block_m)
        rows, columns = self.tile_shape
        return self.problem.batch * -(-self.problem.out_height // rows) * -(-self.problem.out_width // columns)

    @cached_property
    def tiles(self) -> int:
        """Output tiles."""
        return self.m_tiles * self.n_tiles * self.problem.groups

    @cached_property
    def splits(self) -> int:
        """Parts of the reduction that different blocks compute."""
        return self["split_k"]

    # Reduction --------------------------------------------------------------------------------------------------

    @cached_property
    def scale_blocks(self) -> int:
        """Blocks of input channels with a scale of their own."""
        block = self.problem.scale_block
        return self.problem.in_channels // block[1] if block else 1

    @cached_property
    def reduction(self) -> Reduction:
        """The order of the products."""
        p = self.problem
        channels = p.in_channels // p.groups // self.scale_blocks
        return Reduction(p.kernel, self.scale_blocks, weight_terms(p, self.precision), channels, self.precision.a_bits,
                         self["load_bytes"], self["block_k"])  # fmt: skip

    @cached_property
    def steps(self) -> int:
        """Instructions along the reduction in a slice."""
        return self["block_k"] // (16 * self.precision.a_chunks)

    @cached_property
    def split_slices(self) -> int:
        """Slices of one part of the reduction."""
        return -(-self.reduction.slices // self.splits)

    @cached_property
    def a_planes(self) -> int:
        """Bit planes of activations."""
        return planes_of(self.problem, self.precision)[0]

    @cached_property
    def b_planes(self) -> int:
        """Bit planes of weights."""
        return planes_of(self.problem, self.precision)[1]

    @cached_property
    def factors(self) -> tuple[list[int], list[int]]:
        """What a bit of each plane counts."""
        return plane_factors(self.problem, self.precision)

    @cached_property
    def xor(self) -> bool:
        """The chip has only the XOR form of the binary instruction."""
        return self.precision.planes and self.capability < 80

    # Tensors ----------------------------------------------------------------------------------------------------

    @cached_property
    def input_layout(self) -> Layout:
        """The input as it comes."""
        p = self.problem
        return Layout(self["layout"], p.batch, p.height, p.width, p.in_channels, self.precision.a_bits, self.a_planes)

    @cached_property
    def direct(self) -> bool:
        """The input is read as it comes; otherwise a kernel of its own fills every tap's channels up to whole units."""
        whole = self.reduction.padded_channels == self.reduction.channels
        return whole and self.input_layout.alignment % self["load_bytes"] == 0

    @cached_property
    def source(self) -> Layout:
        """The input as the main kernel reads it."""
        if self.direct:
            return self.input_layout
        p, r = self.problem, self.reduction
        return Layout("nhwc", p.batch, p.height, p.width, p.in_channels, self.precision.a_bits, self.a_planes,
                      p.groups * r.blocks, r.units * r.unit)  # fmt: skip

    @cached_property
    def group_bytes(self) -> int:
        """Bytes (of a plane) from one group's channels to the next."""
        return self.reduction.blocks * self.reduction.units * self.reduction.unit

    @cached_property
    def output_layout(self) -> Layout:
        """The output, and the residual."""
        p, bits = self.problem, OUTPUT_BITS[self["output"]]
        planes = p.output_bits if self["output"] == "planes" else 1
        return Layout(self["layout"], p.batch, p.out_height, p.out_width, p.out_channels, bits, planes)

    # Shared memory ----------------------------------------------------------------------------------------------

    @cached_property
    def row_pitch(self) -> int:
        """Bytes from one row of the input tile to the next."""
        return self["block_k"] + (16 if self["shared_layout"] == "padded" else 0)

    @cached_property
    def halo_shape(self) -> tuple[int, int]:
        """Rows and columns of input pixels under a rectangle of outputs."""
        p = self.problem
        return tuple((t - 1) * s + k for t, s, k in zip(self.tile_shape, p.stride, p.kernel_extent, strict=True))

    @cached_property
    def input_rows(self) -> int:
        """Rows of the input tile in shared memory (of one plane)."""
        return self.halo_shape[0] * self.halo_shape[1] if self.halo else self.block_m

    @cached_property
    def input_rows_at_once(self) -> int:
        """Rows of the input tile (of all planes) that one copy of every thread fills; 0 where a row needs more."""
        return self.threads // (self.a_planes * self.reduction.slice_units)

    @cached_property
    def input_copies(self) -> int:
        """Copies that a thread makes of the input tile."""
        return -(-self.input_rows // max(1, self.input_rows_at_once))

    @cached_property
    def input_stages(self) -> int:
        """Copies of the input tile."""
        return min(2, self["stages"]) if self.halo else self["stages"]

    @cached_property
    def input_stage_bytes(self) -> int:
        """Bytes of an input tile, all planes."""
        return self.a_planes * self.input_rows * self.row_pitch

    @cached_property
    def weight_stage_bytes(self) -> int:
        """Bytes of a slice of a tile's weights, all planes."""
        values = self.block_n * self.reduction.slice_values
        return values * self.precision.b_bits // 8 * self.b_planes

    @cached_property
    def pack_row_bytes(self) -> int:
        """Bytes of one pixel's outputs in shared memory, where they are packed there; a chunk keeps banks apart."""
        return self.block_n * self.output_layout.bits // 8 * self.output_layout.planes + 16

    @cached_property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        loads = self.input_stages * self.input_stage_bytes + self["stages"] * self.weight_stage_bytes
        packing = self.block_m * self.pack_row_bytes if self["packing"] == "shared" else 0
        return max(loads, packing)

    # Constants --------------------------------------------------------------------------------------------------

    @cached_property
    def patterns(self) -> tuple[np.ndarray, np.ndarray]:
        """For each output row and column, which set of kernel rows (columns) lies inside the input: numbers from 0.

        Taps outside read zeros where the definition wants the zero point, so the bias depends on the set.
        """
        p = self.problem
        if not p.input_zero_point or not any(p.padding):
            return np.zeros(p.out_height, np.int64), np.zeros(p.out_width, np.int64)
        found = []
        for axis, (size, out) in enumerate(((p.height, p.out_height), (p.width, p.out_width))):
            found.append(np.unique(inside(p, axis, size, out), axis=0, return_inverse=True)[1].reshape(-1))
        return found[0], found[1]

    @cached_property
    def pattern_shape(self) -> tuple[int, int]:
        """How many sets of rows and of columns there are."""
        rows, columns = self.patterns
        return int(rows.max()) + 1, int(columns.max()) + 1

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Where each part of the constants begins, in words; "end" is their size.

        parameters; scale [blocks, outputs]; weight_bits [outputs] (XOR only); bias [blocks, patterns, outputs];
        row_pattern, column_pattern (if there are several); table [slices, units of a slice, 2] (if tabled).
        """
        patterns = self.pattern_shape[0] * self.pattern_shape[1]
        p, r = self.problem, self.reduction
        sizes = {
            "parameters": PARAMETER_WORDS,
            "scale": self.scale_blocks * self.padded_outputs,
            "weight_bits": self.padded_outputs if self.xor else 0,
            "bias": self.scale_blocks * patterns * self.padded_outputs,
            "row_pattern": p.out_height if patterns > 1 else 0,
            "column_pattern": p.out_width if patterns > 1 else 0,
            "table": 2 * r.slices * r.slice_units if self.tabled else 0,
        }
        result, at = {}, 0
        for name, size in sizes.items():
            result[name] = at
            at += -(-size // 4) * 4
        return {**result, "end": at}

    @cached_property
    def tabled(self) -> bool:
        """Input offsets come from a table."""
        return self["offsets"] == "table" and not self.halo

    # Workspace --------------------------------------------------------------------------------------------------

    @cached_property
    def partial_words(self) -> int:
        """Words of the partial sums of a tile."""
        return self.block_m * self.block_n

    @cached_property
    def workspace(self) -> dict[str, int]:
        """Where each part of the workspace begins, in words; "end" is its size: input, partial, counters."""
        copied = 0 if self.direct else self.source.words
        at = {"input": 0, "partial": -(-copied // 4) * 4}
        partial = 0
        if self.splits > 1:
            partial = self.tiles * self.partial_words * (self.splits if self["split_mode"] == "parallel" else 1)
        at["counters"] = at["partial"] + partial
        at["end"] = at["counters"] + (self.tiles if self.splits > 1 and self["split_mode"] == "serial" else 0)
        return at


def inside(problem: Conv2d, axis: int, size: int, out: int) -> np.ndarray:
    """bool [out, kernel]: whether the tap of an output lies inside the input along one axis."""
    k, s, d, pad = (problem.kernel[axis], problem.stride[axis], problem.dilation[axis], problem.padding[axis])
    at = np.arange(out)[:, None] * s - pad + np.arange(k) * d
    return (at >= 0) & (at < size)
