// Forward: for each step and panel, tiles of rows go through products, gates, cell and output.
#pragma once

#include "cells.h"
#include "rows.h"

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

// Cells that are compiled for themselves: the default one, and that with peepholes; or any other.
enum class CellKind { kDefault, kPeephole, kAny };

// Some rows of the batch, through all steps or through one. Weight: Real, or Bfloat16Pair.
template <class Real, class Weight, CellKind kKind>
class ForwardRows {
 public:
  // ahead: forward_scratch(rows) elements.
  ForwardRows(const ForwardPlan<Real>& plan, Range rows, Real* ahead)
      : plan_(plan), gates_(plan.cell), row_(rows.first), rows_(rows.size()), ahead_(ahead) {}

  void run() {
    const Range all{0, panels()};
    for (int64_t step = 0; step < plan_.shape.T; ++step) run_step(step, all);
    if (plan_.shape.T == 0) load_cells(all);
    store_states(all);
  }

  // The states of these panels are loaded before their first step; and stored after the last one.
  void run_step(int64_t step, Range panels) {
    const int64_t T = plan_.shape.T, block = steps_ahead(plan_.shape, rows_);
    if (step == 0) load_cells(panels);
    if (block && step % block == 0) project({step, std::min(step + block, T)}, panels);
    const Step at(plan_, step, block ? step % block : -1);
    if (plan_.tape.gates) {
      run_panels<true>(at, panels, step % 2);
    } else {
      run_panels<false>(at, panels, step % 2);
    }
  }

  void store_states(Range panels) {
    const auto& s = plan_.shape;
    for (int64_t b = row_; plan_.h_n && b < row_ + rows_; ++b) {
      const Real* h = hidden_before(plan_, s.steps_of(b))[b];
      const int64_t end = std::min(panels.end * V, s.P);
      for (int64_t j = panels.first * V; j < end; ++j) plan_.h_n[b * s.P + j] = h[j];
    }
    store_cells(panels);
  }

  void load_cells(Range panels) {
    for_cells(panels, [&](int64_t panel, int64_t b) {
      store(cells(0, panel, b), load_first(plan_.c0.row(b) + panel * V, units(panel)));
    });
  }

  void store_cells(Range panels) {
    const auto& s = plan_.shape;
    for_cells(panels, [&](int64_t panel, int64_t b) {
      const Vec<Real> c = load(cells(s.steps_of(b), panel, b));
      store_first(plan_.c_n + b * s.H + panel * V, c, units(panel));
    });
  }

