"""What can be wrong with an emulated kernel, one class a kind; each says where and what was touched."""

from __future__ import annotations

from mmasched.errors import MmaschedError


class EmulationError(MmaschedError):
    """A kernel broke a rule of the machine; `kernel`, `block`, `warp` and `lane` say where (-1: no meaning)."""

    def __init__(self, message: str, kernel: str = "", block: int = -1, warp: int = -1, lane: int = -1) -> None:
        self.detail = message
        self.kernel, self.block, self.warp, self.lane = kernel, block, warp, lane
        place = f"kernel {kernel}, block {block}" + (f", warp {warp}, lane {lane}" if warp >= 0 else "")
        super().__init__(f"{place}: {message}" if kernel else message)


class Race(EmulationError):
    """Two accesses to the same bytes, at least one a write, with nothing that orders them."""


class OutOfBounds(EmulationError):
    """An access beyond a buffer or beyond the launch's shared memory."""


class Uninitialised(EmulationError):
    """A read of shared memory that nobody wrote in this block."""


class Misaligned(EmulationError):
    """An address that is not a multiple of what the instruction asks for."""


class Divergence(EmulationError):
    """Lanes of a warp that should execute an instruction together do not."""


class Deadlock(EmulationError):
    """Threads wait for something that never comes."""


class Hang(EmulationError):
    """The kernel did not end within its limit."""


class BarrierMisuse(EmulationError):
    """A barrier used against its rules: wrong counts, arrivals that nobody waits for, re-initialisation."""


class MissingFence(EmulationError):
    """The asynchronous proxy touches what generic accesses wrote, without a proxy fence in between."""


class BadOperand(EmulationError):
    """An instruction's operand has a value that the instruction does not allow."""


class LaunchFailure(EmulationError):
    """A launch that the kernel or the chip cannot have: too many threads, too much shared memory, no such kernel."""


class Crash(EmulationError):
    """The emulated kernel died: stack overflow, division by zero."""


class Trap(EmulationError):
    """The kernel executed a trap."""


class LimitReached(EmulationError):
    """The emulator's own limits: address space, number of buffers, synchronisations in a block."""


class UnknownInstruction(EmulationError):
    """A PTX form or a device function that the emulator does not know, or that is no valid PTX."""


class UnavailableInstruction(UnknownInstruction):
    """A known instruction that the chip asked for does not have."""


class CompileFailure(EmulationError):
    """The CUDA text is not C++ that g++ accepts."""


KINDS: dict[str, type[EmulationError]] = {
    kind.__name__: kind
    for kind in (
        Race,
        OutOfBounds,
        Uninitialised,
        Misaligned,
        Divergence,
        Deadlock,
        Hang,
        BarrierMisuse,
        MissingFence,
        BadOperand,
        LaunchFailure,
        Crash,
        Trap,
        LimitReached,
        UnknownInstruction,
        UnavailableInstruction,
        CompileFailure,
    )
}
