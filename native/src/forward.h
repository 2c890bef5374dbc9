// SPDX-License-Identifier: Apache-2.0
// Forward: for each step and panel, tiles of rows go through products, gates, cell and output.
#pragma once

#include "cells.h"
#include "rows.h"
#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// Below this many rows a step cannot reuse the input weights in registers, so the input projection
// of several steps is done ahead in one product.
inline constexpr int64_t kProjectAheadRows = kTileRows;
inline constexpr int64_t kProjectAheadBatch = 32;  // rows (steps x batch) of one such product
// The same where the weights take kCacheBytes or more: a step then reads W_hh alone. More rows,
// too, up to so many times kProjectAheadRows.
inline constexpr int64_t kProjectAheadBatchFar = 128;
inline constexpr int64_t kProjectAheadTilesFar = 3;

// How many steps ahead; 0: the projection is part of the tile. Adds the same terms in the same
// order either way, so the choice does not change the bits.
template <class Real>
int64_t steps_ahead(const Shape& s, int64_t rows) {
  const int64_t bytes = kGates * s.H * (s.I + s.P) * static_cast<int64_t>(sizeof(Real));
  const int64_t caches = bytes / kCacheBytes;  // that they fill
  const int64_t tiles = std::clamp<int64_t>(caches, 1, kProjectAheadTilesFar);
  if (rows < 1 || rows >= tiles * kProjectAheadRows || s.I <= 4 || s.T <= 1) return 0;
  return std::min(s.T, (caches ? kProjectAheadBatchFar : kProjectAheadBatch) / rows);
}
template <class Real>
size_t ahead_size(const Shape& s, int64_t rows) {
  return static_cast<size_t>(steps_ahead<Real>(s, rows) * rows * panel_count<Real>(s.H) *
                             kPanelWidth<Real>);
}

// Where x, the h before and the h to come of the rows of one step lie. All panels of a step use the
// same addresses, so they are worked out once.
template <class Real>
struct RowTable {
  const Real **x, **h;
  Real** y;
  static size_t size(int64_t rows) {  // in elements of Real
    return (static_cast<size_t>(rows) * 3 * sizeof(Real*) + sizeof(Real) - 1) / sizeof(Real);
  }
  // room: null where no step is to be run.
  RowTable(Real* room, int64_t rows)
      : x(reinterpret_cast<const Real**>(room)),
        h(room ? x + rows : nullptr),
        y(room ? reinterpret_cast<Real**>(room) + 2 * rows : nullptr) {}
};

// Cells that are compiled for themselves: the default one, and that with peepholes; or any other.
enum class CellKind { kDefault, kPeephole, kAny };

// Some rows of the batch, through some steps or through one. Weight: Real, or Bfloat16Pair.
template <class Real, class Weight, CellKind kKind>
class ForwardRows {
 public:
  // ahead: ahead_size(rows) elements; table: RowTable::size(rows).
  ForwardRows(const ForwardPlan<Real>& plan, Range rows, Real* ahead, Real* table)
      : plan_(plan),
        gates_(plan.cell),
        row_(rows.first),
        rows_(rows.size()),
        ahead_(ahead),
        table_(table, rows.size()) {}

  // The states are loaded before the first step of all, and stored after the last.
  void run(Range steps) {
    const Range all{0, panels()};
    const int64_t block = steps_ahead<Real>(plan_.shape, rows_);
    if (steps.first == 0) load_cells(all);
    for (int64_t step = steps.first; step < steps.end; ++step) {
      const int64_t slot = block ? (step - steps.first) % block : -1;
      if (slot == 0) project({step, std::min(step + block, steps.end)}, all);
      run_step(step, slot, all);
    }
    if (steps.end == plan_.shape.T) store_states(all);
  }

  // Some panels of one step: the states of these panels, too.
  void run_panels(int64_t step, Range panels) {
    const int64_t T = plan_.shape.T, block = steps_ahead<Real>(plan_.shape, rows_);
    if (step == 0) load_cells(panels);
    if (block && step % block == 0) project({step, std::min(step + block, T)}, panels);
    run_step(step, block ? step % block : -1, panels);
    if (step == T - 1) store_states(panels);
  }

