"""What is installed and what is missing, for `mmasched doctor`."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mmasched.errors import MmaschedError
from mmasched.hardware import Target, hardware, read_cpu, runs_here
from mmasched.hardware import targets as known_targets
from mmasched.report.format import number_of, size

# What reports the version, in the order in which TVM looks for a linker, then the CUDA compiler.
COMPILERS = (
    ("C compiler", ("cc", "gcc", "clang"), "apt-get install gcc libc6-dev"),
    ("C++ compiler", ("g++", "clang++", "c++"), "apt-get install g++"),
    ("CUDA compiler", ("nvcc",), "pip install 'mmasched[cuda]', for cuda/* targets only"),
)

PACKAGES = (
    ("apache-tvm", True, ""),
    ("apache-tvm-ffi", True, ""),
    ("onnx", True, ""),
    ("xgboost-cpu", True, ""),
    ("onnxruntime", False, "pip install onnxruntime, to quantize models and to compare with it"),
    ("matplotlib", False, "pip install matplotlib, for plots"),
)
"""Distribution, whether mmasched cannot do without it, and the remedy when it is absent."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked for, what was found, and what to do when it is absent ("" for nothing)."""

    name: str
    text: str
    present: bool = True
    remedy: str = ""


@dataclass(frozen=True)
class Section:
    """Findings under a title."""

    title: str
    findings: Sequence[Finding]


