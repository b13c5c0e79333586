"""Which chip is at hand, and the Hardware of a target: as detected where it is this CPU, else from the data files."""

from __future__ import annotations

import dataclasses
import os
from functools import lru_cache
from typing import Any

from mmasched.errors import Unsupported
from mmasched.hardware.amx import request_amx_permission
from mmasched.hardware.catalog import chips, family_table
from mmasched.hardware.cpuinfo import CpuFacts, read_cpu
from mmasched.hardware.facts import Hardware
from mmasched.hardware.gpu import capability, gpu_hardware, local_gpu
from mmasched.hardware.target import Target

# A guest sees its host's whole level 3 cache (480 MB for 2 cores were seen); a core's share is 1.4 to 5 MiB on servers.
GUEST_L3_PER_CORE = 4 * 2**20
ARM_IMPLEMENTER = "arm-41"
TRIPLES = {"x86": "x86_64-linux-gnu", "arm": "aarch64-linux-gnu"}
FAMILY_OF_MACHINE = {"x86_64": "x86", "aarch64": "arm"}


def native_target(described: CpuFacts | None = None) -> Target:
    """The fastest target of this CPU (or of the one described); raises Unsupported where none fits."""
    cpu = described or this_cpu()
    fitting = [target for target in _fitting(cpu) if described or _permitted(target)]
    if not fitting:
        raise Unsupported(
            f"this CPU ({cpu.name or cpu.machine}) has none of the instruction sets that mmasched writes code for: "
            f"name a target such as x86/avx2 or arm/cortex-a53 to compile for another machine"
        )
    return fitting[0]


def detect(target: str | Target = "native", described: CpuFacts | None = None) -> Hardware:
    """The Hardware of this machine (or of the one described), for its fastest or a named target that it can run.

    Raises Unsupported where the machine cannot run the target.
    """
    cpu = described or this_cpu()
    target = native_target(described) if target == "native" else Target.parse(target)
    if target not in _fitting(cpu):
        raise Unsupported(f"this CPU ({cpu.name or cpu.machine}) does not run {target}")
    facts = chips(target.family)[target.chip]
    l3, notes = _l3(cpu)
    features, mcpu, mattr = _code_generation(target, facts, cpu)
    return Hardware(
        target=target,
        name=cpu.name or facts["example"],
        chip=_identity(cpu),
        features=features,
        vector_bytes=facts.get("vector_bytes", 16),
        vector_registers=facts.get("vector_registers", 32),
        l1d=cpu.l1d or facts["l1d"],
        l2=cpu.l2 or facts["l2"],
        l3=l3,
        cores=cpu.cores,
        mtriple=TRIPLES[target.family],
        mcpu=mcpu,
        mattr=mattr,
        detected=True,
        notes=notes,
    )


def hardware(target: str | Target = "native") -> Hardware:
    """The Hardware of a target: this machine's own facts where it can run the target, else the data file's."""
    target = Target.parse(target)
    if target.family == "cuda":
        return gpu_hardware(target)
    return detect(target) if target in _fitting(this_cpu()) else from_catalog(target)


def from_catalog(target: str | Target) -> Hardware:
    """The Hardware of a target as the data files have it, whatever machine this is."""
    target = Target.parse(target)
    if target.family == "cuda":
        return gpu_hardware(target)
    facts = chips(target.family)[target.chip]
    features, mcpu, mattr = _code_generation(target, facts, None)
    cores = facts.get("cores", 1)
    return Hardware(
        target=target,
        name=facts["example"],
        chip=target.chip,
        features=features,
        vector_bytes=facts.get("vector_bytes", 16),
        vector_registers=facts.get("vector_registers", 32),
        l1d=facts["l1d"],
        l2=facts["l2"],
        l3=facts["l3"],
        cores=cores,
        mtriple=TRIPLES[target.family],
        mcpu=mcpu,
        mattr=mattr,
    )


def runs_here(target: str | Target) -> bool:
    """True if this machine can run code for the target: it has every feature, and permission for AMX tiles.

    For CUDA: the first GPU has exactly the target's compute capability.
    """
    target = Target.parse(target)
    if target.family == "cuda":
        gpu = local_gpu()
        return gpu is not None and gpu.compute_capability == capability(target)
    return target in _fitting(this_cpu()) and _permitted(target)


