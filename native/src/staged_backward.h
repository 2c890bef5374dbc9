// SPDX-License-Identifier: Apache-2.0
// Backward of staged.h: per step from dh to dgates, as a list of stages; each goes through all rows
// before the next begins.
#pragma once

#include "backward.h"
#include "staged.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
class StagedBackward {
 public:
  explicit StagedBackward(const BackwardPlan<Real>& plan)
      : plan_(plan),
        s_(plan.shape),
        base_(plan),
        panels_(panel_count<Real>(s_.H)),
        gate_columns_(gate_columns<Real>(plan.cell, s_.H)) {}

  // What leads to h_n leads past the mask of what the next step would have read.
  void start(const Real* dh_n) {
    const Staging<Real>& at = plan_.staging;
    std::fill_n(at.kept, s_.B * padded<Real>(s_.P), Real{0});
    for (int64_t b = 0; dh_n && b < s_.B; ++b) std::copy_n(dh_n + b * s_.P, s_.P, kept(b));
    const int64_t unit = panels_ * V;
    if (at.dproject) std::fill_n(at.dproject, in_whole_panels<Real>(s_.H) * s_.P, Real{0});
    if (at.dnorm_ih) std::fill_n(at.dnorm_ih, 8 * unit, Real{0});
    if (at.dnorm_hh) std::fill_n(at.dnorm_hh, 8 * unit, Real{0});
    if (at.dnorm_c) std::fill_n(at.dnorm_c, 2 * unit, Real{0});
  }

  void finish(Real* dh0) {
    if (!dh0) return;
    for (int64_t b = 0; b < s_.B; ++b) {
      for (int64_t j = 0; j < s_.P; ++j) {
        dh0[b * s_.P + j] = base_.dh_row(b)[j] * mask(b, j) + kept(b)[j];
      }
    }
  }

  void run_rows(Range steps, Range rows) {
    constexpr Stage kStages[] = {&StagedBackward::enter,
                                 &StagedBackward::unproject,
                                 &StagedBackward::cells_again,
                                 &StagedBackward::normalise_cells,
                                 &StagedBackward::output_gradients,
                                 &StagedBackward::unnormalise_cells,
                                 &StagedBackward::gate_gradients_of,
                                 &StagedBackward::unnormalise_gates,
                                 &StagedBackward::leave};
    for (int64_t step = steps.end - 1; step >= steps.first; --step) {
      const Range running{rows.first, std::min(rows.end, s_.rows_at(step))};
      if (running.size() <= 0) continue;
      for (const Stage stage : kStages) (this->*stage)(step, running);
    }
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;
  using Stage = void (StagedBackward::*)(int64_t step, Range rows);

  Real* kept(int64_t b) const { return plan_.staging.kept + b * padded<Real>(s_.P); }
  Real* dm(int64_t b) const { return plan_.staging.dm + b * panels_ * V; }
  Real* m(int64_t b) const { return plan_.staging.m + b * panels_ * V; }
  Real mask(int64_t b, int64_t j) const {
    const Real* mask = plan_.noise.recurrent_mask;
    return mask ? mask[b * s_.P + j] : Real{1};
  }
  int64_t slot(int64_t step) const { return step % plan_.chunk_steps; }
  Real* projected(int64_t step, int64_t b) const {
    return plan_.staging.projected + (slot(step) * s_.B + b) * in_whole_panels<Real>(s_.P);
  }
  int64_t cell_place(int64_t step, int64_t panel, int64_t b) const {
    return ((slot(step) * panels_ + panel) * s_.B + b) * V;
  }
  int units(int64_t panel) const {
    return static_cast<int>(std::min<int64_t>(V, s_.H - panel * V));
  }

  // --- the stages -------------------------------------------------------------------------------

  // dm (or with a projection `projected`) = the gradient of h before zoneout.
  void enter(int64_t step, Range rows) {
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const int64_t t = base_.time(step, b);
      const Zoneout<Real> zoneout(plan_.noise.zoneout_h, plan_.noise.rate_h, t, b);
      const Real *mask = plan_.noise.recurrent_mask, *dh = base_.dh_row(b);
      const Real* dy = plan_.dy.data ? plan_.dy.row(t, b) : nullptr;
      Real* to = plan_.extras.unproject ? projected(step, b) : dm(b);
      for (int64_t j = 0; j < s_.P; j += V) {
        const int n = static_cast<int>(std::min<int64_t>(V, s_.P - j));
        Vec<Real> d = load_first(dh + j, n);
        if (mask) d *= load_first(mask + b * s_.P + j, n);
        d += load(kept(b) + j);
        if (dy) d += load_first(dy + j, n);
        const Vec<Real> z = zoneout.active() ? zoneout.kept(j, n) : Vec<Real>{};
        store(kept(b) + j, keep_first<Real>(z * d, n));
        store(to + j, keep_first<Real>((splat(Real{1}) - z) * d, n));
      }
      if (plan_.extras.unproject) {
        for (int64_t j = padded<Real>(s_.P); j < in_whole_panels<Real>(s_.P); ++j) to[j] = 0;
      }
    }
  }

