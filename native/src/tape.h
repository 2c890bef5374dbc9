// SPDX-License-Identifier: Apache-2.0
// Where forward keeps what for backward, and the stretches of steps that go through it at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

#include "weights.h"

namespace gatewise {

// Steps whose terms of dW are summed apart (see gradients.h): segments and chunks are whole sums.
inline int64_t sum_steps(int64_t B) {
  constexpr int64_t kRowsPerSum = 128;
  return std::max<int64_t>(1, kRowsPerSum / std::max<int64_t>(B, 1));
}

// [layer][direction] gates [T steps], cells [T + 1] and norms [T], or with checkpoints the cell
// state [B, H] at the start of each segment but the first; then the outputs [T, B, D * P] of each
// layer but the last.
template <class Real>
class TapeLayout {
 public:
  // s: of any layer.
  TapeLayout(const Weights<Real>& weights, const Shape& s, int64_t checkpoint_every)
      : network_(weights.network),
        T_(s.T),
        B_(s.B),
        rows_(s.rows_before(s.T)),
        every_(std::clamp<int64_t>(checkpoint_every, 0, T_)) {
    every_ = (every_ + sum_steps(B_) - 1) / sum_steps(B_) * sum_steps(B_);
    if (s.ragged || network_.staged()) every_ = 0;
    Shape one = s;
    one.B = 1;
    const BufferSizes row = weights.kernels.sizes(one);
    gates_ = every_ ? 0 : static_cast<size_t>(rows_) * row.gates;
    const size_t states = static_cast<size_t>(B_ * network_.H);
    cells_ = every_ ? static_cast<size_t>(std::max<int64_t>(segments() - 1, 0)) * states
                    : static_cast<size_t>(B_ + rows_) * row.cells;
    norms_ = network_.cell.layer_norm ? static_cast<size_t>(rows_) * row.norms : 0;
  }

  size_t size() const { return outputs(network_.L - 1); }
  size_t gates(int64_t index) const {
    return static_cast<size_t>(index) * (gates_ + cells_ + norms_);
  }
  size_t cells(int64_t index) const { return gates(index) + gates_; }
  size_t norms(int64_t index) const { return cells(index) + cells_; }
  // The cell state after segment `segment`.
  size_t checkpoint(int64_t index, int64_t segment) const {
    return cells(index) + static_cast<size_t>(segment * B_ * network_.H);
  }
  size_t outputs(int64_t layer) const {
    return gates(network_.L * network_.D) +
           static_cast<size_t>(layer * rows_ * network_.D * network_.P());
  }

  // Of the longest segment; 0 if every step is kept.
  int64_t every() const { return std::min(every_, T_); }
  int64_t segments() const { return every_ ? (T_ + every_ - 1) / every_ : 1; }
  Range segment(int64_t k) const {
    return every_ ? Range{k * every_, std::min(T_, (k + 1) * every_)} : Range{0, T_};
  }

