"""Single instructions of Hopper as kernels: wgmma with its descriptors, and tiles loaded through tensor maps.

Forms, descriptors and swizzles: PTX ISA 9.0; fields of tensor maps: cuda.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _gpu_fragment_cases import Case, asm, kernel, small_integer_codes

GROUP = 128
LAYOUTS = {"none": 0, "128": 1, "64": 2, "32": 3}  # bits 62 and 63 of a matrix descriptor


def descriptor(layout: str, leading: int, stride: int) -> int:
    """A matrix descriptor without its address: byte offsets of the leading and the stride dimension."""
    return (leading >> 4) << 16 | (stride >> 4) << 32 | LAYOUTS[layout] << 62


def wgmma_cases() -> list[Case]:
    """wgmma.mma_async m64nNk32: A in shared memory or registers, each swizzle, some offsets of the k step.

    Shared memory holds A's 64 rows from byte 0, then B's from `64 * row bytes`, all random.  Registers of a thread:
    its four of A where A comes from registers, then the accumulators.
    """
    found = []
    for n in (8, 24, 64, 128, 256):
        for types in ("s32.s8.s8", "s32.u8.s8"):
            found.append(_wgmma(types, n, "128", 0, True))
    for layout in ("none", "32", "64", "128"):
        for step in range({"none": 1, "32": 1, "64": 2, "128": 4}[layout]):
            found.append(_wgmma("s32.s8.s8", 16, layout, step, True))
            found.append(_wgmma("s32.s8.s8", 32, layout, step, False))
    for types in ("f32.e4m3.e4m3", "f32.e5m2.e4m3"):
        for source in (True, False):
            found.append(_wgmma(types, 64, "128", 1, source))
    found.append(_wgmma("s32.s8.s8", 64, "none-far", 0, True))
    return found


def _wgmma(types: str, n: int, layout: str, step: int, shared_a: bool) -> Case:
    row = {"none": 32, "none-far": 32, "32": 32, "64": 64, "128": 128}[layout]
    swizzle = layout.split("-")[0]
    # Without a swizzle 8 rows of 16 bytes are contiguous; the two k halves lie apart by `leading`, 8 rows by `stride`.
    leading, stride = {"none": (128, 256), "none-far": (1024, 128)}.get(layout, (16, 8 * row))
    if layout == "none-far":
        leading_b = 16 * n
    else:
        leading_b = leading
    size = row * (64 + n)
    constants = descriptor(swizzle, leading, stride), descriptor(swizzle, leading_b, stride)
    count, whole = n // 2, types.startswith("s32")
    letter = "r" if whole else "f"
    ptx = f"wgmma.mma_async.sync.aligned.m64n{n}k32.{types}"
    registers = (0 if shared_a else 4) + count
    group = "{" + ", ".join(f"%{i}" for i in range(count)) + "}"
    address = lambda start: f"(unsigned long long)(((base + {start}u) & 0x3FFFFu) >> 4)"  # noqa: E731
    left, right = (f"{constant}ull | {address(start + 32 * step)}" for constant, start in zip(constants, (0, 64 * row)))
    if shared_a:
        operands, text = [f'"l"({left})', f'"l"({right})'], f"{group}, %{count}, %{count + 1}"
    else:
        operands = [*(f'"r"(r[{i}])' for i in range(4)), f'"l"({right})']
        a = "{" + ", ".join(f"%{count + i}" for i in range(4)) + "}"
        text = f"{group}, {a}, %{count + 4}"
    text = f"{ptx} {text}, 1{'' if whole else ', 1, 1'};"
    kind, to, back = ("unsigned", "", "") if whole else ("float", "__uint_as_float", "__float_as_uint")
    first = registers - count
    body = "\n".join([
        f"{kind} c[{count}];", "#pragma unroll", f"for (int i = 0; i < {count}; ++i) c[i] = {to}(r[{first} + i]);",
        'asm volatile("fence.proxy.async.shared::cta;" ::: "memory");', "__syncthreads();",
        'asm volatile("wgmma.fence.sync.aligned;" ::: "memory");',
        asm(text, count, operands, letter, "c", in_place=True),
        'asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");',
        'asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");',
        "#pragma unroll", f"for (int i = 0; i < {count}; ++i) d[i] = {back}(c[i]);",
    ])  # fmt: skip
    size = (size + 1023) // 1024 * 1024
    name = f"{ptx} layout {layout} step {step} A {'shared' if shared_a else 'registers'}"
    make = _words(registers, count, size, None if whole else types)
    return Case(name, kernel(body, GROUP, registers, count, size), GROUP, registers, count, make, size, only=90)


def _words(registers: int, sums: int, shared: int, types: str | None) -> Callable[..., np.ndarray]:
    """Random bits; for fp8 small whole numbers, so that every sum is exact. Sums come last among the registers."""

    def make(random: np.random.Generator, blocks: int) -> np.ndarray:
        words = GROUP * registers + shared // 4
        if types is None:
            return random.integers(0, 1 << 32, (blocks, words), dtype=np.uint32)
        # 1 and 2, either sign, and 0: the codes mean small whole numbers in both operands' types.
        left, right = (small_integer_codes(kind) for kind in types.split(".")[1:])
        made = np.empty((blocks, words, 4), np.uint8)
        made[:, : GROUP * registers] = random.choice(left, (blocks, GROUP * registers, 4))
        half = shared // 4 // 2
        made[:, GROUP * registers :] = random.choice(left, (blocks, shared // 4, 4))
        made[:, GROUP * registers + half :] = random.choice(right, (blocks, shared // 4 - half, 4))
        found = made.view(np.uint32)[..., 0].copy()
        rows = found[:, : GROUP * registers].reshape(blocks, GROUP, registers)
        rows[:, :, registers - sums :] = (
            random.integers(-64, 65, (blocks, GROUP, sums)).astype(np.float32).view(np.uint32)
        )
        return found

    return make


# ---- tensor maps: CU_TENSOR_MAP_SWIZZLE_*
SWIZZLES = {"none": 0, "32": 1, "64": 2, "128": 3}
# A tensor of bytes: 3 images of 10 x 12 pixels with 128 channels, channels innermost.
CHANNELS, WIDTH, HEIGHT, IMAGES = 128, 12, 10, 3
TENSOR_BYTES = CHANNELS * WIDTH * HEIGHT * IMAGES


def tensor_cases() -> list[Case]:
    """cp.async.bulk.tensor loads of 4-D tiles and im2col columns, inside and across the borders.

    Registers of a thread: the coordinates (channel, column, row, image), the same in all threads, and for im2col the
    two offsets.  The tensor itself is the same for all blocks: see gpu_fragments.tensor_bytes.
    """
    found = []
    for swizzle, channels in (("none", 64), ("none", 128), ("32", 32), ("64", 64), ("128", 128)):
        tile = {"kind": "tiled", "box": [channels, 6, 4, 1], "steps": [1, 1, 1, 1], "swizzle": swizzle}
        found.append(_tensor(f"tile {channels}x6x4 swizzle {swizzle}", tile, channels * 24, 4))
        column = {"kind": "im2col", "lower": [-1, -1], "upper": [-1, -1], "channels": channels, "pixels": 32,
                  "steps": [1, 1, 1, 1], "swizzle": swizzle}  # fmt: skip
        found.append(_tensor(f"im2col {channels}x32 swizzle {swizzle}", column, channels * 32, 6))
    strided = {"kind": "im2col", "lower": [-1, -1], "upper": [-1, -1], "channels": 64, "pixels": 16,
               "steps": [1, 2, 2, 1], "swizzle": "64"}  # fmt: skip
    found.append(_tensor("im2col 64x16 stride 2", strided, 64 * 16, 6))
    return found


def _tensor(name: str, fields: dict[str, Any], size: int, registers: int) -> Case:
    shared = (size + 1023) // 1024 * 1024
    mode = "im2col." if registers == 6 else ""
    ptx = f"cp.async.bulk.tensor.4d.shared::cluster.global.{mode}mbarrier::complete_tx::bytes"
    offsets = ", {%7, %8}" if registers == 6 else ""
    inputs = ['"r"(base)', '"l"(&map)', '"r"(barrier)', *(f'"r"((int)r[{i}])' for i in range(4))]
    inputs += [f'"h"((unsigned short)r[{i}])' for i in (4, 5)[: registers - 4]]
    load = f'asm volatile("{ptx} [%0], [%1, {{%3, %4, %5, %6}}], [%2]{offsets};" :: {", ".join(inputs)} : "memory");'
    body = "\n".join([
        "__shared__ __align__(8) unsigned long long arrived;",
        "const unsigned barrier = (unsigned)__cvta_generic_to_shared(&arrived);",
        "if (threadIdx.x == 0) {",
        'asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(barrier) : "memory");',
        'asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");',
        "}",
        'asm volatile("fence.proxy.async.shared::cta;" ::: "memory");',
        "__syncthreads();",
        "if (threadIdx.x == 0) {",
        f'asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], {size};" :: "r"(barrier) : "memory");',
        load,
        "}",
        "unsigned done = 0;",
        "while (!done)",
        '  asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p;}"'
        ' : "=r"(done) : "r"(barrier) : "memory");',
    ])  # fmt: skip
    text = kernel(body, 32, registers, 0, shared, after=True)
    header = "struct __align__(64) Map { unsigned char bytes[128]; };\n"
    text = header + text.replace("unsigned* out)", "unsigned* out, const __grid_constant__ Map map)")
    return Case(f"{ptx} {name}", text, 32, registers, 0, _coordinates(registers, shared), shared, True, only=90,
                tensor_map=fields)  # fmt: skip


def _coordinates(registers: int, shared: int) -> Callable[..., np.ndarray]:
    """Coordinates from one tile before to one past the tensor's ends; offsets 0 to 2; random shared memory."""

    def make(random: np.random.Generator, blocks: int) -> np.ndarray:
        made = random.integers(0, 1 << 32, (blocks, 32 * registers + shared // 4), dtype=np.uint32)
        for block in made:
            if registers == 6:  # a column starts at a pixel of its bounding box
                place = [random.choice([0, 32, 64]), random.integers(-1, WIDTH - 2), random.integers(-1, HEIGHT - 2),
                         random.integers(0, IMAGES), *random.integers(0, 3, 2)]  # fmt: skip
            else:
                place = [random.choice([0, 32, 96]), random.integers(-4, WIDTH + 1), random.integers(-3, HEIGHT + 1),
                         random.integers(-1, IMAGES + 1)]  # fmt: skip
            block[: 32 * registers].reshape(32, registers)[:] = np.array(place, np.int32).view(np.uint32)
        return made

    return make
