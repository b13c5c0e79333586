"""CUDA C++ whose loops hold matrix instructions alone, one kernel each: the ceilings that no convolution can pass.

Operand shapes, register counts and descriptors: PTX ISA 9.0, chapters "Warp level matrix instructions" and
"Asynchronous warpgroup level matrix instructions".
"""

from __future__ import annotations

from dataclasses import dataclass

CHAINS = 8  # independent accumulators of a warp: more than the latency of a tensor core needs
TURNS = 4  # times that the chains are written out in the loop
GROUP = 32  # wgmma instructions between two waits


@dataclass(frozen=True)
class Rate:
    """One instruction: its name in tables, its PTX, the shape, the type of accumulators, and from which chip on.

    kind "mma": A has 4, B 2, C 4 registers. kind "wgmma": A comes from "shared" memory or from "registers".
    opcode: what SASS calls it where it is native (a prefix).
    """

    name: str
    kind: str
    ptx: str
    m: int
    n: int
    k: int
    accumulator: str
    capability: int
    opcode: str
    operand: str
    source: str = ""

    @property
    def operations(self) -> int:
        """Operations of one instruction: two per multiply-accumulate."""
        return 2 * self.m * self.n * self.k


def rates(capability: int) -> list[Rate]:
    """Every instruction that a chip can run or emulate, mma.sync first."""
    found = [Rate(f"mma {name}", "mma", f"mma.sync.aligned.m16n8k{k}.row.col.{types}", 16, 8, k, types[:3].strip("."),
                  least, opcode, operand) for name, k, types, least, opcode, operand in _MMA]  # fmt: skip
    for operand, k, types, opcode, integer in _WGMMA:
        for n in _WIDTHS:
            for source in ("shared", "registers"):
                ptx = f"wgmma.mma_async.sync.aligned.m64n{n}k{k}.{types}"
                name = f"wgmma {operand} n{n} A from {source}"
                kind = "s32" if integer else "f32"
                found.append(Rate(name, "wgmma", ptx, 64, n, k, kind, 90, opcode, operand, source))
    only_90 = ("wgmma",)
    return [rate for rate in found if rate.capability <= capability and (rate.kind not in only_90 or capability == 90)]


_WIDTHS = (8, 16, 32, 64, 96, 128, 192, 256)
_MMA = (
    ("s8.s8", 32, "s32.s8.s8.s32", 80, "IMMA", "s8"),
    ("u8.s8", 32, "s32.u8.s8.s32", 80, "IMMA", "s8"),
    ("s4.s4", 64, "s32.s4.s4.s32", 80, "IMMA", "s4"),
    ("u4.s4", 64, "s32.u4.s4.s32", 80, "IMMA", "s4"),
    ("b1 and.popc", 256, "s32.b1.b1.s32.and.popc", 80, "BMMA", "b1"),
    ("b1 xor.popc", 256, "s32.b1.b1.s32.xor.popc", 80, "BMMA", "b1"),
    ("e4m3", 32, "f32.e4m3.e4m3.f32", 89, "QMMA", "fp8"),
    ("e5m2", 32, "f32.e5m2.e5m2.f32", 89, "QMMA", "fp8"),
    ("f16", 16, "f32.f16.f16.f32", 80, "HMMA", "f16"),
)
_WGMMA = (
    ("s8", 32, "s32.s8.s8", "IGMMA", True),
    ("e4m3", 32, "f32.e4m3.e4m3", "QGMMA", False),
    ("e5m2", 32, "f32.e5m2.e5m2", "QGMMA", False),
    ("f16", 16, "f32.f16.f16", "HGMMA", False),
)


def source(rate: Rate) -> str:
    """A translation unit with the kernel `rate`(operands uint32[], results uint32[], cycles int64[blocks], turns)."""
    return (_mma if rate.kind == "mma" else _wgmma)(rate)


def per_turn(rate: Rate) -> int:
    """Instructions that a warp (mma) or a warpgroup (wgmma) executes in one turn of the loop."""
    return CHAINS * TURNS if rate.kind == "mma" else GROUP


