// Backward: one pass from the last step to the first gives dgates and dh; dx and dW follow as
// products over chunks of steps, with dgates as their packed operand.
//
//   dgates of a chunk: [step in chunk][panel][row][gate][V]
#pragma once

#include "forward.h"

namespace gatewise::GATEWISE_ISA {

// Scratch of one block: dh [row][padded H], dc [panel][row][V], dgates of one chunk.
template <class Real>
size_t backward_scratch(const Shape& s, int64_t rows, int64_t chunk_steps) {
  const int64_t P = panel_count<Real>(s.H);
  return static_cast<size_t>(rows * P * kLanes<Real> * 2 +
                             chunk_steps * rows * P * kPanelWidth<Real>);
}

template <class Real>
class BackwardBlock {
 public:
  BackwardBlock(const BackwardPlan<Real>& plan, int64_t block, int64_t row, int64_t row_end,
                Real* scratch)
      : plan_(plan),
        args_(plan.args),
        row_(row),
        rows_(row_end - row),
        panels_(panel_count<Real>(args_.shape.H)),
        dw_(plan.dw + block * panels_ * (args_.shape.I + args_.shape.H) * W),
        db_(plan.db + block * panels_ * W),
        dh_(scratch),
        dc_(dh_ + rows_ * panels_ * V),
        dgates_(dc_ + rows_ * panels_ * V) {}

