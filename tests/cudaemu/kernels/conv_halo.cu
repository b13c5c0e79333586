// 3 x 3 convolution with padding 1 of an 8 x 8 x 16 image, u8 x s8, for chips without cp.async: the halo tile is loaded once and
// im2col happens on shared-memory addresses; m8n8k16 per tap; requantized to s8, gathered in shared memory, stored 16 bytes wide.
#define uint unsigned int
#define uchar unsigned char
__forceinline__ __device__ void tvm_builtin_ptx_ldmatrix_x1(uint32_t& __r0, uint32_t __p) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(__r0) : "r"(__p) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_mma(uint32_t& __d0, uint32_t& __d1, uint32_t __a0, uint32_t __b0, uint32_t __c0, uint32_t __c1) {
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%4, %5};" : "=r"(__d0), "=r"(__d1) : "r"(__a0), "r"(__b0), "r"(__c0), "r"(__c1));
}
__forceinline__ __device__ unsigned int tvm_builtin_cuda_cvta_generic_to_shared(void* p) {
    return __cvta_generic_to_shared(p);
}
extern "C" __global__ void __launch_bounds__(64) main_kernel(uint* __restrict__ x_ptr, uint* __restrict__ w_ptr, uint* __restrict__ c_ptr, uint* __restrict__ y_ptr) {
  extern __shared__ __align__(64) uchar smem_ptr[];
  alignas(64) uint acc_ptr[4];
  alignas(64) uint a_ptr[1];
  alignas(64) uint b_ptr[1];
  int tx = ((int)threadIdx.x);
  int lane = (tx & 31);
  int warp = (tx >> 5);
  int first_row = (((int)blockIdx.x) * 4);
  if (tx < 60) {
    int row = (first_row + (tx / 10)) - 1;
    int column = (tx % 10) - 1;
    uint4 pixel = make_uint4(0u, 0u, 0u, 0u);
    if (((0 <= row) && (row < 8)) && ((0 <= column) && (column < 8))) {
      pixel = *(uint4*)(x_ptr + (((row * 8) + column) * 4));
    }
    *(uint4*)(smem_ptr + (tx * 16)) = pixel;
  }
  for (int i = 0; i < 2; ++i) {
    if (((i * 64) + tx) < 72) {
      *(uint4*)(smem_ptr + (960 + (((i * 64) + tx) * 16))) = *(uint4*)(w_ptr + (((i * 64) + tx) * 4));
    }
  }
  __syncthreads();
  for (int i = 0; i < 4; ++i) {
    acc_ptr[i] = c_ptr[8 + (((lane & 3) * 2) + (i & 1))];
  }
  for (int tap = 0; tap < 9; ++tap) {
    tvm_builtin_ptx_ldmatrix_x1(b_ptr[0], tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[(960 + (tap * 128)) + ((lane & 7) * 16)]))));
    for (int i = 0; i < 2; ++i) {
      tvm_builtin_ptx_ldmatrix_x1(a_ptr[0], tvm_builtin_cuda_cvta_generic_to_shared((&(smem_ptr[(((((warp * 2) + i) + (tap / 3)) * 10) + ((lane & 7) + (tap % 3))) * 16]))));
      tvm_builtin_ptx_mma(acc_ptr[i * 2], acc_ptr[(i * 2) + 1], a_ptr[0], b_ptr[0], acc_ptr[i * 2], acc_ptr[(i * 2) + 1]);
    }
  }
  __syncthreads();
  for (int i = 0; i < 4; ++i) {
    float scale = __uint_as_float(c_ptr[((lane & 3) * 2) + (i & 1)]);
    int value = __float2int_rn(((float)((int)acc_ptr[i])) * scale);
    ((signed char*)smem_ptr)[((((((warp * 2) + (i / 2)) * 8) + (lane >> 2)) * 8) + ((lane & 3) * 2)) + (i & 1)] = ((signed char)max(min(value, 127), -128));
  }
  __syncwarp();
  if (lane < 8) {
    *(uint4*)(y_ptr + ((((((int)blockIdx.x) * 64) + (warp * 32)) + (lane * 4)))) = *(uint4*)(smem_ptr + ((warp * 128) + (lane * 16)));
  }
}
