"""An int8 convolution in Triton: implicit matrix product over NHWC, requantization in the same kernel.

Rows are output pixels, columns output channels; the reduction walks over taps and blocks of input channels.
Kept apart from the peer, since the compiler of Triton reads this file.
"""

# ruff: noqa: N803

import triton
import triton.language as tl


@triton.jit
def convolution(
    x, w, bias, scale, residual, y, residual_scale,
    HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, ROWS, OUT,
    CHANNELS: tl.constexpr, KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, STRIDE_H: tl.constexpr,
    STRIDE_W: tl.constexpr, DILATION_H: tl.constexpr, DILATION_W: tl.constexpr, TOP: tl.constexpr, LEFT: tl.constexpr,
    LOW: tl.constexpr, HIGH: tl.constexpr, HAS_RESIDUAL: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """One tile [BLOCK_M, BLOCK_N]; tiles are visited in groups of GROUP rows, so that weights stay in the L2."""
    tile = tl.program_id(0)
    tiles_m = tl.cdiv(ROWS, BLOCK_M)
    tiles_n = tl.cdiv(OUT, BLOCK_N)
    first = tile // (GROUP * tiles_n) * GROUP
    size = min(tiles_m - first, GROUP)
    rows = (first + tile % size) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile % (GROUP * tiles_n) // size * BLOCK_N + tl.arange(0, BLOCK_N)
    image = rows // (OUT_HEIGHT * OUT_WIDTH)
    top = rows // OUT_WIDTH % OUT_HEIGHT * STRIDE_H - TOP
    left = rows % OUT_WIDTH * STRIDE_W - LEFT
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.int32)
    blocks: tl.constexpr = (CHANNELS + BLOCK_K - 1) // BLOCK_K
    for step in range(KERNEL_H * KERNEL_W * blocks):
        tap = step // blocks
        channels = step % blocks * BLOCK_K + tl.arange(0, BLOCK_K)
        down = top + tap // KERNEL_W * DILATION_H
        across = left + tap % KERNEL_W * DILATION_W
        inside = (rows < ROWS) & (down >= 0) & (down < HEIGHT) & (across >= 0) & (across < WIDTH)
        pixels = ((image * HEIGHT + down) * WIDTH + across) * CHANNELS
        a = tl.load(x + pixels[:, None] + channels[None, :], inside[:, None] & (channels < CHANNELS)[None, :], 0)
        weights = columns[None, :] * (KERNEL_H * KERNEL_W * CHANNELS) + tap * CHANNELS + channels[:, None]
        b = tl.load(w + weights, (channels < CHANNELS)[:, None] & (columns < OUT)[None, :], 0)
        total = tl.dot(a, b, total, out_dtype=tl.int32)
    valid = columns < OUT
    value = (total + tl.load(bias + columns, valid, 0)[None, :]).to(tl.float32)
    value = value * tl.load(scale + columns, valid, 0.0)[None, :]
    where = rows[:, None] * OUT + columns[None, :]
    mask = (rows < ROWS)[:, None] & valid[None, :]
    if HAS_RESIDUAL:
        value += tl.load(residual + where, mask, 0).to(tl.float32) * residual_scale
    # Adding 1.5 * 2^23 leaves the nearest whole number, halves to even, in a float that is first brought into range.
    value = tl.minimum(tl.maximum(value, LOW - 1.0), HIGH + 1.0)
    value = (value + 12582912.0) - 12582912.0
    value = tl.minimum(tl.maximum(value, LOW), HIGH)
    tl.store(y + where, value.to(tl.int8), mask)
