// Warp, barrier and atomic device functions of CUDA in terms of the runtime's collectives.
#pragma once

template <class T> static inline T emu_shuffle_value(unsigned mode, T value, unsigned operand, unsigned clamp,
                                                     unsigned mask) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 32 or 64 bits");
  if constexpr (sizeof(T) == 4) {
    return emu_bits<T>(uint32_t(emu_shuffle(mode, emu_bits<uint32_t>(value), operand, clamp, mask)));
  } else {
    uint64_t bits = emu_bits<uint64_t>(value);
    uint32_t low = uint32_t(emu_shuffle(mode, uint32_t(bits), operand, clamp, mask));
    uint32_t high = uint32_t(emu_shuffle(mode, uint32_t(bits >> 32), operand, clamp, mask));
    return emu_bits<T>(emu_join(low, high));
  }
}
// Operand c of shfl: clamp value in bits 0-4, segment mask in bits 8-12 (CUDA's headers build it so from width).
static inline unsigned emu_shuffle_clamp(int width, unsigned low) { return ((32 - width) << 8) | low; }
template <class T> static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return emu_shuffle_value(0, value, lane, emu_shuffle_clamp(width, 31), mask);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return emu_shuffle_value(1, value, delta, emu_shuffle_clamp(width, 0), mask);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return emu_shuffle_value(2, value, delta, emu_shuffle_clamp(width, 31), mask);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return emu_shuffle_value(3, value, lane_mask, emu_shuffle_clamp(width, 31), mask);
}
static inline int __all_sync(unsigned mask, int predicate) { return int(emu_vote(0, predicate != 0, mask)); }
static inline int __any_sync(unsigned mask, int predicate) { return int(emu_vote(1, predicate != 0, mask)); }
static inline unsigned __ballot_sync(unsigned mask, int predicate) { return emu_vote(3, predicate != 0, mask); }
static inline unsigned __match_any_sync(unsigned mask, unsigned value) { return emu_match_any(value, mask); }
static inline unsigned __activemask() { return emu_active_mask(); }
static inline unsigned __reduce_add_sync(unsigned mask, unsigned v) { return emu_reduce(0, v, mask); }
static inline int __reduce_add_sync(unsigned mask, int v) { return int(emu_reduce(0, uint32_t(v), mask)); }
static inline int __reduce_min_sync(unsigned mask, int v) { return int(emu_reduce(1, uint32_t(v), mask)); }
static inline int __reduce_max_sync(unsigned mask, int v) { return int(emu_reduce(2, uint32_t(v), mask)); }
static inline unsigned __reduce_min_sync(unsigned mask, unsigned v) { return emu_reduce(3, v, mask); }
static inline unsigned __reduce_max_sync(unsigned mask, unsigned v) { return emu_reduce(4, v, mask); }
static inline unsigned __reduce_and_sync(unsigned mask, unsigned v) { return emu_reduce(5, v, mask); }
static inline unsigned __reduce_or_sync(unsigned mask, unsigned v) { return emu_reduce(6, v, mask); }
static inline unsigned __reduce_xor_sync(unsigned mask, unsigned v) { return emu_reduce(7, v, mask); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { emu_sync_warp(mask); }
static inline void __syncthreads() { emu_barrier(0, 0, 0); }
static inline int __syncthreads_and(int predicate) { return int(emu_barrier_reduce(0, 0, 0, predicate != 0)); }
static inline int __syncthreads_or(int predicate) { return int(emu_barrier_reduce(1, 0, 0, predicate != 0)); }
static inline int __syncthreads_count(int predicate) { return int(emu_barrier_reduce(2, 0, 0, predicate != 0)); }
static inline void __threadfence() { emu_fence(1); }
static inline void __threadfence_block() { emu_fence(0); }
static inline void __threadfence_system() { emu_fence(1); }
static inline void __trap() { emu_trap("__trap()"); }
static inline long long clock64() { return emu_clock(); }
static inline void __nanosleep(unsigned) {}

static inline uint32_t __cvta_generic_to_shared(const void* pointer) { return emu_to_shared(pointer); }
static inline void* __cvta_shared_to_generic(uint32_t address) { return emu_from_shared(address); }
static inline const void* __cvta_generic_to_global(const void* pointer) { return pointer; }
template <class T> static inline T __ldg(const T* pointer) { return *pointer; }
template <class T> static inline T __ldcg(const T* pointer) { return *pointer; }
template <class T> static inline T __ldcs(const T* pointer) { return *pointer; }
template <class T> static inline T __ldca(const T* pointer) { return *pointer; }
template <class T> static inline void __stcg(T* pointer, T value) { *pointer = value; }
template <class T> static inline void __stcs(T* pointer, T value) { *pointer = value; }

// The runtime checks the access; the update itself needs no lock, since lanes run one at a time. The copies go through
// memcpy of a fixed size in an uninstrumented function so that they do not count as a plain access as well.
template <class T> __attribute__((noinline, no_sanitize("thread"))) T emu_peek(const T* p) { return *p; }
template <class T> __attribute__((noinline, no_sanitize("thread"))) void emu_poke(T* p, T v) { *p = v; }
template <class T, class F> static inline T emu_update(T* pointer, F next) {
  emu_atomic(pointer, sizeof(T));
  T old = emu_peek(pointer);
  emu_poke(pointer, T(next(old)));
  return old;
}
template <class T, class V> static inline T atomicAdd(T* p, V v) { return emu_update(p, [=](T o) { return T(o + T(v)); }); }
template <class T, class V> static inline T atomicSub(T* p, V v) { return emu_update(p, [=](T o) { return T(o - T(v)); }); }
template <class T, class V> static inline T atomicMin(T* p, V v) { return emu_update(p, [=](T o) { return o < T(v) ? o : T(v); }); }
template <class T, class V> static inline T atomicMax(T* p, V v) { return emu_update(p, [=](T o) { return o > T(v) ? o : T(v); }); }
template <class T, class V> static inline T atomicAnd(T* p, V v) { return emu_update(p, [=](T o) { return T(o & T(v)); }); }
template <class T, class V> static inline T atomicOr(T* p, V v) { return emu_update(p, [=](T o) { return T(o | T(v)); }); }
template <class T, class V> static inline T atomicXor(T* p, V v) { return emu_update(p, [=](T o) { return T(o ^ T(v)); }); }
template <class T, class V> static inline T atomicExch(T* p, V v) { return emu_update(p, [=](T) { return T(v); }); }
template <class T, class C, class V> static inline T atomicCAS(T* p, C c, V v) {
  return emu_update(p, [=](T o) { return o == T(c) ? T(v) : o; });
}
static inline unsigned atomicInc(unsigned* p, unsigned v) { return emu_update(p, [=](unsigned o) { return o >= v ? 0u : o + 1; }); }
static inline unsigned atomicDec(unsigned* p, unsigned v) { return emu_update(p, [=](unsigned o) { return o == 0 || o > v ? v : o - 1; }); }
