// SPDX-License-Identifier: Apache-2.0
// Forward: layer by layer, both directions side by side, rows or hidden units over threads.
#include <algorithm>
#include <array>

#include "sharing.h"
#include "tape.h"
#include "threads.h"

namespace gatewise {
namespace {

// The directions of one layer, through a range of their steps.
template <class Real>
class LayerForward {
 public:
  LayerForward(const KernelTable<Real>& kernels, std::span<const ForwardPlan<Real>> plans,
               int threads, Workspace& workspace)
      : kernels_(kernels),
        plans_(plans),
        s_(plans[0].shape),
        D_(static_cast<int64_t>(plans.size())),
        staged_(plans[0].staged),
        threads_(useful_threads(operations_of(s_, D_, 2.0), threads)),
        panels_(kernels.sizes(s_).panels),
        lockstep_(!staged_ &&
                  in_lockstep(s_, D_, threads_, (panels_ + 1) / 2,
                              static_cast<int64_t>(kernels.sizes(s_).weights * sizeof(Real)))),
        items_(row_items(s_.B, D_, threads_)),
        per_row_(operations_of_row(s_, 2.0, s_.I + s_.P)) {
    const bool whole = lockstep_ || threads_ == 1;
    const int64_t most = whole || s_.ragged ? s_.B : (s_.B + items_ - 1) / items_;
    scratch_size_ = kernels.forward_scratch(s_, whole ? s_.B : 1, most, staged_);
    scratch_ = workspace.take<Real>(Slot::kRows, scratch_size_ * static_cast<size_t>(threads_));
    if (!lockstep_) {
      shares_ = workspace.take<Range>(Slot::kShares, static_cast<size_t>(items_));
      for (int64_t item = 0; shares_ && item < items_; ++item) {
        shares_[item] = share_rows(s_, {0, s_.T}, {0, s_.B}, item, items_);
      }
      return;
    }
    // Pairs of panels: a single row takes two at once.
    pieces_ = std::min<int64_t>((panels_ + 1) / 2, 2 * threads_);
    ahead_size_ = kernels.ahead_size(s_);
    ahead_ = workspace.take<Real>(Slot::kAhead, ahead_size_ * plans.size());
    next_ = workspace.take<NextStep>(Slot::kLockstep, static_cast<size_t>(D_ * pieces_));
  }

  // What is projected ahead stays from call to call, so one may begin within its steps.
  void run(Range steps) {
    if (lockstep_) return run_in_lockstep(steps);
    const auto portion = [&](int64_t k) -> Portion {
      const Range rows = shares_[k % items_];
      return {k, rows.first, rows.end, steps.first};
    };
    const auto advance = [&](Portion& own, int worker) {
      const Range rows{own.first, own.end};
      const Range some{own.step, std::min(steps.end, own.step + steps_at_once(rows.size()))};
      ForwardPlan<Real> plan = plans_[static_cast<size_t>(own.item / items_)];
      if (items_ > 1 && !plan.tape.gates) set_apart(plan.tape, shares_[own.item % items_]);
      kernels_.forward_rows(plan, some, rows, scratch(worker));
      own.step = some.end;
      return own.step < steps.end;
    };
    const auto halve = [&](Portion& own, Portion& half) {
      return halve_rows(s_, {own.step, steps.end}, per_row_, own, half);
    };
    parallel_portions(threads_, {D_ * items_, portion, advance, halve});
  }

 private:
  Real* scratch(int worker) const { return scratch_ + static_cast<size_t>(worker) * scratch_size_; }

  // The one state of an item of rows: [item][panel][row][V].
  void set_apart(Tape<Real>& tape, Range rows) const {
    const auto V = static_cast<int64_t>(kernels_.sizes(s_).unit) / panels_;
    tape.rows = rows.size();
    tape.cells += rows.first * (panels_ - 1) * V;
  }
  int64_t steps_at_once(int64_t rows) const {
    if (threads_ == 1) return s_.T;
    const int64_t ahead = staged_ ? 0 : kernels_.steps_ahead(s_, rows);
    return steps_per_look(per_row_, rows, std::max<int64_t>(ahead, 1));
  }

  void run_in_lockstep(Range steps) {
    const int64_t pairs = (panels_ + 1) / 2;
    const auto piece = [&](int64_t step, int64_t piece, int worker) {
      const Range own = share(pairs, piece % pieces_, pieces_);
      const auto d = static_cast<size_t>(piece / pieces_);
      kernels_.forward_step(plans_[d], steps.first + step,
                            {2 * own.first, std::min(panels_, 2 * own.end)},
                            ahead_ + d * ahead_size_, scratch(worker));
    };
    lockstep(threads_, steps.size(), D_ * pieces_, next_, piece);
  }

