"""cuDNN: all plans that it proposes for the fused int8 convolution are timed, and its best that is right counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda import cudnn_graph, torch_device
from mmasched.compare.cuda.cudnn_run import Graph
from mmasched.compare.cuda.symmetric import beyond
from mmasched.errors import Missing, MmaschedError, Unsupported
from mmasched.problem import Conv2d

TRIAL_SECONDS = 2e-3
TRIALS = 5


@dataclass(frozen=True)
class CudnnPeer(Peer):
    """Its complete int8 forms (see cudnn_graph), NHWC; rounding may differ by one where a form adds a scaled bias."""

    name: ClassVar[str] = "cudnn"
    modules: ClassVar[tuple[str, ...]] = ("torch", "cudnn")
    install: ClassVar[str] = "torch nvidia-cudnn-frontend"

    def unavailable(self) -> str | None:
        """PyTorch with a GPU, the frontend and the library."""
        try:
            torch_device.torch_with_gpu()
            cudnn_graph.cudnn_module()
        except Missing as error:
            return str(error)
        return None

    def version(self) -> str:
        """The library's and the frontend's."""
        return cudnn_graph.library_version(cudnn_graph.cudnn_module())

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit problems."""
        return beyond(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Build, check and time every plan; keep the fastest. Raises Unsupported where none is right."""
        torch, cudnn = torch_device.torch_with_gpu(), cudnn_graph.cudnn_module()
        handle = cudnn.create_handle()
        sets = torch_device.operand_sets(torch, problem, operands)
        expected = torch_device.exact_on_device(torch, problem, sets[0]).to(torch.int32)
        best, tried, reasons = None, 0, []
        for form in (form for form in cudnn_graph.FORMS if form.complete):
            try:
                graph = Graph(torch, cudnn, handle, problem, form, sets)
            except Unsupported as error:
                reasons.append(str(error))
                continue
            for index, plan in enumerate(graph.plans):
                if plan in graph.plans[:index]:
                    continue
                tried += 1
                try:
                    calls, _ = graph.prepare(index)
                    prepared = torch_device.prepared(torch, calls, graph.output(), f"{form.name} {plan}", graph)
                    prepared.run()
                    difference = int((graph.output().to(torch.int32) - expected).abs().max())
                    if difference > 1:
                        raise MmaschedError(f"{plan} is off by {difference}")
                    seconds = trial(prepared)
                except (MmaschedError, RuntimeError) as error:  # torch reports CUDA's errors as RuntimeError.
                    reasons.append(cudnn_graph.first_line(error))
                    continue
                if best is None or seconds < best[0]:
                    best = seconds, prepared
        if best is None:
            raise Unsupported(f"none of cuDNN's {tried} plans computes it: {'; '.join(reasons[:3])}")
        best[1].note += f", best of {tried} plans"
        return best[1]


def trial(prepared: Prepared) -> float:
    """Median seconds of a call."""
    calls = max(1, int(TRIAL_SECONDS / max(prepared.time(1), 1e-7)))
    prepared.time(calls)
    return float(np.median([prepared.time(calls) / calls for _ in range(TRIALS)]))
