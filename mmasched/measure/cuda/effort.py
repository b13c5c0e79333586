"""How long a problem keeps the emulator busy, modelled from counts of what the emulator does."""

from __future__ import annotations

from mmasched.templates.cuda.plan import Plan

# Seconds of a core for one of each, in the two runs of a verification: fitted to 59 candidates of tools/verify_cuda.py
# (half of them within 13%, all within 40%). They rank problems and tell quick ones from slow ones, no more.
MULTIPLICATION = 2.2e-6  # a matrix instruction of a warp
MATRIX_LOAD = 13.2e-6  # an LDMATRIX of a warp: its lanes meet there
WEIGHT_READ = 0.15e-6  # a lane's weights for one fragment and step
OUTPUT = 0.06e-6  # an element of an output tile
PARTIAL = 0.12e-6  # an element of a partial sum
THREAD = 0.1e-6  # of a block
COPIED_WORD = 0.7e-6  # of an input whose channels are filled up first
PRODUCT = 0.45e-9  # a multiply-accumulate of the NumPy reference
QUARTERS = 4  # instructions of sm_75 for one of later chips, but for bit planes


def emulation_seconds(
    plan: Plan, m_tiles: int | None = None, n_tiles: int | None = None, slices: int | None = None
) -> float:
    """Modelled seconds to emulate a plan's kernels on both operand sets and to compute the references.

    m_tiles, n_tiles (of a group), slices: of a smaller problem of the same config, where they differ from the plan's.
    """
    whole = plan.m_tiles * plan.n_tiles * plan.reduction.slices
    m_tiles, n_tiles, slices = m_tiles or plan.m_tiles, n_tiles or plan.n_tiles, slices or plan.reduction.slices
    tiles = m_tiles * n_tiles * plan.problem.groups
    warp_slices = tiles * slices * plan.threads // 32
    fragments = plan.n_fragments * plan.steps * plan.b_planes
    quarters = QUARTERS if plan.capability < 80 and not plan.precision.planes else 1
    outputs = tiles * plan.block_m * plan.block_n
    spatial = m_tiles / plan.m_tiles
    return (
        MULTIPLICATION * warp_slices * plan.m_fragments * fragments * plan.a_planes * quarters
        + MATRIX_LOAD * warp_slices * plan.m_fragments * (plan["block_k"] // 32) * plan.a_planes
        + WEIGHT_READ * warp_slices * 32 * fragments
        + OUTPUT * outputs
        + PARTIAL * (outputs * plan.splits if plan.splits > 1 else 0)
        + THREAD * tiles * plan.splits * plan.threads
        + COPIED_WORD * (0 if plan.direct else plan.source.words * spatial)
        + PRODUCT * plan.problem.macs * m_tiles * n_tiles * slices / whole
    )
