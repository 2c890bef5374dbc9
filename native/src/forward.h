// Forward: for each step and panel, tiles of rows go through products, gates, cell and output.
#pragma once

#include "activations.h"
#include "kernels.h"
#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// Below this many rows a step cannot reuse the input weights in registers, so the input projection
// of several steps is done ahead in one product.
inline constexpr int64_t kProjectAheadRows = kTileRows;
inline constexpr int64_t kProjectAheadBatch = 32;  // rows (steps x batch) of one such product

// How many steps ahead; 0: the projection is part of the tile. Adds the same terms in the same
// order either way, so the choice does not change the bits.
inline int64_t steps_ahead(const Shape& s, int64_t rows) {
  if (rows >= kProjectAheadRows || s.I <= 4 || s.T <= 1) return 0;
  return std::min(s.T, kProjectAheadBatch / rows);
}

template <class Real>
size_t forward_scratch(const Shape& s, int64_t rows) {
  return static_cast<size_t>(steps_ahead(s, rows) * rows * panel_count<Real>(s.H) *
                             kPanelWidth<Real>);
}

template <class Real>
size_t tape_elements(const Shape& s) {
  const int64_t per_step = panel_count<Real>(s.H) * s.B * kLanes<Real>;
  return static_cast<size_t>(s.T * per_step * kGates + (s.T + 1) * per_step);
}
template <class Real>
GATEWISE_INLINE auto tape_gates(Real* tape, const Shape& s, int64_t step, int64_t panel,
                                int64_t b) {
  return tape + ((step * panel_count<Real>(s.H) + panel) * s.B + b) * kPanelWidth<Real>;
}
template <class Real>
GATEWISE_INLINE auto tape_cells(Real* tape, const Shape& s, int64_t step, int64_t panel,
                                int64_t b) {
  const int64_t P = panel_count<Real>(s.H);
  return tape + s.T * P * s.B * kPanelWidth<Real> + ((step * P + panel) * s.B + b) * kLanes<Real>;
}

// Where the pointwise part of one row reads and writes.
template <class Real>
struct CellRow {
  const Real* c_prev;
  Real* c;
  Real* y;
  Real* gates;  // tape, or null
};

// In two passes over the rows of a tile (gates and c; then tanh c and h), so that the chains of
// dependent operations are short and several rows are in flight. pre holds the gates before the
// nonlinearity; its fourth vector passes o from one pass to the next.
template <class Real, int kRows, bool kSave>
GATEWISE_INLINE void cell_rows(Vec<Real> (&pre)[kRows][kGates], const CellRow<Real> (&rows)[kRows],
                               int units) {
  constexpr int V = kLanes<Real>;
  asm volatile("" ::: "memory");  // keeps the tile in memory: unrolling it all would spill
#pragma GCC unroll 1
  for (int r = 0; r < kRows; ++r) {
    Vec<Real>* a = pre[r];
    const Vec<Real> c_prev = load(rows[r].c_prev);
    if constexpr (kSave) {
      const Vec<Real> i = sigmoid<Real>(a[0]), f = sigmoid<Real>(a[1]), g = tanh<Real>(a[2]),
                      o = sigmoid<Real>(a[3]);
      store(rows[r].gates, i);
      store(rows[r].gates + V, f);
      store(rows[r].gates + 2 * V, g);
      store(rows[r].gates + 3 * V, o);
      a[3] = o;
      store(rows[r].c, fma(f, c_prev, i * g));
    } else {
      // The same bits as with a tape, so that evaluation and training agree.
      const Vec<Real> i = sigmoid<Real>(a[0]), f = sigmoid<Real>(a[1]), g = tanh<Real>(a[2]);
      a[3] = sigmoid<Real>(a[3]);
      store(rows[r].c, fma(f, c_prev, i * g));
    }
  }
#pragma GCC unroll 1
  for (int r = 0; r < kRows; ++r) {
    store_first(rows[r].y, pre[r][3] * tanh<Real>(load(rows[r].c)), units);
  }
}

// One thread's share: rows [row, row_end) through all steps, with no barrier.
template <class Real>
class ForwardRows {
 public:
  ForwardRows(const ForwardPlan<Real>& plan, int64_t row, int64_t row_end, Real* scratch)
      : plan_(plan), args_(plan.args), row_(row), rows_(row_end - row), ahead_(scratch) {}

