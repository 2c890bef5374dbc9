// SPDX-License-Identifier: Apache-2.0
// Weights in the order in which the kernels read them, and back.
//
// A panel is the V = kLanes hidden units that one vector holds. Forward, "panels":
//   weights [panel][k][gate][V], k over the I inputs and then the P of h; bias
//   [panel][gate][V]
// so that one register tile yields i, f, g and o of the same units. Backward, "column blocks":
//   [block of n vectors][panel][gate][V][n * V], the transposed operand of dgates x W; of few
//   columns [column][panel][gate][V], which is not transposed.
// Lanes past H and columns past N are zero, so tails need no special case in any inner loop.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "simd.h"

namespace gatewise::GATEWISE_ISA {

inline constexpr int kGates = 4;

template <class Real>
constexpr int64_t panel_count(int64_t H) {
  return (H + kLanes<Real> - 1) / kLanes<Real>;
}
// Elements that the four gates of one panel take.
template <class Real>
inline constexpr int64_t kPanelWidth = int64_t{kGates} * kLanes<Real>;

// Vectors per column block of the backward product.
inline constexpr int kBlockVectors = kRegisters == 32 ? 4 : 2;

// Columns are few where a column block would leave at least three quarters of its lanes unused.
template <class Real>
inline constexpr int kNarrow = kLanes<Real> / 4;
template <class Real>
constexpr bool is_narrow(int64_t columns) {
  return columns > 0 && columns <= kNarrow<Real>;
}

template <class Real>
constexpr int64_t padded(int64_t n) {
  return panel_count<Real>(n) * kLanes<Real>;
}

template <class Real>
constexpr int64_t in_whole_panels(int64_t n) {
  return (n + kPanelWidth<Real> - 1) / kPanelWidth<Real> * kPanelWidth<Real>;
}

// panel[k][gate][lane] = w[gate * H + first unit + lane][k] for `columns` columns k. Lanes past the
// last unit are set to zero.
template <class Real>
void transpose_into_panel(const Real* w, int64_t H, int64_t columns, int64_t panel, Real* out) {
  constexpr int V = kLanes<Real>;
  const int units = static_cast<int>(std::min<int64_t>(V, H - panel * V));
  for (int64_t from = 0; from < columns; from += V) {
    const int used = static_cast<int>(std::min<int64_t>(V, columns - from));
    for (int gate = 0; gate < kGates; ++gate) {
      const Real* unit = w + (gate * H + panel * V) * columns + from;
      Vec<Real> square[V] = {};
      for (int lane = 0; lane < units; ++lane) {
        square[lane] = load_first(unit + lane * columns, used);
      }
      transpose<Real>(square);
      Real* to = out + from * kPanelWidth<Real> + gate * V;
      for (int k = 0; k < used; ++k) store(to + k * kPanelWidth<Real>, square[k]);
    }
  }
}

// out: [panel][k][V] of w [count, H], zero past the last unit; and back.
template <class Real>
void pack_units(int64_t H, int64_t count, const Real* w, Real* out) {
  constexpr int V = kLanes<Real>;
  for (int64_t unit = 0; unit < H; unit += V) {
    const int n = static_cast<int>(std::min<int64_t>(V, H - unit));
    for (int64_t k = 0; k < count; ++k, out += V) store(out, load_first(w + k * H + unit, n));
  }
}
template <class Real>
void unpack_units(int64_t H, int64_t count, const Real* in, Real* w) {
  constexpr int V = kLanes<Real>;
  for (int64_t unit = 0; unit < H; unit += V) {
    const int n = static_cast<int>(std::min<int64_t>(V, H - unit));
    for (int64_t k = 0; k < count; ++k, in += V) store_first(w + k * H + unit, load(in), n);
  }
}

// The operand of a product (see product.h) with K rows and N columns, K in whole panels:
// element(k, column) of a matrix, zero where there is none.
template <class Real, class Element>
void pack_product(int64_t K, int64_t N, Real* out, Element&& element) {
  constexpr int64_t kColumns = int64_t{kBlockVectors} * kLanes<Real>;
  const bool narrow = is_narrow<Real>(N);
  const int64_t step = narrow ? 1 : kColumns;
  for (int64_t column = 0; column < N; column += step) {
    const int64_t width = narrow ? 1 : padded<Real>(std::min(kColumns, N - column));
    for (int64_t k = 0; k < in_whole_panels<Real>(K); ++k) {
      for (int64_t j = column; j < column + width; ++j) {
        *out++ = k < K && j < N ? element(k, j) : Real{0};
      }
    }
  }
}

// w_hr: [P, H].
template <class Real>
void pack_projection(const Shape& s, const Real* w_hr, Real* project, Real* unproject) {
  pack_product(s.H, s.P, project, [&](int64_t h, int64_t p) { return w_hr[p * s.H + h]; });
  pack_product(s.P, s.H, unproject, [&](int64_t p, int64_t h) { return w_hr[p * s.H + h]; });
}
// dproject: [H in whole W][P][W].
template <class Real>
void unpack_projection(const Shape& s, const Real* dproject, Real* dw_hr) {
  constexpr int64_t W = kPanelWidth<Real>;
  for (int64_t p = 0; p < s.P; ++p) {
    for (int64_t h = 0; h < s.H; ++h) {
      dw_hr[p * s.H + h] = dproject[(h / W * s.P + p) * W + h % W];
    }
  }
}

// The inverse of transpose_into_panel.
template <class Real>
void transpose_from_panel(const Real* in, int64_t H, int64_t columns, int64_t panel, Real* w) {
  constexpr int V = kLanes<Real>;
  const int units = static_cast<int>(std::min<int64_t>(V, H - panel * V));
  for (int64_t from = 0; from < columns; from += V) {
    const int used = static_cast<int>(std::min<int64_t>(V, columns - from));
    for (int gate = 0; gate < kGates; ++gate) {
      const Real* at = in + from * kPanelWidth<Real> + gate * V;
      Vec<Real> square[V] = {};
      for (int k = 0; k < used; ++k) square[k] = load(at + k * kPanelWidth<Real>);
      transpose<Real>(square);
      Real* unit = w + (gate * H + panel * V) * columns + from;
      for (int lane = 0; lane < units; ++lane) {
        store_first(unit + lane * columns, square[lane], used);
      }
    }
  }
}

// weights: panels * (I + P) * kPanelWidth elements; bias: panels * kPanelWidth.
template <class Real>
void pack_forward(const Shape& s, const Parameters<Real>& w, Real* weights, Real* bias) {
  constexpr int V = kLanes<Real>;
  for (int64_t p = 0; p < panel_count<Real>(s.H); ++p) {
    Real* panel = weights + p * (s.I + s.P) * kPanelWidth<Real>;
    transpose_into_panel(w.w_ih, s.H, s.I, p, panel);
    transpose_into_panel(w.w_hh, s.H, s.P, p, panel + s.I * kPanelWidth<Real>);
    for (int gate = 0; gate < kGates; ++gate) {
      for (int lane = 0; lane < V; ++lane) {
        const int64_t unit = p * V + lane, row = gate * s.H + unit;
        Real sum = 0;
        if (unit < s.H) sum = (w.b_ih ? w.b_ih[row] : 0) + (w.b_hh ? w.b_hh[row] : 0);
        bias[p * kPanelWidth<Real> + gate * V + lane] = sum;
      }
    }
  }
}

// out: at most panels * kPanelWidth * padded(N) elements, the blocks of the N columns that lie at
// panels[panel][first column ...] of pack_forward's weights, `columns` to a panel.
template <class Real>
void pack_backward(int64_t H, int64_t columns, int64_t first, int64_t N, const Real* panels,
                   Real* out) {
  constexpr int V = kLanes<Real>;
  constexpr int64_t W = kPanelWidth<Real>, kColumns = int64_t{kBlockVectors} * V;
  if (is_narrow<Real>(N)) {
    for (int64_t column = 0; column < N; ++column) {
      for (int64_t p = 0; p < panel_count<Real>(H); ++p, out += W) {
        std::copy_n(panels + (p * columns + first + column) * W, W, out);
      }
    }
    return;
  }
  for (int64_t column = 0; column < N; column += kColumns) {
    const int64_t width = padded<Real>(std::min(kColumns, N - column));
    for (int64_t p = 0; p < panel_count<Real>(H); ++p, out += W * width) {
      const Real* panel = panels + (p * columns + first + column) * W;
      for (int64_t from = 0; from < width; from += V) {
        const int used = static_cast<int>(std::min<int64_t>(V, N - column - from));
        for (int gate = 0; gate < kGates; ++gate) {
          Vec<Real> square[V] = {};
          for (int k = 0; k < used; ++k) {
            square[k] = load(panel + (from + k) * W + gate * V);
          }
          transpose<Real>(square);
          Real* to = out + gate * V * width + from;
          for (int lane = 0; lane < V; ++lane) store(to + lane * width, square[lane]);
        }
      }
    }
  }
}

// Puts the gradients of one panel back into PyTorch's layout.
// dw: [panels][K][gate][V], db: [panels][gate][V].
template <class Real>
void unpack_gradients(const Shape& s, int64_t panel, const Real* dw, const Real* db, Real* dw_ih,
                      Real* dw_hh, Real* db_out) {
  constexpr int V = kLanes<Real>;
  if (dw) {
    const Real* own = dw + panel * (s.I + s.P) * kPanelWidth<Real>;
    if (dw_ih) transpose_from_panel(own, s.H, s.I, panel, dw_ih);
    if (dw_hh) transpose_from_panel(own + s.I * kPanelWidth<Real>, s.H, s.P, panel, dw_hh);
  }
  if (!db_out) return;
  const int units = static_cast<int>(std::min<int64_t>(V, s.H - panel * V));
  for (int gate = 0; gate < kGates; ++gate) {
    store_first(db_out + gate * s.H + panel * V, load(db + panel * kPanelWidth<Real> + gate * V),
                units);
  }
}

}  // namespace gatewise::GATEWISE_ISA
