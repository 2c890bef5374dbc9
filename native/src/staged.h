// Forward where a unit needs what others of the same step have computed: layer norm (all gates of
// the row), a projection (all of o * psi(c)); and noise, for which h is not what the next step
// reads. A step goes through all panels before its gates are used.
#pragma once

#include "forward.h"
#include "norm.h"

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

template <class Real, class Weight>
class StagedRows {
 public:
  // scratch: forward_scratch(rows) elements.
  StagedRows(const ForwardPlan<Real>& plan, Range rows, Real* scratch)
      : plan_(plan),
        s_(plan.shape),
        gates_(plan.cell),
        states_(plan, rows, nullptr),
        first_(rows.first),
        rows_(rows.size()),
        scratch_(scratch),
        gate_columns_(gate_columns<Real>(plan.cell, s_.H)) {}

  void run() {
    const Range all{0, panels()};
    states_.load_cells(all);
    start();
    for (int64_t step = 0; step < s_.T; ++step) run_step(step);
    states_.store_states(all);
  }

  // One step with the cell states as they are.
  void advance() {
    start();
    run_step(0);
  }

 private:
  static constexpr int V = kLanes<Real>;
  static constexpr int64_t W = kPanelWidth<Real>;
  static constexpr int kAtOnce = 16;  // panels

  int64_t panels() const { return panel_count<Real>(s_.H); }
  int64_t time(int64_t step, int64_t b) const { return s_.time(step, b, plan_.reverse); }
  StagedRow<Real> row(int64_t b) const {
    return {s_, scratch_ + (b - first_) * static_cast<int64_t>(StagedRow<Real>::size(s_))};
  }
  const Real* h_prev(int64_t step, int64_t b) const {
    return step ? plan_.y.row(time(step - 1, b), b) : plan_.h0.row(b);
  }
  // What meets w_hh.
  const Real* seen(int64_t step, int64_t b) const {
    return plan_.noise.recurrent_mask ? row(b).seen : h_prev(step, b);
  }

  void start() {
    for (int64_t b = first_; b < first_ + rows_; ++b) {
      const StagedRow<Real> own = row(b);
      std::fill_n(own.m, in_whole_panels<Real>(s_.H), Real{0});
      see(b, plan_.h0.row(b));
    }
  }
  void see(int64_t b, const Real* h) {
    const Real* mask = plan_.noise.recurrent_mask;
    for (int64_t j = 0; mask && j < s_.P; ++j) row(b).seen[j] = h[j] * mask[b * s_.P + j];
  }

  void run_step(int64_t step) {
    const int64_t rows = std::min(rows_, s_.rows_at(step) - first_);
    if (rows <= 0) return;
    for (int64_t panel = 0; panel < panels(); ++panel) {
      for_tiles<kTileRows>(rows, [&](int64_t tile, auto n) {
        products<decltype(n)::value>(step, panel, first_ + tile);
      });
    }
    for (int64_t b = first_; b < first_ + rows; ++b) cells(step, b);
    if (plan_.extras.project) project(step, {first_, first_ + rows});
    for (int64_t b = first_; b < first_ + rows; ++b) put_out(step, b);
  }

  template <int kRows>
  __attribute__((noinline)) void products(int64_t step, int64_t panel, int64_t first) {
    alignas(64) static constexpr Real kZeros[W] = {};
    const int64_t input_words = words<Weight>(s_.I) * W;
    const Weight* w = reinterpret_cast<const Weight*>(plan_.weights) +
                      panel * (input_words + words<Weight>(s_.P) * W);
    const bool apart = plan_.cell.layer_norm;
    const Real *init[kRows], *x[kRows], *h[kRows];
    for (int r = 0; r < kRows; ++r) {
      const int64_t b = first + r;
      init[r] = apart ? kZeros : plan_.bias + panel * W;
      x[r] = plan_.x.row(time(step, b), b);
      h[r] = seen(step, b);
    }
    alignas(64) Vec<Real> out[kRows][kGates];
    gates_tile<Real, Weight, kRows>(gates_, init, w, x, s_.I, h, apart ? 0 : s_.P, out);
    keep<kRows>(out, panel, first, &StagedRow<Real>::gates);
    if (!apart) return;
    gates_tile<Real, Weight, kRows>(gates_, init, w + input_words, x, 0, h, s_.P, out);
    keep<kRows>(out, panel, first, &StagedRow<Real>::gates_h);
  }

