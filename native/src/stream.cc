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
Stream<Real>::Stream(SharedWeights<Real> weights, int64_t B) : weights_(std::move(weights)), B_(B) {
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
      kernels.stream_step(plan, {0, B_}, descending_);
    } else {
      const int64_t items = row_items(B_, 1, threads);
      parallel_for(threads, items, [&](int64_t item) {
        kernels.stream_step(plan, share(B_, item, items), descending_);
      });
    }
    Real* before = layer.h();
    plan.h0.data = x = plan.y.data;
    plan.y.data = before;
  }
  descending_ = !descending_;
  std::copy_n(x, B_ * weights_->network.H, y);
}

template <class Real>
void Stream<Real>::get_state(Real* h, Real* c) const {
  const int64_t size = B_ * weights_->network.H;
  for (const Layer& layer : layers_) {
    std::copy_n(layer.h(), size, h);
    ForwardPlan<Real> plan = layer.plan;
    plan.c_n = c;
    weights_->kernels.store_cells(plan);
    h += size, c += size;
  }
}

template <class Real>
void Stream<Real>::set_state(const Real* h, const Real* c) {
  const int64_t H = weights_->network.H, size = B_ * H;
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
    if (c) c += size;
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
