// SPDX-License-Identifier: Apache-2.0
// Products of rows, of one step or of several, with a matrix: dh and dx of the dgates, and those of
// the projection.
#pragma once

#include "rows.h"
#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// out[r][0 .. columns) = sum over panels of dgates[r] x W, for one column block of kVectors vectors
// (the last of which may be partly used).
// dgates: row r of panel p at rows[r] + p * panel_stride, kPanelWidth elements; gates: those that
// are not zero.
template <class Real, int kRows, int kVectors, class Gates, class Ahead = NoFetch>
__attribute__((noinline)) void dgates_tile(const Gates& gates, const Real* const* rows,
                                           int64_t panel_stride, int64_t panels, const Real* w,
                                           Real* const* out, int columns, const Ahead& ahead = {}) {
  constexpr int V = kLanes<Real>;
  Vec<Real> acc[kRows][kVectors] = {};
  const Real* panel_rows[kRows];
  for (int64_t p = 0; p < panels; ++p) {
    const Real* w_panel = w + p * kPanelWidth<Real> * kVectors * V;
    if constexpr (std::is_same_v<Gates, AllGates>) {
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) panel_rows[r] = rows[r] + p * panel_stride;
      const auto fetch = [&](int64_t k) { ahead(p * kPanelWidth<Real> + k); };
      multiply<Real, kRows, kVectors, kVectors>(acc, w_panel, panel_rows, kPanelWidth<Real>,
                                                InOrder<Real>{}, fetch);
    } else {
      for (int n = 0; n < gates.count(); ++n) {
        const int64_t at = gates[n] * V;
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) panel_rows[r] = rows[r] + p * panel_stride + at;
        multiply<Real, kRows, kVectors, kVectors>(acc, w_panel + at * kVectors * V, panel_rows, V);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < kVectors - 1; ++n) store(out[r] + n * V, acc[r][n]);
    constexpr int kLast = (kVectors - 1) * V;
    store_first(out[r] + kLast, acc[r][kVectors - 1], columns - kLast);
  }
}

// The same for few columns: lanes are units, and the lanes of a sum are added at the end, in an
// order that is fixed. W: [column][panel][gate][V].
template <class Real, int kRows, int kColumns, class Gates>
__attribute__((noinline)) void narrow_tile(const Gates& gates, const Real* const* rows,
                                           int64_t panel_stride, int64_t panels, const Real* w,
                                           Real* const* out) {
  constexpr int V = kLanes<Real>;
  Vec<Real> acc[kRows][kColumns] = {};
  const auto add = [&](int64_t p, int64_t at) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Vec<Real> d = load(rows[r] + p * panel_stride + at);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) {
        acc[r][c] = fma(d, load(w + (c * panels + p) * kPanelWidth<Real> + at), acc[r][c]);
      }
    }
  };
  for (int64_t p = 0; p < panels; ++p) {
    if constexpr (std::is_same_v<Gates, AllGates>) {
      for (int64_t gate = 0; gate < kGates; ++gate) add(p, gate * V);
    } else {
      for (int n = 0; n < gates.count(); ++n) add(p, gates[n] * V);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) out[r][c] = sum_of_lanes<Real>(acc[r][c]);
  }
}

// Calls function(n, from, to) for tiles of n <= kMost rows, n a constant; from, to: where the rows
// lie.
template <class Real, int kMost, class In, class Out, class Function>
GATEWISE_INLINE void for_tiles_of_rows(const Shape& shape, const Rows& at, const In& in,
                                       const Out& out, Function&& function) {
  RowCursor row(shape, at.steps, at.rows);
  for_tiles<kMost>(RowCursor::count(shape, at.steps, at.rows), [&](int64_t, auto n) {
    constexpr int kRows = decltype(n)::value;
    const Real* from[kRows];
    Real* to[kRows];
    for (int k = 0; k < kRows; ++k, row.next()) {
      from[k] = in(row.step(), row.b());
      to[k] = out(row.step(), row.b());
    }
    function(n, from, to);
  });
}

// See `product`; for few columns, which are one block.
template <class Real, class Gates, class In, class Out>
void narrow_product(const Gates& gates, const Shape& shape, const Rows& at, const Real* packed,
                    int64_t panels, int64_t N, int64_t panel_stride, const In& in, const Out& out) {
  if constexpr (kNarrow<Real> > 0) {
    constexpr int kRows = 4;  // and as many chains for each column
    with_constant<kNarrow<Real>>(static_cast<int>(N), [&](auto n) {
      constexpr int kColumns = decltype(n)::value;
      for_tiles_of_rows<Real, kRows>(shape, at, in, out, [&](auto rows, auto& from, auto& to) {
        narrow_tile<Real, decltype(rows)::value, kColumns>(gates, from, panel_stride, panels,
                                                           packed, to);
      });
    });
  }
}

// out(step, row) = in(step, row) x W for some blocks of W's N columns. W is packed as by
// pack_backward, K elements long in panels of kPanelWidth; the panels of a row of `in` lie
// panel_stride apart.
// gates: see dgates_tile.
template <class Real, class Gates, class In, class Out>
void product(const Gates& gates, const Shape& shape, const Rows& at, const Real* packed,
             int64_t panels, int64_t N, Range blocks, int64_t panel_stride, In in, Out out) {
  constexpr int V = kLanes<Real>;
  constexpr int64_t W = kPanelWidth<Real>, kColumns = int64_t{kBlockVectors} * V;
  if (is_narrow<Real>(N)) {
    return narrow_product<Real>(gates, shape, at, packed, panels, N, panel_stride, in, out);
  }
  packed += blocks.first * panels * W * kColumns;
  const bool far = panels * W * N * static_cast<int64_t>(sizeof(Real)) > kCacheBytes;
  for (int64_t column = blocks.first * kColumns; column < std::min(N, blocks.end * kColumns);
       column += kColumns) {
    const int used = static_cast<int>(std::min(kColumns, N - column));
    with_constant<kBlockVectors>((used + V - 1) / V, [&](auto vectors) {
      constexpr int kVectors = decltype(vectors)::value;
      // As many rows as leave a register for each vector of W and for the broadcast.
      constexpr int kRows = std::min(12, (kRegisters - kVectors - 1) / kVectors);
      const Real* block = packed;
      packed += panels * W * kVectors * V;
      const bool last = column + kColumns >= std::min(N, blocks.end * kColumns);
      const Real* next = far && !last ? packed : nullptr;
      int64_t tile = 0;
      const auto to_column = [&](int64_t step, int64_t b) { return out(step, b) + column; };
      for_tiles_of_rows<Real, kRows>(shape, at, in, to_column, [&](auto n, auto& from, auto& to) {
        with_fetch<Real, kVectors>(next, panels * W, tile++, [&](const auto& ahead) {
          dgates_tile<Real, decltype(n)::value, kVectors>(gates, from, panel_stride, panels, block,
                                                          to, used, ahead);
        });
      });
    });
  }
}

// Blocks of columns of a product.
template <class Real>
constexpr int64_t column_blocks(int64_t columns) {
  constexpr int64_t kColumns = int64_t{kBlockVectors} * kLanes<Real>;
  return (columns + kColumns - 1) / kColumns;
}

}  // namespace gatewise::GATEWISE_ISA
