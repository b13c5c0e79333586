"""Facts of chips and detection of the one at hand: Target names a chip, Hardware says what it has."""

from mmasched.hardware.amx import request_amx_permission
from mmasched.hardware.cpuinfo import CpuFacts, read_cpu
from mmasched.hardware.detect import detect, from_catalog, hardware, native_target, runs_here
from mmasched.hardware.facts import Gpu, Hardware
from mmasched.hardware.target import Target, targets

__all__ = [
    "CpuFacts",
    "Gpu",
    "Hardware",
    "Target",
    "detect",
    "from_catalog",
    "hardware",
    "native_target",
    "read_cpu",
    "request_amx_permission",
    "runs_here",
    "targets",
]