  const KernelTable<Real>& kernels_;
  const std::span<const ForwardPlan<Real>> plans_;
  const Shape s_;
  const int64_t D_;
  const bool staged_;
  const int threads_;
  const int64_t panels_;
  const bool lockstep_;
  const int64_t items_;
  const double per_row_;  // operations of a step
  size_t scratch_size_ = 0, ahead_size_ = 0;
  int64_t pieces_ = 0;
  Real *scratch_ = nullptr, *ahead_ = nullptr;
  NextStep* next_ = nullptr;
  Range* shares_ = nullptr;  // the rows of each item, the same in each run
};

}  // namespace

template <class Real>
Status run_layer(const KernelTable<Real>& kernels, std::span<const ForwardPlan<Real>> plans,
                 int threads, Workspace& workspace, Patience& patience) {
  LayerForward<Real> layer(kernels, plans, threads, workspace);
  if (workspace.failed()) return Status::kOutOfMemory;
  const Shape& s = plans[0].shape;
  const double operations = 8.0 * static_cast<double>(plans.size()) * static_cast<double>(s.B) *
                            static_cast<double>(s.H) * static_cast<double>(s.I + s.P);
  const int64_t at_once = std::min(s.T, patience.steps(operations));
  int64_t step = 0;
  do {  // a sequence without steps has states all the same
    const int64_t end = s.T - step <= at_once ? s.T : step + at_once;
    layer.run({step, end});
    step = end;
    if (patience.ends()) return Status::kCancelled;
  } while (step < s.T);
  return Status::kOk;
}

namespace {

template <class Real>
class Forward {
 public:
  explicit Forward(const ForwardArgs<Real>& args)
      : args_(args), at_(args.call, args.tape != nullptr) {}

  Status run() {
    Sequence<const Real> x = at_.x;
    for (int64_t layer = 0; layer < at_.net.L; ++layer) {
      const Sequence<Real> y = output(layer);
      for (int64_t k = 0; k < at_.layout.segments(); ++k) {
        const Status status = run_segment(layer, k, x, y);
        if (status != Status::kOk) return status;
      }
      x = y;
    }
    return Status::kOk;
  }

 private:
  Sequence<Real> output(int64_t layer) {
    if (layer == at_.net.L - 1) return args_.y;
    const Slot slot = layer % 2 ? Slot::kOdd : Slot::kEven;
    return at_.dense_output(args_.tape
                                ? args_.tape + at_.layout.outputs(layer)
                                : at_.workspace.template take<Real>(slot, at_.output_size()));
  }

  Status run_segment(int64_t layer, int64_t k, const Sequence<const Real>& x,
                     const Sequence<Real>& y) {
    std::array<ForwardPlan<Real>, 2> plans;
    for (int64_t d = 0; d < at_.net.D; ++d) {
      plans[static_cast<size_t>(d)] = plan(layer * at_.net.D + d, k, x, half(y, d, at_.net.P()));
    }
    if (at_.workspace.failed()) return Status::kOutOfMemory;
    return run_layer<Real>(at_.kernels, {plans.data(), static_cast<size_t>(at_.net.D)},
                           args_.call.threads, at_.workspace, at_.patience);
  }

  ForwardPlan<Real> plan(int64_t index, int64_t k, const Sequence<const Real>& x,
                         const Sequence<Real>& y) {
    const Range steps = at_.layout.segment(k);
    const int64_t T = args_.call.T;
    const bool last = k == at_.layout.segments() - 1;
    ForwardPlan<Real> made{at_.layer_plan(index, x)};
    Shape& s = made.shape;
    s.T = steps.size();
    made.x = part(x, steps, T, made.reverse);
    made.h0 = state_before(made.h0, y, steps.first, T, made.reverse);
    const auto panels = args_.call.weights.panels(index);
    made.weights = panels.weights, made.bias = panels.bias;
    made.c0 = k ? State<Real>{args_.tape + at_.layout.checkpoint(index, k - 1), s.H}
                : state_at(at_.workspace, args_.call.c0, index, s, s.H);
    made.y = part(y, steps, T, made.reverse);
    made.h_n = last ? args_.h_n + index * s.B * s.P : nullptr;
    made.c_n = last ? args_.c_n + index * s.B * s.H : args_.tape + at_.layout.checkpoint(index, k);
    made.tape = tape(index, s);
    return made;
  }

  Tape<Real> tape(int64_t index, const Shape& s) {
    const TapeLayout<Real>& layout = at_.layout;
    if (args_.tape && !layout.every()) {
      return {args_.tape + layout.gates(index), args_.tape + layout.cells(index),
              at_.net.cell.layer_norm ? args_.tape + layout.norms(index) : nullptr};
    }
    const size_t cells = at_.kernels.sizes(s).cells;
    Real* room =
        at_.workspace.template take<Real>(Slot::kCells, cells * static_cast<size_t>(at_.net.D));
    return {nullptr, room + static_cast<size_t>(index % at_.net.D) * cells};
  }

  const ForwardArgs<Real>& args_;
  Frame<Real> at_;
};

}  // namespace

template <class Real>
size_t tape_size(const Weights<Real>& weights, int64_t T, int64_t B, int64_t checkpoint_every,
                 const Ragged* ragged) {
  if (!check(weights.network, T, B)) return 0;
  return TapeLayout<Real>(weights, weights.shape(0, T, B, ragged), checkpoint_every).size();
}

template <class Real>
Status forward(const ForwardArgs<Real>& args) {
  if (!check(args.call.weights.network, args.call.T, args.call.B)) return Status::kBadSize;
  const bool disturbed = args.call.noise.any() || args.call.edits.any();
  if (args.tape && disturbed && args.call.checkpoint_every) return Status::kBadSize;
  if (args.call.B == 0) return Status::kOk;
  return Forward<Real>(args).run();
}

#define GATEWISE_FOR(Real)                                                                         \
  template Status run_layer<Real>(const KernelTable<Real>&, std::span<const ForwardPlan<Real>>,    \
                                  int, Workspace&, Patience&);                                     \
  template size_t tape_size<Real>(const Weights<Real>&, int64_t, int64_t, int64_t, const Ragged*); \
  template Status forward<Real>(const ForwardArgs<Real>&);
GATEWISE_FOR(float)
GATEWISE_FOR(double)
#undef GATEWISE_FOR

}  // namespace gatewise
