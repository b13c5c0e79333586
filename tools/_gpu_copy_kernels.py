"""CUDA C++ that moves bytes and nothing else: reads, writes and copies of 16 bytes a thread, past the L1."""

from __future__ import annotations

NAMES = ("read", "write", "copy")
THREADS = 512

# Each kernel walks `count` 16-byte words `passes` times. Loads and stores are volatile assembly, so that no pass is
# merged with another; .cg keeps them out of the L1, whose rate is not the question.
SOURCE = """
struct Word { unsigned x, y, z, w; };
__device__ __forceinline__ Word load(const Word* p) {
  Word v;
  asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
__device__ __forceinline__ void store(Word* p, Word v) {
  asm volatile("st.global.cg.v4.u32 [%0], {%1, %2, %3, %4};" :: "l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w));
}
#define WALK(BODY, REST) \\
  const unsigned step = gridDim.x * blockDim.x; \\
  for (int pass = 0; pass < passes; ++pass) { \\
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x; \\
    for (; i + 3 * step < count; i += 4 * step) { BODY } \\
    for (; i < count; i += step) { REST } \\
  }
extern "C" __global__ void __launch_bounds__(512) read(const Word* from, Word* to, unsigned count, int passes) {
  unsigned sum = 0;
  WALK(Word a = load(from + i); Word b = load(from + i + step); Word c = load(from + i + 2 * step);
       Word d = load(from + i + 3 * step); sum += a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w ^ c.x ^ c.y ^ c.z ^ c.w
       ^ d.x ^ d.y ^ d.z ^ d.w;, Word a = load(from + i); sum += a.x ^ a.y ^ a.z ^ a.w;)
  if (sum == 0x12345678) to[0].x = sum;
}
extern "C" __global__ void __launch_bounds__(512) write(const Word* from, Word* to, unsigned count, int passes) {
  Word v = {count, threadIdx.x * 2654435761u, blockIdx.x * 40503u, 7};
  WALK(v.w += i; store(to + i, v); store(to + i + step, v); store(to + i + 2 * step, v); store(to + i + 3 * step, v);,
       store(to + i, v);)
}
extern "C" __global__ void __launch_bounds__(512) copy(const Word* from, Word* to, unsigned count, int passes) {
  WALK(Word a = load(from + i); Word b = load(from + i + step); Word c = load(from + i + 2 * step);
       Word d = load(from + i + 3 * step); store(to + i, a); store(to + i + step, b); store(to + i + 2 * step, c);
       store(to + i + 3 * step, d);, store(to + i, load(from + i));)
}
"""


def bytes_moved(name: str, size: int) -> int:
    """Bytes read plus bytes written by one pass over `size` bytes."""
    return 2 * size if name == "copy" else size