  void run() {
    const auto& s = args_.shape;
    std::fill_n(dw_, panels_ * (s.I + s.H) * W, Real{0});
    std::fill_n(db_, panels_ * W, Real{0});
    load_state_gradients();
    for (int64_t end = s.T; end > 0;) {
      const int64_t first = (end - 1) / plan_.chunk_steps * plan_.chunk_steps;
      for (int64_t step = end - 1; step >= first; --step) {
        for (int64_t panel = 0; panel < panels_; ++panel) cell_gradients(step, panel);
        product(step, 1, plan_.weights_hh, s.H, [&](int64_t, int64_t r) { return dh_row(r); });
        if (args_.dx.data && !in_one_product()) input_gradient(step, 1);
      }
      if (args_.dx.data && in_one_product()) input_gradient(first, end - first);
      weight_gradients(first, end - first);
      end = first;
    }
    store_state_gradients();
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  int64_t time(int64_t step) const { return args_.reverse ? args_.shape.T - 1 - step : step; }
  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, args_.shape.H - panel * V));
  }
  Real* dh_row(int64_t r) const { return dh_ + r * panels_ * V; }
  Real* dc(int64_t panel, int64_t r) const { return dc_ + (panel * rows_ + r) * V; }
  Real* dgates(int64_t step, int64_t panel, int64_t r) const {
    return dgates_ + (((step % plan_.chunk_steps) * panels_ + panel) * rows_ + r) * W;
  }
  // With few rows a step, dx of a whole chunk is one product; else it is taken while dgates are
  // hot.
  bool in_one_product() const { return rows_ < kTileRows; }

  void load_state_gradients() {
    const int64_t H = args_.shape.H;
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t b = row_ + r;
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const int64_t at = b * H + panel * V;
        const int n = units(panel);
        store(dh_row(r) + panel * V, args_.dh_n ? load_first(args_.dh_n + at, n) : Vec<Real>{});
        store(dc(panel, r), args_.dc_n ? load_first(args_.dc_n + at, n) : Vec<Real>{});
      }
    }
  }

  void store_state_gradients() {
    const int64_t H = args_.shape.H;
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t b = row_ + r;
      std::copy_n(dh_row(r), H, args_.dh0 + b * H);
      for (int64_t panel = 0; panel < panels_; ++panel) {
        store_first(args_.dc0 + b * H + panel * V, load(dc(panel, r)), units(panel));
      }
    }
  }

  // One step and panel: dh and dc become dgates (before the nonlinearity) and the dc of the step
  // before. The bias gradient is their sum.
  __attribute__((noinline)) void cell_gradients(int64_t step, int64_t panel) {
    const auto& s = args_.shape;
    const int n = units(panel);
    const Vec<Real> one = splat(Real{1});
    Vec<Real> db[kGates];
    for (int gate = 0; gate < kGates; ++gate) db[gate] = load(db_ + panel * W + gate * V);
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t b = row_ + r;
      const Real* gates = tape_gates(args_.tape, s, step, panel, b);
      const Vec<Real> i = load(gates), f = load(gates + V), g = load(gates + 2 * V),
                      o = load(gates + 3 * V);
      const Vec<Real> c_prev = load(tape_cells(args_.tape, s, step, panel, b));
      const Vec<Real> m = tanh<Real>(load(tape_cells(args_.tape, s, step + 1, panel, b)));
      Vec<Real> dh = load(dh_row(r) + panel * V);
      if (args_.dy.data) dh += load_first(args_.dy.row(time(step), b) + panel * V, n);

      const Vec<Real> dcell = fma(dh * o, one - m * m, load(dc(panel, r)));
      Vec<Real> d[kGates] = {dcell * g * (i - i * i), dcell * c_prev * (f - f * f),
                             dcell * i * (one - g * g), dh * m * (o - o * o)};
      Vec<Real> dc_prev = dcell * f;
      if (n < V) {  // an infinite input leaves NaN in the lanes past H: 0 * Inf
        for (Vec<Real>& lane : d) lane = keep_first<Real>(lane, n);
        dc_prev = keep_first<Real>(dc_prev, n);
      }
      store(dc(panel, r), dc_prev);
      Real* out = dgates(step, panel, r);
#pragma GCC unroll 4
      for (int gate = 0; gate < kGates; ++gate) {
        store(out + gate * V, d[gate]);
        db[gate] += d[gate];
      }
    }
    for (int gate = 0; gate < kGates; ++gate) store(db_ + panel * W + gate * V, db[gate]);
  }

  // target(step, row) = dgates x W for steps [first, first + steps): W is [4H, N] packed.
  template <class Target>
  void product(int64_t first, int64_t steps, const Real* packed, int64_t N, Target target) {
    constexpr int64_t kColumns = int64_t{kBlockVectors} * V;
    for (int64_t column = 0; column < N; column += kColumns) {
      const int used = static_cast<int>(std::min(kColumns, N - column));
      with_constant<kBlockVectors>((used + V - 1) / V, [&](auto vectors) {
        constexpr int kVectors = decltype(vectors)::value;
        // As many rows as leave a register for each vector of W and for the broadcast.
        constexpr int kRows = std::min(12, (kRegisters - kVectors - 1) / kVectors);
        for_tiles<kRows>(steps * rows_, [&](int64_t tile, auto n) {
          constexpr int kTile = decltype(n)::value;
          const Real* in[kTile];
          Real* out[kTile];
          for (int k = 0; k < kTile; ++k) {
            const int64_t step = first + (tile + k) / rows_, r = (tile + k) % rows_;
            in[k] = dgates(step, 0, r);
            out[k] = target(step, r) + column;
          }
          dgates_tile<Real, kTile, kVectors>(in, rows_ * W, panels_, packed, out, used);
        });
        packed += panels_ * W * kVectors * V;
      });
    }
  }

  void input_gradient(int64_t first, int64_t steps) {
    product(first, steps, plan_.weights_ih, args_.shape.I,
            [&](int64_t step, int64_t r) { return args_.dx.row(time(step), row_ + r); });
  }

  void weight_gradients(int64_t first, int64_t steps) {
    const auto& s = args_.shape;
    const int64_t sign = args_.reverse ? -1 : 1;
    operand_gradient(
        first, steps, 0, s.I,
        {args_.x.row(time(first), row_), sign * args_.x.time_stride, args_.x.batch_stride});
    if (first == 0) {  // the first step saw h0
      operand_gradient(0, 1, s.I, s.H, {args_.h0 + row_ * s.H, 0, s.H});
      ++first, --steps;
    }
    if (steps) {
      operand_gradient(
          first, steps, s.I, s.H,
          {args_.y.row(time(first - 1), row_), sign * args_.y.time_stride, args_.y.batch_stride});
    }
  }

  // dW[panel][offset + column] += a^T dgates. Columns in blocks, so that those of a stay in L2.
  void operand_gradient(int64_t first, int64_t steps, int64_t offset, int64_t columns,
                        const Operand<Real>& a) {
    constexpr int64_t kBlock = 16 * kTileRows;
    const int64_t K = args_.shape.I + args_.shape.H;
    for (int64_t from = 0; from < columns; from += kBlock) {
      const int64_t n = std::min(kBlock, columns - from);
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const Operand<Real> d{dgates(first, panel, 0), panels_ * rows_ * W, W};
        for_tiles<kTileRows>(n, [&](int64_t tile, auto count) {
          const int64_t column = from + tile;
          weight_gradient_tile<Real, decltype(count)::value>(
              dw_ + (panel * K + offset + column) * W, d,
              {a.data + column, a.step_stride, a.row_stride}, steps, rows_);
        });
      }
    }
  }

  const BackwardPlan<Real>& plan_;
  const BackwardArgs<Real>& args_;
  const int64_t row_, rows_, panels_;
  Real *dw_, *db_, *dh_, *dc_, *dgates_;
};

template <class Real>
void backward_block(const BackwardPlan<Real>& plan, int64_t block, int64_t row, int64_t row_end,
                    Real* scratch) {
  const FlushSubnormals flush;
  BackwardBlock<Real>(plan, block, row, row_end, scratch).run();
}

}  // namespace gatewise::GATEWISE_ISA
