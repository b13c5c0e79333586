"""How the small kernels of a network address its tensors, whatever their layout."""

from __future__ import annotations

from dataclasses import dataclass

from mmasched.templates.cuda.emitter import div, mod
from mmasched.templates.cuda.layout import BLOCKS, Layout
from mmasched.templates.emitter import Expr

ITEM_BYTES = {"uint8": 1, "int8": 1, "int32": 4, "float32": 4}


@dataclass(frozen=True)
class View:
    """A tensor [N, C, H, W] in memory.

    dtype: uint8, int8, int32 or float32. n, h, w, c: bytes from one image, row, column and block of channels to the
    next. block: channels of a block, neighbours in memory; 0 where all of a pixel's are. words: 32-bit words of the
    whole tensor. channels: how many there are (of a part, where `first` is the channel that it begins with).
    """

    dtype: str
    n: int
    h: int
    w: int
    c: int
    block: int
    words: int
    channels: int
    first: int = 0

    @classmethod
    def of(cls, layout: Layout, dtype: str) -> View:
        """A tensor of whole bytes or words in one of the convolutions' layouts."""
        s = layout.strides
        return cls(dtype, s["n"], s["h"], s["w"], s["block"], BLOCKS.get(layout.kind, 0), layout.words, layout.channels)

    @classmethod
    def rows(cls, shape: tuple[int, int, int, int], dtype: str) -> View:
        """A dense array of shape (N, C, H, W), as NumPy has it."""
        n, c, h, w = shape
        size = ITEM_BYTES[dtype]
        words = -(-n * c * h * w * size // 4)
        return cls(dtype, c * h * w * size, w * size, size, h * w * size, 1, words, c)

    @property
    def quads(self) -> bool:
        """Whether channels can be read and written four bytes at a time."""
        return ITEM_BYTES[self.dtype] == 1 and self.block != 1 and self.channels % 4 == 0 and self.first % 4 == 0 \
            and all(stride % 4 == 0 for stride in (self.n, self.h, self.w, self.c))  # fmt: skip

    def at(self, n: Expr | int, c: Expr | int, h: Expr | int, w: Expr | int) -> Expr | int:
        """The byte offset of an element."""
        size, c = ITEM_BYTES[self.dtype], c + self.first if self.first else c
        if self.block == 0:
            channel = c * size
        elif self.block == 1:
            channel = c * self.c
        else:
            channel = div(c, self.block) * self.c + mod(c, self.block) * size
        return n * self.n + h * self.h + w * self.w + channel
