"""TVM's meta_schedule on tensor cores: a row that says why it has no time.

Its rules for tensor cores (WMMA) do make schedules of int8 convolutions. Most do not compile with TVM 0.27: lowering
merges shared buffers of different types and then refuses the intrinsics' pointers. Which of the rest is fast,
meta_schedule finds out by timing them on the GPU, beforehand; there is no file of such results to load.
tools/metaschedule_cuda.py counts what compiles with the TVM at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda.symmetric import beyond
from mmasched.errors import Missing
from mmasched.problem import Conv2d

REASON = (
    "metaschedule has no tuned kernels: TVM 0.27 fails to compile most of its int8 tensor-core schedules (3 of 4 "
    "tried: tvm_access_ptr element type must match the source buffer), and the others have to be timed on a GPU first"
)


@dataclass(frozen=True)
class MetaSchedulePeer(Peer):
    """Always absent, with the reason."""

    name: ClassVar[str] = "metaschedule"
    modules: ClassVar[tuple[str, ...]] = ("tvm",)
    install: ClassVar[str] = "mmasched"

    def unavailable(self) -> str | None:
        """What is wrong with TVM, or the reason."""
        return super().unavailable() or REASON

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit problems, as its workload would state them."""
        return beyond(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Raises Missing, as `prepare` does before."""
        raise Missing(REASON)
