// SPDX-License-Identifier: Apache-2.0
// The pointwise part of a step: from the gates before their nonlinearity to c and h, and back. The
// default cell is compiled for itself, and that with peepholes; for any other the activation is
// chosen once per tile and site, outside of the loop over rows.
#pragma once

#include "activations.h"
#include "bfloat16.h"

namespace gatewise::GATEWISE_ISA {

// What the pointwise part of several rows (or panels) reads and writes; each is so many elements
// from the next.
template <class Real>
struct CellRows {
  const Real* c_prev;
  Real* c;
  Real* gates;      // tape, or null
  const Real* see;  // peephole weights [i, f, o][V], or null
  int64_t c_prev_stride = kLanes<Real>, c_stride = kLanes<Real>, gates_stride = kPanelWidth<Real>,
          see_stride = 0;
};

// Where h goes: row r at row[r] + offset, the first `units` lanes.
template <class Real>
struct HiddenRows {
  Real* const* row;
  int64_t offset;
  int units;
};

// In two passes over the rows (gates and c; then tanh c and h), so that the chains of dependent
// operations are short and several rows are in flight. pre holds the gates before the nonlinearity;
// its fourth vector passes o from one pass to the next.
// kRound: h is rounded to bfloat16. kSee: the gates see c through peepholes.
template <class Real, bool kSave, bool kRound, bool kSee>
__attribute__((noinline)) void cell_rows(Vec<Real> (*pre)[kGates], const CellRows<Real>& rows,
                                         const HiddenRows<Real>& h, int n) {
  constexpr int V = kLanes<Real>;
  constexpr int64_t W = kPanelWidth<Real>;
  const Real* c_prev_row = rows.c_prev;
  Real *c_row = rows.c, *gates = rows.gates;
#pragma GCC unroll 1
  for (int r = 0; r < n; ++r, c_prev_row += V, c_row += V, gates += kSave ? W : 0) {
    Vec<Real>* a = pre[r];
    const Vec<Real> c_prev = load(c_prev_row);
    Vec<Real> before_i = a[0], before_f = a[1], o = a[3];
    if constexpr (kSee) {
      before_i = fma(load(rows.see), c_prev, before_i);
      before_f = fma(load(rows.see + V), c_prev, before_f);
    }
    const Vec<Real> i = sigmoid<Real>(before_i), f = sigmoid<Real>(before_f), g = tanh<Real>(a[2]);
    const Vec<Real> c = fma(f, c_prev, i * g);
    if constexpr (kSee) o = fma(load(rows.see + 2 * V), c, o);
    o = sigmoid<Real>(o);
    if constexpr (kSave) {
      store(gates, i);
      store(gates + V, f);
      store(gates + 2 * V, g);
      store(gates + 3 * V, o);
    }
    a[3] = o;
    store(c_row, c);
  }
  c_row = rows.c;
#pragma GCC unroll 1
  for (int r = 0; r < n; ++r, c_row += V) {
    Vec<Real> y = pre[r][3] * tanh<Real>(load(c_row));
    if constexpr (kRound) y = round_to_bfloat16(y);
    store_first(h.row[r] + h.offset, y, h.units);
  }
}

// The four gates as they act in the equations, from the tape.
template <class Real>
struct GateValues {
  Vec<Real> i, f, g, o;
};
template <class Real>
GATEWISE_INLINE GateValues<Real> gate_values(const Cell& cell, const Real* tape) {
  constexpr int V = kLanes<Real>;
  const Vec<Real> i = scaled<Real>(cell.input_gate, load(tape));
  return {i, cell.coupled ? splat(Real{1}) - i : scaled<Real>(cell.forget_gate, load(tape + V)),
          scaled<Real>(cell.candidate, load(tape + 2 * V)),
          scaled<Real>(cell.output_gate, load(tape + 3 * V))};
}

// Backward of any cell, from the gradients of o before its nonlinearity and of c (all of it, by way
// of h too) to dgates before the nonlinearity; returns the gradient of c of the step before.
// tape: the gates; see: peephole weights.
template <class Real>
GATEWISE_INLINE Vec<Real> gate_gradients(const Cell& cell, const Real* tape,
                                         const GateValues<Real>& gate, Vec<Real> c_prev,
                                         Vec<Real> d_o, Vec<Real> dc, const Vec<Real> (&see)[3],
                                         Vec<Real> (&d)[kGates]) {
  constexpr int V = kLanes<Real>;
  const Vec<Real> df = dc * c_prev, di = cell.coupled ? dc * gate.g - df : dc * gate.g;
  d[0] = before<Real>(cell.input_gate, load(tape), di);
  d[1] = cell.coupled ? Vec<Real>{} : before<Real>(cell.forget_gate, load(tape + V), df);
  d[2] = before<Real>(cell.candidate, load(tape + 2 * V), dc * gate.i);
  d[3] = d_o;
  return fma(d[0], see[0], fma(d[1], see[1], dc * gate.f));
}

// Changes nothing of what a cell does; see StagedRows for what else may stand in its place.
struct NoEdit {
  template <class Row>
  void gates(int, Row&) const {}
  template <class Vector>
  Vector cell(int, Vector c) const {
    return c;
  }
  template <class Vector>
  Vector output_gate(int, Vector o) const {
    return o;
  }
};

// Any cell, up to c: pre holds the gates before their nonlinearity, and afterwards f, c and o in
// its last three vectors. edit: called with the row for i, f and g, then for c, then for o.
template <class Real, class Edit = NoEdit>
__attribute__((noinline)) void update_cells(const Cell& cell, Vec<Real> (*pre)[kGates],
                                            const CellRows<Real>& rows, int n,
                                            const Edit& edit = {}) {
  constexpr int V = kLanes<Real>;
  for (int r = 0; rows.see && r < n; ++r) {
    const Real* see = rows.see + r * rows.see_stride;
    const Vec<Real> c_prev = load(rows.c_prev + r * rows.c_prev_stride);
    pre[r][0] = fma(load(see), c_prev, pre[r][0]);
    pre[r][1] = fma(load(see + V), c_prev, pre[r][1]);
  }
  squash<Real, kGates>(cell.input_gate, &pre[0][0], n);
  if (!cell.coupled) squash<Real, kGates>(cell.forget_gate, &pre[0][1], n);
  squash<Real, kGates>(cell.candidate, &pre[0][2], n);
  for (int r = 0; rows.gates && r < n; ++r) {
    for (int gate = 0; gate < 3; ++gate) {
      store(rows.gates + r * rows.gates_stride + gate * V, pre[r][gate]);
    }
  }
  scale_all<Real, kGates>(cell.input_gate, &pre[0][0], n);
  if (!cell.coupled) scale_all<Real, kGates>(cell.forget_gate, &pre[0][1], n);
  scale_all<Real, kGates>(cell.candidate, &pre[0][2], n);
  for (int r = 0; r < n; ++r) {
    if (cell.coupled) pre[r][1] = splat(Real{1}) - pre[r][0];
    edit.gates(r, pre[r]);
    const Vec<Real> c_prev = load(rows.c_prev + r * rows.c_prev_stride);
    const Vec<Real> c = edit.cell(r, fma(pre[r][1], c_prev, pre[r][0] * pre[r][2]));
    store(rows.c + r * rows.c_stride, c);
    pre[r][2] = c;
    if (rows.see) pre[r][3] = fma(load(rows.see + r * rows.see_stride + 2 * V), c, pre[r][3]);
  }
  squash<Real, kGates>(cell.output_gate, &pre[0][3], n);
  for (int r = 0; rows.gates && r < n; ++r) {
    store(rows.gates + r * rows.gates_stride + 3 * V, pre[r][3]);
  }
  scale_all<Real, kGates>(cell.output_gate, &pre[0][3], n);
  for (int r = 0; r < n; ++r) pre[r][3] = edit.output_gate(r, pre[r][3]);
}

// And from there to h.
template <class Real, bool kRound>
__attribute__((noinline)) void any_cell_rows(const Cell& cell, Vec<Real> (*pre)[kGates],
                                             const CellRows<Real>& rows, const HiddenRows<Real>& h,
                                             int n) {
  update_cells(cell, pre, rows, n);
  squash<Real, kGates>(cell.cell_output, &pre[0][2], n);
  scale_all<Real, kGates>(cell.cell_output, &pre[0][2], n);
  for (int r = 0; r < n; ++r) {
    Vec<Real> y = pre[r][3] * pre[r][2];
    if constexpr (kRound) y = round_to_bfloat16(y);
    store_first(h.row[r] + h.offset, y, h.units);
  }
}

}  // namespace gatewise::GATEWISE_ISA
