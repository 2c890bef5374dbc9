// SPDX-License-Identifier: Apache-2.0
// Register tiles: the inner products, each with its accumulators in registers.
//
// Every accumulator adds its terms in ascending k in one chain, whatever the tile's size: this is
// why the bits do not depend on how rows are grouped into tiles, blocks or threads.
#pragma once

#include "bfloat16.h"
#include "fetch.h"

namespace gatewise::GATEWISE_ISA {

// Rows of a full tile: 6 x 4 accumulators fill 32 registers, 6 x 2 fill 16.
inline constexpr int kTileRows = 6;

// Calls function(std::integral_constant<int, n>) for a run-time n in 1 .. kMax.
template <int kMax, class Function>
GATEWISE_INLINE void with_constant(int n, Function&& function) {
  if constexpr (kMax > 1) {
    if (n < kMax) return with_constant<kMax - 1>(n, static_cast<Function&&>(function));
  }
  function(std::integral_constant<int, kMax>{});
}

// Which gates a product computes, in ascending order: of the default cell all, which the compiler
// knows; else those whose weights are used. A gate that is 1, or 1 - i, costs nothing.
struct AllGates {
  AllGates() = default;
  explicit AllGates(const Cell&) {}
};
class SomeGates {
 public:
  explicit SomeGates(const Cell& cell) {
    const auto used = cell.used_gates();
    for (int gate = 0; gate < kGates; ++gate) {
      if (used[static_cast<size_t>(gate)]) gates_[count_++] = gate;
    }
  }
  int count() const { return count_; }
  int64_t operator[](int n) const { return gates_[n]; }

 private:
  int count_ = 0;
  int64_t gates_[kGates] = {};
};

// Calls function with these gates, as AllGates if that is what they are.
template <class Function>
GATEWISE_INLINE void with_gates(const SomeGates& gates, Function&& function) {
  if (gates.count() == kGates) {
    function(AllGates{});
  } else {
    function(gates);
  }
}

template <class Function>
GATEWISE_INLINE void with_gates(const AllGates& gates, Function&& function) {
  function(gates);
}

// Where the vectors of some gates lie in a row of all: one after the other, or here and there.
template <class Real>
struct InOrder {
  int64_t first = 0;
  int64_t operator[](int n) const { return first + int64_t{n} * kLanes<Real>; }
};
template <class Real, int kVectors>
struct Picked {
  int64_t at[kVectors];
  Picked(const SomeGates& gates, int first) {
    for (int n = 0; n < kVectors; ++n) at[n] = gates[first + n] * kLanes<Real>;
  }
  int64_t operator[](int n) const { return at[n]; }
};

// Calls function(std::integral_constant<int, n>, places) for as many gates n <= kPass at a time.
template <class Real, int kPass, class Function>
GATEWISE_INLINE void for_gates(AllGates, Function&& function) {
#pragma GCC unroll 1
  for (int gate = 0; gate < kGates; gate += kPass) {
    function(std::integral_constant<int, kPass>{}, InOrder<Real>{int64_t{gate} * kLanes<Real>});
  }
}
template <class Real, int kPass, class Function>
GATEWISE_INLINE void for_gates(const SomeGates& gates, Function&& function) {
  for (int first = 0; first < gates.count(); first += kPass) {
    with_constant<kPass>(std::min(kPass, gates.count() - first), [&](auto n) {
      function(n, Picked<Real, decltype(n)::value>(gates, first));
    });
  }
}

// acc[r][n] += sum over k < K of row[r][k] * w[k][place[n]], w with kStride vectors per k.
template <class Real, int kRows, int kVectors, int kStride, class Places = InOrder<Real>,
          class Ahead = NoFetch>
GATEWISE_INLINE void multiply(Vec<Real> (&acc)[kRows][kVectors], const Real* w,
                              const Real* const* rows, int64_t K, const Places& place = {},
                              const Ahead& ahead = {}) {
  constexpr int V = kLanes<Real>;
  const Real* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) row[r] = rows[r];
#pragma GCC unroll 2
  for (int64_t k = 0; k < K; ++k, w += kStride * V) {
    Vec<Real> wk[kVectors];
#pragma GCC unroll 8
    for (int n = 0; n < kVectors; ++n) wk[n] = load(w + place[n]);
    ahead(k);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec<Real> a = splat(row[r][k]);
#pragma GCC unroll 8
      for (int n = 0; n < kVectors; ++n) acc[r][n] = fma(a, wk[n], acc[r][n]);
    }
  }
}

// The same with two columns to a word of w, the second one first as in dot.h.
template <class Real, int kRows, int kVectors, int kStride>
GATEWISE_INLINE void multiply(VecF (&acc)[kRows][kVectors], const Bfloat16Pair* w,
                              const float* const* rows, int64_t K) {
  constexpr int V = kLanes<float>;
  const float* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) row[r] = rows[r];
  const auto add = [&](int64_t k, const VecF(&wk)[kVectors]) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const VecF a = splat(row[r][k]);
