"""Tensor maps: what a kernel's CUtensorMap parameter says about a buffer, for bulk tensor copies."""

from __future__ import annotations

from dataclasses import dataclass

from mmasched.errors import BadInput

_SWIZZLES = {"none": 0, "32B": 1, "64B": 2, "128B": 3}
# Least and greatest corner of an im2col map by its rank (CUDA driver API, cuTensorMapEncodeIm2col).
_CORNERS = {3: (-(1 << 15), (1 << 15) - 1), 4: (-(1 << 7), (1 << 7) - 1), 5: (-(1 << 4), (1 << 4) - 1)}
_SPANS = {"none": 256 * 16, "32B": 32, "64B": 64, "128B": 128}


@dataclass(frozen=True)
class TensorMap:
    """The arguments of cuTensorMapEncodeTiled or cuTensorMapEncodeIm2col (CUDA driver API), innermost dimension first.

    `buffer` names the entry of `emulate`'s buffers that the map describes; `sizes` are elements; `strides` are bytes of
    dimensions 1 and up (dimension 0 is contiguous). A tiled map has a `box`. An im2col map has `channels` and `pixels`
    per column and the corners `lower` and `upper` of the box of base pixels (W, H, D; two fewer than dimensions).
    Elements out of bounds read as zero. Raises BadInput for what the driver refuses.
    """

    buffer: str
    element_bytes: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...] = ()
    element_strides: tuple[int, ...] = ()
    swizzle: str = "none"
    lower: tuple[int, ...] = ()
    upper: tuple[int, ...] = ()
    channels: int = 0
    pixels: int = 0

    def __post_init__(self) -> None:
        rank = len(self.sizes)
        im2col = bool(self.lower)
        inner = (self.channels if im2col else (self.box or (0,))[0]) * self.element_bytes
        problems = {
            "rank is not 1 to 5 (im2col: 3 to 5)": not (3 if im2col else 1) <= rank <= 5,
            "element size is not 1, 2, 4 or 8 bytes": self.element_bytes not in (1, 2, 4, 8),
            "strides do not fit the rank": len(self.strides) != rank - 1,
            "a stride is no multiple of 16 bytes": any(stride % 16 for stride in self.strides),
            "a size is not positive": any(size < 1 for size in self.sizes),
            "the box does not fit the rank": not im2col and len(self.box) != rank,
            "a box dimension is not 1 to 256": not im2col and any(not 1 <= size <= 256 for size in self.box),
            "element strides do not fit the rank": bool(self.element_strides) and len(self.element_strides) != rank,
            "an element stride is not 1 to 8": any(not 1 <= step <= 8 for step in self.element_strides),
            "swizzle is not one of none, 32B, 64B, 128B": self.swizzle not in _SWIZZLES,
            "the corners do not fit the rank": im2col and not len(self.lower) == len(self.upper) == rank - 2,
            "a corner is out of the range of its rank": im2col
            and not all(
                least <= corner <= greatest
                for least, greatest in [_CORNERS.get(rank, (0, 0))]
                for corner in (*self.lower, *self.upper)
            ),
            "channels are not 1 to 256": im2col and not 1 <= self.channels <= 256,
            "pixels are not 1 to 1024": im2col and not 1 <= self.pixels <= 1024,
            "the inner dimension of the box is no multiple of 16 bytes": inner % 16 != 0,
            "the inner dimension of the box is wider than the swizzle": inner > _SPANS.get(self.swizzle, inner),
        }
        for problem, found in problems.items():
            if found:
                raise BadInput(f"tensor map of buffer {self.buffer}: {problem}")

    def line(self, buffers: list[str]) -> str:
        """The emulator's job line (runtime/tensor_map.cpp). Raises BadInput when the buffer is not among `buffers`."""
        if self.buffer not in buffers:
            raise BadInput(f"a tensor map describes buffer {self.buffer}, which was not given")
        rank, im2col = len(self.sizes), bool(self.lower)
        fields = ["map", buffers.index(self.buffer), rank, self.element_bytes, _SWIZZLES[self.swizzle], int(im2col)]
        strides = (self.element_bytes, *self.strides)
        for i in range(rank):
            box = 1 if im2col else self.box[i]
            fields += [self.sizes[i], strides[i], box, self.element_strides[i] if self.element_strides else 1]
        if im2col:
            for low, high in zip(self.lower, self.upper):
                fields += [low, high]
            fields += [self.channels, self.pixels]
        return " ".join(map(str, fields))
