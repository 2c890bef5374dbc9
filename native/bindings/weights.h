// SPDX-License-Identifier: Apache-2.0
// Packed weights, and whole sequences through them.
#pragma once

#include <nanobind/ndarray.h>

#include <memory>
#include <vector>

#include "buffer.h"
#include "fields.h"

namespace gatewise::bindings {

// What forward has packed; backward and streams share it.
template <class Real>
class PackedWeights {
 public:
  PackedWeights(gatewise::SharedWeights<Real> weights, const gatewise::Network& network)
      : weights_(std::move(weights)), network_(network) {}

  size_t tape_size(int64_t T, int64_t B, int64_t checkpoint_every, const Ragged* ragged) const {
    if (!gatewise::check(network_, T, B)) raise_unless_ok(gatewise::Status::kBadSize);
    return gatewise::tape_size(*weights_, T, B, checkpoint_every, ragged);
  }

  // An array of that size, from memory that is used again.
  auto tape_array(int64_t T, int64_t B, int64_t checkpoint_every, const Ragged* ragged) const {
    return pooled<nb::numpy>(tape_size(T, B, checkpoint_every, ragged));
  }

  // Memory that is used again: fresh pages cost more than what is written to them.
  template <class Framework>
  static auto pooled(size_t size) {
    auto memory = std::make_unique<gatewise::TapeMemory>(size * sizeof(Real));
    void* data = memory->data();
    if (!data) throw std::bad_alloc();
    const nb::capsule owner(memory.release(),
                            [](void* p) noexcept { delete static_cast<gatewise::TapeMemory*>(p); });
    return nb::ndarray<Framework, Real, nb::ndim<1>>(data, {size}, owner);
  }

  void forward(const CallFields& call, const Rows& y, Address h_n, Address c_n,
               Address tape) const {
    without_gil([&] {
      return gatewise::forward<Real>({.call = call.with<Real>(*weights_),
                                      .y = call.sequence<Real>(y),
                                      .h_n = at<Real>(h_n),
                                      .c_n = at<Real>(c_n),
                                      .tape = at<Real>(tape)});
    });
  }

  // gradients: of each layer and direction dw_ih, dw_hh, db, and those of what else the cell has;
  // an address of 0: not wanted.
  void backward(const CallFields& call, const Rows& y, Address tape, const Rows& dy, Address dh_n,
                Address dc_n, const Rows& dx, Address dh0, Address dc0,
                std::span<const Address> gradients, Address gate_gradients) const {
    std::vector<typename gatewise::BackwardArgs<Real>::Gradients> out;
    const gatewise::Cell& cell = network_.cell;
    Addresses<Real> next(gradients);
    for (int64_t k = 0; k < network_.L * network_.D; ++k) {
      out.push_back({.dw_ih = next.take(),
                     .dw_hh = next.take(),
                     .db = next.take(),
                     .dw_hr = next.take(network_.projection),
                     .dpeephole = next.take(cell.peephole),
                     .dnorm_ih = next.take(cell.layer_norm),
                     .dnorm_hh = next.take(cell.layer_norm),
                     .dnorm_c = next.take(cell.layer_norm)});
    }
    without_gil([&] {
      return gatewise::backward<Real>({.call = call.with<Real>(*weights_),
                                       .y = call.sequence<const Real>(y),
                                       .tape = at<const Real>(tape),
                                       .dy = call.sequence<const Real>(dy),
                                       .dh_n = at<const Real>(dh_n),
                                       .dc_n = at<const Real>(dc_n),
                                       .dx = call.sequence<Real>(dx),
                                       .dh0 = at<Real>(dh0),
                                       .dc0 = at<Real>(dc0),
                                       .gradients = out,
                                       .gate_gradients = at<Real>(gate_gradients)});
    });
  }

  // What forward has kept, in the input's order.
  void read_tape(const CallFields& call, Address tape, Address input_gate, Address forget_gate,
                 Address candidate, Address output_gate, Address cell_state) const {
    without_gil([&] {
      return gatewise::read_tape<Real>(
          call.with<Real>(*weights_), at<const Real>(tape),
          {at<Real>(input_gate), at<Real>(forget_gate), at<Real>(candidate), at<Real>(output_gate),
           at<Real>(cell_state)});
    });
  }

  const gatewise::SharedWeights<Real>& shared() const { return weights_; }
  const gatewise::Network& network() const { return network_; }

 private:
  gatewise::SharedWeights<Real> weights_;
  gatewise::Network network_;
};

// parameters: of each layer and direction w_ih, w_hh, b_ih, b_hh, and what else the cell has.
template <class Real>
PackedWeights<Real> pack(gatewise::WeightsCache<Real>& cache, std::span<const Address> parameters) {
  std::vector<gatewise::Parameters<Real>> in;
  const gatewise::Network& network = cache.network();
  const gatewise::Cell& cell = network.cell;
  Addresses<const Real> next(parameters);
  for (int64_t k = 0; k < network.L * network.D; ++k) {
    in.push_back({.w_ih = next.take(),
                  .w_hh = next.take(),
                  .b_ih = next.take(),
                  .b_hh = next.take(),
                  .w_hr = next.take(network.projection),
                  .peephole = next.take(cell.peephole),
                  .norm_ih = next.take(cell.layer_norm),
                  .norm_hh = next.take(cell.layer_norm),
                  .norm_c = next.take(cell.layer_norm)});
  }
  gatewise::SharedWeights<Real> packed;
  {
    const WithoutGil without_gil;
    packed = cache.get(in);
  }
  if (!packed) throw std::bad_alloc();
  return {std::move(packed), network};
}

// Whole sequences from zero states; false, and nothing done, if an array does not fit:
// x [T, B, I], y [T, B, D * P], h_n [L * D, B, P], c_n [L * D, B, H].
template <class Real>
bool try_run(const PackedWeights<Real>& weights, nb::handle x, nb::handle y, nb::handle h_n,
             nb::handle c_n, int threads) {
  const Buffer<Real> in(x, PyBUF_SIMPLE), to(y, PyBUF_WRITABLE), h(h_n, PyBUF_WRITABLE),
      c(c_n, PyBUF_WRITABLE);
  const gatewise::Network& net = weights.network();
  const int64_t T = in.axis(0), B = in.axis(1), I = net.I, H = net.H, P = net.P(), D = net.D;
  if (!in.fits({T, B, I}) || !to.fits({T, B, D * P}) || !h.fits({net.L * D, B, P}) ||
      !c.fits({net.L * D, B, H})) {
    return false;
  }
  const auto address = [](const Buffer<Real>& a) { return reinterpret_cast<Address>(a.data()); };
  const CallFields call{
      T, B, threads, {address(in), B * I, I}, 0, 0, 0, nullptr, std::nullopt, std::nullopt};
  weights.forward(call, {address(to), B * D * P, D * P}, address(h), address(c), 0);
  return true;
}

}  // namespace gatewise::bindings