 private:
  Network network_;
  int64_t T_, B_, rows_, every_;
  size_t gates_, cells_, norms_;
};

// The part of a sequence that a direction runs through in some of its steps; of a ragged batch,
// all.
template <class Real>
Sequence<Real> part(const Sequence<Real>& sequence, Range steps, int64_t T, bool reverse) {
  if (!sequence.data || sequence.ragged) return sequence;
  return {sequence.row(reverse ? T - steps.end : steps.first, 0), sequence.time_stride,
          sequence.batch_stride};
}

// The P columns of one direction.
template <class Real>
Sequence<Real> half(Sequence<Real> sequence, int64_t direction, int64_t P) {
  if (sequence.data) sequence.data += direction * P;
  return sequence;
}

template <class Real>
Sequence<Real> dense(Real* data, const Shape& s, int64_t columns) {
  return {data, s.B * columns, columns, s.ragged};
}

// h before a segment: h0, or what y holds.
template <class Real>
State<Real> state_before(const State<Real>& h0, const std::type_identity_t<Sequence<const Real>>& y,
                         int64_t step, int64_t T, bool reverse) {
  if (step == 0) return h0;
  return {y.row(reverse ? T - step : step - 1, 0), y.batch_stride};
}

// The noise of one layer and direction.
template <class Real>
LayerNoise<Real> noise_at(const Noise<Real>& noise, int64_t index, const Shape& s) {
  const auto own = [&](const Real* masks, int64_t size) {
    if (masks) masks += index * s.rows_before(s.T) * size;
    return dense<const Real>(masks, s, size);
  };
  const Real* mask = noise.recurrent_mask;
  return {.recurrent_mask = mask ? mask + index * s.B * s.P : nullptr,
          .zoneout_h = own(noise.zoneout_h, s.P),
          .zoneout_c = own(noise.zoneout_c, s.H),
          .rate_h = noise.rate_h,
          .rate_c = noise.rate_c};
}

// The edits of one layer and direction.
template <class Real>
LayerEdits<Real> edits_at(const Edits<Real>& edits, int64_t index, const Shape& s) {
  const auto own = [&](const Real* all) { return all ? all + index * s.T * s.B * s.H : nullptr; };
  return {own(edits.input_gate),  own(edits.forget_gate), own(edits.candidate),
          own(edits.output_gate), own(edits.cell_state),  own(edits.cell_output)};
}

// State `index` of an [L * D, B, size] array, or zeros.
template <class Real>
State<Real> state_at(Workspace& workspace, const Real* states, int64_t index, const Shape& s,
                     int64_t size) {
  if (states) return {states + index * s.B * size, size};
  const auto most = static_cast<size_t>(std::max(s.H, s.P));
  Real* zeros = workspace.take<Real>(Slot::kZeros, most);
  if (zeros) std::fill_n(zeros, most, Real{0});
  return {zeros, 0};
}

// x and h0 as the kernels read them: rounded copies where the weights are bfloat16.
template <class Real>
Sequence<const Real> readable(Workspace& workspace, const KernelTable<Real>& kernels,
                              const Sequence<const Real>& x, const Shape& s) {
  if (!kernels.round) return x;
  const auto size = static_cast<size_t>(s.rows_before(s.T) * s.I);
  Real* copy = workspace.take<Real>(Slot::kInput, size);
  for (int64_t t = 0; copy && t < s.T; ++t) {
    for (int64_t b = 0; b < s.rows_at(t); ++b) {
      kernels.round(x.row(t, b), s.I, copy + (s.rows_before(t) + b) * s.I);
    }
  }
  return dense<const Real>(copy, s, s.I);
}
template <class Real>
const Real* readable(Workspace& workspace, const KernelTable<Real>& kernels, const Real* h0,
                     int64_t n) {
  if (!kernels.round || !h0) return h0;
  Real* copy = workspace.take<Real>(Slot::kInputState, static_cast<size_t>(n));
  if (copy) kernels.round(h0, n, copy);
  return copy;
}

// Asks a caller, now and then, whether to go on.
class Patience {
 public:
  explicit Patience(const Poll& poll) : poll_(poll) {
    if (poll.stop) asked_ = Clock::now();
  }
  // Steps that a pass may take between two questions: some 1e9 operations.
  int64_t steps(double operations_per_step) const {
    constexpr double kBetween = 1e9;
    if (!poll_.stop) return std::numeric_limits<int64_t>::max();
    return static_cast<int64_t>(std::max(1.0, kBetween / std::max(1.0, operations_per_step)));
  }
  bool ends() {
    if (!poll_.stop || Clock::now() - asked_ < std::chrono::milliseconds(50)) return false;
    const bool stop = poll_.stop(poll_.context);
    asked_ = Clock::now();
    return stop;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Poll poll_;
  Clock::time_point asked_;
};

// Runs the directions of a layer, one plan each, through all steps of their shape (forward.cc).
template <class Real>
Status run_layer(const KernelTable<Real>& kernels, std::span<const ForwardPlan<Real>> plans,
                 int threads, Workspace& workspace, Patience& patience);

// What forward and backward of one call share, and the part of a plan that follows from it.
template <class Real>
class Frame {
 public:
  Frame(const Call<Real>& call, bool keeps)
      : call(call),
        net(call.weights.network),
        kernels(call.weights.kernels),
        shape(call.weights.shape(0, call.T, call.B, call.ragged)),
        layout(call.weights, shape, keeps ? call.checkpoint_every : 0),
        patience(call.poll),
        x(readable(workspace, kernels, call.x, shape)),
        h0(readable(workspace, kernels, call.h0, net.L * net.D * call.B * net.P())) {}

  Shape shape_of(int64_t index) const {
    return call.weights.shape(index, call.T, call.B, call.ragged);
  }
  // The outputs of a layer below the last, or room for them.
  template <class T>
  Sequence<T> dense_output(T* data) const {
    return dense(data, shape, net.D * net.P());
  }
  size_t output_size() const {
    return static_cast<size_t>(shape.rows_before(call.T) * net.D * net.P());
  }
  // Through all steps, from the first.
  LayerPlan<Real> layer_plan(int64_t index, const Sequence<const Real>& input) {
    const Shape s = shape_of(index);
    return {.shape = s,
            .reverse = index % net.D == 1,
            .cell = net.cell,
            .extras = call.weights.panels(index).extras,
            .noise = noise_at(call.noise, index, s),
            .edits = edits_at(call.edits, index, s),
            .staged = net.staged() || call.noise.any() || call.edits.any(),
            .x = input,
            .h0 = state_at(workspace, h0, index, s, s.P)};
  }

  const Call<Real>& call;
  const Network& net;
  const KernelTable<Real>& kernels;
  const Shape shape;  // of the first layer
  const TapeLayout<Real> layout;
  Workspace workspace;
  Patience patience;
  const Sequence<const Real> x;
  const Real* h0;
};

}  // namespace gatewise
