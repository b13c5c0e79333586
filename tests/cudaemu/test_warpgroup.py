"""Every wgmma shape of 8-bit operands against the manual's layouts and NumPy, and what the warps of a group share."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import EmulationError, UnavailableInstruction, UnknownInstruction, emulate
from tests.cudaemu.test_matrix_instructions import fp8_patterns

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

# PTX ISA, "Asynchronous warpgroup level matrix instructions", shapes: columns by operand type.
INTEGER_COLUMNS = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256)
FLOAT_COLUMNS = tuple(range(8, 257, 8))
B_AT = 64 * 32  # bytes: A's 64 rows of 32 come first, then B's 256
THREADS = 128
LAUNCH = SimpleNamespace(name="main_kernel", grid=1, block=THREADS, shared_bytes=B_AT + 256 * 32)


def accumulator(thread, i):
    """(row, column) of a thread's accumulator i (PTX ISA, "wgmma, matrix fragments for D")."""
    warp, group, within = thread // 32, thread % 32 // 4, thread % 4
    return 16 * warp + group + 8 * (i // 2 % 2), i // 4 * 8 + within * 2 + i % 2


def left_element(thread, i):
    """(row, column) of element i of a thread's 16 of A, 8 bits each (the same chapter, m64k32 from registers)."""
    warp, group, within = thread // 32, thread % 32 // 4, thread % 4
    row = 16 * warp + group + (0 if i < 4 or 8 <= i < 12 else 8)
    return row, within * 4 + (i & 3) + (0 if i < 8 else 16)


def core_matrices(matrix):
    """K-major operand without swizzle: 8 rows of 16 bytes are a core matrix of 128 bytes; those of the first 16 columns
    and of the second alternate, so that the leading offset is 128 bytes and the stride offset 256."""
    rows = matrix.shape[0] // 8
    return matrix.reshape(rows, 8, 2, 16).transpose(0, 2, 1, 3).reshape(-1)


def kernel(forms):
    """Each form once: accumulators from and to y, [form][i][thread]."""
    lines, at = [], 0
    for opcode, columns, from_registers in forms:
        count = columns // 2
        fp8 = ".f32." in opcode
        registers = ", ".join(f"%{i}" for i in range(count))
        bound = ", ".join(f'"{"+f" if fp8 else "+r"}"({"f" if fp8 else "r"}[{i}])' for i in range(count))
        left = "{" + ", ".join(f"%{count + i}" for i in range(4)) + "}" if from_registers else f"%{count}"
        inputs = ", ".join(f'"r"(a[{i}])' for i in range(4)) if from_registers else '"l"(a_desc)'
        after = count + (4 if from_registers else 1)
        tail = ", 1, 1" if fp8 else ""
        array = "(unsigned*)f" if fp8 else "r"
        lines += [
            f"for (int i = 0; i < {count}; i++) ({array})[i] = y_ptr[({at} + i) * {THREADS} + threadIdx.x];",
            'asm volatile("wgmma.fence.sync.aligned;" ::: "memory");',
            f'asm volatile("{{ .reg .pred p; setp.ne.b32 p, 1, 0; "'
            f'"{opcode} {{{registers}}}, {left}, %{after}, p{tail}; }}"'
            f' : {bound} : {inputs}, "l"(b_desc));',
            'asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");',
            'asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");',
            f"for (int i = 0; i < {count}; i++) y_ptr[({at} + i) * {THREADS} + threadIdx.x] = ({array})[i];",
        ]
        at += count
    body = "\n".join(lines)
    return (
        f"""extern "C" __global__ void __launch_bounds__({THREADS}) main_kernel(unsigned* x_ptr, unsigned* y_ptr) {{
      extern __shared__ __align__(128) unsigned char smem[];
      unsigned r[128], a[4]; float f[128];
      for (int i = threadIdx.x; i < {LAUNCH.shared_bytes // 4}; i += {THREADS}) ((unsigned*)smem)[i] = x_ptr[i];
      for (int i = 0; i < 4; i++) a[i] = x_ptr[{LAUNCH.shared_bytes // 4} + i * {THREADS} + threadIdx.x];
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
      __syncthreads();
      unsigned base = __cvta_generic_to_shared(smem);
      uint64_t rest = (uint64_t)(256 >> 4) << 32 | (uint64_t)(128 >> 4) << 16;
      uint64_t a_desc = rest | base >> 4, b_desc = rest | (base + {B_AT}) >> 4;
      {body} }}""",
        at,
    )


def run(forms, left, right, addends, **options):
    """left, right: bytes [64, 32] and [256, 32]; addends: uint32 words [64, columns] of each form. Gives the same."""
    packed = np.zeros((4, THREADS), np.uint32)
    for thread, i in itertools.product(range(THREADS), range(16)):
        packed[i // 4, thread] |= np.uint32(int(left[left_element(thread, i)]) << 8 * (i % 4))
    x = np.concatenate([core_matrices(left), core_matrices(right), packed.reshape(-1).view(np.uint8)])
    text, words = kernel(forms)
    y = np.zeros((words, THREADS), np.uint32)
    places, at = [], 0
    for (_, columns, _), addend in zip(forms, addends, strict=True):
        thread, i = np.meshgrid(np.arange(THREADS), np.arange(columns // 2))
        rows, cols = accumulator(thread, i)
        y[at : at + columns // 2] = addend[rows, cols]
        places.append((at, rows, cols))
        at += columns // 2
    emulate(text, [LAUNCH], {"x": x, "y": y}, "sm_90a", **options)
    results = []
    for (at, rows, cols), addend in zip(places, addends, strict=True):
        result = np.zeros_like(addend)
        result[rows, cols] = y[at : at + len(rows)]
        results.append(result)
    return results


@pytest.mark.parametrize("delivery", ["late", "early"])
def test_integer_shapes(delivery):
    rng = np.random.default_rng(5)
    forms, kinds = [], []
    for number, columns in enumerate(INTEGER_COLUMNS):
        pairs = list(itertools.product(("s8", "u8"), repeat=2))
        for a, b in pairs if columns in (16, 256) else [pairs[number % 4]]:
            saturate = columns in (24, 240) or (columns == 16 and a == "s8")
            suffix = "satfinite." if saturate else ""
            opcode = f"wgmma.mma_async.sync.aligned.m64n{columns}k32.{suffix}s32.{a}.{b}"
            forms.append((opcode, columns, columns in (48, 256)))
            kinds.append((a, b, saturate))
    left, right = rng.integers(0, 256, (64, 32), np.uint8), rng.integers(0, 256, (256, 32), np.uint8)
    addends = [rng.integers(-(2**31), 2**31, (64, columns)) for _, columns, _ in forms]
    results = run(forms, left, right, [(a % 2**32).astype(np.uint32) for a in addends], delivery=delivery)
    read = {"s8": lambda m: m.view(np.int8).astype(np.int64), "u8": lambda m: m.astype(np.int64)}
    for (opcode, columns, _), (a, b, saturate), addend, result in zip(forms, kinds, addends, results, strict=True):
        total = addend + read[a](left) @ read[b](right[:columns]).T
        total = np.clip(total, -(2**31), 2**31 - 1) if saturate else (total + 2**31) % 2**32 - 2**31
        assert (result.view(np.int32) == total).all(), opcode


def test_float_shapes():
    rng = np.random.default_rng(6)
    codes = {"e4m3": fp8_patterns(3, 7), "e5m2": fp8_patterns(2, 15)}
    values = rng.integers(-4, 5, (64, 32)), rng.integers(-4, 5, (256, 32))
    for a, b in itertools.product(codes, codes):
        columns = FLOAT_COLUMNS if (a, b) == ("e4m3", "e5m2") else (8, 72, 256)
        forms = [(f"wgmma.mma_async.sync.aligned.m64n{n}k32.f32.{a}.{b}", n, n == 72) for n in columns]
        left, right = (
            np.vectorize(codes[kind].get)(matrix).astype(np.uint8) for kind, matrix in zip((a, b), values, strict=True)
        )
        addends = [rng.integers(-1000, 1000, (64, n)).astype(np.float32) for n in columns]
        results = run(forms, left, right, [addend.view(np.uint32) for addend in addends])
        for n, addend, result in zip(columns, addends, results, strict=True):
            assert (result.view(np.float32) == addend + values[0] @ values[1][:n].T).all(), (a, b, n)


@pytest.mark.parametrize(
    "shape_and_types",
    ["m64n40k32.s32.s8.s8", "m64n264k32.f32.e4m3.e4m3", "m64n16k16.s32.s8.s8", "m64n12k32.f32.e4m3.e4m3",
     "m64n16k32.s32.s8.s4"],
)  # fmt: skip
def test_shapes_that_do_not_exist(shape_and_types):
    columns = int(shape_and_types[4:].partition("k")[0])
    text, words = kernel([(f"wgmma.mma_async.sync.aligned.{shape_and_types}", columns, False)])
    with pytest.raises(UnknownInstruction, match="not emulated"):
        emulate(text, [LAUNCH], {"x": np.zeros(1), "y": np.zeros((words, THREADS), np.uint32)}, "sm_90a")


def test_the_plain_chip_lacks_it():
    text, words = kernel([("wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8", 8, False)])
    with pytest.raises(UnavailableInstruction, match="needs sm_90a"):
        emulate(text, [LAUNCH], {"x": np.zeros(1), "y": np.zeros((words, THREADS), np.uint32)}, "sm_90")


def small(body, threads=THREADS):
    """What happens to a kernel of one block: the name of the error, or Exact."""
    text = f"""extern "C" __global__ void __launch_bounds__({threads}) main_kernel(unsigned* y_ptr) {{
      extern __shared__ __align__(128) unsigned char smem[];
      int warp = threadIdx.x / 32;
      {body} }}"""
    launch = SimpleNamespace(name="main_kernel", grid=1, block=threads, shared_bytes=1024)
    y = np.zeros(threads, np.uint32)
    try:
        emulate(text, [launch], {"y": y}, "sm_90a", seconds=5)
    except EmulationError as error:
        return type(error).__name__
    return "Exact"


def registers(action, count):
    return f'asm volatile("setmaxnreg.{action}.sync.aligned.u32 {count};" ::: "memory");'


@pytest.mark.parametrize(
    "body, threads, expected",
    [
        (f"if (warp < 4) {registers('dec', 40)} else {registers('inc', 232)}", 256, "Exact"),
        (f"if (warp < 4) {registers('dec', 40)} else {registers('inc', 240)}", 384, "Deadlock"),
        (f"if (warp < 4) {registers('dec', 24)} else {registers('inc', 240)}", 384, "Exact"),
        (f"if (warp < 3) {registers('dec', 40)} else {registers('inc', 232)}", 128, "Divergence"),
        (f"if (threadIdx.x % 32 < 16) {registers('dec', 40)}", 128, "Divergence"),
        (registers("dec", 264), 128, "UnknownInstruction"),
    ],
)
def test_registers_are_moved_by_whole_warpgroups_and_have_a_limit(body, threads, expected):
    """128 x 40 + 2 x 128 x 240 is more than 64 K registers; with 24 it is less."""
    assert small(body, threads) == expected


@pytest.mark.parametrize(
    "body, expected",
    [
        ('asm volatile("bar.sync 3, 64;");', "Exact"),
        ('if (warp < 2) asm volatile("bar.arrive 1, 128;"); else asm volatile("bar.sync 1, 128;");', "Exact"),
        ('if (warp < 2) asm volatile("bar.arrive 1, 128;"); else asm volatile("bar.sync 2, 128;");', "Deadlock"),
        ('if (warp < 2) asm volatile("bar.arrive 1, 128;");', "BarrierMisuse"),
        ('if (warp < 2) asm volatile("bar.sync 1, 96;"); else asm volatile("bar.sync 1, 128;");', "BarrierMisuse"),
        ('asm volatile("bar.sync 16, 128;");', "BadOperand"),
    ],
)
def test_named_barriers(body, expected):
    assert small(body) == expected


def test_a_reduction_counts_those_who_take_part():
    """bar.red.and among 64 of 128 threads: all of them say yes."""
    reduce = """unsigned all; asm volatile("{ .reg .pred p, q; setp.lt.u32 p, %1, 64; bar.red.and.pred q, 1, 64, p;
      selp.u32 %0, 1, 0, q; }" : "=r"(all) : "r"((unsigned)threadIdx.x)); if (all == 0) __trap();"""
    assert small("if (warp < 2) { " + reduce.replace("\n", " ") + " }") == "Exact"


ELECT = 'unsigned won = 0; asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; @p mov.s32 %0, 1; }" : "+r"(won));'


def test_one_lane_is_elected_and_no_more_is_known_of_it():
    """The manual does not say which lane it is: code that takes it for lane 0 fails in one of the orders."""
    text = f"""extern "C" __global__ void __launch_bounds__(32) main_kernel(unsigned* y_ptr) {{
      {ELECT} y_ptr[threadIdx.x] = won; }}"""
    launch = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=0)
    elected = set()
    for order in ("forward", "reverse"):
        y = np.zeros(32, np.uint32)
        emulate(text, [launch], {"y": y}, "sm_90a", order=order)
        assert y.sum() == 1
        elected.add(int(y.argmax()))
    assert elected == {0, 31}


def test_all_lanes_take_part_in_an_election():
    assert small(f"if (threadIdx.x % 32 < 16) {{ {ELECT} }}", 32) == "Divergence"