def machine() -> Section:
    """The CPU, its features and caches, and the GPU."""
    from mmasched.hardware.gpu import local_gpu

    found = [Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    try:
        chip = hardware("native")
    except MmaschedError as error:
        cpu = read_cpu()
        return Section("machine", [*found, Finding("CPU", f"{cpu.name}: {error}", False)])
    cores = f"{number_of(chip.cores, 'core')} for this process"
    found += [
        Finding("CPU", f"{chip.name}, {cores}"),
        Finding("chip id in logs", chip.chip),
        Finding("native target", str(chip.target)),
        Finding("features", " ".join(sorted(chip.features))),
        Finding("caches", f"L1d {size(chip.l1d)}, L2 {size(chip.l2)} a core, L3 {size(chip.l3)}"),
        *(Finding("note", note) for note in chip.notes),
    ]
    gpu = local_gpu()
    if gpu is None:
        found.append(Finding("GPU", "no NVIDIA GPU with a driver", False))
    else:
        found.append(Finding("GPU", f"{gpu.name}, cuda/sm_{gpu.compute_capability}"))
    return Section("machine", found)


def targets(peak: bool = False) -> Section:
    """Which targets run here; with `peak` also how many operations per second each reaches on all cores."""
    here = [target for target in known_targets() if runs_here(target)]
    others = [str(target) for target in known_targets() if target not in here]
    found = [Finding(str(target), "runs here" + (_peak(target) if peak else "")) for target in here]
    return Section("targets", [*found, Finding("not on this machine", ", ".join(others), False)])


def _peak(target: Target) -> str:
    from mmasched.hardware.peak import measured_peak

    cores = hardware(target).cores
    try:
        return f", measured peak {measured_peak(target, cores) * 1e-9:,.0f} GOPS on {number_of(cores, 'core')}"
    except MmaschedError as error:
        return f", peak unknown: {error}"


def packages() -> Section:
    """Python packages and their versions."""
    found = []
    pins = _pins()
    for name, required, remedy in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            found.append(Finding(name, "missing", False, "reinstall mmasched" if required else remedy))
            continue
        pin = pins.get(name, version)
        if version == pin:
            found.append(Finding(name, version))
        else:
            found.append(Finding(name, f"{version}, but {pin} is needed", False, f"pip install {name}=={pin}"))
    return Section("packages", found)


def _pins() -> dict[str, str]:
    """Distributions that mmasched needs in exactly one version, and which."""
    try:
        needed = metadata.requires("mmasched") or []
    except metadata.PackageNotFoundError:  # Run from a checkout that is not installed.
        return {}
    pairs = [line.split(";")[0].partition("==") for line in needed if "==" in line.split(";")[0]]
    return {name.strip(): version.strip() for name, _, version in pairs}


def compilers() -> Section:
    """Programs that link artifacts and compile for GPUs."""
    found = []
    for name, commands, remedy in COMPILERS:
        path = next(filter(None, map(shutil.which, commands)), None)
        if path is None:
            found.append(Finding(name, f"none of {', '.join(commands)} found", False, remedy))
        else:
            found.append(Finding(name, f"{path}, {_version(path)}"))
    return Section("compilers", found)


def arm_tools() -> Section:
    """Programs that build, verify and price for Arm chips that are not here."""
    from mmasched.build import toolchain
    from mmasched.measure.emulation import plugin, qemu

    found = [
        _tool("cross compiler", lambda: toolchain.cross_tool("arm", "gcc")),
        _tool("qemu", toolchain.qemu),
        _tool("llvm-mca", lambda: toolchain.llvm_tools()["llvm-mca"]),
    ]
    if found[1].present:
        known = ", ".join(sorted(qemu.cores()))
        found.append(Finding("emulated cores", known))
        try:
            found.append(Finding("counting plugin", f"can be built: plugin interface {plugin.interface()}"))
        except MmaschedError as error:
            found.append(Finding("counting plugin", str(error), False, toolchain.QEMU_PACKAGES))
    return Section("for arm/* targets", found)


def _tool(name: str, look: Callable[[], Path]) -> Finding:
    try:
        path = look()
    except MmaschedError as error:
        sentence, _, remedy = str(error).partition(": ")
        return Finding(name, sentence, False, f"{remedy}, for arm/* targets")
    return Finding(name, f"{path}, {_version(str(path))}")


def _version(program: str) -> str:
    """The first line with a version number of `program --version`."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    lines = [line.strip() for line in done.stdout.splitlines() if any(letter.isdigit() for letter in line)]
    released = [line for line in lines if "release" in line]  # nvcc starts with its copyright.
    return (released or lines or ["version unknown"])[0]


def runners() -> Section:
    """Ways to price candidates."""
    try:
        local = Finding("local", f"measures {hardware('native').target} and lesser targets on this machine")
    except MmaschedError as error:
        local = Finding("local", str(error), False)
    found = [local, Finding("replay:FILE", "answers from a log")]
    for name, spelling, text in (
        ("model", "model", "prices schedules for the in-order cores arm/cortex-a53 and a55, in modelled cycles"),
        ("emulated", "verify", "verifies schedules for arm/* targets that are not here, under emulation"),
        ("rpc", "rpc:HOST:PORT/KEY", "measures on a board behind a TVM tracker"),
    ):
        present = importlib.util.find_spec(f"mmasched.measure.{name}") is not None
        found.append(Finding(spelling, text if present else "not in this version", present))
    return Section("runners", found)


def peers(python: str | None = None) -> Section:
    """Libraries to compare with."""
    from mmasched import compare

    chosen = compare.peers()
    missing = compare.missing_peers(chosen, python)
    found = []
    for peer in chosen:
        reason = missing.get(peer.name)
        if reason is None:
            found.append(Finding(peer.name, "here"))
        else:
            found.append(Finding(peer.name, "missing", False, f"pip install {peer.install}"))
    return Section("peers", found)


def logs() -> Section:
    """Logs that ship with the project."""
    from mmasched.deploy.records import shipped_logs
    from mmasched.log import Log

    try:
        chip = hardware("native").chip
    except MmaschedError:
        chip = ""
    records = [record for path in shipped_logs() for record in Log(path).records()]
    ours = [record for record in records if record.chip == chip]
    chips = sorted({record.chip for record in records})
    text = f"{len(records)} records of {', '.join(chips)}" if chips else "none"
    if chips:
        text += f"; {len(ours)} of them of this chip"
    return Section("logs", [Finding("shipped", text, bool(ours))])
