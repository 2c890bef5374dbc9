// SPDX-License-Identifier: Apache-2.0
// From the kernels' order to that of traces: what a tape holds, and the gradients of the gates.
#pragma once

#include "backward.h"

namespace gatewise::GATEWISE_ISA {

// Calls function(panel, units of it, b, row of the labelled arrays, t * B + b) for all that ran.
template <class Real, class Function>
void for_units(const LayerPlan<Real>& plan, int64_t step, Function&& function) {
  const Shape& s = plan.shape;
  for (int64_t panel = 0; panel < panel_count<Real>(s.H); ++panel) {
    const int64_t first = panel * kLanes<Real>;
    const int units = static_cast<int>(std::min<int64_t>(kLanes<Real>, s.H - first));
    for (int64_t b = 0; b < s.rows_at(step); ++b) {
      function(panel, units, b, s.time(step, b, plan.reverse) * s.B + b);
    }
  }
}

// The gates after their activation and the cell states of some steps.
template <class Real>
void read_tape(const LayerPlan<Real>& plan, const Tape<const Real>& tape, Range steps,
               const Activity<Real>& to) {
  constexpr int V = kLanes<Real>;
  const FlushSubnormals flush;
  const int64_t H = plan.shape.H;
  for (int64_t step = steps.first; step < steps.end; ++step) {
    const StepTape<const Real> at(tape, plan.shape, step);
    for_units(plan, step, [&](int64_t panel, int units, int64_t b, int64_t row) {
      const GateValues<Real> gate = gate_values<Real>(plan.cell, at.gates(panel, b));
      const int64_t to_unit = row * H + panel * V;
      const auto put = [&](Real* out, Vec<Real> value) {
        if (out) store_first(out + to_unit, value, units);
      };
      put(to.input_gate, gate.i), put(to.forget_gate, gate.f);
      put(to.candidate, gate.g), put(to.output_gate, gate.o);
      put(to.cell_state, load(at.c(panel, b)));
    });
  }
}

// The gradients of the gates before their activation, of some steps of one chunk.
template <class Real>
void read_gradients(const BackwardPlan<Real>& plan, Range steps) {
  Real* to = plan.gate_gradients;
  constexpr int V = kLanes<Real>;
  const Shape& s = plan.shape;
  const Backward<Real> backward(plan);
  for (int64_t step = steps.first; step < steps.end; ++step) {
    for_units(plan, step, [&](int64_t panel, int units, int64_t b, int64_t row) {
      const Real* from = plan.dgates_pre + backward.place(step, panel, b);
      for (int64_t gate = 0; gate < kGates; ++gate) {
        store_first(to + (row * kGates + gate) * s.H + panel * V, load(from + gate * V), units);
      }
    });
  }
}

}  // namespace gatewise::GATEWISE_ISA