def shared_bytes(rate: Rate, threads: int) -> int:
    """Dynamic shared memory of a block: B, then an A for each warpgroup, in rows of 128 bytes, and room to align."""
    return 0 if rate.kind == "mma" else 1024 + 128 * (rate.n + 64 * (threads // 128))


def _mma(rate: Rate) -> str:
    kind, letter = ("float", "f") if rate.accumulator == "f32" else ("int", "r")
    results = ", ".join(f'"+{letter}"(c[chain][{i}])' for i in range(4))
    # Emulated fp8 multiplies apart from the sum: every chain and turn has its own B, or products would be shared.
    own = rate.operand == "fp8"
    right, change = ("b[chain]", "b[chain][0] ^= 0x01010101;") if own else ("b[0]", "")
    operands = ", ".join([*(f'"r"(a[{i}])' for i in range(4)), f'"r"({right}[0])', f'"r"({right}[1])'])
    step = f"{rate.ptx} {{%0, %1, %2, %3}}, {{%4, %5, %6, %7}}, {{%8, %9}}, {{%0, %1, %2, %3}};"
    return f"""
extern "C" __global__ void __launch_bounds__(256) rate(
    const unsigned* operands, unsigned* results, long long* cycles, int turns) {{
  unsigned a[4], b[{CHAINS if own else 1}][2];
  {kind} c[{CHAINS}][4];
  const unsigned* mine = operands + threadIdx.x * 64;
  for (int i = 0; i < 4; ++i) a[i] = mine[i];
#pragma unroll
  for (int i = 0; i < {2 * CHAINS if own else 2}; ++i) b[i / 2][i % 2] = mine[4 + i];
#pragma unroll
  for (int i = 0; i < {CHAINS} * 4; ++i) c[i / 4][i % 4] = ({kind})(mine[24 + i] & 255);
  __syncthreads();
  const long long start = clock64();
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn)
#pragma unroll
    for (int repeat = 0; repeat < {TURNS}; ++repeat)
#pragma unroll
      for (int chain = 0; chain < {CHAINS}; ++chain) {{
        {change}
        asm volatile("{step}" : {results} : {operands});
      }}
  __syncthreads();
  if (threadIdx.x == 0) cycles[blockIdx.x] = clock64() - start;
  unsigned sum = 0;
#pragma unroll
  for (int i = 0; i < {CHAINS} * 4; ++i) sum ^= (unsigned)c[i / 4][i % 4];
  results[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}}
"""


def _wgmma(rate: Rate) -> str:
    kind, letter = ("float", "f") if rate.accumulator == "f32" else ("int", "r")
    count = rate.n // 2
    registers = ", ".join(f"%{i}" for i in range(count))
    results = ", ".join(f'"+{letter}"(c[{i}])' for i in range(count))
    # Integers know no negation; 16-bit operands also say how shared operands are laid out (0: along k).
    negate = "" if rate.accumulator == "s32" else ", 1, 1"
    transpose = "" if rate.operand != "f16" else (", 0, 0" if rate.source == "shared" else ", 0")
    if rate.source == "shared":
        left, right = f"%{count}", f"%{count + 1}"
        operands = '"l"(left + 2 * (step % 4)), "l"(right + 2 * (step % 4))'
    else:
        left, right = "{{{}}}".format(", ".join(f"%{count + i}" for i in range(4))), f"%{count + 4}"
        operands = ", ".join(f'"r"(a[{i}])' for i in range(4)) + ', "l"(right + 2 * (step % 4))'
    step = f"{rate.ptx} {{{registers}}}, {left}, {right}, 1{negate}{transpose};"
    # 512 threads have 128 registers each, fewer than the widest accumulators take.
    threads = 512 if rate.n <= 128 else 256
    return f"""
// K-major tiles of 128 bytes a row, swizzled over 128 bytes: 8 rows are 1024 bytes; the leading dimension is unused.
__device__ unsigned long long descriptor(unsigned address) {{
  return (unsigned long long)((address & 0x3FFFF) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}}

extern "C" __global__ void __launch_bounds__({threads}) rate(
    const unsigned* operands, unsigned* results, long long* cycles, int turns) {{
  extern __shared__ unsigned char memory[];
  const unsigned base = ((unsigned)__cvta_generic_to_shared(memory) + 1023) / 1024 * 1024;
  unsigned* words = (unsigned*)(memory + (base - (unsigned)__cvta_generic_to_shared(memory)));
  const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);  // uniform, as descriptors have to be
  const int all = 32 * ({rate.n} + 64 * (int)(blockDim.x / 128));
  for (int i = threadIdx.x; i < all; i += blockDim.x) words[i] = operands[i];
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  unsigned a[4];
  {kind} c[{count}];
  for (int i = 0; i < 4; ++i) a[i] = operands[threadIdx.x * 4 + i];
#pragma unroll
  for (int i = 0; i < {count}; ++i) c[i] = ({kind})(operands[threadIdx.x + i] & 255);
  __syncthreads();
  const unsigned long long right = descriptor(base), left = descriptor(base + 128 * ({rate.n} + 64 * group));
  const long long start = clock64();
#pragma unroll 1
  for (int turn = 0; turn < turns; ++turn) {{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int step = 0; step < {GROUP}; ++step)
      asm volatile("{step}" : {results} : {operands});
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }}
  __syncthreads();
  if (threadIdx.x == 0) cycles[blockIdx.x] = clock64() - start + (long long)(left & 0) + (long long)(a[0] & 0);
  unsigned sum = 0;
#pragma unroll
  for (int i = 0; i < {count}; ++i) sum ^= (unsigned)c[i];
  results[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}}
"""
