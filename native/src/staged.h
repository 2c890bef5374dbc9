// SPDX-License-Identifier: Apache-2.0
// Forward where a unit needs what others of the same step have computed: layer norm (all gates of
// the row), a projection (all of o * psi(c)); and noise, with which the next step reads another h.
// A step is a list of stages; each goes through all rows before the next begins.
#pragma once

#include "forward.h"
#include "norm.h"
#include "product.h"

namespace gatewise::GATEWISE_ISA {

// For one row: the gates before their nonlinearity (two parts with layer norm), m = o * psi(c) as
// the operand of a product, h, and h as the next step reads it.
template <class Real>
struct StagedRow {
  Real *gates, *gates_h, *m, *h, *seen;
  static size_t size(const Shape& s) {
    return static_cast<size_t>(2 * panel_count<Real>(s.H) * kPanelWidth<Real> +
                               in_whole_panels<Real>(s.H) + 2 * padded<Real>(s.P));
  }
  StagedRow(const Shape& s, Real* data)
      : gates(data),
        gates_h(gates + panel_count<Real>(s.H) * kPanelWidth<Real>),
        m(gates_h + panel_count<Real>(s.H) * kPanelWidth<Real>),
        h(m + in_whole_panels<Real>(s.H)),
        seen(h + padded<Real>(s.P)) {}
};

// new and old state, as zoneout mixes them.
template <class Real>
class Zoneout {
 public:
  Zoneout(const Sequence<const Real>& masks, Real rate, int64_t t, int64_t b)
      : active_(masks.data || rate != 0),
        mask_(masks.data ? masks.row(t, b) : nullptr),
        rate_(splat(rate)) {}
  bool active() const { return active_; }
  Vec<Real> kept(int64_t at, int lanes) const {
    return mask_ ? load_first(mask_ + at, lanes) : rate_;
  }
  Vec<Real> mix(Vec<Real> now, Vec<Real> before, int64_t at, int lanes) const {
    if (!active_) return now;
    const Vec<Real> z = kept(at, lanes);
    return (splat(Real{1}) - z) * now + z * before;
  }

 private:
  const bool active_;
  const Real* mask_;
  const Vec<Real> rate_;
};

// What the panels of a row, from one on, are made to do at one time.
template <class Real>
class PanelEdits {
 public:
  PanelEdits(const LayerEdits<Real>& edits, const Shape& s, int64_t t, int64_t b, int64_t panel)
      : edits_(edits), first_((t * s.B + b) * s.H), unit_(panel * kLanes<Real>), H_(s.H) {}
  void gates(int k, Vec<Real> (&gate)[kGates]) const {
    gate[0] = put(edits_.i, k, gate[0]);
    gate[1] = put(edits_.f, k, gate[1]);
    gate[2] = put(edits_.g, k, gate[2]);
  }
  Vec<Real> cell(int k, Vec<Real> c) const { return put(edits_.c, k, c); }
  Vec<Real> output_gate(int k, Vec<Real> o) const { return put(edits_.o, k, o); }
  Vec<Real> cell_output(int k, Vec<Real> m) const { return put(edits_.output, k, m); }

 private:
  Vec<Real> put(const Real* edits, int k, Vec<Real> was) const {
    if (!edits) return was;
    const int64_t unit = unit_ + k * kLanes<Real>;
    const int lanes = static_cast<int>(std::min<int64_t>(kLanes<Real>, H_ - unit));
    const Vec<Real> now = load_first(edits + first_ + unit, lanes);
    return now == now ? now : was;
  }
  const LayerEdits<Real>& edits_;
  const int64_t first_, unit_, H_;
};

template <class Real, class Weight>
class StagedRows {
 public:
  // scratch: rows * StagedRow::size(shape) elements.
  StagedRows(const ForwardPlan<Real>& plan, Range rows, Real* scratch)
      : plan_(plan),
        s_(plan.shape),
        gates_(plan.cell),
        states_(plan, rows, nullptr, nullptr),
        first_(rows.first),
        rows_(rows.size()),
        scratch_(scratch),
        gate_columns_(gate_columns<Real>(plan.cell, s_.H)) {}

