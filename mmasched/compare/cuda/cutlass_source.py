"""CUDA C++ that instantiates CUTLASS's implicit-GEMM convolution for one tile: int8 or int4, NHWC, fused epilogue.

Template and parameter names: CUTLASS 2.x/3.x device API (cutlass/conv/device/implicit_gemm_convolution.h).  The
epilogue is CUTLASS's own linear combination with a clamp: one scale for all channels (see cutlass_peer).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Of a block (m, n, k), of a warp (m, n), and pipeline stages."""

    m: int
    n: int
    k: int
    warp_m: int
    warp_n: int
    stages: int

    def __str__(self) -> str:
        return f"{self.m}x{self.n}x{self.k}, warps {self.warp_m}x{self.warp_n}, stages {self.stages}"


# k in elements of 8 bits; of 4 bits twice as many.
TILES = (
    Tile(128, 128, 64, 64, 64, 3), Tile(128, 64, 64, 64, 32, 4), Tile(64, 64, 64, 32, 32, 5),
    Tile(128, 256, 64, 64, 64, 3), Tile(64, 128, 64, 32, 64, 4), Tile(256, 64, 64, 64, 32, 3),
)  # fmt: skip


def source(tile: Tile, bits: int, alignment: int) -> str:
    """A translation unit with `int convolve(...)`; 0 is success, else CUTLASS's status.

    bits: 8 or 4, of operands and output. alignment: elements of a vector load, of which channels are multiples.
    """
    element = {8: "int8_t", 4: "cutlass::int4b_t"}[bits]
    depth = tile.k * 8 // bits
    instruction = {8: 32, 4: 64}[bits]
    return f"""
#include <cutlass/cutlass.h>
#include <cutlass/conv/kernel/default_conv2d_fprop.h>
#include <cutlass/conv/device/implicit_gemm_convolution.h>
#include <cutlass/epilogue/thread/linear_combination_clamp.h>

using Element = {element};
using Epilogue = cutlass::epilogue::thread::LinearCombinationClamp<Element, 8, int32_t, float>;
using Kernel = typename cutlass::conv::kernel::DefaultConv2dFprop<
    Element, cutlass::layout::TensorNHWC, Element, cutlass::layout::TensorNHWC, Element, cutlass::layout::TensorNHWC,
    int32_t, cutlass::arch::OpClassTensorOp, cutlass::arch::Sm80,
    cutlass::gemm::GemmShape<{tile.m}, {tile.n}, {depth}>,
    cutlass::gemm::GemmShape<{tile.warp_m}, {tile.warp_n}, {depth}>,
    cutlass::gemm::GemmShape<16, 8, {instruction}>, Epilogue,
    cutlass::gemm::threadblock::GemmIdentityThreadblockSwizzle<4>, {tile.stages}, cutlass::arch::OpMultiplyAddSaturate,
    cutlass::conv::IteratorAlgorithm::kOptimized, cutlass::conv::StrideSupport::kStrided, {alignment}, {alignment}
  >::Kernel;
using Convolution = cutlass::conv::device::ImplicitGemmConvolution<Kernel>;

extern "C" int convolve(const int* p, void* x, void* w, void* c, void* y, float alpha, float beta, void* stream) {{
  // p: n h w c, k r s, pad top and left, stride h w, dilation h w, output h w
  cutlass::conv::Conv2dProblemSize size(
      cutlass::Tensor4DCoord(p[0], p[1], p[2], p[3]), cutlass::Tensor4DCoord(p[4], p[5], p[6], p[3]),
      cutlass::Tensor4DCoord(p[7], p[7], p[8], p[8]), cutlass::MatrixCoord(p[9], p[10]),
      cutlass::MatrixCoord(p[11], p[12]), cutlass::Tensor4DCoord(p[0], p[13], p[14], p[4]),
      cutlass::conv::Mode::kCrossCorrelation, 1);
  using Layout = cutlass::layout::TensorNHWC;
  const Layout input = Layout::packed(cutlass::Tensor4DCoord(p[0], p[1], p[2], p[3]));
  const Layout filter = Layout::packed(cutlass::Tensor4DCoord(p[4], p[5], p[6], p[3]));
  const Layout output = Layout::packed(cutlass::Tensor4DCoord(p[0], p[13], p[14], p[4]));
  typename Convolution::Arguments arguments(size, {{(Element*)x, input}}, {{(Element*)w, filter}},
                                            {{(Element*)c, output}}, {{(Element*)y, output}}, {{alpha, beta}});
  Convolution convolution;
  cutlass::Status status = convolution.can_implement(arguments);
  if (status == cutlass::Status::kSuccess) status = convolution.initialize(arguments, nullptr, (cudaStream_t)stream);
  if (status == cutlass::Status::kSuccess) status = convolution((cudaStream_t)stream);
  return (int)status;
}}
"""
