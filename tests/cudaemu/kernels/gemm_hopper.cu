// y[M, N] = x[M, K] * w[N, K]^T, s8 x s8 -> s32, in the form in which TVM writes Hopper kernels: a producer warpgroup whose elected
// thread loads tiles through tensor maps (128-byte swizzle, three stages, full and empty mbarriers), a consumer warpgroup with
// wgmma.m64n64k32, and a store through a tensor map. Rows beyond M are filled and clipped by the copy engine.
#define uint unsigned int
#define uchar unsigned char
#define K_SLICES 3
#define STAGES 2
__forceinline__ __device__ void tvm_builtin_ptx_mbarrier_init(uint32_t __addr, uint32_t __count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" :  : "r"(__addr), "r"(__count) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_arrive_expect_tx(uint32_t __addr, uint32_t __tx_count) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" :  : "r"(__addr), "r"(__tx_count) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_arrive(uint32_t __addr) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" :  : "r"(__addr) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_wait(uint32_t __addr, uint32_t __phase) {
  asm volatile("{\n.reg .pred P1;\nLAB_WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n@P1 bra DONE;\nbra LAB_WAIT;\nDONE:\n}" :  : "r"(__addr), "r"(__phase) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_tensor_load(uint32_t __dst_mem, const void* __tmap, int32_t __coords0, int32_t __coords1, uint32_t __mbar) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" :  : "r"(__dst_mem), "l"(__tmap), "r"(__coords0), "r"(__coords1), "r"(__mbar) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_tensor_store(const void* __tmap, int32_t __coords0, int32_t __coords1, uint32_t __src_mem) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" :  : "l"(__tmap), "r"(__coords0), "r"(__coords1), "r"(__src_mem) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_bulk_commit() {
  asm volatile("cp.async.bulk.commit_group;" :  : );
}
__forceinline__ __device__ void tvm_builtin_ptx_bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_wgmma_wait_0() {
  asm volatile("wgmma.wait_group.sync.aligned 0;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_setmaxnreg_dec() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 40;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_setmaxnreg_inc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;" :  :  : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_bar_sync(uint32_t __a, uint32_t __b) {
  asm volatile("bar.sync %0, %1;" :  : "r"(__a), "r"(__b) : "memory");
}
__forceinline__ __device__ uint32_t tvm_builtin_elect_one_sync() {
  uint32_t pred = 0;
  asm volatile(
    "{\n"
    ".reg .pred %%px;\n"
    "     elect.sync _|%%px, %1;\n"
    "@%%px mov.s32 %0, 1;\n"
    "}\n"
    : "+r"(pred)
    : "r"(0xFFFFFFFF));
  return pred;
}
__forceinline__ __device__ void tvm_builtin_ptx_wgmma(uint32_t& __d0, uint32_t& __d1, uint32_t& __d2, uint32_t& __d3, uint32_t& __d4, uint32_t& __d5, uint32_t& __d6, uint32_t& __d7, uint32_t& __d8, uint32_t& __d9, uint32_t& __d10, uint32_t& __d11, uint32_t& __d12, uint32_t& __d13, uint32_t& __d14, uint32_t& __d15, uint32_t& __d16, uint32_t& __d17, uint32_t& __d18, uint32_t& __d19, uint32_t& __d20, uint32_t& __d21, uint32_t& __d22, uint32_t& __d23, uint32_t& __d24, uint32_t& __d25, uint32_t& __d26, uint32_t& __d27, uint32_t& __d28, uint32_t& __d29, uint32_t& __d30, uint32_t& __d31, uint64_t __a_desc, uint64_t __b_desc, uint32_t __scale_d) {
  asm volatile("{ .reg .pred ps0; setp.ne.b32 ps0, %34, 0; wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, ps0; }" : "+r"(__d0), "+r"(__d1), "+r"(__d2), "+r"(__d3), "+r"(__d4), "+r"(__d5), "+r"(__d6), "+r"(__d7), "+r"(__d8), "+r"(__d9), "+r"(__d10), "+r"(__d11), "+r"(__d12), "+r"(__d13), "+r"(__d14), "+r"(__d15), "+r"(__d16), "+r"(__d17), "+r"(__d18), "+r"(__d19), "+r"(__d20), "+r"(__d21), "+r"(__d22), "+r"(__d23), "+r"(__d24), "+r"(__d25), "+r"(__d26), "+r"(__d27), "+r"(__d28), "+r"(__d29), "+r"(__d30), "+r"(__d31) : "l"(__a_desc), "l"(__b_desc), "r"(__scale_d));
}
__forceinline__ __device__ unsigned int tvm_builtin_cuda_cvta_generic_to_shared(void* p) {
    return __cvta_generic_to_shared(p);
}
extern "C" __global__ void __launch_bounds__(256) main_kernel(const __grid_constant__ CUtensorMap x_map, const __grid_constant__ CUtensorMap w_map, const __grid_constant__ CUtensorMap y_map) {
  extern __shared__ __align__(64) uchar smem_ptr[];
  alignas(64) uint acc_ptr[32];
  int tx = ((int)threadIdx.x);
  int block_m = (((int)blockIdx.x) / 2) * 64;
  int block_n = (((int)blockIdx.x) % 2) * 64;
  uint base = tvm_builtin_cuda_cvta_generic_to_shared(smem_ptr);
  base = (base + 1023u) & ~1023u;
  uint out = base + (STAGES * 16384);
  uint full = out + 16384;
  uint empty = full + (STAGES * 8);
  if (tx == 0) {
    for (int s = 0; s < STAGES; ++s) {
      tvm_builtin_ptx_mbarrier_init(full + (s * 8), 1u);
      tvm_builtin_ptx_mbarrier_init(empty + (s * 8), 4u);
    }
    tvm_builtin_ptx_fence_mbarrier_init();
  }
  __syncthreads();
  if (tx < 128) {
    tvm_builtin_ptx_setmaxnreg_dec();
    if (tx < 32) {
      if (tvm_builtin_elect_one_sync()) {
        for (int k = 0; k < K_SLICES; ++k) {
          int stage = k % STAGES;
          tvm_builtin_ptx_wait(empty + (stage * 8), (uint)(((k / STAGES) & 1) ^ 1));
          tvm_builtin_ptx_arrive_expect_tx(full + (stage * 8), 16384u);
          tvm_builtin_ptx_tensor_load(base + (stage * 16384), (&(x_map)), k * 128, block_m, full + (stage * 8));
          tvm_builtin_ptx_tensor_load(base + (stage * 16384) + 8192, (&(w_map)), k * 128, block_n, full + (stage * 8));
        }
      }
    }
  } else {
    tvm_builtin_ptx_setmaxnreg_inc();
    int lane = (tx & 31);
    int warp = ((tx - 128) >> 5);
    for (int k = 0; k < K_SLICES; ++k) {
      int stage = k % STAGES;
      tvm_builtin_ptx_wait(full + (stage * 8), (uint)((k / STAGES) & 1));
      uint64_t a_desc = (((uint64_t)1 << 62) | ((uint64_t)64 << 32) | ((uint64_t)1 << 16)) | (uint64_t)((base + (stage * 16384)) >> 4);
      uint64_t b_desc = (((uint64_t)1 << 62) | ((uint64_t)64 << 32) | ((uint64_t)1 << 16)) | (uint64_t)((base + (stage * 16384) + 8192) >> 4);
      tvm_builtin_ptx_wgmma_fence();
      for (int s = 0; s < 4; ++s) {
        tvm_builtin_ptx_wgmma(acc_ptr[0], acc_ptr[1], acc_ptr[2], acc_ptr[3], acc_ptr[4], acc_ptr[5], acc_ptr[6], acc_ptr[7], acc_ptr[8], acc_ptr[9], acc_ptr[10], acc_ptr[11], acc_ptr[12], acc_ptr[13], acc_ptr[14], acc_ptr[15], acc_ptr[16], acc_ptr[17], acc_ptr[18], acc_ptr[19], acc_ptr[20], acc_ptr[21], acc_ptr[22], acc_ptr[23], acc_ptr[24], acc_ptr[25], acc_ptr[26], acc_ptr[27], acc_ptr[28], acc_ptr[29], acc_ptr[30], acc_ptr[31], a_desc + (s * 2), b_desc + (s * 2), (uint)((k + s) > 0));
      }
      tvm_builtin_ptx_wgmma_commit();
      tvm_builtin_ptx_wgmma_wait_0();
      if (lane == 0) {
        tvm_builtin_ptx_arrive(empty + (stage * 8));
      }
    }
    for (int i = 0; i < 32; ++i) {
      int row = (warp * 16) + ((i & 2) * 4) + (lane >> 2);
      int column = ((i >> 2) * 8) + ((lane & 3) * 2) + (i & 1);
      *(uint*)(smem_ptr + ((out - tvm_builtin_cuda_cvta_generic_to_shared(smem_ptr)) + (((row * 64) + column) * 4))) = acc_ptr[i];
    }
    tvm_builtin_ptx_fence_proxy_async();
    tvm_builtin_ptx_bar_sync(1u, 128u);
    if (warp == 0) {
      if (tvm_builtin_elect_one_sync()) {
        tvm_builtin_ptx_tensor_store((&(y_map)), block_n, block_m, out);
        tvm_builtin_ptx_bulk_commit();
        tvm_builtin_ptx_bulk_wait_read();
      }
    }
  }
}
