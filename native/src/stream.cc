// One step at a time: h goes to and fro between two buffers, c stays in the kernels' layout.
#include <algorithm>
#include <utility>

#include "sharing.h"
#include "threads.h"
#include "weights.h"

namespace gatewise {

template <class Real>
struct Stream<Real>::Layer {
  ForwardPlan<Real> plan;
  Memory memory;  // h, the next h, c

  Real* h() const { return const_cast<Real*>(plan.h0.data); }
};

template <class Real>
Stream<Real>::Stream(SharedWeights<Real> weights, int64_t B, std::pair<Real, Real> rates)
    : weights_(std::move(weights)), B_(B) {
  const Network& net = weights_->network;
  for (int64_t layer = 0; layer < net.L; ++layer) {
    const Shape s = weights_->shape(layer, 1, B);
    const auto panels = weights_->panels(layer);
    const size_t cells = weights_->kernels.sizes(s).cells;  // at least B * H, in whole vectors
    Layer made{{}, Memory(3 * cells * sizeof(Real))};
    Real* h = made.memory.template as<Real>();
    made.plan = {.shape = s,
                 .reverse = false,
                 .weights = panels.weights,
                 .bias = panels.bias,
                 .cell = net.cell,
                 .extras = panels.extras,
                 .noise = {.rate_h = rates.first, .rate_c = rates.second},
                 .staged = net.staged() || rates.first != 0 || rates.second != 0,
                 .x = {nullptr, 0, s.I},
                 .h0 = {h, s.P},
                 .c0 = {},
                 .y = {h + cells, 0, s.P},
                 .h_n = nullptr,
                 .c_n = nullptr,
                 .tape = {nullptr, h + 2 * cells},
                 .ahead = nullptr};
    layers_.push_back(std::move(made));
  }
  if (weights_->kernels.round) input_ = std::make_unique<Real[]>(static_cast<size_t>(B * net.I));
  set_state(nullptr, nullptr);
}

template <class Real>
Stream<Real>::Stream(Stream&&) noexcept = default;
template <class Real>
Stream<Real>::~Stream() = default;

template <class Real>
Real* Stream<Real>::room(const ForwardPlan<Real>& plan, int64_t rows) const {
  if (!plan.staged) return nullptr;
  return scratch<Real>(Slot::kRows, weights_->kernels.forward_scratch(plan.shape, rows, true));
}

template <class Real>
void Stream<Real>::step(const Real* x, Real* y, int threads) {
  const auto& kernels = weights_->kernels;
  if (kernels.round) {
    kernels.round(x, B_ * weights_->network.I, input_.get());
    x = input_.get();
  }
  for (Layer& layer : layers_) {
    ForwardPlan<Real>& plan = layer.plan;
    plan.x.data = x;
    threads = useful_threads(plan.shape, 1, threads, 2.0);
    if (threads == 1) {
      kernels.stream_step(plan, {0, B_}, descending_, room(plan, B_));
    } else {
      const int64_t items = row_items(B_, 1, threads);
      parallel_for(threads, items, [&](int64_t item) {
        const Range rows = share(B_, item, items);
        kernels.stream_step(plan, rows, descending_, room(plan, rows.size()));
      });
    }
    Real* before = layer.h();
    plan.h0.data = x = plan.y.data;
    plan.y.data = before;
  }
  descending_ = !descending_;
  std::copy_n(x, B_ * weights_->network.P(), y);
}

template <class Real>
void Stream<Real>::get_state(Real* h, Real* c) const {
  const Network& net = weights_->network;
  for (const Layer& layer : layers_) {
    std::copy_n(layer.h(), B_ * net.P(), h);
    ForwardPlan<Real> plan = layer.plan;
    plan.c_n = c;
    weights_->kernels.store_cells(plan);
    h += B_ * net.P(), c += B_ * net.H;
  }
}

template <class Real>
void Stream<Real>::set_state(const Real* h, const Real* c) {
  const int64_t H = weights_->network.H, size = B_ * weights_->network.P();
  const Memory zeros(static_cast<size_t>(H) * sizeof(Real));
  std::fill_n(zeros.as<Real>(), H, Real{0});
  for (Layer& layer : layers_) {
    if (h) {
      std::copy_n(h, size, layer.h());
      if (weights_->kernels.round) weights_->kernels.round(h, size, layer.h());
      h += size;
    } else {
      std::fill_n(layer.h(), size, Real{0});
    }
    ForwardPlan<Real> plan = layer.plan;
    plan.c0 = c ? State<Real>{c, H} : State<Real>{zeros.as<Real>(), 0};
    weights_->kernels.load_cells(plan);
    if (c) c += B_ * H;
  }
}

template <class Real>
int64_t Stream<Real>::batch() const {
  return B_;
}
template <class Real>
const Network& Stream<Real>::network() const {
  return weights_->network;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace gatewise
