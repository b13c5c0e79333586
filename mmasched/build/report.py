"""What the compiler made of a kernel: spills and instruction counts, read off the assembly."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import tvm

from mmasched.templates.program import Program

COUNTED = re.compile(r"^\s+v?(tdpb\w+|tileloadd|tilestored|vpdpbusd|pmaddwd|pmaddubsw|packus\w+|cvtps2dq)\b", re.M)
SPILL = re.compile(r"(\d+)-byte (?:Folded )?Spill")
# Names in the metadata of LLVM's text are addresses of this process.
ADDRESS = re.compile(rb'"0x[0-9a-f]+')


def resource_report(module: tvm.runtime.Module, program: Program) -> dict[str, Any]:
    """code, workspace_bytes, spilled_bytes (static count) and how often each key instruction stands in the code."""
    assembly = module.inspect_source("s")
    counts: dict[str, int] = {}
    for name in COUNTED.findall(assembly):
        counts[name] = counts.get(name, 0) + 1
    spilled = sum(int(size) for size in SPILL.findall(assembly))
    return {"code": code_name(assembly.encode(), program), "workspace_bytes": program.workspace_bytes,
            "spilled_bytes": spilled, "instructions": counts}  # fmt: skip


def code_name(code: bytes, program: Program) -> str:
    """A short name of a kernel's code and of the memory it needs: equal for kernels that cost the same."""
    memory = f"{program.threads} {program.workspace_bytes} {program.weight_bytes} {program.constant_words} "
    return hashlib.sha256(memory.encode() + code).hexdigest()[:16]


def early_code_name(module: tvm.runtime.Module, program: Program) -> str:
    """The same from what LLVM is about to translate, at a fraction of the time: some equal codes are missed by it."""
    return "early-" + code_name(ADDRESS.sub(b'"', module.inspect_source("ll").encode()), program)
