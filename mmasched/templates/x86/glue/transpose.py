"""Transposes in registers between vectors of pixels (one channel each) and vectors of channels (one pixel each).

The common ground is a word per pixel that holds four of its channels: lanes are pixels, as in a plane of one channel,
and bytes are channels, as in a pixel of an NHWC tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmasched.templates.emitter import Emitter, Expr, reinterpret, shuffle, vector
from mmasched.templates.x86.depthwise import interleave
from mmasched.templates.x86.glue.lanes import fill, lanes_of


def words_from_planes(packed: Expr, channels: int) -> Expr:
    """`channels` bytes per pixel, pixel after pixel, from bytes that hold four pixels of four channels in each lane."""
    size = lanes_of(packed)
    take = [16 * lane + 4 * c + p for lane in range(size // 16) for p in range(4) for c in range(channels)]
    if channels == 4:
        return shuffle([packed], take)
    # First within 128-bit lanes (VPSHUFB), then the words that are full are moved together (VPERMD).
    used = 4 * channels
    within = []
    for lane in range(size // 16):
        within += take[used * lane : used * (lane + 1)] + [16 * lane] * (16 - used)
    words = reinterpret(vector("int32", size // 4), shuffle([packed], within))
    full = shuffle([words], [4 * lane + word for lane in range(size // 16) for word in range(channels)])
    return reinterpret(vector("uint8", size // 4 * channels), full)


def words_from_pixels(data: Expr, channels: int) -> Expr:
    """A word per pixel (channels beyond `channels` are zero) from `channels` bytes per pixel, pixel after pixel."""
    size = lanes_of(data)
    if channels == 4:
        return reinterpret(vector("int32", size // 4), data)
    pixels = size // channels
    take = [p * channels + c if c < channels else size for p in range(pixels) for c in range(4)]
    return reinterpret(vector("int32", pixels), shuffle([data, fill(0, "uint8", size)], take))


def transpose_words(e: Emitter, four: Sequence[Expr]) -> list[Expr]:
    """Word w of vector v becomes word v of vector w, within each 128-bit lane; vectors of bytes."""
    size = lanes_of(four[0])
    (low0, high0), (low1, high1) = (interleave(e, a, b, size, 4) for a, b in (four[:2], four[2:]))
    return [*interleave(e, low0, low1, size, 8), *interleave(e, high0, high1, size, 8)]


def transpose_bytes(e: Emitter, rows: Sequence[Expr]) -> list[Expr]:
    """The 16 columns of 16 rows of 16 bytes: four perfect shuffles."""
    for _ in range(4):
        rows = [half for i in range(8) for half in interleave(e, rows[i], rows[i + 8], 16, 1)]
    return list(rows)
