// What a kernel's translation unit and the runtime share: every call a rewritten kernel makes into the runtime.
// Values cross as 64-bit words in registers, so that no address of a kernel's local variable escapes: an escaped local
// would be instrumented like memory.
#pragma once
#include <cstdint>

struct emu_pair { uint64_t low, high; };
struct emu_index { unsigned x, y, z; };

// Element types of matrix instructions, in the order in which mma_kind packs them.
enum emu_element { EMU_S8, EMU_U8, EMU_S4, EMU_U4, EMU_B1, EMU_E4M3, EMU_E5M2 };
enum emu_accumulate { EMU_WRAP, EMU_SATURATE, EMU_FLOAT, EMU_XOR_POPC, EMU_AND_POPC };
constexpr uint64_t emu_mma_kind(int m, int n, int k, int a, int b, int accumulate) {
  return uint64_t(m) | uint64_t(n) << 10 | uint64_t(k) << 20 | uint64_t(a) << 32 | uint64_t(b) << 36 |
         uint64_t(accumulate) << 40;
}

extern "C" {
emu_index emu_thread_index() __attribute__((const));
emu_index emu_block_index() __attribute__((const));
emu_index emu_block_shape() __attribute__((const));
emu_index emu_grid_shape() __attribute__((const));
unsigned emu_lane_index() __attribute__((const));
void* emu_dynamic_shared(unsigned alignment) __attribute__((const));
void* emu_static_shared(unsigned offset) __attribute__((const));
uint32_t emu_to_shared(const void* pointer);
void* emu_from_shared(uint32_t address) __attribute__((const));

// Collectives of one warp: every lane of the mask calls, the last one to arrive executes.
emu_pair emu_mma(uint64_t kind, uint64_t a01, uint64_t a23, uint64_t b01, uint64_t c01, uint64_t c23);
emu_pair emu_ldmatrix(unsigned count, unsigned transposed, uint32_t address);
void emu_stmatrix(unsigned count, unsigned transposed, uint32_t address, uint64_t low, uint64_t high);
// mode: 0 idx, 1 up, 2 down, 3 bfly; clamp as in PTX's operand c; the result's high word is the predicate.
uint64_t emu_shuffle(unsigned mode, uint32_t value, uint32_t operand, uint32_t clamp, uint32_t mask);
// mode: 0 all, 1 any, 2 uni, 3 ballot.
uint32_t emu_vote(unsigned mode, uint32_t predicate, uint32_t mask);
// mode: 0 add, 1 min.s32, 2 max.s32, 3 min.u32, 4 max.u32, 5 and, 6 or, 7 xor.
uint32_t emu_reduce(unsigned mode, uint32_t value, uint32_t mask);
uint32_t emu_match_any(uint64_t value, uint32_t mask);
uint64_t emu_elect(uint32_t mask);
uint32_t emu_active_mask();
void emu_sync_warp(uint32_t mask);
// count 0: all threads of the block. mode: 0 sync, 1 arrive; the result is that of bar.red's predicate operand.
void emu_barrier(unsigned mode, uint32_t id, uint32_t count);
uint32_t emu_barrier_reduce(unsigned mode, uint32_t id, uint32_t count, uint32_t predicate);

void emu_copy_async(uint32_t destination, const void* source, unsigned size, unsigned source_size);
void emu_copy_commit();
void emu_copy_wait(unsigned remaining);  // ~0u: everything, committed or not

// Accesses that instructions make by themselves (PTX ld / st / atom / red); ordering: 0 weak, 1 ordered (volatile,
// relaxed, acquire, release).
void emu_read(const void* pointer, unsigned size, unsigned ordered);
void emu_written(void* pointer, unsigned size, unsigned ordered);
void emu_atomic(void* pointer, unsigned size);
void emu_fence(unsigned scope);  // 0 block, 1 device and wider
void emu_prefetch(const void* pointer);
void emu_trap(const char* why) __attribute__((noreturn));
uint32_t emu_clock();

// Hopper: mbarriers, bulk copies, warpgroup matrix instructions, fences of the asynchronous proxy.
void emu_mbarrier_init(uint32_t address, uint32_t count);
void emu_mbarrier_inval(uint32_t address);
uint64_t emu_mbarrier_arrive(uint32_t address, uint32_t count, uint32_t bytes, unsigned releases, unsigned drop);
void emu_mbarrier_bytes(uint32_t address, uint32_t bytes, unsigned completes);
uint32_t emu_mbarrier_wait(uint32_t address, uint64_t wanted, unsigned blocking, unsigned acquires);
void emu_fence_mbarrier_init();
void emu_fence_async();
void emu_bulk_load(uint32_t shared, uint64_t global, uint32_t size, uint32_t barrier);
void emu_bulk_store(uint64_t global, uint32_t shared, uint32_t size);
void emu_tensor_load(uint32_t shared, uint64_t map, unsigned rank, const int32_t* coordinates, unsigned im2col,
                     const uint32_t* offsets, uint32_t barrier);
void emu_tensor_store(uint64_t map, unsigned rank, const int32_t* coordinates, uint32_t shared);
void emu_bulk_commit();
void emu_bulk_wait(unsigned remaining, unsigned reads_only);
// accumulators: pointers to the n / 2 registers; a: four registers' bits, or a descriptor in a[0] when shared_a.
void emu_wgmma(uint64_t kind, void* const* accumulators, unsigned shared_a, uint64_t a0, uint64_t a1, uint64_t b,
               unsigned scale_d, unsigned negate);
void emu_wgmma_fence();
void emu_wgmma_commit();
void emu_wgmma_wait(unsigned remaining);
void emu_set_registers(unsigned count);

}