  void run(Range steps) {
    const Range all{0, panels()};
    if (steps.first == 0) states_.load_cells(all);
    start(steps.first);
    for (int64_t step = steps.first; step < steps.end; ++step) run_step(step);
    if (steps.end == s_.T) states_.store_states(all);
  }

  // One step with the cell states as they are.
  void advance() {
    start(0);
    run_step(0);
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;
  static constexpr int kAtOnce = 16;  // panels

  using Stage = void (StagedRows::*)(int64_t step, Range rows);
  void run_step(int64_t step) {
    constexpr Stage kStages[] = {&StagedRows::multiply,     &StagedRows::normalise_gates,
                                 &StagedRows::update,       &StagedRows::normalise_cells,
                                 &StagedRows::squash_cells, &StagedRows::project,
                                 &StagedRows::put_out};
    const Range rows{first_, std::min(first_ + rows_, s_.rows_at(step))};
    if (rows.size() <= 0) return;
    for (const Stage stage : kStages) (this->*stage)(step, rows);
  }

  int64_t panels() const { return panel_count<Real>(s_.H); }
  int64_t time(int64_t step, int64_t b) const { return s_.time(step, b, plan_.reverse); }
  StagedRow<Real> row(int64_t b) const {
    return {s_, scratch_ + (b - first_) * static_cast<int64_t>(StagedRow<Real>::size(s_))};
  }
  // The gates of a row, [panel][gate], before their nonlinearity; later f, c (or ψ(c)) and o.
  Vec<Real> (*gates(int64_t b) const)[kGates] {
    return reinterpret_cast<Vec<Real>(*)[kGates]>(row(b).gates);
  }
  const Real* h_prev(int64_t step, int64_t b) const {
    return step ? plan_.y.row(time(step - 1, b), b) : plan_.h0.row(b);
  }
  // h as it meets w_hh.
  const Real* seen(int64_t step, int64_t b) const {
    return plan_.noise.recurrent_mask ? row(b).seen : h_prev(step, b);
  }

  void start(int64_t step) {
    for (int64_t b = first_; b < first_ + rows_; ++b) {
      const StagedRow<Real> own = row(b);
      std::fill_n(own.m, in_whole_panels<Real>(s_.H), Real{0});
      if (step < s_.steps_of(b)) see(b, h_prev(step, b));
    }
  }
  void see(int64_t b, const Real* h) {
    const Real* mask = plan_.noise.recurrent_mask;
    for (int64_t j = 0; mask && j < s_.P; ++j) row(b).seen[j] = h[j] * mask[b * s_.P + j];
  }

  // --- the stages -------------------------------------------------------------------------------

  // gates = bias + x W_x + h W_h; with layer norm both products apart, and no bias.
  void multiply(int64_t step, Range rows) {
    for (int64_t panel = 0; panel < panels(); ++panel) {
      for_tiles<kTileRows>(rows.size(), [&](int64_t tile, auto n) {
        multiply_tile<decltype(n)::value>(step, panel, rows.first + tile);
      });
    }
  }

  // gates = bias + norm(x W_x) + norm(h W_h).
  void normalise_gates(int64_t step, Range rows) {
    if (!plan_.cell.layer_norm) return;
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const StagedRow<Real> own = row(b);
      const Real inverse_std[2] = {gate_columns_.normalise(own.gates),
                                   gate_columns_.normalise(own.gates_h)};
      if (plan_.tape.norms) {
        const int64_t at = (s_.rows_before(step) + b) * static_cast<int64_t>(norm_size());
        const NormRow<Real> kept(plan_.tape.norms + at, panels());
        std::copy_n(own.gates, panels() * W, kept.normal_x);
        std::copy_n(own.gates_h, panels() * W, kept.normal_h);
        std::copy_n(inverse_std, 2, kept.inverse_std);
      }
      for (int64_t at = 0; at < panels() * W; at += V) {
        const int64_t gain = at / W * 2 * W + at % W;
        const auto part = [&](const Real* normal, const Real* norm) {
          return fma(load(normal + at), load(norm + gain), load(norm + gain + W));
        };
        store(own.gates + at, load(plan_.bias + at) + (part(own.gates, plan_.extras.norm_ih) +
                                                       part(own.gates_h, plan_.extras.norm_hh)));
      }
    }
  }

