"""Run single matrix, copy and tensor-map instructions on a GPU on random operands, and save what went in and came out.

    python tools/gpu_fragments.py                         # out/gpu/fragments-sm_90.npz
    python tools/gpu_fragments.py --build --capability 80 # only compile; needs no GPU

They are the ground truth of the emulator, whose fragment layouts otherwise rest on reading the manual. The npz file:

    manifest              JSON text: {"schema", "board", "capability", "kind": "measured", "cases": [...]}; a case has
                          "name" (the PTX form), "threads", "registers", "results", "shared" (bytes), "after",
                          "tensor_map" (null, or what the map was encoded from) and "error" (null, or why nothing was
                          measured)
    source/NUMBER         the CUDA C++ of case NUMBER, kernel `one` (see _gpu_fragment_cases.py for its parameters)
    in/NUMBER             uint32 [blocks, words]: per block the threads' registers, then the image of its shared memory
    out/NUMBER            uint32 [blocks, threads, results], or where "after" is set [blocks, shared / 4]: the shared
                          memory afterwards
    tensor                uint8: the tensor [images, rows, columns, channels] that tensor maps lie over

A test replays a case by running its source on `in` (one block for each row) and comparing with `out`, bit by bit.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _gpu
import numpy as np
from _gpu_fragment_cases import Case, copy_cases, matrix_cases, mma_cases
from _gpu_fragment_hopper import (
    CHANNELS,
    HEIGHT,
    IMAGES,
    SWIZZLES,
    TENSOR_BYTES,
    WIDTH,
    tensor_cases,
    wgmma_cases,
)

from mmasched.compare.cuda.driver import Device, Memory
from mmasched.compare.cuda.nvcc import compile_cuda
from mmasched.errors import MmaschedError

OUT = _gpu.ROOT / "out" / "gpu"
SCHEMA = 1
BLOCKS = 4
UINT8, NO_INTERLEAVE, NO_PROMOTION, ZERO_FILL = 0, 0, 0, 0  # enumerations of cuda.h's tensor maps


def main() -> int:
    """Parse and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: out/gpu/fragments-sm_<N>.npz")
    parser.add_argument("--only", default="", metavar="TEXT", help="only instructions whose name has TEXT")
    parser.add_argument("--cubins", type=Path, default=OUT / "cubins", metavar="FOLDER", help="what nvcc made")
    parser.add_argument("--build", action="store_true", help="only compile; needs no GPU")
    parser.add_argument("--capability", type=int, default=90, metavar="N", help="with --build: 90 for sm_90")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="compilers at a time (default: 4)")
    arguments = parser.parse_args()
    try:
        return build(arguments) if arguments.build else run(arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def cases(capability: int, only: str = "") -> list[Case]:
    """The cases that a chip has and whose name has a text."""
    every = [*mma_cases(), *matrix_cases(), *copy_cases(), *wgmma_cases(), *tensor_cases()]
    return [case for case in every if case.runs_on(capability) and only in case.name]


def build(arguments: argparse.Namespace) -> int:
    """Compile all cases of a chip; returns 1 if one did not."""
    wanted = cases(arguments.capability, arguments.only)
    made = compiled(wanted, arguments.capability, arguments)
    failed = [(case.name, result) for case, result in zip(wanted, made, strict=True) if not isinstance(result, bytes)]
    for name, error in failed:
        print(f"{name}: {error}")
    print(f"{len(wanted) - len(failed)} of {len(wanted)} cases compile for sm_{arguments.capability}")
    return 1 if failed or not wanted else 0


def compiled(wanted: list[Case], capability: int, arguments: argparse.Namespace) -> list[Any]:
    """The cubin of each, or the MmaschedError that it gave."""

    def one(case: Case) -> Any:
        try:
            return compile_cuda(case.source, capability, cache=arguments.cubins)[0]
        except MmaschedError as error:
            return error

    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        return list(pool.map(one, wanted))


def run(arguments: argparse.Namespace) -> int:
    """Run all cases of the GPU at hand and save them; returns 1 if one failed."""
    with Device() as device:
        wanted = cases(device.capability, arguments.only)
        cubins = compiled(wanted, device.capability, arguments)
        arrays: dict[str, np.ndarray] = {"tensor": tensor_bytes()}
        manifest, failed = [], 0
        tensor = device.put(arrays["tensor"])
        for number, (case, cubin) in enumerate(zip(wanted, cubins, strict=True)):
            error = str(cubin) if isinstance(cubin, MmaschedError) else None
            operands = case.operands(np.random.default_rng(number), BLOCKS)
            if error is None:
                arrays[f"out/{number}"] = measured(device, case, cubin, operands, tensor)
            else:
                print(f"{case.name}: {error}")
                failed += 1
            arrays[f"in/{number}"], arrays[f"source/{number}"] = operands, np.array(case.source)
            facts = ("name", "threads", "registers", "results", "shared", "after", "tensor_map")
            manifest.append({**{name: getattr(case, name) for name in facts}, "error": error})
        about = {"schema": SCHEMA, "board": device.name, "capability": device.capability, "kind": "measured"}
        arrays["manifest"] = np.array(json.dumps({**about, "cases": manifest}))
        path = arguments.out or OUT / f"fragments-sm_{device.capability}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)
    print(f"{len(wanted) - failed} of {len(wanted)} cases measured on {about['board']}: {path}")
    return 1 if failed else 0


def measured(device: Device, case: Case, cubin: bytes, operands: np.ndarray, tensor: Memory) -> np.ndarray:
    """What a case gives; words that no thread wrote would read 0xA5A5A5A5."""
    kernel = device.kernel(cubin, "one")
    given, out = device.put(operands), device.allocate(4 * BLOCKS * case.out_words).fill(0xA5)
    extra = () if case.tensor_map is None else (encoded(device, case.tensor_map, tensor),)
    kernel.launch(BLOCKS, case.threads, given, out, *extra)
    device.synchronize()
    shape = [BLOCKS, case.out_words] if case.after else [BLOCKS, case.threads, case.results]
    found = out.download(shape, np.uint32)
    given.free()
    out.free()
    return found


def tensor_bytes() -> np.ndarray:
    """The tensor that tensor maps lie over, [images, rows, columns, channels]; no byte of it is zero."""
    random = np.random.default_rng(99).integers(1, 256, TENSOR_BYTES, dtype=np.uint8)
    return random.reshape(IMAGES, HEIGHT, WIDTH, CHANNELS)


def encoded(device: Device, fields: dict[str, Any], tensor: Memory) -> Any:
    """A CUtensorMap of the tensor, tiled or im2col, to pass by value."""
    place = (ctypes.c_ubyte * 192)()
    start = -ctypes.addressof(place) % 64  # cuda.h asks for 64 bytes of alignment
    target = ctypes.c_void_p(ctypes.addressof(place) + start)
    array = lambda kind, values: (kind * len(values))(*values)  # noqa: E731
    sizes = array(ctypes.c_uint64, [CHANNELS, WIDTH, HEIGHT, IMAGES])
    strides = array(ctypes.c_uint64, [CHANNELS, CHANNELS * WIDTH, CHANNELS * WIDTH * HEIGHT])
    steps = array(ctypes.c_uint32, fields["steps"])
    head = (target, ctypes.c_int(UINT8), ctypes.c_uint32(4), ctypes.c_void_p(tensor.pointer), sizes, strides)
    tail = (steps, *map(ctypes.c_int, (NO_INTERLEAVE, SWIZZLES[fields["swizzle"]], NO_PROMOTION, ZERO_FILL)))
    if fields["kind"] == "tiled":
        device.call("cuTensorMapEncodeTiled", *head, array(ctypes.c_uint32, fields["box"]), *tail)
    else:
        lower, upper = (array(ctypes.c_int, fields[name]) for name in ("lower", "upper"))
        counts = (ctypes.c_uint32(fields["channels"]), ctypes.c_uint32(fields["pixels"]))
        device.call("cuTensorMapEncodeIm2col", *head, lower, upper, *counts, *tail)
    return (ctypes.c_ubyte * 128).from_buffer_copy(bytes(place)[start : start + 128])


if __name__ == "__main__":
    sys.exit(main())
