"""GPU targets: the facts of a compute capability, and the NVIDIA GPU at hand if there is one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmasched.errors import Missing, Unsupported
from mmasched.hardware.catalog import chips
from mmasched.hardware.facts import Gpu, Hardware
from mmasched.hardware.target import Target

NO_GPU = "there is no NVIDIA GPU with a driver on this machine"


@dataclass(frozen=True)
class LocalGpu:
    """The first NVIDIA GPU of this machine, as its driver describes it.

    l2 in bytes; dram_rate in bytes per second, 0 where the driver does not tell the memory's clock; driver: the newest
    CUDA version that the driver runs, 13010 for 13.1.
    """

    name: str
    compute_capability: int
    multiprocessors: int
    clock_hz: int
    l2: int
    dram_rate: int = 0
    driver: int = 0

    @property
    def cuda(self) -> tuple[int, int]:
        """The newest CUDA version that the driver runs, as (major, minor)."""
        return self.driver // 1000, self.driver % 1000 // 10


def capability(target: Target) -> int:
    """86 for cuda/sm_86."""
    return int(target.chip.removeprefix("sm_"))


@lru_cache(maxsize=1)
def local_gpu() -> LocalGpu | None:
    """The first GPU, or None without one; the driver is asked in a child process, since a process that has
    initialised CUDA must not fork."""
    command = [sys.executable, str(Path(__file__).with_name("ask_driver.py"))]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return LocalGpu(**json.loads(answer.stdout)) if answer.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError):
        return None


def native_gpu_target() -> Target:
    """The target of the GPU at hand. Raises Missing without one, Unsupported for one that mmasched does not know."""
    gpu = local_gpu()
    if gpu is None:
        raise Missing(f"{NO_GPU}: name a target such as cuda/sm_80 to build and to emulate for another machine")
    known = list(chips("cuda"))
    if f"sm_{gpu.compute_capability}" not in known:
        raise Unsupported(f"{gpu.name} has compute capability {gpu.compute_capability}; known: {', '.join(known)}")
    return Target("cuda", f"sm_{gpu.compute_capability}")


def require_gpu(target: Target) -> LocalGpu:
    """The GPU at hand, which is of the target's architecture.

    Raises Missing without one, Unsupported where it is of another architecture.
    """
    gpu = local_gpu()
    if gpu is None:
        raise Missing(
            f"{target} can't be measured here: {NO_GPU}; give a runner such as replay:FILE, or check schedules under "
            "emulation (mmasched verify)"
        )
    if gpu.compute_capability != capability(target):
        raise Unsupported(
            f"the GPU here is {gpu.name} (cuda/sm_{gpu.compute_capability}), not {target}: use cuda/native"
        )
    return gpu


def gpu_hardware(target: Target) -> Hardware:
    """The Hardware of a CUDA target; the board at hand replaces the example board where the capability is the same."""
    facts = chips("cuda")[target.chip]
    board = local_gpu()
    here = board is not None and board.compute_capability == capability(target)
    gpu = Gpu(
        board=board.name if here else facts["example"],
        compute_capability=capability(target),
        multiprocessors=board.multiprocessors if here else facts["multiprocessors"],
        clock_hz=board.clock_hz if here else facts["clock_hz"],
        shared_per_multiprocessor=facts["shared_per_multiprocessor"],
        shared_per_block=facts["shared_per_block"],
        threads_per_multiprocessor=facts["threads_per_multiprocessor"],
        blocks_per_multiprocessor=facts["blocks_per_multiprocessor"],
        dram_rate=(board.dram_rate if here else 0) or facts["dram_rate"],
        ops_per_clock=tuple(facts["ops_per_clock"].items()),
    )
    return Hardware(
        target=target,
        name=gpu.board,
        chip=re.sub(r"\W+", "-", board.name).lower() if here else target.chip,
        features=frozenset(name for name, _ in gpu.ops_per_clock),
        vector_bytes=16,
        vector_registers=gpu.registers_per_thread,
        l1d=gpu.shared_per_multiprocessor,
        l2=board.l2 if here else facts["l2"],
        l3=0,
        cores=gpu.multiprocessors,
        mtriple="aarch64-linux-gnu" if os.uname().machine == "aarch64" else "x86_64-linux-gnu",
        detected=here,
        gpu=gpu,
    )