  // One step with the cell states as they are.
  void advance(bool descending) {
    const Step at(*this, 0, -1);
    each_panel<false>(at, {0, panels()}, descending);
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

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  // What one step reads and writes. slot: of the projection done ahead, or -1.
  struct Step {
    Step(const ForwardRows& of, int64_t step, int64_t slot)
        : slot(slot),
          rows(std::min(of.rows_, of.plan_.shape.rows_at(step) - of.row_)),
          inputs(slot < 0 ? of.plan_.shape.I : 0),
          tape(of.plan_.tape, of.plan_.shape, step) {
      if (rows <= 0) return;
      const auto& plan = of.plan_;
      if (slot < 0) {
        StepRows<const Real>(plan.x, plan.shape, step, plan.reverse)
            .locate(of.row_, rows, of.table_.x);
      }
      hidden_before(plan, step).locate(of.row_, rows, of.table_.h);
      StepRows<Real>(plan.y, plan.shape, step, plan.reverse).locate(of.row_, rows, of.table_.y);
    }
    int64_t slot, rows, inputs;
    StepTape<Real> tape;
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
  const Weight* weights(int64_t panel, const Step& at) const {
    return weights(panel) + (at.inputs ? 0 : words<Weight>(plan_.shape.I) * W);
  }
  Real* cells(int64_t step, int64_t panel, int64_t b) const {
    return tape_cells(plan_.tape, plan_.shape, step, panel, b);
  }
  Real* ahead(int64_t slot, int64_t r, int64_t panel) const {
    return ahead_ + ((slot * rows_ + r) * panels() + panel) * W;
  }
  // The gates of row r before any product, and how far the next row's are.
  const Real* init(const Step& at, int64_t r, int64_t panel) const {
    return at.slot < 0 ? plan_.bias + panel * W : ahead(at.slot, r, panel);
  }
  int64_t init_stride(const Step& at) const { return at.slot < 0 ? 0 : panels() * W; }

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
      RowCursor at(plan_.shape, steps, own);
      for_tiles<kTileRows>(count, [&](int64_t, auto n) {
        constexpr int kRows = decltype(n)::value;
        const Real* x[kRows];
        Real* to[kRows];
        for (int r = 0; r < kRows; ++r, at.next()) {
          x[r] = plan_.x.row(plan_.shape.time(at.step(), at.b(), plan_.reverse), at.b());
          to[r] = ahead(at.step() - steps.first, at.b() - row_, panel);
        }
        alignas(64) Vec<Real> out[kRows][kGates];
        with_gates(gates_, [&](const auto& gates) {
          gates_tile<Real, Weight, kRows>(gates, plan_.bias + panel * W, 0, weights(panel), x,
                                          plan_.shape.I, x, 0, out);
        });
        for (int r = 0; r < kRows; ++r) {
          for (int gate = 0; gate < kGates; ++gate) store(to[r] + gate * V, out[r][gate]);
        }
      });
    }
  }

  void run_step(int64_t step, int64_t slot, Range panels) {
    const Step at(*this, step, slot);
    if (plan_.tape.gates) {
      each_panel<true>(at, panels, step % 2);
    } else {
      each_panel<false>(at, panels, step % 2);
    }
  }

  // Every other step takes the panels from the last to the first: of weights a little larger than
  // the cache, what was read last is still there.
  template <bool kSave>
  void each_panel(const Step& at, Range panels, bool descending) {
    if (at.rows <= 0) return;
    const int64_t at_once = at.rows == 1 ? 2 : 1, groups = (panels.size() + at_once - 1) / at_once;
    for (int64_t k = 0; k < groups; ++k) {
      const int64_t panel = panels.first + (descending ? groups - 1 - k : k) * at_once;
      if (at.rows == 1 && panel + 2 <= panels.end) {
        run_pair<kSave>(at, panel);
      } else {
        const Weight* next = nullptr;
        if (k + 1 < groups && is_far(panels)) next = weights(panel + (descending ? -1 : 1), at);
        int64_t tile = 0;
        for_tiles<kTileRows>(at.rows, [&](int64_t first, auto n) {
          run_tile<decltype(n)::value, kSave>(at, panel, first, next, tile++);
        });
      }
    }
  }

