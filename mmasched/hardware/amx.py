"""Permission to use AMX tile registers, which Linux grants to a process on request."""

from __future__ import annotations

import ctypes
import os

# Linux, Documentation/arch/x86/xstate.rst: the state of the tile data is 8 KiB per thread, so it is enabled on demand.
SYS_ARCH_PRCTL = 158
ARCH_REQ_XCOMP_PERM = 0x1023
XFEATURE_XTILEDATA = 18


def request_amx_permission() -> bool:
    """Ask for AMX tiles for this process, the threads it starts and the processes it forks; False where refused.

    Asking twice is fine.  It must happen before the first tile instruction; exec() drops the permission.
    """
    if os.uname().machine != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0