#pragma GCC unroll 8
      for (int n = 0; n < kVectors; ++n) acc[r][n] = fma(a, wk[n], acc[r][n]);
    }
  };
  for (int64_t k = 0; k < K; k += 2, w += kStride * V) {
    VecF wk[kVectors];
    if (k + 1 < K) {
#pragma GCC unroll 8
      for (int n = 0; n < kVectors; ++n) wk[n] = second_of(load_pairs(w + n * V));
      add(k + 1, wk);
    }
#pragma GCC unroll 8
    for (int n = 0; n < kVectors; ++n) wk[n] = first_of(load_pairs(w + n * V));
    add(k, wk);
  }
}

// Gates that fit the registers in one pass over k, for a tile of so many rows (or panels).
constexpr int gates_per_pass(int rows) { return rows * 4 + 5 <= kRegisters ? 4 : 2; }

// The gates before their nonlinearity, for kRows rows of one panel:
//   out[r][gate] = init[r][gate] + x[r] W_x + h[r] W_h
// init: one vector of four gates per row, init_stride apart (the bias, or a projection done ahead),
// and all that there is of gates that are not computed. One function for all cells, and not
// inlined: there are many cells, and a tile is long. ahead: of the default cell in full precision.
template <class Real, class Weight, int kRows, class Gates, class Ahead = NoFetch>
__attribute__((noinline)) void gates_tile(const Gates& gates, const Real* first_init,
                                          int64_t init_stride, const Weight* w,
                                          const Real* const* x, int64_t I, const Real* const* h,
                                          int64_t H, Vec<Real> (*out)[kGates],
                                          const Ahead& ahead = {}) {
  constexpr int V = kLanes<Real>;
  const Real* init[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) init[r] = first_init + r * init_stride;
  if constexpr (!std::is_same_v<Gates, AllGates>) {
    for (int r = 0; r < kRows; ++r) {
      for (int gate = 0; gate < kGates; ++gate) out[r][gate] = load(init[r] + gate * V);
    }
  }
  for_gates<Real, gates_per_pass(kRows)>(
      gates, [&](auto count, const auto& place) __attribute__((always_inline)) {
        constexpr int kPass = decltype(count)::value;
        Vec<Real> acc[kRows][kPass];
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
          for (int n = 0; n < kPass; ++n) acc[r][n] = load(init[r] + place[n]);
        }
        const Weight* w_h = w + words<Weight>(I) * kPanelWidth<Real>;
        if constexpr (std::is_same_v<Ahead, Fetch>) {
          const Fetch later{ahead.from + I * Fetch::kBytes};
          multiply<Real, kRows, kPass, kGates>(acc, w + place[0], x, I, InOrder<Real>{}, ahead);
          multiply<Real, kRows, kPass, kGates>(acc, w_h + place[0], h, H, InOrder<Real>{}, later);
        } else if constexpr (std::is_same_v<Gates, AllGates>) {
          multiply<Real, kRows, kPass, kGates>(acc, w + place[0], x, I);
          multiply<Real, kRows, kPass, kGates>(acc, w_h + place[0], h, H);
        } else {
          multiply<Real, kRows, kPass, kGates>(acc, w, x, I, place);
          multiply<Real, kRows, kPass, kGates>(acc, w_h, h, H, place);
        }
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
          for (int n = 0; n < kPass; ++n) out[r][place[n] / V] = acc[r][n];
        }
      });
}

// acc[p][n] += sum over k of row[k] * w[p][k][place[n]], for two panels that lie w_stride apart.
template <class Real, int kVectors, class Places = InOrder<Real>>
GATEWISE_INLINE void multiply_pair(Vec<Real> (&acc)[2][kVectors], const Real* w, int64_t w_stride,
                                   const Real* row, int64_t K, const Places& place = {}) {
#pragma GCC unroll 2
  for (int64_t k = 0; k < K; ++k, w += kPanelWidth<Real>) {
    const Vec<Real> a = splat(row[k]);
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) {
        acc[p][n] = fma(a, load(w + p * w_stride + place[n]), acc[p][n]);
      }
    }
  }
}
GATEWISE_INLINE void multiply_pair(VecF (&acc)[2][kGates], const Bfloat16Pair* w, int64_t w_stride,
                                   const float* row, int64_t K) {
  constexpr int V = kLanes<float>;
  for (int64_t k = 0; k < K; k += 2, w += kPanelWidth<float>) {
    const VecF first = splat(row[k]), second = splat(k + 1 < K ? row[k + 1] : 0.0f);
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
#pragma GCC unroll 4
      for (int n = 0; n < kGates; ++n) {
        const BitVec<float> pair = load_pairs(w + p * w_stride + n * V);
        if (k + 1 < K) acc[p][n] = fma(second, second_of(pair), acc[p][n]);
        acc[p][n] = fma(first, first_of(pair), acc[p][n]);
      }
    }
  }
}

