"""Runs glue kernels on tensors that lie in halos and slices, with unreadable memory right before or behind them."""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import dataclass

import numpy as np
import pytest
import tvm
from tvm import tirx

from mmasched.build.compile import compile_module
from mmasched.hardware import Target, hardware, native_target, runs_here
from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.program import parallel_phases
from mmasched.templates.x86.glue import build
from mmasched.templates.x86.isa import Isa

POISON = 0xA5
# Dense; and in a halo, in a slice of wider pixels.
LAYOUTS = ({}, {"margins": (1, 2, 0, 1)}, {"margins": (0, 1, 2, 0), "extra": 5})
PAGE = mmap.PAGESIZE
AVX2 = Target.parse("x86/avx2")


def guarded(size: int, dtype: str, *, at_end: bool) -> np.ndarray:
    """A poisoned array between unreadable pages, against the one behind it (up to alignment) or before it."""
    count = size * np.dtype(dtype).itemsize
    pages = -(-max(count, 1) // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for page in (address, address + (pages + 1) * PAGE):
        assert libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0
    start = PAGE + (pages * PAGE - -(-count // 64) * 64 if at_end else 0)
    array = np.frombuffer(memory, np.uint8, count, start)
    array[:] = POISON
    return array.view(dtype)


@dataclass
class Placed:
    """A logical NCHW tensor somewhere in a larger memory."""

    memory: np.ndarray
    plane: Plane
    index: np.ndarray  # [N, C, H, W] positions in memory

    def read(self) -> np.ndarray:
        return self.memory[self.index]

    def surroundings(self) -> np.ndarray:
        """Everything but the tensor."""
        outside = np.ones(self.memory.shape, bool)
        outside[self.index.reshape(-1)] = False
        return self.memory[outside]


@dataclass
class Machine:
    """One tier of this CPU."""

    isa: Isa
    hardware: object

    @staticmethod
    def stored(values: np.ndarray) -> np.ndarray:
        """8-bit values as the kernels store them: int8 128 higher."""
        return values.view(np.uint8) ^ np.uint8(128) if values.dtype == np.int8 else values

    @staticmethod
    def logical(stored: np.ndarray, dtype: str) -> np.ndarray:
        """The inverse of `stored`."""
        return (stored ^ np.uint8(128)).view(np.int8) if dtype == "int8" else stored

    def place(self, shape, values=None, *, margins=(0, 0, 0, 0), extra=0, dtype="uint8", at_end=True, whole=False):
        """`values` (or poison) as NHWC inside margins, in pixels `extra` wider than its channels.

        Only what lies between the first and the last element is readable, or all of the margins if `whole`.
        """
        batch, channels, height, width = shape
        top, left, bottom, right = margins
        pixel = channels + extra
        row = (left + width + right) * pixel
        image = (top + height + bottom) * row
        n, c, y, x = np.ix_(np.arange(batch), np.arange(channels), np.arange(height), np.arange(width))
        index = n * image + (y + top) * row + (x + left) * pixel + c
        if not whole:
            index -= index.min()
        size = batch * image if whole else int(index.max()) + 1
        if at_end:  # the arguments are aligned to 64 bytes, the tensors in them are not
            align = 64 // np.dtype(dtype).itemsize
            index, size = index + -size % align, size + -size % align
        placed = Placed(guarded(size, dtype, at_end=at_end), Plane(image, row, pixel, int(index.min())), index)
        if values is not None:
            placed.memory[index] = values
        return placed

    def flat(self, values=None, *, size=0, dtype="float32", at_end=True) -> Placed:
        """A dense array, which starts aligned."""
        size = size or values.size
        placed = Placed(guarded(size, dtype, at_end=at_end), Plane(0, 0, 1), np.arange(size))
        if values is not None:
            placed.memory[:] = values.reshape(-1)
        return placed

    def run(self, description, operands, threads=1, skew=None):
        """Runs a kernel on `operands` (Placed by argument name; constants are added); checks what it must not touch.

        skew: elements to skip at the start of an argument's memory, by name.
        """
        function = build(description, self.isa, threads)
        operands = {**operands, **{k: self.flat(v, dtype=v.dtype) for k, v in description.constants().items()}}
        placed = [operands[name] for name in description.arguments]
        for one, dtype in zip(placed, description.dtypes, strict=True):
            assert one.memory.dtype == dtype
        buffers = [
            tirx.decl_buffer((p.memory.size,), d, name=n)
            for p, d, n in zip(placed, description.dtypes, description.arguments, strict=True)
        ]
        name, pointers = tvm.ir.GlobalVar("kernel"), [tirx.buffer_data(b) for b in buffers]
        for argument, elements in (skew or {}).items():
            i = description.arguments.index(argument)
            pointers[i] = tirx.address_of(buffers[i][elements])

        def call(tid):
            return tirx.Evaluate(tvm.ir.Call(name, [*pointers, tid], ret_ty="int32"))

        main = tirx.PrimFunc(buffers, parallel_phases([call], threads)).with_attr("global_symbol", "main")
        module = compile_module(tvm.IRModule({name: function, tvm.ir.GlobalVar("main"): main}), self.hardware)
        before = [p.memory.copy() for p in placed[:-1]]
        around = placed[-1].surroundings()
        module["main"](*[tvm.runtime.from_dlpack(p.memory) for p in placed])
        for old, one in zip(before, placed):
            assert old.tobytes() == one.memory.tobytes(), "an input was written"
        assert np.array_equal(around, placed[-1].surroundings()), "something beside the output was written"
        return placed[-1].read()


def _tiers():
    if not runs_here(AVX2):
        return []
    return list(dict.fromkeys([native_target(), AVX2]))


@pytest.fixture(scope="session", params=_tiers() or [None], ids=str)
def machine(request):
    if request.param is None:
        pytest.skip("this machine has no AVX2")
    chip = hardware(request.param)
    return Machine(Isa(chip.vector_bytes // 4, chip.vector_registers, "vpdpbusd"), chip)


@pytest.fixture(params=[(0, 1, True), (0, 2, False), (1, 1, False), (2, 2, True)], ids=str)
def setting(request):
    """(arguments of `place`, threads): unreadable memory lies behind the tensors or before them."""
    layout, threads, at_end = request.param
    return {**LAYOUTS[layout], "at_end": at_end}, threads
