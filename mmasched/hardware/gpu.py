"""GPU targets: the facts of a compute capability, and the NVIDIA GPU at hand if there is one."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

from mmasched.hardware.catalog import chips
from mmasched.hardware.facts import Gpu, Hardware
from mmasched.hardware.target import Target

# CUdevice_attribute of cuda.h.
MULTIPROCESSOR_COUNT, CLOCK_KILOHERTZ, L2_CACHE_BYTES = 16, 13, 38
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True)
class LocalGpu:
    """The first NVIDIA GPU of this machine, as its driver describes it."""

    name: str
    compute_capability: int
    multiprocessors: int
    clock_hz: int
    l2: int


def capability(target: Target) -> int:
    """86 for cuda/sm_86."""
    return int(target.chip.removeprefix("sm_"))


@lru_cache(maxsize=1)
def local_gpu() -> LocalGpu | None:
    """The first GPU, or None without one; the driver is asked in a child process, since a process that has
    initialised CUDA must not fork."""
    command = [sys.executable, os.path.abspath(__file__)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return LocalGpu(**json.loads(answer.stdout)) if answer.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError):
        return None


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
        dram_rate=facts["dram_rate"],
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


def ask_driver() -> dict[str, object]:
    """The fields of LocalGpu from libcuda; raises OSError without a driver or a device."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device = ctypes.c_int()

    def call(name: str, *arguments: object) -> None:
        function = getattr(cuda, name, None)
        if function is None or function(*arguments) != 0:
            raise OSError(f"{name} failed")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", name, 256, device)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        return value.value

    return {
        "name": name.value.decode(),
        "compute_capability": 10 * attribute(CAPABILITY_MAJOR) + attribute(CAPABILITY_MINOR),
        "multiprocessors": attribute(MULTIPROCESSOR_COUNT),
        "clock_hz": 1000 * attribute(CLOCK_KILOHERTZ),
        "l2": attribute(L2_CACHE_BYTES),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(ask_driver()))
    except OSError as failure:
        sys.exit(str(failure))
