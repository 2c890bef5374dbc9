// SPDX-License-Identifier: Apache-2.0
// The kernels as the drivers call them: each chooses the class for the plan's cell.
#pragma once

#include "lines.h"
#include "recording.h"
#include "vector_gradients.h"

namespace gatewise::GATEWISE_ISA {

// Calls function with the class for the plan's cell.
template <class Real, class Weight, class Function>
GATEWISE_INLINE void with_cell(const ForwardPlan<Real>& plan, Function&& function) {
  Cell seeing;
  seeing.peephole = true;
  if (plan.cell == Cell{}) {
    function(std::type_identity<ForwardRows<Real, Weight, CellKind::kDefault>>{});
  } else if (plan.cell == seeing) {
    function(std::type_identity<ForwardRows<Real, Weight, CellKind::kPeephole>>{});
  } else {
    function(std::type_identity<ForwardRows<Real, Weight, CellKind::kAny>>{});
  }
}

template <class Real>
size_t forward_scratch(const Shape& s, int64_t least, int64_t most, bool staged) {
  if (staged) return whole_lines<Real>(static_cast<size_t>(most) * StagedRow<Real>::size(s));
  size_t ahead = 0;  // not always most for the most rows
  const int64_t end = std::min(most + 1, kProjectAheadTilesFar * kProjectAheadRows);
  for (int64_t rows = least; rows < end; ++rows) {
    ahead = std::max(ahead, ahead_size<Real>(s, rows));
  }
  return whole_lines<Real>(ahead) + whole_lines<Real>(RowTable<Real>::size(most));
}
template <class Real>
size_t ahead_size_of_all(const Shape& s) {
  return whole_lines<Real>(ahead_size<Real>(s, s.B));
}

template <class Real, class Weight>
void forward_rows(const ForwardPlan<Real>& plan, Range steps, Range rows, Real* scratch) {
  const FlushSubnormals flush;
  if (plan.staged) return StagedRows<Real, Weight>(plan, rows, scratch).run(steps);
  Real* table = scratch + whole_lines<Real>(ahead_size<Real>(plan.shape, rows.size()));
  with_cell<Real, Weight>(plan, [&](auto type) {
    typename decltype(type)::type(plan, rows, scratch, table).run(steps);
  });
}

template <class Real, class Weight>
void forward_step(const ForwardPlan<Real>& plan, int64_t step, Range panels, Real* ahead,
                  Real* table) {
  const FlushSubnormals flush;
  with_cell<Real, Weight>(plan, [&](auto type) {
    typename decltype(type)::type(plan, {0, plan.shape.B}, ahead, table).run_panels(step, panels);
  });
}

template <class Real, class Weight>
void stream_step(const ForwardPlan<Real>& plan, Range rows, bool descending, Real* scratch) {
  const FlushSubnormals flush;
  if (plan.staged) return StagedRows<Real, Weight>(plan, rows, scratch).advance();
  with_cell<Real, Weight>(plan, [&](auto type) {
    typename decltype(type)::type(plan, rows, nullptr, scratch).advance(descending);
  });
}

template <class Real>
ForwardRows<Real, Real, CellKind::kDefault> all_rows(const ForwardPlan<Real>& plan) {
  return {plan, {0, plan.shape.B}, nullptr, nullptr};
}
template <class Real>
void load_cells(const ForwardPlan<Real>& plan) {
  all_rows(plan).load_cells({0, panel_count<Real>(plan.shape.H)});
}
template <class Real>
void store_cells(const ForwardPlan<Real>& plan) {
  all_rows(plan).store_cells({0, panel_count<Real>(plan.shape.H)});
}

template <class Real>
void start_gradients(const BackwardPlan<Real>& plan, const Real* dh_n, const Real* dc_n) {
  Backward<Real>(plan).start(plan.staged ? nullptr : dh_n, dc_n);
  if (plan.staged) StagedBackward<Real>(plan).start(dh_n);
}
template <class Real>
void finish_gradients(const BackwardPlan<Real>& plan, Real* dh0, Real* dc0) {
  Backward<Real>(plan).finish(dh0, dc0);
  if (plan.staged) StagedBackward<Real>(plan).finish(dh0);
}
template <class Real>
void gradient_rows(const BackwardPlan<Real>& plan, Range steps, Range rows) {
  const FlushSubnormals flush;
  if (plan.staged) return StagedBackward<Real>(plan).run_rows(steps, rows);
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

template <class Real>
void pack_operand(const BackwardPlan<Real>& plan, Range steps, Range columns) {
  WeightGradient<Real>(plan, steps).copy_operand(columns);
}
template <class Real>
void weight_gradient(const BackwardPlan<Real>& plan, Range steps, Range columns, Range panels) {
  const FlushSubnormals flush;
  WeightGradient<Real>(plan, steps).run(columns, panels);
}
template <class Real>
void bias_gradient(const BackwardPlan<Real>& plan, Range steps, Range panels) {
  const FlushSubnormals flush;
  VectorGradients<Real> gradients(plan, steps);
  for (int64_t panel = panels.first; panel < panels.end; ++panel) gradients.run(panel);
}
template <class Real>
void projection_gradient(const BackwardPlan<Real>& plan, Range steps) {
  const FlushSubnormals flush;
  add_projection_gradient(plan, steps);
}

}  // namespace gatewise::GATEWISE_ISA