  // dm = projected W_hr.
  void unproject(int64_t step, Range rows) {
    if (!plan_.extras.unproject) return;
    product<Real>(
        AllGates{}, s_, {{step, step + 1}, rows}, plan_.extras.unproject,
        in_whole_panels<Real>(s_.P) / W, s_.H, {0, column_blocks<Real>(s_.H)}, W,
        [&](int64_t at, int64_t b) { return projected(at, b); },
        [&](int64_t, int64_t b) { return dm(b); });
  }

  // m = c before zoneout.
  void cells_again(int64_t step, Range rows) {
    const StepTape<const Real> tape(plan_.tape, s_, step);
    for (int64_t b = rows.first; b < rows.end; ++b) {
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const GateValues<Real> gate = gate_values<Real>(plan_.cell, tape.gates(panel, b));
        store(m(b) + panel * V, fma(gate.f, load(tape.c_prev(panel, b)), gate.i * gate.g));
      }
    }
  }

  // m = the gained norm of c.
  void normalise_cells(int64_t step, Range rows) {
    if (!plan_.cell.layer_norm) return;
    for (int64_t b = rows.first; b < rows.end; ++b) {
      inverse_std(b) = cell_columns<Real>(s_.H).normalise(m(b));
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const Real* norm = plan_.extras.norm_c + panel * 2 * V;
        const Vec<Real> normal = load(m(b) + panel * V);
        store(plan_.staging.normal_c + cell_place(step, panel, b), normal);
        store(m(b) + panel * V, fma(normal, load(norm), load(norm + V)));
      }
    }
  }

  // dm becomes the gradient of o before its nonlinearity, m that of psi's input.
  void output_gradients(int64_t step, Range rows) {
    const Activation& psi = plan_.cell.cell_output;
    const StepTape<const Real> tape(plan_.tape, s_, step);
    for (int64_t b = rows.first; b < rows.end; ++b) {
      squash<Real, 1>(psi, reinterpret_cast<Vec<Real>*>(m(b)), static_cast<int>(panels_));
      if (plan_.staging.unprojected) keep_unprojected(step, b);
      for (int64_t panel = 0; panel < panels_; ++panel) {
        const Vec<Real> kept_o = load(tape.gates(panel, b) + 3 * V);
        const Vec<Real> dh = load(dm(b) + panel * V), value = load(m(b) + panel * V);
        const int n = units(panel);
        const Vec<Real> d_o =
            before<Real>(plan_.cell.output_gate, kept_o, dh * scaled<Real>(psi, value));
        const Vec<Real> through =
            before<Real>(psi, value, dh * scaled<Real>(plan_.cell.output_gate, kept_o));
        store(dm(b) + panel * V, keep_first<Real>(d_o, n));
        store(m(b) + panel * V, keep_first<Real>(through, n));
      }
    }
  }

  // m = the gradient of c before its norm.
  void unnormalise_cells(int64_t step, Range rows) {
    if (!plan_.cell.layer_norm) return;
    for (int64_t b = rows.first; b < rows.end; ++b) {
      // The panels of one row lie s_.B rows apart in the chunk's buffers.
      Real* normal = plan_.staging.room + b * panels_ * V;
      for (int64_t panel = 0; panel < panels_; ++panel) {
        store(plan_.staging.dnormal_c + cell_place(step, panel, b), load(m(b) + panel * V));
        store(normal + panel * V, load(plan_.staging.normal_c + cell_place(step, panel, b)));
        store(m(b) + panel * V, load(m(b) + panel * V) * load(plan_.extras.norm_c + panel * 2 * V));
      }
      cell_columns<Real>(s_.H).unnormalise([&](int64_t at) { return load(m(b) + at); }, normal,
                                           inverse_std(b), m(b), V);
    }
  }

  // dgates before their nonlinearity, and dc of the step before.
  void gate_gradients_of(int64_t step, Range rows) {
    for (int64_t b = rows.first; b < rows.end; ++b) {
      for (int64_t panel = 0; panel < panels_; ++panel) gates(step, panel, b);
    }
  }

  // dgates as the weights of the products meet them.
  void unnormalise_gates(int64_t step, Range rows) {
    if (!plan_.cell.layer_norm) return;
    for (int64_t b = rows.first; b < rows.end; ++b) unnormalise(step, b);
  }

  // dh of the step before.
  void leave(int64_t step, Range rows) {
    base_.hidden_gradient(step, rows, {0, column_blocks<Real>(s_.P)});
  }

  // --- their parts ------------------------------------------------------------------------------

  Real& inverse_std(int64_t b) const { return plan_.staging.inverse_std[b]; }

  void keep_unprojected(int64_t step, int64_t b) {
    const int64_t groups = in_whole_panels<Real>(s_.H) / W;
    for (int64_t panel = 0; panel < groups * kGates; ++panel) {
      Real* to = plan_.staging.unprojected +
                 ((slot(step) * groups + panel / kGates) * s_.B + b) * W + panel % kGates * V;
      if (panel >= panels_) {
        store(to, Vec<Real>{});
        continue;
      }
      const Vec<Real> o = scaled<Real>(plan_.cell.output_gate,
                                       load(tape_gates(plan_.tape, s_, step, panel, b) + 3 * V));
      const Vec<Real> out = scaled<Real>(plan_.cell.cell_output, load(m(b) + panel * V));
      store(to, keep_first<Real>(o * out, units(panel)));
    }
  }

  void gates(int64_t step, int64_t panel, int64_t b) {
    const int n = units(panel);
    Vec<Real> see[3] = {};
    for (int k = 0; plan_.extras.peephole && k < 3; ++k) {
      see[k] = load(plan_.extras.peephole + (panel * 3 + k) * V);
    }
    const Zoneout<Real> zoneout(plan_.noise.zoneout_c, plan_.noise.rate_c, base_.time(step, b), b);
    const Vec<Real> z = zoneout.active() ? zoneout.kept(panel * V, n) : Vec<Real>{};
    const Vec<Real> dc = load(base_.dc(panel, b)), d_o = load(dm(b) + panel * V);
    const Vec<Real> dc_new = fma(splat(Real{1}) - z, dc, fma(d_o, see[2], load(m(b) + panel * V)));
    const Real* tape = tape_gates(plan_.tape, s_, step, panel, b);
    Vec<Real> d[kGates];
    const Vec<Real> dc_prev =
        gate_gradients<Real>(plan_.cell, tape, gate_values<Real>(plan_.cell, tape),
                             load(tape_cells(plan_.tape, s_, step, panel, b)), d_o, dc_new, see, d);
    store(base_.dc(panel, b), keep_first<Real>(fma(z, dc, dc_prev), n));
    Real* out = plan_.dgates_pre + base_.place(step, panel, b);
    for (int gate = 0; gate < kGates; ++gate) store(out + gate * V, keep_first<Real>(d[gate], n));
  }

  void unnormalise(int64_t step, int64_t b) {
    const int64_t at = (s_.rows_before(step) + b) * static_cast<int64_t>(norm_size());
    const NormRow<Real> norms(const_cast<Real*>(plan_.tape.norms) + at, panels_);
    const Real* pre = plan_.dgates_pre + base_.place(step, 0, b);
    const auto through = [&](const Real* gain, const Real* normal, Real inverse_std, Real* to) {
      for (int64_t panel = 0; panel < panels_; ++panel) {
        std::fill_n(to + panel * s_.B * W, W, Real{0});  // gates that are not used
      }
      gate_columns_.unnormalise(
          [&](int64_t k) {
            return load(pre + k / W * s_.B * W + k % W) * load(gain + k / W * 2 * W + k % W);
          },
          normal, inverse_std, to, s_.B * W);
    };
    through(plan_.extras.norm_ih, norms.normal_x, norms.inverse_std[0],
            plan_.dgates_x + base_.place(step, 0, b));
    through(plan_.extras.norm_hh, norms.normal_h, norms.inverse_std[1], base_.dgates(step, 0, b));
  }
  size_t norm_size() const { return NormRow<Real>::size(panels_); }

  const BackwardPlan<Real>& plan_;
  const Shape& s_;
  Backward<Real> base_;
  const int64_t panels_;
  const NormColumns<Real, kGates> gate_columns_;
};

}  // namespace gatewise::GATEWISE_ISA
