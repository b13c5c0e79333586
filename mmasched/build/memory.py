"""Memory for weights and activations: aligned, and on huge pages where the system offers them."""

from __future__ import annotations

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
    block = mmap.mmap(-1, size + HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(block, np.uint8)
    start = -raw.ctypes.data % HUGE_PAGE
    return raw[start : start + size]
