// Exchange within a warp, in the form in which TVM writes it: sums by shuffles, scans, ballots, votes, atomics; and the scalar
// instructions that packing uses. y[0:32] inclusive prefix sums of x, y[32:64] the warp's sum, y[64:96] ballot of odd values,
// y[96:128] dp4a of neighbours, y[128:160] prmt, y[160:192] lop3, y[192:224] cvt.pack to s8, y[224] atomic sum, y[225] maximum.
#define uint unsigned int
__forceinline__ __device__ void tvm_builtin_ptx_prmt(uint32_t& __d, uint32_t __a, uint32_t __b, uint32_t __c) {
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(__d) : "r"(__a), "r"(__b), "r"(__c));
}
__forceinline__ __device__ void tvm_builtin_ptx_lop3(uint32_t& __d, uint32_t __a, uint32_t __b, uint32_t __c) {
  asm("lop3.b32 %0, %1, %2, %3, 202;" : "=r"(__d) : "r"(__a), "r"(__b), "r"(__c));
}
__forceinline__ __device__ void tvm_builtin_ptx_cvt_pack(uint32_t& __d, int32_t __a, int32_t __b, uint32_t __c) {
  asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(__d) : "r"(__a), "r"(__b), "r"(__c));
}
__forceinline__ __device__ void tvm_builtin_ptx_shfl_sync_p(uint32_t& __d, uint32_t& __p, uint32_t __a, uint32_t __b, uint32_t __c, uint32_t __membermask) {
  asm volatile("{ .reg .pred pd0; shfl.sync.up.b32 %0|pd0, %2, %3, %4, %5; selp.b32 %1, 1, 0, pd0; }" : "=r"(__d), "=r"(__p) : "r"(__a), "r"(__b), "r"(__c), "r"(__membermask));
}
__forceinline__ __device__ void tvm_builtin_ptx_red(const void* __addr, uint32_t __a) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" :  : "l"(__addr), "r"(__a) : "memory");
}
__forceinline__ __device__ void tvm_builtin_ptx_ld(uint32_t& __d0, uint32_t& __d1, const void* __addr) {
  asm volatile("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(__d0), "=r"(__d1) : "l"(__addr) : "memory");
}
extern "C" __global__ void __launch_bounds__(32) main_kernel(uint* __restrict__ x_ptr, uint* __restrict__ y_ptr) {
  int tx = ((int)threadIdx.x);
  uint value = x_ptr[tx];
  uint scan = value;
  for (uint step = 1; step < 32; step *= 2) {
    uint below;
    uint inside;
    tvm_builtin_ptx_shfl_sync_p(below, inside, scan, step, 0u, 0xffffffffu);
    if (inside) {
      scan = scan + below;
    }
  }
  y_ptr[tx] = scan;
  uint sum = value;
  for (int step = 16; step > 0; step /= 2) {
    sum = sum + __shfl_xor_sync(0xffffffffu, sum, step, 32);
  }
  y_ptr[32 + tx] = sum;
  y_ptr[64 + tx] = __ballot_sync(0xffffffffu, (int)(value & 1u));
  uint pair[2];
  tvm_builtin_ptx_ld(pair[0], pair[1], (&(x_ptr[tx & 30])));
  y_ptr[96 + tx] = (uint)__dp4a((int)pair[0], (int)pair[1], tx);
  tvm_builtin_ptx_prmt(y_ptr[128 + tx], pair[0], pair[1], 0x5140u + (tx & 1) * 8);
  tvm_builtin_ptx_lop3(y_ptr[160 + tx], value, pair[0], pair[1]);
  tvm_builtin_ptx_cvt_pack(y_ptr[192 + tx], ((int)value) >> 20, ((int)value) >> 24, 0x1234u);
  tvm_builtin_ptx_red((&(y_ptr[224])), value);
  atomicMax((&(y_ptr[225])), value);
}
