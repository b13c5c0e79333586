"""Verifies candidates for chips that are not here, bit for bit, under emulation."""

from __future__ import annotations

from mmasched.measure.emulation.base import EmulationRunner


class EmulatedRunner(EmulationRunner):
    """Outcomes of kind "emulated": the numbers are right or wrong, and there is no cost.

    A candidate is compiled for the exact chip and run under qemu's model of it, where instructions that the chip lacks
    fault. Where qemu has no model of the chip, the nearest richer one runs it and the disassembly is searched for
    instructions beyond the chip's tier. The build's lint of the hot loop is in the outcome's resources.
    """

    kind = "emulated"
