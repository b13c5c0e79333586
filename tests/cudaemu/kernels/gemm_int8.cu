// y[M, N] = x[M, K] * w[N, K]^T, s8 x s8 -> s32, in the form in which TVM writes its kernels: 64 x 64 x 64 tiles, 2 x 2 warps,
// three stages of cp.async (rows beyond M are zero-filled), XOR-swizzled rows of 64 bytes, ldmatrix.x4, mma.m16n8k32.
#include <cstdint>
#include <cuda.h>
#define uint unsigned int
#define uchar unsigned char
#define M_SIZE 100
#define N_SIZE 128
#define K_SIZE 320
#define STAGES 3
__forceinline__ __device__ void tvm_builtin_ptx_ldmatrix_x4(uint32_t& __r0, uint32_t& __r1, uint32_t& __r2, uint32_t& __r3, uint32_t __p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(__r0), "=r"(__r1), "=r"(__r2), "=r"(__r3) : "r"(__p) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_mma(uint32_t& __d0, uint32_t& __d1, uint32_t& __d2, uint32_t& __d3, uint32_t __a0, uint32_t __a1, uint32_t __a2, uint32_t __a3, uint32_t __b0, uint32_t __b1, uint32_t __c0, uint32_t __c1, uint32_t __c2, uint32_t __c3) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};" : "=r"(__d0), "=r"(__d1), "=r"(__d2), "=r"(__d3) : "r"(__a0), "r"(__a1), "r"(__a2), "r"(__a3), "r"(__b0), "r"(__b1), "r"(__c0), "r"(__c1), "r"(__c2), "r"(__c3));
}
__forceinline__ __device__ void tvm_builtin_ptx_cp_async_src_size(uint32_t __dst_mem, const void* __src_mem, uint32_t __src_size) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :  : "r"(__dst_mem), "l"(__src_mem), "r"(__src_size) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_cp_async(uint32_t __dst_mem, const void* __src_mem) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :  : "r"(__dst_mem), "l"(__src_mem) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_commit() {
  asm volatile("cp.async.commit_group;" :  : );
}
__forceinline__ __device__ void tvm_builtin_ptx_wait_group_1() {
  asm volatile("cp.async.wait_group 1;" :  :  : "memory");
}
__forceinline__ __device__ unsigned int tvm_builtin_cuda_cvta_generic_to_shared(void* p) {
    return __cvta_generic_to_shared(p);
}
extern "C" __global__ void __launch_bounds__(128) main_kernel(uint* __restrict__ x_ptr, uint* __restrict__ w_ptr, uint* __restrict__ y_ptr);
extern "C" __global__ void __launch_bounds__(128) main_kernel(uint* __restrict__ x_ptr, uint* __restrict__ w_ptr, uint* __restrict__ y_ptr) {
  extern __shared__ __align__(64) uchar smem_ptr[];
  alignas(64) uint acc_ptr[32];
  alignas(64) uint a_ptr[8];
  alignas(64) uint b_ptr[8];
  int tx = ((int)threadIdx.x);
  int lane = (tx & 31);
  int warp_m = ((tx >> 5) & 1);
  int warp_n = (tx >> 6);
  int block_m = (((int)blockIdx.x) / 2) * 64;
  int block_n = (((int)blockIdx.x) % 2) * 64;
  for (int i = 0; i < 32; ++i) {
    acc_ptr[i] = (uint)0;
  }
  for (int k = 0; k < STAGES - 1; ++k) {
    for (int i = 0; i < 2; ++i) {
      int row = (i * 32) + (tx >> 2);
      int chunk = (tx & 3);
      int at = (row * 64) + ((chunk ^ ((row >> 1) & 3)) * 16);
      tvm_builtin_ptx_cp_async_src_size(tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[(k * 8192) + at]))), (&(x_ptr[(((block_m + row) < M_SIZE ? (block_m + row) : 0) * (K_SIZE / 4)) + (k * 16) + (chunk * 4)])), (((block_m + row) < M_SIZE) ? (uint)16 : (uint)0));
      tvm_builtin_ptx_cp_async(tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[(k * 8192) + 4096 + at]))), (&(w_ptr[((block_n + row) * (K_SIZE / 4)) + (k * 16) + (chunk * 4)])));
    }
    tvm_builtin_ptx_commit();
  }
  for (int k = 0; k < K_SIZE / 64; ++k) {
    tvm_builtin_ptx_wait_group_1();
    __syncthreads();
    if ((k + STAGES - 1) < (K_SIZE / 64)) {
      for (int i = 0; i < 2; ++i) {
        int row = (i * 32) + (tx >> 2);
        int chunk = (tx & 3);
        int at = (((k + STAGES - 1) % STAGES) * 8192) + (row * 64) + ((chunk ^ ((row >> 1) & 3)) * 16);
        tvm_builtin_ptx_cp_async_src_size(tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[at]))), (&(x_ptr[(((block_m + row) < M_SIZE ? (block_m + row) : 0) * (K_SIZE / 4)) + ((k + STAGES - 1) * 16) + (chunk * 4)])), (((block_m + row) < M_SIZE) ? (uint)16 : (uint)0));
        tvm_builtin_ptx_cp_async(tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[at + 4096]))), (&(w_ptr[((block_n + row) * (K_SIZE / 4)) + ((k + STAGES - 1) * 16) + (chunk * 4)])));
      }
    }
    tvm_builtin_ptx_commit();
    int stage = (k % STAGES) * 8192;
    for (int s = 0; s < 2; ++s) {
      for (int i = 0; i < 2; ++i) {
        int row = (warp_m * 32) + (i * 16) + (lane & 15);
        int chunk = (s * 2) + (lane >> 4);
        tvm_builtin_ptx_ldmatrix_x4(a_ptr[i * 4], a_ptr[i * 4 + 1], a_ptr[i * 4 + 2], a_ptr[i * 4 + 3], tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[stage + (row * 64) + ((chunk ^ ((row >> 1) & 3)) * 16)]))));
      }
      for (int j = 0; j < 2; ++j) {
        int row = (warp_n * 32) + (j * 16) + (lane & 7) + ((lane >> 4) * 8);
        int chunk = (s * 2) + ((lane >> 3) & 1);
        tvm_builtin_ptx_ldmatrix_x4(b_ptr[j * 4], b_ptr[j * 4 + 1], b_ptr[j * 4 + 2], b_ptr[j * 4 + 3], tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[stage + 4096 + (row * 64) + ((chunk ^ ((row >> 1) & 3)) * 16)]))));
      }
      for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 4; ++j) {
          int c = (i * 16) + (j * 4);
          tvm_builtin_ptx_mma(acc_ptr[c], acc_ptr[c + 1], acc_ptr[c + 2], acc_ptr[c + 3], a_ptr[i * 4], a_ptr[i * 4 + 1], a_ptr[i * 4 + 2], a_ptr[i * 4 + 3], b_ptr[j * 2], b_ptr[j * 2 + 1], acc_ptr[c], acc_ptr[c + 1], acc_ptr[c + 2], acc_ptr[c + 3]);
        }
      }
    }
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 4; ++j) {
      for (int h = 0; h < 2; ++h) {
        int row = block_m + (warp_m * 32) + (i * 16) + (h * 8) + (lane >> 2);
        int column = block_n + (warp_n * 32) + (j * 8) + ((lane & 3) * 2);
        if (row < M_SIZE) {
          *(uint2*)(y_ptr + ((row * N_SIZE) + column)) = make_uint2(acc_ptr[(i * 16) + (j * 4) + (h * 2)], acc_ptr[(i * 16) + (j * 4) + (h * 2) + 1]);
        }
      }
    }
  }
}
