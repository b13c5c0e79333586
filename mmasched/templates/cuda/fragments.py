"""Which output channel each column of a warp's tile computes.

In the accumulator fragment of m16n8 a lane holds columns 2t and 2t + 1, with t its number in its quad (PTX ISA, "Matrix
Fragments").  With the weights' columns permuted beforehand, the lane's columns of neighbouring fragments are
neighbouring channels, and packing them needs no exchange between lanes.
"""

from __future__ import annotations

import numpy as np

from mmasched.templates.cuda.plan import Plan


def run_fragments(plan: Plan) -> int:
    """Fragments whose columns of one lane are neighbouring channels: at most 16 bytes of output, 1 if not permuted."""
    if plan["packing"] == "shuffle":
        return 1
    bits = plan.output_layout.bits * (1 if plan.output_layout.planes == 1 else plan.output_layout.planes)
    widest = max(1, 64 // max(bits, 4))
    while plan.n_fragments % widest:
        widest //= 2
    return widest


def channel_map(plan: Plan) -> np.ndarray:
    """[fragments, 8] channel, within the warp's tile, of each column."""
    run = run_fragments(plan)
    j, column = np.ix_(range(plan.n_fragments), range(8))
    t, e = column // 2, column % 2
    return (j // run) * (8 * run) + t * (2 * run) + (j % run) * 2 + e
