"""TVM's meta_schedule on tensor cores: schedules drawn by its rules, each compiled and timed, the fastest kept.

A draw as long as the others' autotuning, without the evolution that meta_schedule adds in hundreds of trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda import metaschedule_schedules as schedules
from mmasched.compare.cuda import torch_device
from mmasched.compare.cuda.cudnn_graph import first_line
from mmasched.compare.cuda.cudnn_peer import trial
from mmasched.compare.cuda.cutlass_peer import torch_capability
from mmasched.compare.cuda.nvcc import compile_cuda, nvcc
from mmasched.compare.cuda.symmetric import beyond
from mmasched.errors import Missing, Unsupported
from mmasched.problem import Conv2d

DRAWN = 12


@dataclass(frozen=True)
class MetaSchedulePeer(Peer):
    """The fastest of DRAWN schedules for WMMA."""

    name: ClassVar[str] = "metaschedule"
    modules: ClassVar[tuple[str, ...]] = ("tvm",)
    install: ClassVar[str] = "mmasched"

    def unavailable(self) -> str | None:
        """TVM, PyTorch with a GPU, and nvcc."""
        if reason := super().unavailable() or torch_device.why_no_torch():
            return reason
        try:
            nvcc()
        except Missing as error:
            return f"metaschedule compiles its schedules: {error}"
        return None

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit problems."""
        return beyond(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Schedule, compile and time. Raises Unsupported where no schedule uses tensor cores or none is right."""
        torch = torch_device.torch_with_gpu()
        sets = torch_device.operand_sets(torch, problem, operands)
        expected = torch_device.exact_on_device(torch, problem, sets[0])
        capability = torch_capability(torch)
        target = schedules.cuda_target(capability)
        made = schedules.tensor_core_schedules(schedules.workload(problem), target)
        best, reasons, tried = None, [], 0
        for tried, module in enumerate(islice(made, DRAWN), 1):
            try:
                program = schedules.compiled(module, target, compiler(capability))
                calls = [launcher(torch, program, one) for one in sets]
                prepared = torch_device.prepared(torch, calls, sets[0]["y"], f"best of {tried} schedules", program)
                prepared.run()
                if not torch.equal(sets[0]["y"], expected):
                    raise RuntimeError("it computes something else")
                seconds = trial(prepared)
            except Exception as error:  # TVM's errors have many classes; too much shared memory is one.
                reasons.append(first_line(error))
                continue
            if best is None or seconds < best[0]:
                best = seconds, prepared
        if not tried:
            raise Unsupported("meta_schedule makes no schedule of it that uses tensor cores")
        if best is None:
            raise Unsupported(f"none of meta_schedule's {tried} schedules computes it: {'; '.join(reasons[:2])}")
        best[1].note = f"best of {tried} schedules"
        return best[1]


def compiler(capability: int) -> Callable[[str], bytes]:
    """CUDA C to a cubin; products and sums of the epilogue keep their own rounding."""
    return lambda text: compile_cuda(text, capability, options=("--fmad=false",))[0]


def launcher(torch: Any, program: Any, one: dict[str, Any]) -> Callable[[], Any]:
    """A call that computes one["y"] on torch's current stream, which TVM takes over from the tensors."""
    bias = one["bias"]
    if bias is None:
        bias = one.setdefault("zeros", torch.zeros(one["scale"].shape[0], dtype=torch.int32, device="cuda"))
    residual = () if one["residual"] is None else (one["residual"],)
    arguments = (one["x"], one["w"], one["scale"], bias, *residual, one["y"])
    function = program["main"]
    return lambda: function(*arguments)
