#!/usr/bin/env python3
"""Runs a program that the system refuses AMX tile registers: _without_amx.py PROGRAM ARGUMENTS...

Linux grants tiles on request (arch_prctl, see mmasched.hardware.amx).  A system call filter that denies the request
makes any library fall back on what the CPU has besides; the filter is inherited by the program and its children.
Exit status 3 where the filter cannot be set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

# linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/audit.h
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
AUDIT_ARCH_X86_64, ARCH_PRCTL, ARCH_REQ_XCOMP_PERM = 0xC000003E, 158, 0x1023
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
PROGRAM = (
    (LOAD_WORD, 0, 0, ARCHITECTURE),
    (JUMP_IF_EQUAL, 0, 5, AUDIT_ARCH_X86_64),
    (LOAD_WORD, 0, 0, NUMBER),
    (JUMP_IF_EQUAL, 0, 3, ARCH_PRCTL),
    (LOAD_WORD, 0, 0, FIRST_ARGUMENT),
    (JUMP_IF_EQUAL, 0, 1, ARCH_REQ_XCOMP_PERM),
    (RETURN, 0, 0, DENY),
    (RETURN, 0, 0, ALLOW),
)


class Instruction(ctypes.Structure):
    """struct sock_filter."""

    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction))]


def refuse_tiles() -> bool:
    """From now on this process and its children get no tile registers; False where the filter cannot be set."""
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = (Instruction * len(PROGRAM))(*(Instruction(*line) for line in PROGRAM))
    program = Filter(len(PROGRAM), instructions)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    if not refuse_tiles():
        sys.exit(3)
    os.execv(sys.argv[1], sys.argv[1:])
