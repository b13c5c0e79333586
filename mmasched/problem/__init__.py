"""Convolution problems: what is computed, exactly. Knows nothing of TVM or chips."""

from mmasched.problem.conv2d import Conv2d
from mmasched.problem.operands import random_operands, worst_case_operands
from mmasched.problem.packing import from_layout, layout_shape, pack_bits, to_layout, unpack_bits, values_per_word
from mmasched.problem.ranges import integer_range
from mmasched.problem.reference import reference
from mmasched.problem.requantize import QuantizedAdd, Requantize

__all__ = [
    "Conv2d",
    "QuantizedAdd",
    "Requantize",
    "from_layout",
    "integer_range",
    "layout_shape",
    "pack_bits",
    "random_operands",
    "reference",
    "to_layout",
    "unpack_bits",
    "values_per_word",
    "worst_case_operands",
]
