// CUDA C++'s warp matrix functions for 8-bit integers ("Warp matrix functions" of the CUDA C++ programming guide).
//
// Which lane holds which element is unspecified there, so that here each lane holds what its own part of the result
// needs: eight neighbouring elements of one row of D, that row of A, those eight columns of B. No lane asks another.
#pragma once

namespace nvcuda { namespace wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <class T> inline constexpr bool is_byte = std::is_same_v<T, signed char> || std::is_same_v<T, unsigned char>;

template <class Use, int m, int n, int k, class T, class Layout = void> struct fragment;
template <int m, int n, int k, class T, class Layout> struct fragment<matrix_a, m, n, k, T, Layout> {
  static_assert(is_byte<T>, "WMMA is emulated for 8-bit integers alone");
  T held[k];
};
template <int m, int n, int k, class T, class Layout> struct fragment<matrix_b, m, n, k, T, Layout> {
  static_assert(is_byte<T>, "WMMA is emulated for 8-bit integers alone");
  T held[k][8];
};
template <int m, int n, int k> struct fragment<accumulator, m, n, k, int> {
  enum { num_elements = 8 };
  int x[8];
};

template <int n> static inline unsigned emu_wmma_row() { return emu_lane_index() * 8 / n; }
template <int n> static inline unsigned emu_wmma_column() { return emu_lane_index() * 8 % n; }
// Rows and columns start on multiples of a lane's part of the matrix (PTX ISA manual, "Matrix Storage for WMMA"); the
// programming guide asks for 32 bytes whatever the type, to which TVM does not keep.
template <unsigned part, class T> static inline void emu_wmma_address(const T* pointer, unsigned stride) {
  emu_sync_warp(~0u);
  if (reinterpret_cast<uintptr_t>(pointer) % part) emu_trap("a matrix of WMMA starts where it may not");
  if (stride * sizeof(T) % part) emu_trap("rows of a matrix of WMMA start where they may not");
}

template <int m, int n, int k, class T, class Layout>
static inline void load_matrix_sync(fragment<matrix_a, m, n, k, T, Layout>& a, const T* from, unsigned stride) {
  emu_wmma_address<m * k / 32>(from, stride);
  constexpr bool rows = std::is_same_v<Layout, row_major>;
  unsigned row = emu_wmma_row<n>();
  for (unsigned i = 0; i < k; i++) a.held[i] = from[rows ? row * stride + i : i * stride + row];
}
template <int m, int n, int k, class T, class Layout>
static inline void load_matrix_sync(fragment<matrix_b, m, n, k, T, Layout>& b, const T* from, unsigned stride) {
  emu_wmma_address<n * k / 32>(from, stride);
  constexpr bool rows = std::is_same_v<Layout, row_major>;
  for (unsigned i = 0; i < k; i++)
    for (unsigned j = 0; j < 8; j++) {
      unsigned column = emu_wmma_column<n>() + j;
      b.held[i][j] = from[rows ? i * stride + column : column * stride + i];
    }
}
template <int m, int n, int k>
static inline void load_matrix_sync(fragment<accumulator, m, n, k, int>& c, const int* from, unsigned stride,
                                    layout_t layout) {
  emu_wmma_address<m * n / 8>(from, stride);
  for (unsigned j = 0; j < 8; j++) {
    unsigned row = emu_wmma_row<n>(), column = emu_wmma_column<n>() + j;
    c.x[j] = from[layout == mem_row_major ? row * stride + column : column * stride + row];
  }
}
template <int m, int n, int k>
static inline void store_matrix_sync(int* to, const fragment<accumulator, m, n, k, int>& c, unsigned stride,
                                     layout_t layout) {
  emu_wmma_address<m * n / 8>(to, stride);
  for (unsigned j = 0; j < 8; j++) {
    unsigned row = emu_wmma_row<n>(), column = emu_wmma_column<n>() + j;
    to[layout == mem_row_major ? row * stride + column : column * stride + row] = c.x[j];
  }
}
template <int m, int n, int k> static inline void fill_fragment(fragment<accumulator, m, n, k, int>& c, int value) {
  for (unsigned j = 0; j < 8; j++) c.x[j] = value;
}
// Without satf: sums wrap.
template <int m, int n, int k, class T, class LayoutA, class LayoutB>
static inline void mma_sync(fragment<accumulator, m, n, k, int>& d, const fragment<matrix_a, m, n, k, T, LayoutA>& a,
                            const fragment<matrix_b, m, n, k, T, LayoutB>& b,
                            const fragment<accumulator, m, n, k, int>& c) {
  static_assert(m * n == 256 && k == 16 && (m == 8 || m == 16 || m == 32), "no shape of WMMA for 8-bit integers");
  emu_sync_warp(~0u);
  for (unsigned j = 0; j < 8; j++) {
    unsigned sum = unsigned(c.x[j]);
    for (unsigned i = 0; i < k; i++) sum += unsigned(int(a.held[i]) * int(b.held[i][j]));
    d.x[j] = int(sum);
  }
}

}}  // namespace nvcuda::wmma