// One row, two panels at once: enough independent chains to hide the latency of fma.
// w, init: of the first panel; the second lies w_stride and kPanelWidth further.
template <class Real, class Weight, class Gates>
__attribute__((noinline)) void gates_pair(const Gates& gates, const Real* init, const Weight* w,
                                          int64_t w_stride, const Real* x, int64_t I, const Real* h,
                                          int64_t H, Vec<Real> (&out)[2][kGates]) {
  constexpr int V = kLanes<Real>;
  if constexpr (!std::is_same_v<Gates, AllGates>) {
    for (int p = 0; p < 2; ++p) {
      for (int gate = 0; gate < kGates; ++gate) {
        out[p][gate] = load(init + p * kPanelWidth<Real> + gate * V);
      }
    }
  }
  for_gates<Real, kGates>(gates, [&](auto count, const auto& place) __attribute__((always_inline)) {
    constexpr int kPass = decltype(count)::value;
    Vec<Real> acc[2][kPass];
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
#pragma GCC unroll 4
      for (int n = 0; n < kPass; ++n) acc[p][n] = load(init + p * kPanelWidth<Real> + place[n]);
    }
    const Weight* w_h = w + words<Weight>(I) * kPanelWidth<Real>;
    if constexpr (std::is_same_v<Gates, AllGates>) {
      multiply_pair(acc, w, w_stride, x, I);
      multiply_pair(acc, w_h, w_stride, h, H);
    } else {
      multiply_pair(acc, w, w_stride, x, I, place);
      multiply_pair(acc, w_h, w_stride, h, H, place);
    }
#pragma GCC unroll 2
    for (int p = 0; p < 2; ++p) {
#pragma GCC unroll 4
      for (int n = 0; n < kPass; ++n) out[p][place[n] / V] = acc[p][n];
    }
  });
}

// What some steps add to dW, from the last of them on: rows of a's columns and of dgates, and how
// far a row or a step is from the next one.
template <class Real>
struct Operands {
  const Real *a, *dgates;
  int64_t rows, a_row, dgates_row;
  int64_t steps, a_step, dgates_step;
};

// Calls function for each group of `size` steps that starts at a multiple of it, from the last.
// What adds up over steps is summed apart for each: one long float32 sum would lose digits.
template <class Function>
GATEWISE_INLINE void for_groups(Range steps, int64_t size, Function&& function) {
  for (int64_t end = steps.end; end > steps.first;) {
    const int64_t first = std::max(steps.first, (end - 1) / size * size);
    function(Range{first, end});
    end = first;
  }
}

// dw[c][gate][V] += sum over steps (from the last to the first) and rows of a[row][c] *
// dgates[row][gate][V], for kColumns columns c of a and one panel. for_operands: calls a function
// with one `Operands` after the other.
template <class Real, int kColumns, class Gates, class ForOperands>
GATEWISE_INLINE void weight_gradient_tile(const Gates& gates, Real* dw,
                                          ForOperands&& for_operands) {
  for_gates<Real, gates_per_pass(kColumns)>(
      gates, [&](auto count, const auto& place) __attribute__((always_inline)) {
        constexpr int kPass = decltype(count)::value;
        Vec<Real> acc[kColumns][kPass] = {};
        for_operands([&](const Operands<Real>& at) __attribute__((always_inline)) {
          const Real *d_step = at.dgates, *a_step = at.a;
          for (int64_t step = 0; step < at.steps; ++step) {
            const Real *d = d_step, *ar = a_step;
            for (int64_t r = 0; r < at.rows; ++r, d += at.dgates_row, ar += at.a_row) {
              Vec<Real> dn[kPass];
#pragma GCC unroll 4
              for (int n = 0; n < kPass; ++n) dn[n] = load(d + place[n]);
#pragma GCC unroll 16
              for (int c = 0; c < kColumns; ++c) {
                const Vec<Real> ac = splat(ar[c]);
#pragma GCC unroll 4
                for (int n = 0; n < kPass; ++n) acc[c][n] = fma(ac, dn[n], acc[c][n]);
              }
            }
            d_step += at.dgates_step, a_step += at.a_step;
          }
        });
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 4
          for (int n = 0; n < kPass; ++n) {
            Real* to = dw + c * kPanelWidth<Real> + place[n];
            store(to, load(to) + acc[c][n]);
          }
        }
      });
}

// Splits n rows evenly into tiles of at most kTile (6,6,5,5 rather than 6,6,6,4) and calls
// function(first, constant rows) for each.
template <int kTile, class Function>
GATEWISE_INLINE void for_tiles(int64_t n, Function&& function) {
  const int64_t tiles = (n + kTile - 1) / kTile;
  for (int64_t tile = 0, first = 0; tile < tiles; ++tile) {
    const int64_t end = n * (tile + 1) / tiles;
    with_constant<kTile>(static_cast<int>(end - first), [&](auto rows) { function(first, rows); });
    first = end;
  }
}

}  // namespace gatewise::GATEWISE_ISA
