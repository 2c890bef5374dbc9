// Forward: layer by layer, both directions side by side, rows or hidden units over threads.
#include <algorithm>
#include <array>
#include <numeric>

#include "sharing.h"
#include "tape.h"
#include "threads.h"

namespace gatewise {

Ragged::Ragged(std::span<const int64_t> batch_sizes)
    : rows(batch_sizes.begin(), batch_sizes.end()), before(batch_sizes.size() + 1) {
  std::partial_sum(rows.begin(), rows.end(), before.begin() + 1);
  lengths.resize(static_cast<size_t>(rows.empty() ? 0 : rows.front()));
  for (const int64_t running : rows) {
    for (int64_t b = 0; b < running; ++b) ++lengths[static_cast<size_t>(b)];
  }
}

bool is_well_packed(std::span<const int64_t> batch_sizes, int64_t N) {
  int64_t before = N, left = N;
  for (const int64_t running : batch_sizes) {
    if (running < 1 || running > before || running > left) return false;
    before = running;
    left -= running;
  }
  return !batch_sizes.empty() && left == 0;
}

template <class Real>
void run_layer(const KernelTable<Real>& kernels, std::span<ForwardPlan<Real>> plans, int threads) {
  const Shape& s = plans[0].shape;
  const auto D = static_cast<int64_t>(plans.size());
  threads = useful_threads(s, D, threads, 2.0);
  const bool staged = plans[0].staged;
  if (!staged && in_lockstep(s, D, threads)) {
    const size_t ahead = kernels.forward_scratch(s, s.B, false);
    Real* room = scratch<Real>(Slot::kAhead, ahead * plans.size());
    for (auto& plan : plans) {
      plan.ahead = room;
      room += ahead;
    }
    // Pairs of panels: a single row takes two at once.
    const int64_t panels = kernels.sizes(s).panels, pairs = (panels + 1) / 2;
    const int64_t pieces = std::min<int64_t>(pairs, 2 * threads);
    lockstep(threads, s.T, D * pieces, [&](int64_t step, int64_t piece) {
      const Range own = share(pairs, piece % pieces, pieces);
      kernels.forward_step(plans[static_cast<size_t>(piece / pieces)], step,
                           {2 * own.first, std::min(panels, 2 * own.end)});
    });
    return;
  }
  const int64_t items = row_items(s.B, D, threads);
  parallel_for(threads, D * items, [&](int64_t item) {
    const Range rows = share_rows(s, {0, s.T}, item % items, items);
    Real* own = scratch<Real>(Slot::kRows, kernels.forward_scratch(s, rows.size(), staged));
    kernels.forward_rows(plans[static_cast<size_t>(item / items)], rows, own);
  });
}

namespace {

template <class Real>
class Forward {
 public:
  explicit Forward(const ForwardArgs<Real>& args)
      : args_(args),
        net_(args.weights.network),
        shape_(args.weights.shape(0, args.T, args.B, args.ragged)),
        layout_(args.weights, shape_, args.tape ? args.checkpoint_every : 0),
        x_(readable(args.weights.kernels, args.x, shape_)),
        h0_(readable(args.weights.kernels, args.h0, net_.L * net_.D * args.B * net_.P())) {}

  void run() {
    Sequence<const Real> x = x_;
    for (int64_t layer = 0; layer < net_.L; ++layer) {
      const Sequence<Real> y = output(layer);
      for (int64_t k = 0; k < layout_.segments(); ++k) run_segment(layer, k, x, y);
      x = y;
    }
  }

 private:
  Sequence<Real> output(int64_t layer) const {
    if (layer == net_.L - 1) return args_.y;
    const int64_t columns = net_.D * net_.P();
    const auto size = static_cast<size_t>(shape_.rows_before(args_.T) * columns);
    Real* data = args_.tape ? args_.tape + layout_.outputs(layer)
                            : scratch<Real>(layer % 2 ? Slot::kOdd : Slot::kEven, size);
    return dense(data, shape_, columns);
  }

  void run_segment(int64_t layer, int64_t k, const Sequence<const Real>& x,
                   const Sequence<Real>& y) {
    std::array<ForwardPlan<Real>, 2> plans;
    for (int64_t d = 0; d < net_.D; ++d) {
      plans[static_cast<size_t>(d)] = plan(layer * net_.D + d, k, x, half(y, d, net_.P()), d == 1);
    }
    run_layer<Real>(args_.weights.kernels, {plans.data(), static_cast<size_t>(net_.D)},
                    args_.threads);
  }

  ForwardPlan<Real> plan(int64_t index, int64_t k, const Sequence<const Real>& x,
                         const Sequence<Real>& y, bool reverse) const {
    const Range steps = layout_.segment(k);
    const bool last = k == layout_.segments() - 1;
    const Shape s = args_.weights.shape(index, steps.size(), args_.B, args_.ragged);
    const auto panels = args_.weights.panels(index);
    const int64_t states = s.B * s.H;
    return {.shape = s,
            .reverse = reverse,
            .weights = panels.weights,
            .bias = panels.bias,
            .cell = net_.cell,
            .extras = panels.extras,
            .noise = noise_at(args_.noise, index, s),
            .staged = net_.staged() || args_.noise.any(),
            .x = part(x, steps, args_.T, reverse),
            .h0 = state_before(state_at(h0_, index, s, s.P), y, steps.first, args_.T, reverse),
            .c0 = k ? State<Real>{args_.tape + layout_.checkpoint(index, k - 1), s.H}
                    : state_at(args_.c0, index, s, s.H),
            .y = part(y, steps, args_.T, reverse),
            .h_n = last ? args_.h_n + index * s.B * s.P : nullptr,
            .c_n = last ? args_.c_n + index * states : args_.tape + layout_.checkpoint(index, k),
            .tape = tape(index, s),
            .ahead = nullptr};
  }

  Tape<Real> tape(int64_t index, const Shape& s) const {
    if (args_.tape && !layout_.every()) {
      return {args_.tape + layout_.gates(index), args_.tape + layout_.cells(index),
              net_.cell.layer_norm ? args_.tape + layout_.norms(index) : nullptr};
    }
    const size_t cells = args_.weights.kernels.sizes(s).cells;
    Real* room = scratch<Real>(Slot::kCells, cells * static_cast<size_t>(net_.D));
    return {nullptr, room + static_cast<size_t>(index % net_.D) * cells};
  }

  const ForwardArgs<Real>& args_;
  const Network& net_;
  const Shape shape_;  // of the first layer
  const TapeLayout<Real> layout_;
  const Sequence<const Real> x_;
  const Real* h0_;
};

}  // namespace

template <class Real>
size_t tape_size(const Weights<Real>& weights, int64_t T, int64_t B, int64_t checkpoint_every,
                 const Ragged* ragged) {
  return TapeLayout<Real>(weights, weights.shape(0, T, B, ragged), checkpoint_every).size();
}

template <class Real>
void forward(const ForwardArgs<Real>& args) {
  if (args.B == 0) return;
  Forward<Real>(args).run();
  trim_scratch();
}

template void run_layer<float>(const KernelTable<float>&, std::span<ForwardPlan<float>>, int);
template void run_layer<double>(const KernelTable<double>&, std::span<ForwardPlan<double>>, int);
template size_t tape_size<float>(const Weights<float>&, int64_t, int64_t, int64_t, const Ragged*);
template size_t tape_size<double>(const Weights<double>&, int64_t, int64_t, int64_t, const Ragged*);
template void forward<float>(const ForwardArgs<float>&);
template void forward<double>(const ForwardArgs<double>&);

}  // namespace gatewise
