"""Every mma.sync form, ldmatrix and stmatrix against the manual's fragment tables and NumPy."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import UnavailableInstruction, UnknownInstruction, emulate
from tests.cudaemu import fragment_tables as fragments

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

ONE_WARP = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=0)
SHAPES = {
    8: ["m8n8k16", "m16n8k16", "m16n8k32"],
    4: ["m8n8k32", "m16n8k32", "m16n8k64"],
    1: ["m8n8k128", "m16n8k128", "m16n8k256"],
}
RANGES = {"s8": (-128, 128), "u8": (0, 256), "s4": (-8, 8), "u4": (0, 16), "b1": (0, 2)}


def integer_forms():
    for shape, a, b, saturate in itertools.product(SHAPES[8], ("s8", "u8"), ("s8", "u8"), ("", "satfinite.")):
        yield shape, a, b, f"mma.sync.aligned.{shape}.row.col.{saturate}s32.{a}.{b}.s32"
    for shape, a, b in itertools.product(SHAPES[4], ("s4", "u4"), ("s4", "u4")):
        yield shape, a, b, f"mma.sync.aligned.{shape}.row.col.s32.{a}.{b}.s32"
    for shape, operation in itertools.product(SHAPES[1], ("xor", "and")):
        yield shape, "b1", "b1", f"mma.sync.aligned.{shape}.row.col.s32.b1.b1.s32.{operation}.popc"


def kernel(opcodes_and_counts):
    """One kernel that executes the instructions one after the other: operands from x, [word][lane], results to y."""
    lines, read, written = [], 0, 0
    for opcode, (d, a, b) in opcodes_and_counts:
        operands = [f'"r"(x_ptr[{(read + i) * 32} + threadIdx.x])' for i in range(a + b + d)]
        groups = [
            "{" + ", ".join(f"%{i}" for i in range(start, start + count)) + "}"
            for start, count in ((0, d), (d, a), (d + a, b), (d + a + b, d))
        ]
        outputs = ", ".join(f'"=r"(r[{i}])' for i in range(d))
        lines.append(f'asm volatile("{opcode} {", ".join(groups)};" : {outputs} : {", ".join(operands)});')
        lines += [f"y_ptr[{(written + i) * 32} + threadIdx.x] = r[{i}];" for i in range(d)]
        read, written = read + a + b + d, written + d
    body = "\n".join(lines)
    head = 'extern "C" __global__ void __launch_bounds__(32) main_kernel(unsigned* x_ptr, unsigned* y_ptr)'
    text = f"{head} {{ unsigned r[4];\n{body}\n}}"
    return text, read, written


def shape_of(name):
    m, rest = name[1:].split("n")
    n, k = rest.split("k")
    return int(m), int(n), int(k)


def test_integer_and_binary_mma():
    rng = np.random.default_rng(2)
    forms = list(integer_forms())
    counts, words, expected = [], [], []
    for shape, a, b, opcode in forms:
        m, n, k = shape_of(shape)
        bits = 1 if a == "b1" else int(a[1])
        left = rng.integers(*RANGES[a], (m, k))
        right = rng.integers(*RANGES[b], (k, n))
        addend = rng.integers(-(2**31), 2**31, (m, n))
        a_registers = fragments.a_words(left & (2**bits - 1), n, bits)
        b_registers = fragments.b_words(right & (2**bits - 1), m, bits)
        places = fragments.c_elements(m)
        words += [
            *a_registers,
            *b_registers,
            *([int(addend[place]) & 0xFFFFFFFF for place in lanes] for lanes in places),
        ]
        counts.append((opcode, (len(places), len(a_registers), len(b_registers))))
        if a == "b1":
            product = (left[:, :, None] ^ right[None] if "xor" in opcode else left[:, :, None] & right[None]).sum(1)
        else:
            product = left @ right
        total = addend + product
        total = np.clip(total, -(2**31), 2**31 - 1) if "satfinite" in opcode else (total + 2**31) % 2**32 - 2**31
        expected += [[int(total[place]) & 0xFFFFFFFF for place in lanes] for lanes in places]
    text, read, written = kernel(counts)
    x = np.array(words, np.uint32)
    y = np.zeros((written, 32), np.uint32)
    assert x.shape == (read, 32)
    report = emulate(text, [ONE_WARP], {"x": x, "y": y}, "sm_80")
    assert (y == np.array(expected, np.uint32)).all()
    assert report.matrix_instructions == len(forms)


def fp8_patterns(mantissa_bits, bias):
    """Bit patterns of the integers -4 ... 4, by the definition of the format."""
    patterns = {0: 0}
    for value in range(1, 5):
        exponent = value.bit_length() - 1
        mantissa = int((value / 2**exponent - 1) * 2**mantissa_bits)
        patterns[value] = (exponent + bias) << mantissa_bits | mantissa
        patterns[-value] = patterns[value] | 0x80
    return patterns


def test_fp8_mma():
    rng = np.random.default_rng(3)
    formats = {"e4m3": fp8_patterns(3, 7), "e5m2": fp8_patterns(2, 15)}
    counts, words, expected = [], [], []
    for a, b in itertools.product(formats, formats):
        left, right = rng.integers(-4, 5, (16, 32)), rng.integers(-4, 5, (32, 8))
        addend = rng.integers(-1000, 1000, (16, 8))
        encode = lambda values, name: np.vectorize(formats[name].get)(values)  # noqa: E731
        a_registers = fragments.a_words(encode(left, a), 8, 8)
        b_registers = fragments.b_words(encode(right, b), 16, 8)
        places = fragments.c_elements(16)
        float_bits = lambda values: [int(np.float32(v).view(np.uint32)) for v in values]  # noqa: E731
        words += [*a_registers, *b_registers, *(float_bits(addend[place] for place in lanes) for lanes in places)]
        counts.append((f"mma.sync.aligned.m16n8k32.row.col.f32.{a}.{b}.f32", (4, 4, 2)))
        total = addend + left @ right
        expected += [float_bits(total[place] for place in lanes) for lanes in places]
    text, _, written = kernel(counts)
    y = np.zeros((written, 32), np.uint32)
    emulate(text, [ONE_WARP], {"x": np.array(words, np.uint32), "y": y}, "sm_89")
    assert (y == np.array(expected, np.uint32)).all()


@pytest.mark.parametrize("delivery", ["late", "early"])
def test_ldmatrix_and_stmatrix(delivery):
    """Lane l gets elements 2 (l % 4) and the next of row l / 4, or with .trans of column l / 4; stmatrix inverts it."""
    forms = [(count, trans) for count in (1, 2, 4) for trans in ("", ".trans")]
    lines, at = [], 0
    for count, trans in forms:
        registers = ", ".join(f"%{i}" for i in range(count))
        outputs = ", ".join(f'"=r"(r[{i}])' for i in range(count))
        inputs = ", ".join(f'"r"(r[{i}])' for i in range(count))
        lines.append(
            f'asm volatile("ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {{{registers}}}, [%{count}];"'
            f' : {outputs} : "r"(row));'
        )
        lines += [f"y_ptr[{(at + i) * 32} + threadIdx.x] = r[{i}];" for i in range(count)]
        numbered = ", ".join(f"%{i + 1}" for i in range(count))
        lines.append("__syncwarp();")
        lines.append(
            f'asm volatile("stmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 [%0 + 512], {{{numbered}}};"'
            f' :: "r"(row), {inputs});'
        )
        lines.append("__syncwarp();")
        lines += [
            f"y_ptr[{(at + count + i) * 32} + threadIdx.x] = ((unsigned*)smem)[{128 + 32 * i} + threadIdx.x];"
            for i in range(count)
        ]
        lines.append("__syncwarp();")
        at += 2 * count
    body = "\n".join(lines)
    text = f"""extern "C" __global__ void main_kernel(unsigned* x_ptr, unsigned* y_ptr) {{
      extern __shared__ __align__(64) unsigned char smem[];
      unsigned r[4];
      for (int i = 0; i < 4; i++) ((unsigned*)smem)[i * 32 + threadIdx.x] = x_ptr[i * 32 + threadIdx.x];
      __syncwarp();
      unsigned row = __cvta_generic_to_shared(smem + threadIdx.x * 16);
      {body} }}"""
    x = np.random.default_rng(4).integers(0, 2**32, 128, dtype=np.uint32)
    y = np.zeros((at, 32), np.uint32)
    launch = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=1024)
    emulate(text, [launch], {"x": x, "y": y}, "sm_90", delivery=delivery)
    halves = x.view(np.uint16).reshape(4, 8, 8)
    at = 0
    for count, trans in forms:
        for i in range(count):
            matrix = halves[i].T if trans else halves[i]
            lanes = [
                int(matrix[lane // 4, 2 * (lane % 4)]) | int(matrix[lane // 4, 2 * (lane % 4) + 1]) << 16
                for lane in range(32)
            ]
            assert y[at + i].tolist() == lanes
            assert (y[at + count + i] == x[32 * i : 32 * i + 32]).all()
        at += 2 * count


@pytest.mark.parametrize(
    ("opcode", "counts", "arch"),
    [
        ("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", (4, 4, 2), "sm_75"),
        ("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32", (4, 2, 1), "sm_75"),
        ("mma.sync.aligned.m8n8k128.row.col.s32.b1.b1.s32.and.popc", (2, 1, 1), "sm_75"),
        ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", (4, 4, 2), "sm_86"),
    ],
)
def test_what_a_chip_lacks_is_named(opcode, counts, arch):
    text, read, written = kernel([(opcode, counts)])
    with pytest.raises(UnavailableInstruction, match=opcode.replace(".", r"\.")):
        emulate(text, [ONE_WARP], {"x": np.zeros((read, 32), np.uint32), "y": np.zeros((written, 32), np.uint32)}, arch)


@pytest.mark.parametrize(
    "opcode",
    [
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
        "mma.sync.aligned.m8n8k64.row.col.s32.s8.s8.s32",
        "mma.sync.aligned.m16n8k32.row.row.s32.s8.s8.s32",
    ],
)
def test_unknown_forms_are_errors(opcode):
    text, read, written = kernel([(opcode, (4, 4, 2))])
    with pytest.raises(UnknownInstruction, match="not emulated"):
        emulate(
            text, [ONE_WARP], {"x": np.zeros((read, 32), np.uint32), "y": np.zeros((written, 32), np.uint32)}, "sm_80"
        )
