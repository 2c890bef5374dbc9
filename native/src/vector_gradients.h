// SPDX-License-Identifier: Apache-2.0
// Backward, third part: the gradients of what has one number for each unit (bias, peepholes, gains
// and shifts of layer norms), and that of the projection. Terms add as those of dW do.
#pragma once

#include "gradients.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
class VectorGradients {
 public:
  VectorGradients(const BackwardPlan<Real>& plan, Range steps)
      : plan_(plan), s_(plan.shape), backward_(plan), steps_(steps) {}

  void run(int64_t panel) {
    if (plan_.db)
      sum<kGates>(plan_.db + panel * W,
                  [&](int64_t step, int64_t b, Vec<Real>(&total)[kGates])
                      __attribute__((always_inline)) {
                        const Real* d = plan_.dgates_pre + backward_.place(step, panel, b);
#pragma GCC unroll 4
                        for (int gate = 0; gate < kGates; ++gate) total[gate] += load(d + gate * V);
                      });
    if (plan_.dpeephole) peephole(panel);
    if (!plan_.cell.layer_norm) return;
    if (plan_.staging.dnorm_ih) gate_norm(panel, false, plan_.staging.dnorm_ih);
    if (plan_.staging.dnorm_hh) gate_norm(panel, true, plan_.staging.dnorm_hh);
    if (plan_.staging.dnorm_c) cell_norm(panel);
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;

  // out[k] += what term(step, row, total) adds to total[k], summed apart for each group of steps.
  template <int kVectors, class Term>
  GATEWISE_INLINE void sum(Real* out, Term&& term) {
    for_groups(steps_, plan_.sum_steps, [&](Range group) __attribute__((always_inline)) {
      Vec<Real> total[kVectors] = {};
      for (int64_t step = group.end - 1; step >= group.first; --step) {
        for (int64_t b = 0; b < s_.rows_at(step); ++b) term(step, b, total);
      }
      for (int k = 0; k < kVectors; ++k) store(out + k * V, load(out + k * V) + total[k]);
    });
  }

  // From c of the step before to i and f, and from the new c to o.
  void peephole(int64_t panel) {
    sum<3>(plan_.dpeephole + panel * 3 * V, [&](int64_t step, int64_t b, Vec<Real>(&total)[3]) {
      const Real* d = plan_.dgates_pre + backward_.place(step, panel, b);
      const StepTape<const Real> tape(plan_.tape, s_, step);
      const Real* gates = tape.gates(panel, b);
      const Vec<Real> c_prev = load(tape.c_prev(panel, b));
      const GateValues<Real> gate = gate_values<Real>(plan_.cell, gates);
      const Vec<Real> c = fma(gate.f, c_prev, gate.i * gate.g);
      total[0] = fma(load(d), c_prev, total[0]);
      total[1] = fma(load(d + V), c_prev, total[1]);
      total[2] = fma(load(d + 3 * V), c, total[2]);
    });
  }

  void gate_norm(int64_t panel, bool of_h, Real* out) {
    const int64_t panels = panel_count<Real>(s_.H);
    const auto size = static_cast<int64_t>(NormRow<Real>::size(panels));
    sum<2 * kGates>(out + panel * 2 * W,
                    [&](int64_t step, int64_t b, Vec<Real>(&total)[2 * kGates]) {
                      const Real* d = plan_.dgates_pre + backward_.place(step, panel, b);
                      const Real* normal = plan_.tape.norms + (s_.rows_before(step) + b) * size +
                                           (of_h ? panels : 0) * W + panel * W;
                      for (int gate = 0; gate < kGates; ++gate) {
                        total[gate] = fma(load(d + gate * V), load(normal + gate * V), total[gate]);
                        total[kGates + gate] += load(d + gate * V);
                      }
                    });
  }

  void cell_norm(int64_t panel) {
    sum<2>(plan_.staging.dnorm_c + panel * 2 * V,
           [&](int64_t step, int64_t b, Vec<Real>(&total)[2]) {
             const int64_t at =
                 (((step % plan_.chunk_steps) * panel_count<Real>(s_.H) + panel) * s_.B + b) * V;
             const Vec<Real> d = load(plan_.staging.dnormal_c + at);
             total[0] = fma(d, load(plan_.staging.normal_c + at), total[0]);
             total[1] += d;
           });
  }

  const BackwardPlan<Real>& plan_;
  const Shape& s_;
  const Backward<Real> backward_;
  const Range steps_;
};

// dW_hr of the steps of a chunk, as a product of what the projection put out and took.
template <class Real>
void add_projection_gradient(const BackwardPlan<Real>& plan, Range steps) {
  constexpr int64_t W = kPanelWidth<Real>;
  const Shape& s = plan.shape;
  const int64_t groups = in_whole_panels<Real>(s.H) / W, stride = in_whole_panels<Real>(s.P);
  for (int64_t group = 0; group < groups; ++group) {
    for_tiles<kTileRows>(s.P, [&](int64_t column, auto n) {
      Real* dw = plan.staging.dproject + (group * s.P + column) * W;
      for_groups(steps, plan.sum_steps, [&](Range some) {
        weight_gradient_tile<Real, decltype(n)::value>(AllGates{}, dw, [&](auto&& function) {
          for (int64_t step = some.end - 1; step >= some.first; --step) {
            const int64_t slot = step % plan.chunk_steps;
            function(Operands<Real>{
                .a = plan.staging.projected + slot * s.B * stride + column,
                .dgates = plan.staging.unprojected + (slot * groups + group) * s.B * W,
                .rows = s.rows_at(step),
                .a_row = stride,
                .dgates_row = W,
                .steps = 1,
                .a_step = 0,
                .dgates_step = 0});
          }
        });
      });
    });
  }
}

}  // namespace gatewise::GATEWISE_ISA