  // From the gates to the new c, which zoneout mixes with the old one in the tape alone.
  void update(int64_t step, Range rows) {
    for (int64_t b = rows.first; b < rows.end; ++b) {
      for (int64_t panel = 0; panel < panels(); panel += kAtOnce) {
        update_panels(step, b, panel, std::min<int64_t>(kAtOnce, panels() - panel));
      }
    }
  }

  // c = norm(c).
  void normalise_cells(int64_t, Range rows) {
    if (!plan_.cell.layer_norm) return;
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const StagedRow<Real> own = row(b);
      auto* pre = gates(b);
      for (int64_t panel = 0; panel < panels(); ++panel) {
        store(own.gates_h + panel * V, pre[panel][2]);
      }
      cell_columns<Real>(s_.H).normalise(own.gates_h);
      for (int64_t panel = 0; panel < panels(); ++panel) {
        const Real* norm = plan_.extras.norm_c + panel * 2 * V;
        pre[panel][2] = fma(load(own.gates_h + panel * V), load(norm), load(norm + V));
      }
    }
  }

  // o * psi(c): h, or the operand of the projection.
  void squash_cells(int64_t step, Range rows) {
    const int n = static_cast<int>(panels());
    for (int64_t b = rows.first; b < rows.end; ++b) {
      auto* pre = gates(b);
      squash<Real, kGates>(plan_.cell.cell_output, &pre[0][2], n);
      scale_all<Real, kGates>(plan_.cell.cell_output, &pre[0][2], n);
      if (plan_.edits.output) {
        const PanelEdits<Real> edit(plan_.edits, s_, time(step, b), b, 0);
        for (int k = 0; k < n; ++k) pre[k][2] = edit.cell_output(k, pre[k][2]);
      }
      Real* to = plan_.extras.project ? row(b).m : row(b).h;
      for (int64_t panel = 0; panel < panels(); ++panel) {
        const int lanes = static_cast<int>(std::min<int64_t>(V, s_.H - panel * V));
        store(to + panel * V, keep_first<Real>(pre[panel][3] * pre[panel][2], lanes));
      }
    }
  }

  // h = m W_hr'.
  void project(int64_t step, Range rows) {
    const Real* packed = plan_.extras.project;
    if (!packed) return;
    product<Real>(
        AllGates{}, s_, {{step, step + 1}, rows}, packed, in_whole_panels<Real>(s_.H) / W, s_.P,
        {0, column_blocks<Real>(s_.P)}, W, [&](int64_t, int64_t b) { return row(b).m; },
        [&](int64_t, int64_t b) { return row(b).h; });
  }

  // y = h, mixed by zoneout with the h before.
  void put_out(int64_t step, Range rows) {
    for (int64_t b = rows.first; b < rows.end; ++b) {
      const StagedRow<Real> own = row(b);
      const Real* before = h_prev(step, b);
      Real* y = plan_.y.row(time(step, b), b);
      const Zoneout<Real> zoneout(plan_.noise.zoneout_h, plan_.noise.rate_h, time(step, b), b);
      for (int64_t j = 0; j < s_.P; j += V) {
        const int n = static_cast<int>(std::min<int64_t>(V, s_.P - j));
        Vec<Real> h = zoneout.mix(load(own.h + j), load_first(before + j, n), j, n);
        if constexpr (kIsPair<Weight>) h = round_to_bfloat16(h);
        store_first(y + j, h, n);
      }
      see(b, y);
    }
  }

