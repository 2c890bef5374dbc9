// The pointwise part of a step, for the rows of a tile: from the gates before their nonlinearity to
// c and h. The default cell is compiled for itself, and that with peepholes; for any other the
// activation is chosen once per tile and site, outside of the loop over rows.
#pragma once

#include "activations.h"
#include "bfloat16.h"

namespace gatewise::GATEWISE_ISA {

// Where the pointwise part of one row reads and writes.
template <class Real>
struct CellRow {
  const Real* c_prev;
  Real* c;
  Real* y;
  Real* gates;      // tape, or null
  const Real* see;  // peephole weights [i, f, o][V], or null
};

// In two passes over the rows of a tile (gates and c; then tanh c and h), so that the chains of
// dependent operations are short and several rows are in flight. pre holds the gates before the
// nonlinearity; its fourth vector passes o from one pass to the next.
// kRound: h is rounded to bfloat16. kSee: the gates see c through peepholes.
template <class Real, int kRows, bool kSave, bool kRound, bool kSee>
GATEWISE_INLINE void cell_rows(Vec<Real> (&pre)[kRows][kGates], const CellRow<Real> (&rows)[kRows],
                               int units) {
  constexpr int V = kLanes<Real>;
  asm volatile("" ::: "memory");  // keeps the tile in memory: unrolling it all would spill
#pragma GCC unroll 1
  for (int r = 0; r < kRows; ++r) {
    Vec<Real>* a = pre[r];
    const Vec<Real> c_prev = load(rows[r].c_prev);
    Vec<Real> before_i = a[0], before_f = a[1], o = a[3];
    if constexpr (kSee) {
      before_i = fma(load(rows[r].see), c_prev, before_i);
      before_f = fma(load(rows[r].see + V), c_prev, before_f);
    }
    const Vec<Real> i = sigmoid<Real>(before_i), f = sigmoid<Real>(before_f), g = tanh<Real>(a[2]);
    const Vec<Real> c = fma(f, c_prev, i * g);
    if constexpr (kSee) o = fma(load(rows[r].see + 2 * V), c, o);
    o = sigmoid<Real>(o);
    if constexpr (kSave) {
      store(rows[r].gates, i);
      store(rows[r].gates + V, f);
      store(rows[r].gates + 2 * V, g);
      store(rows[r].gates + 3 * V, o);
    }
    a[3] = o;
    store(rows[r].c, c);
  }
#pragma GCC unroll 1
  for (int r = 0; r < kRows; ++r) {
    Vec<Real> h = pre[r][3] * tanh<Real>(load(rows[r].c));
    if constexpr (kRound) h = round_to_bfloat16(h);
    store_first(rows[r].y, h, units);
  }
}

// The activation in place, of n vectors that lie kStride vectors apart.
template <class Real, int kStride>
__attribute__((noinline)) void apply(Activation activation, Vec<Real>* x, int n) {
  const auto each = [&](auto&& function) __attribute__((always_inline)) {
#pragma GCC unroll 1
    for (int k = 0; k < n; ++k) x[k * kStride] = function(x[k * kStride]);
  };
  switch (activation) {
    case Activation::kSigmoid:
      return each([](Vec<Real> v) { return sigmoid<Real>(v); });
    case Activation::kTanh:
      return each([](Vec<Real> v) { return tanh<Real>(v); });
    case Activation::kHardSigmoid:
      return each([](Vec<Real> v) { return hard_sigmoid<Real>(v); });
    case Activation::kHardTanh:
      return each([](Vec<Real> v) { return at_most(at_least(v, Real{-1}), Real{1}); });
    case Activation::kRelu:
      return each([](Vec<Real> v) { return at_least(v, Real{0}); });
    case Activation::kSoftsign:
      return each([](Vec<Real> v) { return softsign<Real>(v); });
    case Activation::kIdentity:
      return;
    case Activation::kOne:
      return each([](Vec<Real>) { return splat(Real{1}); });
  }
}

// The gradient of x from d, that of y = activation(x): all of the table can tell the slope from y
// alone. Where it is 0, so is the gradient, whatever d holds.
template <class Real>
GATEWISE_INLINE Vec<Real> before(Activation activation, Vec<Real> y, Vec<Real> d) {
  const Vec<Real> one = splat(Real{1}), none = splat(Real{0});
  switch (activation) {
    case Activation::kSigmoid:
      return d * (y - y * y);
    case Activation::kTanh:
      return d * (one - y * y);
    case Activation::kHardSigmoid:
      return inside<Real>(y, 0, 1, d / splat(Real{6}));
    case Activation::kHardTanh:
      return inside<Real>(y, -1, 1, d);
    case Activation::kRelu:
      return y <= none ? none : d;
    case Activation::kSoftsign: {
      const Vec<Real> rest = one - magnitude<Real>(y);  // 1 / (1 + |x|)
      return d * (rest * rest);
    }
    case Activation::kIdentity:
      return d;
    case Activation::kOne:
      break;
  }
  return none;
}

// Backward of any cell, from the gradients of o and of c (all of it, by way of h too) to dgates
// before the nonlinearity; returns the gradient of c of the step before. see: peephole weights.
template <class Real>
GATEWISE_INLINE Vec<Real> gate_gradients(const Cell& cell, const Real* gates, Vec<Real> c_prev,
                                         Vec<Real> d_o, Vec<Real> dc, const Vec<Real> (&see)[3],
                                         Vec<Real> (&d)[kGates]) {
  constexpr int V = kLanes<Real>;
  const Vec<Real> i = load(gates), f = load(gates + V), g = load(gates + 2 * V);
  const Vec<Real> df = dc * c_prev, di = cell.coupled ? dc * g - df : dc * g;
  d[0] = before<Real>(cell.input_gate, i, di);
  d[1] = cell.coupled ? Vec<Real>{} : before<Real>(cell.forget_gate, f, df);
  d[2] = before<Real>(cell.candidate, g, dc * i);
  d[3] = d_o;
  return fma(d[0], see[0], fma(d[1], see[1], dc * f));
}

// Any cell, up to c: pre holds the gates before their nonlinearity, and afterwards f, c and o in
// its last three vectors.
template <class Real>
__attribute__((noinline)) void update_cells(const Cell& cell, Vec<Real> (*pre)[kGates],
                                            const CellRow<Real>* rows, int n) {
  constexpr int V = kLanes<Real>;
  for (int r = 0; cell.peephole && r < n; ++r) {
    const Vec<Real> c_prev = load(rows[r].c_prev);
    pre[r][0] = fma(load(rows[r].see), c_prev, pre[r][0]);
    pre[r][1] = fma(load(rows[r].see + V), c_prev, pre[r][1]);
  }
  apply<Real, kGates>(cell.input_gate, &pre[0][0], n);
  if (!cell.coupled) apply<Real, kGates>(cell.forget_gate, &pre[0][1], n);
  apply<Real, kGates>(cell.candidate, &pre[0][2], n);
  for (int r = 0; r < n; ++r) {
    if (cell.coupled) pre[r][1] = splat(Real{1}) - pre[r][0];
    for (int gate = 0; rows[r].gates && gate < 3; ++gate) {
      store(rows[r].gates + gate * V, pre[r][gate]);
    }
    const Vec<Real> c = fma(pre[r][1], load(rows[r].c_prev), pre[r][0] * pre[r][2]);
    store(rows[r].c, c);
    pre[r][2] = c;
    if (cell.peephole) pre[r][3] = fma(load(rows[r].see + 2 * V), c, pre[r][3]);
  }
  apply<Real, kGates>(cell.output_gate, &pre[0][3], n);
  for (int r = 0; rows[0].gates && r < n; ++r) store(rows[r].gates + 3 * V, pre[r][3]);
}

// And from there to h.
template <class Real, bool kRound>
__attribute__((noinline)) void any_cell_rows(const Cell& cell, Vec<Real> (*pre)[kGates],
                                             const CellRow<Real>* rows, int n, int units) {
  update_cells(cell, pre, rows, n);
  apply<Real, kGates>(cell.cell_output, &pre[0][2], n);
  for (int r = 0; r < n; ++r) {
    Vec<Real> h = pre[r][3] * pre[r][2];
    if constexpr (kRound) h = round_to_bfloat16(h);
    store_first(rows[r].y, h, units);
  }
}

}  // namespace gatewise::GATEWISE_ISA
