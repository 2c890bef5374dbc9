// Backward, first part: one pass from the last step to the first gives dgates and dh. What follows
// from the dgates is in gradients.h.
//
//   dgates of a chunk of steps: [step in chunk][panel][row][gate][V]
#pragma once

#include "forward.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
class Backward {
 public:
  explicit Backward(const BackwardPlan<Real>& plan)
      : plan_(plan), s_(plan.shape), panels_(panel_count<Real>(plan.shape.H)) {}

  void start(const Real* dh_n, const Real* dc_n) {
    for (int64_t b = 0; b < s_.B; ++b) {
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const int64_t at = b * s_.H + panel * V;
        const int n = units(panel);
        store(dh_row(b) + panel * V, dh_n ? load_first(dh_n + at, n) : Vec<Real>{});
        store(dc(panel, b), dc_n ? load_first(dc_n + at, n) : Vec<Real>{});
      }
    }
    std::fill_n(plan_.dw, panels_ * (s_.I + s_.H) * W, Real{0});
    std::fill_n(plan_.db, panels_ * W, Real{0});
  }

  void finish(Real* dh0, Real* dc0) {
    for (int64_t b = 0; b < s_.B; ++b) {
      std::copy_n(dh_row(b), s_.H, dh0 + b * s_.H);
      for (int64_t panel = 0; panel < panels_; ++panel) {
        store_first(dc0 + b * s_.H + panel * V, load(dc(panel, b)), units(panel));
      }
    }
  }

  // Some rows through some steps, with no barrier.
  void run_rows(Range steps, Range rows) {
    for (int64_t step = steps.end - 1; step >= steps.first; --step) {
      for (int64_t panel = 0; panel < panels_; ++panel) cell_gradients(step, panel, rows);
      product({{step, step + 1}, rows}, plan_.weights_hh, s_.H, {0, blocks(s_.H)},
              [&](int64_t, int64_t b) { return dh_row(b); });
    }
  }

  // All rows through one step, one block of columns: dh from the step after, then its dgates.
  void run_block(int64_t step, int64_t block) {
    const Range rows{0, s_.B};
    if (step + 1 < s_.T) {
      product({{step + 1, step + 2}, rows}, plan_.weights_hh, s_.H, {block, block + 1},
              [&](int64_t, int64_t b) { return dh_row(b); });
    }
    if (step < 0) return;
    const int64_t end = std::min(panels_, (block + 1) * kBlockVectors);
    for (int64_t panel = block * kBlockVectors; panel < end; ++panel) {
      cell_gradients(step, panel, rows);
    }
  }

  struct Rows {
    Range steps, rows;
  };

  void input_gradient(const Rows& rows) {
    product(rows, plan_.weights_ih, s_.I, {0, blocks(s_.I)},
            [&](int64_t step, int64_t b) { return plan_.dx.row(time(step), b); });
  }

  Real* dgates(int64_t step, int64_t panel, int64_t b) const {
    return plan_.dgates + (((step % plan_.chunk_steps) * panels_ + panel) * s_.B + b) * W;
  }
  int64_t time(int64_t step) const { return plan_.reverse ? s_.T - 1 - step : step; }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;
  static constexpr int64_t kColumns = int64_t{kBlockVectors} * V;

  static int64_t blocks(int64_t columns) { return (columns + kColumns - 1) / kColumns; }
  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, s_.H - panel * V));
  }
  Real* dh_row(int64_t b) const { return plan_.dh + b * panels_ * V; }
  Real* dc(int64_t panel, int64_t b) const { return plan_.dc + (panel * s_.B + b) * V; }

  // One step and panel: dh and dc become dgates (before the nonlinearity) and the dc of the step
  // before.
  __attribute__((noinline)) void cell_gradients(int64_t step, int64_t panel, Range rows) {
    const int n = units(panel);
    constexpr int64_t kRowsAhead = 12;  // of the tape, which comes from main memory
    const Vec<Real> one = splat(Real{1});
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const Real* gates = tape_gates(plan_.tape, s_, step, panel, b);
      const Real* cells = tape_cells(plan_.tape, s_, step, panel, b);
      for (int gate = 0; gate < kGates; ++gate) {
        __builtin_prefetch(gates + kRowsAhead * W + gate * V);
      }
      __builtin_prefetch(cells + kRowsAhead * V);
      const Vec<Real> i = load(gates), f = load(gates + V), g = load(gates + 2 * V),
                      o = load(gates + 3 * V);
      const Vec<Real> c_prev = load(cells);
      const Vec<Real> m = tanh<Real>(load(tape_cells(plan_.tape, s_, step + 1, panel, b)));
      Vec<Real> dh = load(dh_row(b) + panel * V);
      if (plan_.dy.data) dh += load_first(plan_.dy.row(time(step), b) + panel * V, n);

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

  // target(step, row) = dgates x W for some blocks of W's columns: W is [4H, N] packed.
  template <class Target>
  void product(const Rows& at, const Real* packed, int64_t N, Range blocks, Target target) {
    const int64_t B = at.rows.size();
    packed += blocks.first * panels_ * W * kColumns;
    for (int64_t column = blocks.first * kColumns; column < std::min(N, blocks.end * kColumns);
         column += kColumns) {
      const int used = static_cast<int>(std::min(kColumns, N - column));
      with_constant<kBlockVectors>((used + V - 1) / V, [&](auto vectors) {
        constexpr int kVectors = decltype(vectors)::value;
        // As many rows as leave a register for each vector of W and for the broadcast.
        constexpr int kRows = std::min(12, (kRegisters - kVectors - 1) / kVectors);
        for_tiles<kRows>(at.steps.size() * B, [&](int64_t tile, auto n) {
          constexpr int kTile = decltype(n)::value;
          const Real* in[kTile];
          Real* out[kTile];
          for (int k = 0; k < kTile; ++k) {
            const int64_t step = at.steps.first + (tile + k) / B;
            const int64_t b = at.rows.first + (tile + k) % B;
            in[k] = dgates(step, 0, b);
            out[k] = target(step, b) + column;
          }
          dgates_tile<Real, kTile, kVectors>(in, s_.B * W, panels_, packed, out, used);
        });
        packed += panels_ * W * kVectors * V;
      });
    }
  }

  const BackwardPlan<Real>& plan_;
  const Shape& s_;
  const int64_t panels_;
};

template <class Real>
void start_gradients(const BackwardPlan<Real>& plan, const Real* dh_n, const Real* dc_n) {
  Backward<Real>(plan).start(dh_n, dc_n);
}
template <class Real>
void finish_gradients(const BackwardPlan<Real>& plan, Real* dh0, Real* dc0) {
  Backward<Real>(plan).finish(dh0, dc0);
}
template <class Real>
void gradient_rows(const BackwardPlan<Real>& plan, Range steps, Range rows) {
  const FlushSubnormals flush;
  Backward<Real>(plan).run_rows(steps, rows);
}
template <class Real>
void gradient_step(const BackwardPlan<Real>& plan, int64_t step, int64_t block) {
  const FlushSubnormals flush;
  Backward<Real>(plan).run_block(step, block);
}
template <class Real>
void input_gradient(const BackwardPlan<Real>& plan, Range steps, Range rows) {
  const FlushSubnormals flush;
  Backward<Real>(plan).input_gradient({steps, rows});
}

}  // namespace gatewise::GATEWISE_ISA
