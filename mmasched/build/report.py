"""What the compiler made of a kernel: spills and instruction counts, read off the assembly."""

from __future__ import annotations

import re
from typing import Any

import tvm

from mmasched.templates.program import Program

COUNTED = re.compile(r"^\s+v?(tdpb\w+|tileloadd|tilestored|vpdpbusd|pmaddwd|pmaddubsw|packus\w+|cvtps2dq)\b", re.M)
SPILL = re.compile(r"(\d+)-byte (?:Folded )?Spill")


def resource_report(module: tvm.runtime.Module, program: Program) -> dict[str, Any]:
    """workspace_bytes, spilled_bytes (static count) and how often each key instruction stands in the code."""
    assembly = module.inspect_source("s")
    counts: dict[str, int] = {}
    for name in COUNTED.findall(assembly):
        counts[name] = counts.get(name, 0) + 1
    spilled = sum(int(size) for size in SPILL.findall(assembly))
    return {"workspace_bytes": program.workspace_bytes, "spilled_bytes": spilled, "instructions": counts}