  template <int kRows>
  void keep(const Vec<Real> (&out)[kRows][kGates], int64_t panel, int64_t first,
            Real* StagedRow<Real>::* part) {
    for (int r = 0; r < kRows; ++r) {
      Real* to = row(first + r).*part + panel * W;
      for (int gate = 0; gate < kGates; ++gate) store(to + gate * V, out[r][gate]);
    }
  }

  // gates = bias + norm(x W_x) + norm(h W_h).
  void normalise(int64_t step, int64_t b) {
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
  size_t norm_size() const { return NormRow<Real>::size(panels()); }

  // From the gates to c and m.
  void cells(int64_t step, int64_t b) {
    if (plan_.cell.layer_norm) normalise(step, b);
    const StagedRow<Real> own = row(b);
    auto* pre = reinterpret_cast<Vec<Real>(*)[kGates]>(own.gates);
    for (int64_t panel = 0; panel < panels(); panel += kAtOnce) {
      update(step, b, panel, std::min<int64_t>(kAtOnce, panels() - panel), pre + panel);
    }
    if (plan_.cell.layer_norm) {
      for (int64_t panel = 0; panel < panels(); ++panel) {
        store(own.gates_h + panel * V, pre[panel][2]);
      }
      cell_columns<Real>(s_.H).normalise(own.gates_h);
      for (int64_t panel = 0; panel < panels(); ++panel) {
        const Real* norm = plan_.extras.norm_c + panel * 2 * V;
        pre[panel][2] = fma(load(own.gates_h + panel * V), load(norm), load(norm + V));
      }
    }
    apply<Real, kGates>(plan_.cell.cell_output, &pre[0][2], static_cast<int>(panels()));
    Real* to = plan_.extras.project ? own.m : own.h;
    for (int64_t panel = 0; panel < panels(); ++panel) {
      const int n = static_cast<int>(std::min<int64_t>(V, s_.H - panel * V));
      store(to + panel * V, keep_first<Real>(pre[panel][3] * pre[panel][2], n));
    }
  }

  void update(int64_t step, int64_t b, int64_t panel, int64_t n, Vec<Real> (*pre)[kGates]) {
    CellRow<Real> rows[kAtOnce];
    Vec<Real> before[kAtOnce];
    const StepTape<Real> tape(plan_.tape, s_, step);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t p = panel + k;
      rows[k] = {tape.c_prev(p, b), tape.c(p, b), nullptr,
                 plan_.tape.gates ? tape.gates(p, b) : nullptr,
                 plan_.extras.peephole ? plan_.extras.peephole + p * 3 * V : nullptr};
      before[k] = load(rows[k].c_prev);
    }
    update_cells(plan_.cell, pre, rows, static_cast<int>(n));
    const Zoneout<Real> zoneout(plan_.noise.zoneout_c, plan_.noise.rate_c, time(step, b), b);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t at = (panel + k) * V;
      const int lanes = static_cast<int>(std::min<int64_t>(V, s_.H - at));
      store(rows[k].c, zoneout.mix(pre[k][2], before[k], at, lanes));
    }
  }

  void project(int64_t step, Range rows) {
    const Real* packed = plan_.extras.project;
    product<Real>(
        AllGates{}, s_, {{step, step + 1}, rows}, packed, in_whole_panels<Real>(s_.H) / W, s_.P,
        {0, column_blocks<Real>(s_.P)}, W, [&](int64_t, int64_t b) { return row(b).m; },
        [&](int64_t, int64_t b) { return row(b).h; });
  }

  void put_out(int64_t step, int64_t b) {
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

  const ForwardPlan<Real>& plan_;
  const Shape& s_;
  const std::conditional_t<kIsPair<Weight>, AllGates, SomeGates> gates_;
  ForwardRows<Real, Weight, CellKind::kAny> states_;
  const int64_t first_, rows_;
  Real* scratch_;
  const NormColumns<Real, kGates> gate_columns_;
};

}  // namespace gatewise::GATEWISE_ISA
