"""How the activations of a problem lie in memory: a byte for each, or several of them in one (`Conv2d.activations`).

Both are NHWC. Packed, the channels of a pixel are words of `pack_bits`: the first channel is in the lowest bits, every
pixel begins at a 32-bit word of its own, and bits that are left over in its last word are zero. On a little-endian
machine that is also the order of the bytes. Only 1, 2 and 4 bits divide a byte: tensors of other widths stay bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.problem.packing import pack_bits, unpack_bits, values_per_word

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d

BYTES, PACKED = "bytes", "packed"
FORMS = (BYTES, PACKED)
PACKABLE = (1, 2, 4)
WORD = 4
"""Bytes of a word, at which every packed pixel begins."""


def check_activations(problem: Conv2d) -> None:
    """Raises BadInput for a form that does not exist, and for a problem that has nothing to pack."""
    form = problem.activations
    check_known(form)
    if form == PACKED and not packable(problem):
        bits = f"{problem.input_bits}-bit input and {problem.output_bits}-bit output"
        raise BadInput(
            f"activations is {PACKED!r} with {bits}: only 1, 2 and 4 bits can be packed, so leave it at {BYTES!r}"
        )


def check_known(form: str) -> None:
    """Raises BadInput for a form that does not exist."""
    if form not in FORMS:
        raise BadInput(f"activations is {form!r}: {nearest(str(form), FORMS)}")


def packable(problem: Conv2d) -> bool:
    """Whether any tensor of activations has a width that divides a byte."""
    return not problem.is_fp8 and (problem.input_bits in PACKABLE or problem.output_bits in PACKABLE)


def in_form(problem: Conv2d, form: str | None) -> Conv2d:
    """The same convolution of activations in another form; None leaves it as it is. Raises BadInput like Conv2d."""
    return problem if form in (None, problem.activations) else replace(problem, activations=form)


def input_field(problem: Conv2d) -> int | None:
    """Bits of an input value in memory if the input is packed, None if it takes a byte."""
    return problem.input_bits if problem.activations == PACKED and problem.input_bits in PACKABLE else None


def output_field(problem: Conv2d) -> int | None:
    """Bits of an output or residual value in memory if they are packed, None if they take whole bytes (or int32)."""
    return problem.output_bits if problem.activations == PACKED and problem.output_bits in PACKABLE else None


def pixel_bytes(channels: int, field: int | None) -> int:
    """Bytes of a pixel: one for each channel, or whole words of fields of so many bits."""
    return channels if field is None else WORD * -(-channels // values_per_word(field))


def stored(array: np.ndarray, dtype: str, field: int | None) -> np.ndarray:
    """An NHWC tensor as kernels read it, flat uint8. dtype: that of the problem, int8 or uint8."""
    if field is None:
        return np.ascontiguousarray(array, dtype=dtype).view(np.uint8).reshape(-1)
    return np.ascontiguousarray(pack_bits(np.asarray(array), field)).astype("<i4").view(np.uint8).reshape(-1)


def restored(data: np.ndarray, shape: tuple[int, ...], dtype: str, field: int | None) -> np.ndarray:
    """The NHWC tensor (of `dtype`) that flat data of a kernel stand for; spare bits are not looked at."""
    if field is None:
        return data.view(dtype).reshape(shape)
    words = np.ascontiguousarray(data).view("<i4").astype(np.int32).reshape(*shape[:-1], -1)
    return unpack_bits(words, field, shape[-1], signed=dtype == "int8")
