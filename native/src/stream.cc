// SPDX-License-Identifier: Apache-2.0
// One step at a time: h goes to and fro between two buffers, c stays in the kernels' layout.
#include <algorithm>
#include <new>
#include <utility>

#include "sharing.h"
#include "threads.h"
#include "weights.h"

namespace gatewise {

template <class Real>
struct Stream<Real>::State {
  SharedWeights<Real> weights;
  int64_t B;
  std::vector<ForwardPlan<Real>> layers = {};
  Memory states = {};   // of each layer h, the next h, and c
  Memory input = {};    // x, rounded, where the weights are bfloat16
  Memory scratch = {};  // of all rows
  size_t cells = 0;     // elements of c, and room for an h
  size_t scratch_per_row = 0;
  bool descending = false;  // the order of panels, by turns: see forward.h

  static Real* h(const ForwardPlan<Real>& layer) { return const_cast<Real*>(layer.h0.data); }
  void place(ForwardPlan<Real>& layer, size_t index) const {
    Real* first = states.template as<Real>() + index * 3 * cells;
    layer.h0.data = first, layer.y.data = first + cells, layer.tape.cells = first + 2 * cells;
  }
  Real* room(int64_t first_row) const {
    return scratch.template as<Real>() + static_cast<size_t>(first_row) * scratch_per_row;
  }
};

template <class Real>
Stream<Real>::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
template <class Real>
Stream<Real>::~Stream() = default;

template <class Real>
std::unique_ptr<Stream<Real>> Stream<Real>::make(SharedWeights<Real> weights, int64_t B,
                                                 std::pair<Real, Real> rates) {
  const Network& net = weights->network;
  if (!check_stream(net, B)) return nullptr;
  std::unique_ptr<State> made(new (std::nothrow) State{.weights = weights, .B = B});
  if (!made) return nullptr;
  const KernelTable<Real>& kernels = weights->kernels;
  const bool staged = net.staged() || rates.first != 0 || rates.second != 0;
  // At least B * H elements each, in whole vectors; all layers have the same H.
  made->cells = whole_lines<Real>(kernels.sizes(weights->shape(0, 1, B)).cells);
  const size_t elements = 3 * made->cells * static_cast<size_t>(net.L);
  made->states = Memory(elements * sizeof(Real));
  if (!made->states.bytes()) return nullptr;
  std::fill_n(made->states.template as<Real>(), elements, Real{0});
  for (int64_t layer = 0; layer < net.L; ++layer) {
    const Shape s = weights->shape(layer, 1, B);
    const auto panels = weights->panels(layer);
    ForwardPlan<Real> plan{LayerPlan<Real>{.shape = s,
                                           .reverse = false,
                                           .cell = net.cell,
                                           .extras = panels.extras,
                                           .noise = {.rate_h = rates.first, .rate_c = rates.second},
                                           .staged = staged,
                                           .x = {nullptr, 0, s.I},
                                           .h0 = {nullptr, s.P}}};
    plan.weights = panels.weights, plan.bias = panels.bias;
    plan.y = {nullptr, 0, s.P};
    made->place(plan, static_cast<size_t>(layer));
    made->layers.push_back(plan);
    made->scratch_per_row =
        std::max(made->scratch_per_row, kernels.forward_scratch(s, 1, 1, staged));
  }
  made->scratch = Memory(made->scratch_per_row * static_cast<size_t>(B) * sizeof(Real));
  if (kernels.round) made->input = Memory(static_cast<size_t>(B * net.I) * sizeof(Real));
  if (!made->scratch.bytes() || (kernels.round && !made->input.bytes())) return nullptr;
  return std::unique_ptr<Stream>(new (std::nothrow) Stream(std::move(made)));
}

template <class Real>
void Stream<Real>::step(const Real* x, Real* y, int threads) {
  State& at = *state_;
  const auto& kernels = at.weights->kernels;
  const Network& net = at.weights->network;
  if (kernels.round) {
    kernels.round(x, at.B * net.I, at.input.template as<Real>());
    x = at.input.template as<Real>();
  }
  for (ForwardPlan<Real>& plan : at.layers) {
    plan.x.data = x;
    const int useful = useful_threads(operations_of(plan.shape, 1, 2.0), threads);
    if (useful == 1) {
      kernels.stream_step(plan, {0, at.B}, at.descending, at.room(0));
    } else {
      // A single step gives no rows away: two items for each thread where they have full tiles.
      constexpr int64_t kRowsPerItem = 12;
      const int64_t least = row_items(at.B, 1, useful);
      const int64_t items = std::clamp<int64_t>(at.B / kRowsPerItem, least, 2 * least);
      const auto item = [&](int64_t item, int) {
        const Range rows = share(at.B, item, items);
        kernels.stream_step(plan, rows, at.descending, at.room(rows.first));
      };
      parallel_for(useful, items, item);
    }
    Real* before = State::h(plan);
    plan.h0.data = x = plan.y.data;
    plan.y.data = before;
  }
  at.descending = !at.descending;
  std::copy_n(x, at.B * net.P(), y);
}

template <class Real>
void Stream<Real>::get_state(Real* h, Real* c) const {
  const Network& net = network();
  for (const ForwardPlan<Real>& layer : state_->layers) {
    std::copy_n(State::h(layer), batch() * net.P(), h);
    ForwardPlan<Real> plan = layer;
    plan.c_n = c;
    state_->weights->kernels.store_cells(plan);
    h += batch() * net.P(), c += batch() * net.H;
  }
}

template <class Real>
void Stream<Real>::set_state(const Real* h, const Real* c) {
  const auto& kernels = state_->weights->kernels;
  const int64_t H = network().H, size = batch() * network().P();
  size_t index = 0;
  for (ForwardPlan<Real>& layer : state_->layers) {
    // In a process that was forked in the midst of a step, the two buffers may both be the next h.
    state_->place(layer, index++);
    if (h) {
      if (kernels.round) {
        kernels.round(h, size, State::h(layer));
      } else {
        std::copy_n(h, size, State::h(layer));
      }
      h += size;
    } else {
      std::fill_n(State::h(layer), size, Real{0});
    }
    if (c) {
      ForwardPlan<Real> plan = layer;
      plan.c0 = {c, H};
      kernels.load_cells(plan);
      c += batch() * H;
    } else {
      std::fill_n(layer.tape.cells, kernels.sizes(layer.shape).cells, Real{0});
    }
  }
}

template <class Real>
int64_t Stream<Real>::batch() const {
  return state_->B;
}
template <class Real>
const Network& Stream<Real>::network() const {
  return state_->weights->network;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace gatewise