  // --- their parts ------------------------------------------------------------------------------

  template <int kRows>
  void multiply_tile(int64_t step, int64_t panel, int64_t first) {
    alignas(64) static constexpr Real kZeros[W] = {};
    const int64_t input_words = words<Weight>(s_.I) * W;
    const Weight* w = reinterpret_cast<const Weight*>(plan_.weights) +
                      panel * (input_words + words<Weight>(s_.P) * W);
    const bool apart = plan_.cell.layer_norm;
    const Real* init = apart ? kZeros : plan_.bias + panel * W;
    const Real *x[kRows], *h[kRows];
    for (int r = 0; r < kRows; ++r) {
      x[r] = plan_.x.row(time(step, first + r), first + r);
      h[r] = seen(step, first + r);
    }
    alignas(64) Vec<Real> out[kRows][kGates];
    with_gates(gates_, [&](const auto& gates) {
      gates_tile<Real, Weight, kRows>(gates, init, 0, w, x, s_.I, h, apart ? 0 : s_.P, out);
      keep<kRows>(out, panel, first, &StagedRow<Real>::gates);
      if (!apart) return;
      gates_tile<Real, Weight, kRows>(gates, init, 0, w + input_words, x, 0, h, s_.P, out);
      keep<kRows>(out, panel, first, &StagedRow<Real>::gates_h);
    });
  }

  template <int kRows>
  void keep(const Vec<Real> (&out)[kRows][kGates], int64_t panel, int64_t first,
            Real* StagedRow<Real>::* part) {
    for (int r = 0; r < kRows; ++r) {
      Real* to = row(first + r).*part + panel * W;
      for (int gate = 0; gate < kGates; ++gate) store(to + gate * V, out[r][gate]);
    }
  }

  void update_panels(int64_t step, int64_t b, int64_t panel, int64_t n) {
    const StepTape<Real> tape(plan_.tape, s_, step);
    const CellRows<Real> at{tape.c_prev(panel, b),
                            tape.c(panel, b),
                            plan_.tape.gates ? tape.gates(panel, b) : nullptr,
                            plan_.extras.peephole ? plan_.extras.peephole + panel * 3 * V : nullptr,
                            tape.rows_before() * V,
                            tape.rows() * V,
                            tape.rows() * W,
                            3 * V};
    Vec<Real> before[kAtOnce];
    for (int64_t k = 0; k < n; ++k) before[k] = load(at.c_prev + k * at.c_prev_stride);
    auto* pre = gates(b) + panel;
    const PanelEdits<Real> edit(plan_.edits, s_, time(step, b), b, panel);
    if (plan_.edits.any()) {
      update_cells(plan_.cell, pre, at, static_cast<int>(n), edit);
    } else {
      update_cells(plan_.cell, pre, at, static_cast<int>(n));
    }
    const Zoneout<Real> zoneout(plan_.noise.zoneout_c, plan_.noise.rate_c, time(step, b), b);
    if (!zoneout.active()) return;
    for (int64_t k = 0; k < n; ++k) {
      const int64_t unit = (panel + k) * V;
      const int lanes = static_cast<int>(std::min<int64_t>(V, s_.H - unit));
      const Vec<Real> mixed = zoneout.mix(pre[k][2], before[k], unit, lanes);
      store(at.c + k * at.c_stride, edit.cell(static_cast<int>(k), mixed));
    }
  }

  size_t norm_size() const { return NormRow<Real>::size(panels()); }

  const ForwardPlan<Real>& plan_;
  const Shape& s_;
  const std::conditional_t<kIsPair<Weight>, AllGates, SomeGates> gates_;
  ForwardRows<Real, Weight, CellKind::kAny> states_;
  const int64_t first_, rows_;
  Real* scratch_;
  const NormColumns<Real, kGates> gate_columns_;
};

}  // namespace gatewise::GATEWISE_ISA