  // One step with the cell states as they are.
  void advance(bool descending) {
    run_panels<false>(Step(plan_, 0, -1), {0, panels()}, descending);
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  // Where one step reads and writes. slot: of the projection done ahead, or -1.
  struct Step {
    Step(const ForwardPlan<Real>& plan, int64_t step, int64_t slot)
        : slot(slot),
          rows(plan.shape.rows_at(step)),
          tape(plan.tape, plan.shape, step),
          x(plan.x, plan.shape, step, plan.reverse),
          h_prev(hidden_before(plan, step)),
          y(plan.y, plan.shape, step, plan.reverse) {}
    int64_t slot, rows;
    StepTape<Real> tape;
    StepRows<const Real> x, h_prev;
    StepRows<Real> y;
  };

  int64_t panels() const { return panel_count<Real>(plan_.shape.H); }
  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, plan_.shape.H - panel * V));
  }
  int64_t panel_stride() const {
    return (words<Weight>(plan_.shape.I) + words<Weight>(plan_.shape.P)) * W;
  }
  const Weight* weights(int64_t panel) const {
    return reinterpret_cast<const Weight*>(plan_.weights) + panel * panel_stride();
  }
  // Of the tile: without the inputs where they are projected ahead.
  const Weight* weights(int64_t panel, int64_t slot) const {
    return weights(panel) + (slot < 0 ? 0 : words<Weight>(plan_.shape.I) * W);
  }
  Real* cells(int64_t step, int64_t panel, int64_t b) const {
    return tape_cells(plan_.tape, plan_.shape, step, panel, b);
  }
  Real* ahead(int64_t slot, int64_t r, int64_t panel) const {
    return ahead_ + ((slot * rows_ + r) * panels() + panel) * W;
  }

  template <class Function>
  void for_cells(Range panels, Function&& function) {
    for (int64_t panel = panels.first; panel < panels.end; ++panel) {
      for (int64_t b = row_; b < row_ + rows_; ++b) function(panel, b);
    }
  }

  // ahead[step][r] = bias + x W_x.
  void project(Range steps, Range panels) {
    const Range own{row_, row_ + rows_};
    const int64_t count = RowCursor::count(plan_.shape, steps, own);
    for (int64_t panel = panels.first; panel < panels.end; ++panel) {
      const Real* bias = plan_.bias + panel * W;
      RowCursor at(plan_.shape, steps, own);
      for_tiles<kTileRows>(count, [&](int64_t, auto n) {
        constexpr int kRows = decltype(n)::value;
        const Real *init[kRows], *x[kRows];
        Real* to[kRows];
        for (int r = 0; r < kRows; ++r, at.next()) {
          init[r] = bias;
          x[r] = plan_.x.row(plan_.shape.time(at.step(), at.b(), plan_.reverse), at.b());
          to[r] = ahead(at.step() - steps.first, at.b() - row_, panel);
        }
        alignas(64) Vec<Real> out[kRows][kGates];
        gates_tile<Real, Weight, kRows>(gates_, init, weights(panel), x, plan_.shape.I, x, 0, out);
        for (int r = 0; r < kRows; ++r) {
          for (int gate = 0; gate < kGates; ++gate) store(to[r] + gate * V, out[r][gate]);
        }
      });
    }
  }

  // Every other step takes the panels from the last to the first: of weights a little larger than
  // the cache, what was read last is still there.
  template <bool kSave>
  void run_panels(const Step& at, Range panels, bool descending) {
    const int64_t rows = std::min(rows_, at.rows - row_);
    if (rows <= 0) return;
    const int64_t at_once = rows == 1 ? 2 : 1, groups = (panels.size() + at_once - 1) / at_once;
    for (int64_t k = 0; k < groups; ++k) {
      const int64_t panel = panels.first + (descending ? groups - 1 - k : k) * at_once;
      if (rows == 1 && panel + 2 <= panels.end) {
        run_pair<kSave>(at, panel);
      } else {
        for_tiles<kTileRows>(rows, [&](int64_t first, auto n) {
          run_tile<decltype(n)::value, kSave>(at, panel, first);
        });
      }
    }
  }

  template <bool kSave>
  CellRow<Real> cell_row(const Step& at, int64_t panel, int64_t b) const {
    return {at.tape.c_prev(panel, b), at.tape.c(panel, b), at.y[b] + panel * V,
            kSave ? at.tape.gates(panel, b) : nullptr,
            kKind != CellKind::kDefault && plan_.extras.peephole
                ? plan_.extras.peephole + panel * 3 * V
                : nullptr};
  }

  template <int kRows, bool kSave>
  __attribute__((noinline)) void run_tile(const Step& at, int64_t panel, int64_t first) {
    const Real *init[kRows], *x[kRows], *h[kRows];
    CellRow<Real> rows[kRows];
    for (int r = 0; r < kRows; ++r) {
      const int64_t b = row_ + first + r;
      init[r] = at.slot < 0 ? plan_.bias + panel * W : ahead(at.slot, first + r, panel);
      x[r] = at.x[b];
      h[r] = at.h_prev[b];
      rows[r] = cell_row<kSave>(at, panel, b);
    }
    const int64_t I = at.slot < 0 ? plan_.shape.I : 0;
    alignas(64) Vec<Real> pre[kRows][kGates];
    gates_tile<Real, Weight, kRows>(gates_, init, weights(panel, at.slot), x, I, h, plan_.shape.P,
                                    pre);
    run_cells<kRows, kSave>(pre, rows, panel);
  }

  template <int kRows, bool kSave>
  GATEWISE_INLINE void run_cells(Vec<Real> (&pre)[kRows][kGates],
                                 const CellRow<Real> (&rows)[kRows], int64_t panel) {
    constexpr bool kRound = kIsPair<Weight>;
    if constexpr (kKind == CellKind::kAny) {
      any_cell_rows<Real, kRound>(plan_.cell, pre, rows, kRows, units(panel));
    } else {
      constexpr bool kSee = kKind == CellKind::kPeephole;
      cell_rows<Real, kRows, kSave, kRound, kSee>(pre, rows, units(panel));
    }
  }

  template <bool kSave>
  __attribute__((noinline)) void run_pair(const Step& at, int64_t panel) {
    const int64_t I = at.slot < 0 ? plan_.shape.I : 0, b = row_;
    alignas(64) Vec<Real> pre[2][kGates];
    gates_pair<Real, Weight>(
        gates_, at.slot < 0 ? plan_.bias + panel * W : ahead(at.slot, 0, panel),
        weights(panel, at.slot), panel_stride(), at.x[b], I, at.h_prev[b], plan_.shape.P, pre);
    for (int p = 0; p < 2; ++p) {
      Vec<Real> one[1][kGates];
      for (int gate = 0; gate < kGates; ++gate) one[0][gate] = pre[p][gate];
      const CellRow<Real> row[1] = {cell_row<kSave>(at, panel + p, b)};
      run_cells<1, kSave>(one, row, panel + p);
    }
  }

  // In bfloat16 a removed gate costs what the others do.
  static constexpr bool kMayMiss = kKind == CellKind::kAny && !kIsPair<Weight>;
  using Gates = std::conditional_t<kMayMiss, SomeGates, AllGates>;

  const ForwardPlan<Real>& plan_;
  const Gates gates_;
  const int64_t row_, rows_;
  Real* ahead_;
};

}  // namespace gatewise::GATEWISE_ISA
