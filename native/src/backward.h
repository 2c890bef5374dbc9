// SPDX-License-Identifier: Apache-2.0
// Backward, first part: one pass from the last step to the first gives dgates and dh. gradients.h
// makes the weights' gradients of the dgates.
//
//   dgates of a chunk of steps: [step in chunk][panel][row][gate][V]
#pragma once

#include <tuple>
#include <utility>

#include "forward.h"
#include "product.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
class Backward {
 public:
  explicit Backward(const BackwardPlan<Real>& plan)
      : plan_(plan),
        s_(plan.shape),
        gates_(plan.cell),
        default_(plan.cell == Cell{}),
        panels_(panel_count<Real>(plan.shape.H)) {}

  void start(const Real* dh_n, const Real* dc_n) {
    for (int64_t b = 0; b < s_.B; ++b) {
      std::fill_n(dh_row(b), padded<Real>(s_.P), Real{0});
      if (dh_n) std::copy_n(dh_n + b * s_.P, s_.P, dh_row(b));
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const int64_t at = b * s_.H + panel * V;
        store(dc(panel, b), dc_n ? load_first(dc_n + at, units(panel)) : Vec<Real>{});
      }
    }
    if (plan_.dw) std::fill_n(plan_.dw, panels_ * (s_.I + s_.P) * W, Real{0});
    if (plan_.db) std::fill_n(plan_.db, panels_ * W, Real{0});
    if (plan_.dpeephole) std::fill_n(plan_.dpeephole, panels_ * 3 * V, Real{0});
  }

  void finish(Real* dh0, Real* dc0) {
    for (int64_t b = 0; b < s_.B; ++b) {
      if (dh0) std::copy_n(dh_row(b), s_.P, dh0 + b * s_.P);
      for (int64_t panel = 0; dc0 && panel < panels_; ++panel) {
        store_first(dc0 + b * s_.H + panel * V, load(dc(panel, b)), units(panel));
      }
    }
  }

  // Some rows through some steps, with no barrier.
  void run_rows(Range steps, Range rows) {
    for (int64_t step = steps.end - 1; step >= steps.first; --step) {
      const Range running{rows.first, std::min(rows.end, s_.rows_at(step))};
      if (running.size() <= 0) continue;
      for (int64_t panel = 0; panel < panels_; ++panel) cell_gradients(step, panel, running);
      hidden_gradient(step, running, {0, column_blocks<Real>(s_.P)});
    }
  }

  // All rows through one step, one block of columns: dh from the step after, then its dgates.
  void run_block(int64_t step, int64_t block) {
    if (step + 1 < s_.T) {
      hidden_gradient(step + 1, {0, s_.B}, {block, block + 1});
    }
    if (step < 0) return;
    const Range rows{0, s_.rows_at(step)};
    const int64_t end = std::min(panels_, (block + 1) * kBlockVectors);
    for (int64_t panel = block * kBlockVectors; panel < end; ++panel) {
      cell_gradients(step, panel, rows);
    }
  }

  void input_gradient(const Rows& rows) {
    with_gates(gates_, [&](const auto& gates) {
      product(
          gates, s_, rows, plan_.weights_ih, panels_, s_.I, {0, column_blocks<Real>(s_.I)},
          s_.B * W, [&](int64_t step, int64_t b) { return plan_.dgates_x + place(step, 0, b); },
          [&](int64_t step, int64_t b) { return plan_.dx.row(time(step, b), b); });
    });
  }

  Real* dgates(int64_t step, int64_t panel, int64_t b) const {
    return plan_.dgates + place(step, panel, b);
  }
  // Where the dgates of a row lie, of whatever kind.
  int64_t place(int64_t step, int64_t panel, int64_t b) const {
    return (((step % plan_.chunk_steps) * panels_ + panel) * s_.B + b) * W;
  }
  int64_t time(int64_t step, int64_t b) const { return s_.time(step, b, plan_.reverse); }

  // dh of the step before, in some blocks of columns.
  void hidden_gradient(int64_t step, Range rows, Range blocks) {
    with_gates(gates_, [&](const auto& gates) {
      product(
          gates, s_, {{step, step + 1}, rows}, plan_.weights_hh, panels_, s_.P, blocks, s_.B * W,
          [&](int64_t at, int64_t b) { return dgates(at, 0, b); },
          [&](int64_t, int64_t b) { return dh_row(b); });
    });
  }
  Real* dh_row(int64_t b) const { return plan_.dh + b * padded<Real>(s_.P); }
  Real* dc(int64_t panel, int64_t b) const { return plan_.dc + (panel * s_.B + b) * V; }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, s_.H - panel * V));
  }

  // One step and panel: dh and dc become dgates (before the nonlinearity) and the dc of the step
  // before.
  void cell_gradients(int64_t step, int64_t panel, Range rows) {
    if (default_) {
      default_cell_gradients(step, panel, rows);
    } else {
      any_cell_gradients(step, panel, rows);
    }
  }

  __attribute__((noinline)) void any_cell_gradients(int64_t step, int64_t panel, Range rows) {
    const int n = units(panel);
    const Cell& cell = plan_.cell;
    Vec<Real> see[3] = {};
    for (int k = 0; plan_.extras.peephole && k < 3; ++k) {
      see[k] = load(plan_.extras.peephole + (panel * 3 + k) * V);
    }
    constexpr int kAtOnce = 8;
    const StepTape<const Real> tape(plan_.tape, s_, step);
    const StepRows<const Real> dy(plan_.dy, s_, step, plan_.reverse);
    Vec<Real> outputs[kAtOnce];
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const int64_t k = (b - rows.first) % kAtOnce;
      if (k == 0) {
        const int count = static_cast<int>(std::min<int64_t>(kAtOnce, rows.end - b));
        const Real* c = tape.c(panel, b);
        for (int j = 0; j < count; ++j) outputs[j] = load(c + j * V);
        squash<Real, 1>(cell.cell_output, outputs, count);
      }
      const Real* gates = tape.gates(panel, b);
      const GateValues<Real> gate = gate_values<Real>(cell, gates);
      const Vec<Real> m = scaled<Real>(cell.cell_output, outputs[k]);
      Vec<Real> dh = load_first(dh_row(b) + panel * V, n);
      if (dy) dh += load_first(dy[b] + panel * V, n);

      const Vec<Real> d_o = before<Real>(cell.output_gate, load(gates + 3 * V), dh * m);
      const Vec<Real> through =
          load(dc(panel, b)) + before<Real>(cell.cell_output, outputs[k], dh * gate.o);
      Vec<Real> d[kGates];
      const Vec<Real> dc_prev = gate_gradients<Real>(cell, gates, gate, load(tape.c_prev(panel, b)),
                                                     d_o, fma(d_o, see[2], through), see, d);
      store(dc(panel, b), keep_first<Real>(dc_prev, n));
      Real* out = dgates(step, panel, b);
      for (int gate = 0; gate < kGates; ++gate) store(out + gate * V, keep_first<Real>(d[gate], n));
    }
  }

  // Where a thread reads on after its rows of a panel: those of the next one, or of the step
  // before.
  std::pair<const Real*, const Real*> tape_after(const StepTape<const Real>& tape, int64_t step,
                                                 int64_t panel, int64_t row) const {
    if (++panel < panels_) return {tape.gates(panel, row), tape.c_prev(panel, row)};
    const StepTape<const Real> before(plan_.tape, s_, std::max<int64_t>(step - 1, 0));
    return {before.gates(0, row), before.c_prev(0, row)};
  }

  __attribute__((noinline)) void default_cell_gradients(int64_t step, int64_t panel, Range rows) {
    const int n = units(panel);
    constexpr int64_t kRowsAhead = 12;  // of the tape, which comes from main memory
    const Vec<Real> one = splat(Real{1});
    const StepTape<const Real> tape(plan_.tape, s_, step);
    const StepRows<const Real> dy(plan_.dy, s_, step, plan_.reverse);
    const int64_t ahead = std::min(kRowsAhead, rows.size());
    const Real* gates_ahead = tape.gates(panel, rows.first + ahead);
    const Real* cells_ahead = tape.c_prev(panel, rows.first + ahead);
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const Real* gates = tape.gates(panel, b);
      const Real* cells = tape.c_prev(panel, b);
      if (b + ahead == rows.end) {
        std::tie(gates_ahead, cells_ahead) = tape_after(tape, step, panel, rows.first);
      }
      for (int gate = 0; gate < kGates; ++gate) __builtin_prefetch(gates_ahead + gate * V);
      __builtin_prefetch(cells_ahead);
      gates_ahead += W, cells_ahead += V;
      const Vec<Real> i = load(gates), f = load(gates + V), g = load(gates + 2 * V),
                      o = load(gates + 3 * V);
      const Vec<Real> c_prev = load(cells);
      const Vec<Real> m = tanh<Real>(load(tape.c(panel, b)));
      Vec<Real> dh = load(dh_row(b) + panel * V);
      if (dy) dh += load_first(dy[b] + panel * V, n);

      const Vec<Real> dcell = fma(dh * o, one - m * m, load(dc(panel, b)));
      Vec<Real> d[kGates] = {dcell * g * (i - i * i), dcell * c_prev * (f - f * f),
                             dcell * i * (one - g * g), dh * m * (o - o * o)};
      Vec<Real> dc_prev = dcell * f;
      if (n < V) {  // an infinite input leaves NaN in the lanes past H: 0 * Inf
        for (Vec<Real>& lane : d) lane = keep_first<Real>(lane, n);
        dc_prev = keep_first<Real>(dc_prev, n);
      }
      store(dc(panel, b), dc_prev);
      Real* out = dgates(step, panel, b);
#pragma GCC unroll 4
      for (int gate = 0; gate < kGates; ++gate) store(out + gate * V, d[gate]);
    }
  }

  const BackwardPlan<Real>& plan_;
  const Shape& s_;
  const SomeGates gates_;
  const bool default_;
  const int64_t panels_;
};

}  // namespace gatewise::GATEWISE_ISA
