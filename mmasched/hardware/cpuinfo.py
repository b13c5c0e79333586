"""What Linux says about the CPU: /proc/cpuinfo and the caches in sysfs, as plain facts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# /proc/cpuinfo flag (arch/x86/include/asm/cpufeatures.h, arch/arm64/kernel/cpuinfo.c) -> LLVM feature.
FEATURE_OF_FLAG = {
    "avx2": "avx2", "fma": "fma", "f16c": "f16c", "bmi1": "bmi", "bmi2": "bmi2",
    "avx512f": "avx512f", "avx512bw": "avx512bw", "avx512cd": "avx512cd", "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512vnni", "avx512ifma": "avx512ifma", "avx512vbmi": "avx512vbmi", "avx512_vbmi2": "avx512vbmi2",
    "avx512_bitalg": "avx512bitalg", "avx512_vpopcntdq": "avx512vpopcntdq", "avx512_bf16": "avx512bf16",
    "avx512_fp16": "avx512fp16", "avx512_vp2intersect": "avx512vp2intersect",
    "avx_vnni": "avxvnni", "avx_vnni_int8": "avxvnniint8", "avx_vnni_int16": "avxvnniint16",
    "amx_tile": "amx-tile", "amx_int8": "amx-int8", "amx_bf16": "amx-bf16", "amx_fp16": "amx-fp16",
    "gfni": "gfni", "vaes": "vaes", "vpclmulqdq": "vpclmulqdq",
    "asimd": "neon", "asimddp": "dotprod", "i8mm": "i8mm", "sve": "sve", "sve2": "sve2", "bf16": "bf16",
}  # fmt: skip
VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "hygon", "CentaurHauls": "zhaoxin"}


@dataclass(frozen=True)
class CpuFacts:
    """One CPU as Linux reports it: identity numbers, LLVM feature names, caches in bytes (0 where unknown or absent).

    `l3_sharers` is how many of the visible CPUs share one level 3 cache.
    """

    machine: str
    vendor: str
    name: str
    family: int
    model: int
    stepping: int
    features: frozenset[str]
    hypervisor: bool
    cores: int
    l1d: int
    l2: int
    l3: int
    l3_sharers: int


def read_cpu(root: Path = Path("/"), machine: str | None = None, cores: int | None = None) -> CpuFacts:
    """The facts of this machine's first CPU; the arguments let tests describe another machine.

    `machine` is the architecture as uname gives it, `cores` how many cores this process may use (its affinity).
    """
    machine = machine or os.uname().machine
    cores = cores or len(os.sched_getaffinity(0))
    fields = _first_processor(root / "proc/cpuinfo")
    flags = (fields.get("flags") or fields.get("features") or "").split()
    cache = _caches(root / "sys/devices/system/cpu/cpu0/cache")
    arm = machine == "aarch64"
    return CpuFacts(
        machine=machine,
        vendor="arm-" + fields.get("cpu implementer", "0x0")[2:] if arm else _vendor(fields),
        name=_tidy(fields.get("model name", "")),
        family=_number(fields.get("cpu architecture" if arm else "cpu family")),
        model=_number(fields.get("cpu part" if arm else "model")),
        stepping=_number(fields.get("cpu revision" if arm else "stepping")),
        features=frozenset(FEATURE_OF_FLAG[flag] for flag in flags if flag in FEATURE_OF_FLAG),
        hypervisor="hypervisor" in flags,
        cores=cores,
        l1d=cache.get(1, (0, 1))[0],
        l2=cache.get(2, (0, 1))[0],
        l3=cache.get(3, (0, 1))[0],
        l3_sharers=cache.get(3, (0, 1))[1],
    )


def _first_processor(path: Path) -> dict[str, str]:
    """The fields of the first processor, keys in lower case; empty where the file cannot be read."""
    fields: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return fields
    for line in text.split("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields[key.strip().lower()] = value.strip()
    return fields


def _vendor(fields: dict[str, str]) -> str:
    given = fields.get("vendor_id", "unknown")
    return VENDORS.get(given, re.sub(r"\W+", "", given).lower() or "unknown")


def _tidy(name: str) -> str:
    """The marketing name without trademark signs, the word CPU and the clock."""
    name = re.sub(r"\((R|TM|tm|r)\)|\bCPU\b|@.*$|\b\d+-Core Processor\b", " ", name)
    return " ".join(name.split())


def _number(text: str | None) -> int:
    try:
        return int(text or "0", 0)
    except ValueError:
        return 0


def _caches(folder: Path) -> dict[int, tuple[int, int]]:
    """Data and unified caches by level: (bytes, how many visible CPUs share it)."""
    found: dict[int, tuple[int, int]] = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size, shared = (
                (index / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found[int(level)] = (_size(size), _count(shared))
    return found


def _size(text: str) -> int:
    """Bytes of a size such as "48K" or "2M"."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] if match else 0


def _count(cpu_list: str) -> int:
    """How many CPUs a list such as "0-3,8" names."""
    ends = [part.split("-") for part in cpu_list.split(",") if part]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ends) or 1