  // Whether the weights of these panels are read from beyond L2.
  bool is_far(Range panels) const {
    return kFetches &&
           panels.size() * panel_stride() * static_cast<int64_t>(sizeof(Weight)) > kCacheBytes;
  }

  // next: weights of the panel to come, for tile number `tile` to fetch some of them; or null.
  template <int kRows, bool kSave>
  GATEWISE_INLINE void run_tile(const Step& at, int64_t panel, int64_t first, const Weight* next,
                                int64_t tile) {
    alignas(64) Vec<Real> pre[kRows][kGates];
    const auto run = [&](const auto& gates, const auto& ahead) __attribute__((always_inline)) {
      gates_tile<Real, Weight, kRows>(gates, init(at, first, panel), init_stride(at),
                                      weights(panel, at), table_.x + first, at.inputs,
                                      table_.h + first, plan_.shape.P, pre, ahead);
    };
    if constexpr (kFetches) {
      with_fetch<Real, kGates>(next, at.inputs + plan_.shape.P, tile,
                               [&](const auto& ahead) { run(AllGates{}, ahead); });
    } else {
      with_gates(gates_, [&](const auto& gates) { run(gates, NoFetch{}); });
    }
    finish<kSave>(at, panel, first, kRows, pre, table_.y + first);
  }

  // One row, two panels.
  template <bool kSave>
  GATEWISE_INLINE void run_pair(const Step& at, int64_t panel) {
    alignas(64) Vec<Real> pre[2][kGates];
    with_gates(gates_, [&](const auto& gates) __attribute__((always_inline)) {
      gates_pair<Real, Weight>(gates, init(at, 0, panel), weights(panel, at), panel_stride(),
                               table_.x[0], at.inputs, table_.h[0], plan_.shape.P, pre);
    });
    // Of a batch of one, the panels of c, gates and h lie one after the other, as rows do: the
    // chains of both run side by side.
    if (kKind == CellKind::kDefault && at.tape.rows_before() == 1 && units(panel + 1) == V) {
      Real* const h[] = {table_.y[0], table_.y[0] + V};
      return finish<kSave>(at, panel, 0, 2, pre, h);
    }
    for (int p = 0; p < 2; ++p) finish<kSave>(at, panel + p, 0, 1, pre + p, table_.y);
  }

  // From the gates to c and h, for n rows of a panel. to: where each row of h lies.
  template <bool kSave>
  void finish(const Step& at, int64_t panel, int64_t first, int n, Vec<Real> (*pre)[kGates],
              Real* const* to) {
    constexpr bool kRound = kIsPair<Weight>;
    const int64_t b = row_ + first;
    const CellRows<Real> rows{
        at.tape.c_prev(panel, b), at.tape.c(panel, b), kSave ? at.tape.gates(panel, b) : nullptr,
        plan_.extras.peephole ? plan_.extras.peephole + panel * 3 * V : nullptr};
    const HiddenRows<Real> h{to, panel * V, units(panel)};
    if constexpr (kKind == CellKind::kAny) {
      any_cell_rows<Real, kRound>(plan_.cell, pre, rows, h, n);
    } else {
      cell_rows<Real, kSave, kRound, kKind == CellKind::kPeephole>(pre, rows, h, n);
    }
  }

  static constexpr bool kFetches = kKind == CellKind::kDefault && std::is_same_v<Weight, Real>;
  // In bfloat16 a removed gate costs what the others do.
  static constexpr bool kMayMiss = kKind == CellKind::kAny && !kIsPair<Weight>;
  using Gates = std::conditional_t<kMayMiss, SomeGates, AllGates>;

  const ForwardPlan<Real>& plan_;
  const Gates gates_;
  const int64_t row_, rows_;
  Real* ahead_;
  const RowTable<Real> table_;
};

}  // namespace gatewise::GATEWISE_ISA
