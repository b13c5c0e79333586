"""Kernels of whole integer networks that are not convolutions.

Each description says what is computed and where its tensors lie; `build` turns it into a private function with the
pointers that `description.arguments` names and the thread number, for a planner to call on all threads.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from mmasched.templates.x86.glue.add import Add, build_add
from mmasched.templates.x86.glue.average import AveragePool, build_average
from mmasched.templates.x86.glue.concat import Concat, build_concat
from mmasched.templates.x86.glue.copy import Copy, build_copy
from mmasched.templates.x86.glue.dequantize import Dequantize, build_dequantize
from mmasched.templates.x86.glue.flatten import Flatten, build_flatten
from mmasched.templates.x86.glue.global_average import GlobalAverage, build_global_average
from mmasched.templates.x86.glue.halo import Halo, build_halo
from mmasched.templates.x86.glue.kernel import Description, Shape
from mmasched.templates.x86.glue.lookup import Lookup, build_lookup
from mmasched.templates.x86.glue.maxpool import MaxPool, build_maxpool
from mmasched.templates.x86.glue.mul import Mul, build_mul
from mmasched.templates.x86.glue.pair import supports
from mmasched.templates.x86.glue.quantize import Quantize, build_quantize
from mmasched.templates.x86.glue.resize import Resize, build_resize
from mmasched.templates.x86.isa import Isa

__all__ = [
    "Add",
    "AveragePool",
    "Concat",
    "Copy",
    "Dequantize",
    "Description",
    "Flatten",
    "GlobalAverage",
    "Halo",
    "Lookup",
    "MaxPool",
    "Mul",
    "Quantize",
    "Resize",
    "Shape",
    "build",
    "supports",
]

BUILDERS: dict[type[Description], Callable[..., tirx.PrimFunc]] = {
    Add: build_add,
    AveragePool: build_average,
    Concat: build_concat,
    Copy: build_copy,
    Dequantize: build_dequantize,
    Flatten: build_flatten,
    GlobalAverage: build_global_average,
    Halo: build_halo,
    Lookup: build_lookup,
    MaxPool: build_maxpool,
    Mul: build_mul,
    Quantize: build_quantize,
    Resize: build_resize,
}


def build(description: Description, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (pointers of `description.arguments`..., int32 tid) that does the share of thread `tid`."""
    return BUILDERS[type(description)](description, isa, threads)
