"""Memory for weights and activations: aligned, and on huge pages where the system offers them."""

from __future__ import annotations

import math
import mmap

import numpy as np

HUGE_PAGE = 2 << 20
ALIGNMENT = 64


def allocate(size: int) -> np.ndarray:
    """`size` zeroed bytes on a 64-byte boundary.

    From a megabyte on they begin on a huge page and ask for more of them: networks stream tens of megabytes of weights,
    and the second-level TLB of current CPUs covers 4 to 8 MB of small pages.
    """
    if size < HUGE_PAGE // 2:
        raw = np.zeros(size + ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + size]
    # Private: shared memory, Python's default, gets huge pages only where the administrator has said so.
    kind = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    whole = -(-size // HUGE_PAGE) * HUGE_PAGE
    block = mmap.mmap(-1, whole + HUGE_PAGE, **kind)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(block, np.uint8)
    start = -raw.ctypes.data % HUGE_PAGE
    return raw[start : start + size]


def uninitialised(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of arbitrary values on a 64-byte boundary, since stores that cross cache lines take twice as long."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
