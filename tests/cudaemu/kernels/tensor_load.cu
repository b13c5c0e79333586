// One bulk tensor copy into shared memory, waited for by all threads and copied out. Names in @ are filled in by the test.
extern "C" __global__ void __launch_bounds__(32) main_kernel(const __grid_constant__ CUtensorMap x_map,
                                                             unsigned* y_ptr) {
  extern __shared__ __align__(1024) unsigned char smem_ptr[];
  unsigned tile = __cvta_generic_to_shared(smem_ptr), bar = __cvta_generic_to_shared(smem_ptr + @bytes@);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" : : "r"(bar), "r"(1) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" : : : "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" : : "r"(bar), "r"(@expected@) : "memory");
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.@mode@.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4, %5}], [%6]@offsets@;"
        : : "r"(tile), "l"(&x_map), "r"(@c@), "r"(@w@), "r"(@h@), "r"(@n@), "r"(bar) : "memory");
  }
  __syncthreads();
  asm volatile(
      "{\n.reg .pred P1;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
      "@P1 bra DONE;\nbra AGAIN;\nDONE:\n}" : : "r"(bar), "r"(0) : "memory");
  for (int i = threadIdx.x; i < @bytes@ / 4; i += 32) y_ptr[i] = ((unsigned*)smem_ptr)[i];
}