@lru_cache(maxsize=1)
def _read_once() -> CpuFacts:
    return read_cpu()


def this_cpu() -> CpuFacts:
    """The facts of the CPU at hand; the affinity is asked anew, since a process may change it."""
    return dataclasses.replace(_read_once(), cores=len(os.sched_getaffinity(0)))


def _permitted(target: Target) -> bool:
    """False where the CPU has the instructions and the system forbids them."""
    return target.chip != "amx" or request_amx_permission()


def _fitting(cpu: CpuFacts) -> list[Target]:
    """The targets whose code the CPU runs, fastest first."""
    family = FAMILY_OF_MACHINE.get(cpu.machine)
    if family is None:
        return []
    fitting = [name for name, facts in chips(family).items() if cpu.features.issuperset(facts["requires"])]
    if family == "arm":
        return [Target("arm", name) for name in _arm_order(cpu, fitting)]
    return [Target(family, name) for name in fitting]


def _arm_order(cpu: CpuFacts, fitting: list[str]) -> list[str]:
    """The core itself first if it is known, then the generic one with i8mm, then the others as a compatible choice.

    Compiling for another core of the same instruction sets is allowed: it runs, if not at its best.
    """
    parts = {name: facts.get("part") for name, facts in chips("arm").items()}
    own = [name for name in fitting if cpu.vendor == ARM_IMPLEMENTER and parts[name] == cpu.model]
    generic = [name for name in fitting if name == "generic-i8mm"]
    plain = [name for name in ("cortex-a76", "cortex-a55", "cortex-a72", "cortex-a53") if name in fitting]
    return list(dict.fromkeys([*own, *generic, *plain, *fitting]))


def _code_generation(
    target: Target, facts: dict[str, Any], cpu: CpuFacts | None
) -> tuple[frozenset[str], str, tuple[str, ...]]:
    """Features that code may use, and LLVM's mcpu and mattr that keep the compiler to them.

    For x86 the scheduling model is the CPU's own where it is known; the tier's `off` list and what the CPU lacks (a
    hypervisor may mask features of the model) are switched off.
    """
    features = set(facts["requires"])
    if target.family != "x86":
        return frozenset(features), facts["mcpu"], tuple(f"+{name}" for name in facts["requires"])
    optional = facts["optional"]
    if cpu is None:
        features.update(optional)
        return frozenset(features), facts["mcpu"], _mattr(facts["requires"], facts["off"])
    features.update(name for name in optional if name in cpu.features)
    lacking = [name for name in optional if name not in cpu.features]
    mcpu = _microarchitecture(cpu) or facts["mcpu"]
    return frozenset(features), mcpu, _mattr(facts["requires"], [*facts["off"], *lacking])


def _mattr(on: list[str], off: list[str]) -> tuple[str, ...]:
    """What is switched off comes first: switching a feature off takes along everything that builds on it."""
    return (*(f"-{name}" for name in off), *(f"+{name}" for name in on))


def _microarchitecture(cpu: CpuFacts) -> str | None:
    vendor = "amd" if cpu.vendor == "hygon" else cpu.vendor
    for entry in family_table("x86")["microarchitecture"]:
        if entry["vendor"] == vendor and cpu.features.issuperset(entry["has"]):
            return entry["mcpu"]
    return None


def _identity(cpu: CpuFacts) -> str:
    """Stable across boots and kernels: vendor, family, model and stepping, and the best tier, since models can lie."""
    if cpu.machine == "aarch64":
        return f"{cpu.vendor}-{cpu.model:03x}"
    best = _fitting(cpu)[0].chip
    return f"{cpu.vendor}-{cpu.family:02x}-{cpu.model:02x}-{cpu.stepping:x}-{best}"


def _l3(cpu: CpuFacts) -> tuple[int, tuple[str, ...]]:
    """Bytes of level 3 cache that this machine can count on, and a note where the reported size was not believed."""
    limit = GUEST_L3_PER_CORE * cpu.l3_sharers
    if cpu.hypervisor and cpu.l3 > limit:
        return limit, (
            f"the hypervisor reports the host's level 3 cache of {cpu.l3 >> 20} MiB: "
            f"{limit >> 20} MiB are assumed for {cpu.l3_sharers} cores",
        )
    return cpu.l3, ()
