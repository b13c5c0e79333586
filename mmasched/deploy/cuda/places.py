"""Where the tensors of a network lie in a GPU's memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmasched.templates.cuda.glue import View
from mmasched.templates.cuda.layout import Layout

ALIGNMENT = 256  # bytes: as cudaMalloc aligns, more than any load needs

Logical = tuple[int, int, int, int]


def logical(shape: tuple[int, ...]) -> Logical:
    """(N, C, H, W) of a tensor; others than images are rows of their last axes."""
    if len(shape) == 4:
        return tuple(shape)
    if len(shape) == 2:
        return (*shape, 1, 1)
    return (1, int(np.prod(shape, dtype=np.int64)), 1, 1)


@dataclass(frozen=True)
class Place:
    """How one tensor is stored: in a layout of the convolutions (uint8, int8, int32), or as NumPy has it (kind "rows").

    shape: (N, C, H, W).
    """

    shape: Logical
    dtype: str
    kind: str

    @property
    def layout(self) -> Layout | None:
        """The convolutions' layout; None for plain rows."""
        if self.kind == "rows":
            return None
        n, c, h, w = self.shape
        return Layout(self.kind, n, h, w, c, 8 * np.dtype(self.dtype).itemsize)

    @property
    def view(self) -> View:
        """As the small kernels address it."""
        layout = self.layout
        return View.rows(self.shape, self.dtype) if layout is None else View.of(layout, self.dtype)

    @property
    def words(self) -> int:
        """32-bit words."""
        return self.view.words

    def pack(self, array: np.ndarray) -> np.ndarray:
        """An array of the tensor, in logical order, as uint32 words."""
        array = np.ascontiguousarray(array, self.dtype).reshape(self.shape)
        if self.layout is not None:
            return self.layout.pack(np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
        raw = array.reshape(-1).view(np.uint8)
        return np.pad(raw, (0, -raw.size % 4)).view(np.uint32)

    def unpack(self, words: np.ndarray) -> np.ndarray:
        """uint32 words to an array of shape (N, C, H, W)."""
        size = int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
        if self.layout is None:
            return words.view(np.uint8)[:size].view(self.dtype).reshape(self.shape).copy()
        bits = self.layout.bits
        return np.ascontiguousarray(self.layout.unpack(words, self.dtype, bits).transpose(0, 3, 1, 2))