  void run() {
    load_states();
    const int64_t T = args_.shape.T, block = steps_ahead(args_.shape, rows_);
    for (int64_t step = 0; step < T; ++step) {
      if (block && step % block == 0) project(step, std::min(step + block, T));
      const int64_t slot = block ? step % block : -1;
      if (args_.tape) {
        run_step<true>(step, slot);
      } else {
        run_step<false>(step, slot);
      }
    }
    store_states();
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  int64_t time(int64_t step) const { return args_.reverse ? args_.shape.T - 1 - step : step; }
  int64_t panels() const { return panel_count<Real>(args_.shape.H); }
  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, args_.shape.H - panel * V));
  }
  const Real* weights(int64_t panel) const {
    return plan_.weights + panel * (args_.shape.I + args_.shape.H) * W;
  }
  // c after `step` steps.
  Real* cells(int64_t step, int64_t panel, int64_t b) const {
    return args_.tape ? tape_cells(args_.tape, args_.shape, step, panel, b)
                      : plan_.cells + (panel * args_.shape.B + b) * V;
  }
  const Real* h_prev(int64_t step, int64_t b) const {
    return step ? args_.y.row(time(step - 1), b) : args_.h0 + b * args_.shape.H;
  }
  Real* ahead(int64_t slot, int64_t r, int64_t panel) const {
    return ahead_ + ((slot * rows_ + r) * panels() + panel) * W;
  }

  void load_states() {
    for (int64_t panel = 0; panel < panels(); ++panel) {
      for (int64_t b = row_; b < row_ + rows_; ++b) {
        store(cells(0, panel, b),
              load_first(args_.c0 + b * args_.shape.H + panel * V, units(panel)));
      }
    }
  }

  void store_states() {
    const auto& s = args_.shape;
    for (int64_t b = row_; b < row_ + rows_; ++b) {
      std::copy_n(h_prev(s.T, b), s.H, args_.h_n + b * s.H);
      for (int64_t panel = 0; panel < panels(); ++panel) {
        store_first(args_.c_n + b * s.H + panel * V, load(cells(s.T, panel, b)), units(panel));
      }
    }
  }

  // ahead[step][r] = bias + x W_x for the steps [first, end).
  void project(int64_t first, int64_t end) {
    for (int64_t panel = 0; panel < panels(); ++panel) {
      const Real* bias = plan_.bias + panel * W;
      for_tiles<kTileRows>((end - first) * rows_, [&](int64_t tile, auto n) {
        constexpr int kRows = decltype(n)::value;
        const Real *init[kRows], *x[kRows];
        for (int r = 0; r < kRows; ++r) {
          const int64_t step = first + (tile + r) / rows_, b = row_ + (tile + r) % rows_;
          init[r] = bias;
          x[r] = args_.x.row(time(step), b);
        }
        alignas(64) Vec<Real> out[kRows][kGates];
        gates_tile<Real, kRows>(init, weights(panel), x, args_.shape.I, x, 0, out);
        for (int r = 0; r < kRows; ++r) {
          Real* to = ahead((tile + r) / rows_, (tile + r) % rows_, panel);
          for (int gate = 0; gate < kGates; ++gate) store(to + gate * V, out[r][gate]);
        }
      });
    }
  }

  template <bool kSave>
  void run_step(int64_t step, int64_t slot) {
    int64_t panel = 0;
    if (rows_ == 1) {
      for (; panel + 2 <= panels(); panel += 2) run_pair<kSave>(step, slot, panel);
    }
    for (; panel < panels(); ++panel) {
      for_tiles<kTileRows>(rows_, [&](int64_t first, auto n) {
        run_tile<decltype(n)::value, kSave>(step, slot, panel, first);
      });
    }
  }

  template <bool kSave>
  CellRow<Real> cell_row(int64_t step, int64_t panel, int64_t b) const {
    return {cells(step, panel, b), cells(step + 1, panel, b),
            args_.y.row(time(step), b) + panel * V,
            kSave ? tape_gates(args_.tape, args_.shape, step, panel, b) : nullptr};
  }

  template <int kRows, bool kSave>
  __attribute__((noinline)) void run_tile(int64_t step, int64_t slot, int64_t panel,
                                          int64_t first) {
    const Real *init[kRows], *x[kRows], *h[kRows];
    CellRow<Real> rows[kRows];
    for (int r = 0; r < kRows; ++r) {
      const int64_t b = row_ + first + r;
      init[r] = slot < 0 ? plan_.bias + panel * W : ahead(slot, first + r, panel);
      x[r] = args_.x.row(time(step), b);
      h[r] = h_prev(step, b);
      rows[r] = cell_row<kSave>(step, panel, b);
    }
    const int64_t I = args_.shape.I;
    alignas(64) Vec<Real> pre[kRows][kGates];
    gates_tile<Real, kRows>(init, weights(panel) + (slot < 0 ? 0 : I * W), x, slot < 0 ? I : 0, h,
                            args_.shape.H, pre);
    cell_rows<Real, kRows, kSave>(pre, rows, units(panel));
  }

  template <bool kSave>
  __attribute__((noinline)) void run_pair(int64_t step, int64_t slot, int64_t panel) {
    const int64_t I = args_.shape.I, b = row_;
    alignas(64) Vec<Real> pre[2][kGates];
    gates_pair<Real>(slot < 0 ? plan_.bias + panel * W : ahead(slot, 0, panel),
                     weights(panel) + (slot < 0 ? 0 : I * W), (I + args_.shape.H) * W,
                     args_.x.row(time(step), b), slot < 0 ? I : 0, h_prev(step, b), args_.shape.H,
                     pre);
    for (int p = 0; p < 2; ++p) {
      Vec<Real> one[1][kGates];
      for (int gate = 0; gate < kGates; ++gate) one[0][gate] = pre[p][gate];
      const CellRow<Real> row[1] = {cell_row<kSave>(step, panel + p, b)};
      cell_rows<Real, 1, kSave>(one, row, units(panel + p));
    }
  }

  const ForwardPlan<Real>& plan_;
  const ForwardArgs<Real>& args_;
  const int64_t row_, rows_;
  Real* ahead_;
};

template <class Real>
void forward_rows(const ForwardPlan<Real>& plan, int64_t row, int64_t row_end, Real* scratch) {
  const FlushSubnormals flush;
  ForwardRows<Real>(plan, row, row_end, scratch).run();
}

}  // namespace gatewise::GATEWISE_ISA
