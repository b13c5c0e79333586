"""Kernels of whole networks that are not convolutions: each description is one launch (see kernel.program_of)."""

from mmasched.templates.cuda.glue.kernel import Description, Glue, program_of, words
from mmasched.templates.cuda.glue.pointwise import (
    Add,
    Copy,
    Dequantize,
    Flatten,
    Lookup,
    Mul,
    Quantize,
    Resize,
    repeated,
    table_bytes,
)
from mmasched.templates.cuda.glue.pools import AveragePool, GlobalAverage, MaxPool
from mmasched.templates.cuda.glue.view import View

__all__ = [
    "Add",
    "AveragePool",
    "Copy",
    "Dequantize",
    "Description",
    "Flatten",
    "GlobalAverage",
    "Glue",
    "Lookup",
    "MaxPool",
    "Mul",
    "Quantize",
    "Resize",
    "View",
    "program_of",
    "repeated",
    "table_bytes",
    "words",
]
