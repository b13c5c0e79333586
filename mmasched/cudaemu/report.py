"""What an emulation says when nothing is wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """Counts of one emulation, all launches together, and where its time went.

    Everything here is emulated, never measured: `load_conflicts` counts extra passes of ldmatrix over the
    shared-memory banks, `multiply_adds` those of matrix instructions (padding included). Times are of this machine,
    in seconds.
    """

    blocks: int
    matrix_instructions: int
    multiply_adds: int
    matrix_loads: int
    load_conflicts: int
    copies: int
    barriers: int
    bulk_copies: int
    translate_seconds: float
    compile_seconds: float
    run_seconds: float
