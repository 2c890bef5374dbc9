// SPDX-License-Identifier: Apache-2.0
// Many networks of one shape, each with weights and rows of its own, in one call.
#pragma once

#include <memory>
#include <vector>

#include "weights.h"

namespace gatewise::bindings {

// Elements of the parameters of a layer and direction.
struct ParameterSizes {
  size_t w_ih, w_hh, bias, w_hr, peephole, norm, norm_c;
  ParameterSizes(const gatewise::Network& network, int64_t layer) {
    const auto H = static_cast<size_t>(network.H), P = static_cast<size_t>(network.P());
    w_ih = 4 * H * static_cast<size_t>(network.inputs(layer));
    w_hh = 4 * H * P;
    bias = 4 * H;
    w_hr = P * H;
    peephole = 3 * H;
    norm = 8 * H;
    norm_c = 2 * H;
  }
};

// What `Group` has packed: forward and backward of all its networks. Every array has a first axis
// over the G networks; dense batches, from zero states.
template <class Real>
class PackedGroup {
 public:
  PackedGroup(std::vector<gatewise::SharedWeights<Real>> weights, const gatewise::Network& network)
      : weights_(std::move(weights)), network_(network) {}

  // A tensor for the tapes of all networks, from memory that is used again.
  auto tape(int64_t T, int64_t B) const {
    if (!gatewise::check(network_, T, B)) raise_unless_ok(gatewise::Status::kBadSize);
    const size_t one = weights_.empty() ? 0 : gatewise::tape_size(*weights_[0], T, B);
    return PackedWeights<Real>::template pooled<nb::pytorch>(one * weights_.size());
  }

  // x [G, T, B, I], y [G, T, B, D * P], h_n [G, L * D, B, P], c_n [G, L * D, B, H]; tape: G of
  // them, or 0.
  void forward(int64_t T, int64_t B, int threads, Address x, Address y, Address h_n, Address c_n,
               Address tape) const {
    std::vector<gatewise::ForwardArgs<Real>> calls;
    for (size_t g = 0; g < weights_.size(); ++g) {
      const Shares of = shares(g, T, B);
      calls.push_back({.call = call(g, T, B, x),
                       .y = {at<Real>(y) + of.y, B * columns(), columns()},
                       .h_n = at<Real>(h_n) + of.h,
                       .c_n = at<Real>(c_n) + of.c,
                       .tape = tape ? at<Real>(tape) + of.tape : nullptr});
    }
    without_gil([&] { return gatewise::forward_each<Real>(calls, threads); });
  }

  // gradients: of each layer and direction dw_ih, dw_hh, db, and those of what else the cell has.
  void backward(int64_t T, int64_t B, int threads, Address x, Address y, Address tape, Address dy,
                Address dx, const nb::tuple& gradients) const {
    using Gradients = typename gatewise::BackwardArgs<Real>::Gradients;
    const std::vector<Address> addresses = addresses_of(gradients);
    std::vector<std::vector<Gradients>> out(weights_.size());
    std::vector<gatewise::BackwardArgs<Real>> calls;
    for (size_t g = 0; g < weights_.size(); ++g) {
      Addresses<Real> next(addresses);
      for (int64_t k = 0; k < network_.L * network_.D; ++k) {
        const ParameterSizes size(network_, k / network_.D);
        const gatewise::Cell& cell = network_.cell;
        const auto take = [&](size_t count, bool there = true) -> Real* {
          Real* first = next.take(there);
          return first ? first + g * count : nullptr;
        };
        out[g].push_back({.dw_ih = take(size.w_ih),
                          .dw_hh = take(size.w_hh),
                          .db = take(size.bias),
                          .dw_hr = take(size.w_hr, network_.projection),
                          .dpeephole = take(size.peephole, cell.peephole),
                          .dnorm_ih = take(size.norm, cell.layer_norm),
                          .dnorm_hh = take(size.norm, cell.layer_norm),
                          .dnorm_c = take(size.norm_c, cell.layer_norm)});
      }
      const Shares of = shares(g, T, B);
      const gatewise::Sequence<Real> to{dx ? at<Real>(dx) + of.x : nullptr, B * network_.I,
                                        network_.I};
      calls.push_back({.call = call(g, T, B, x),
                       .y = {at<const Real>(y) + of.y, B * columns(), columns()},
                       .tape = at<const Real>(tape) + of.tape,
                       .dy = {at<const Real>(dy) + of.y, B * columns(), columns()},
                       .dh_n = nullptr,
                       .dc_n = nullptr,
                       .dx = to,
                       .dh0 = nullptr,
                       .dc0 = nullptr,
                       .gradients = out[g]});
    }
    without_gil([&] { return gatewise::backward_each<Real>(calls, threads); });
  }

 private:
  struct Shares {
    size_t x, y, h, c, tape;
  };

  int64_t columns() const { return network_.D * network_.P(); }
  // Where the arrays of a network begin.
  Shares shares(size_t g, int64_t T, int64_t B) const {
    const size_t rows = static_cast<size_t>(B) * g,
                 states = static_cast<size_t>(network_.L) * static_cast<size_t>(network_.D) * rows;
    return {rows * static_cast<size_t>(T * network_.I), rows * static_cast<size_t>(T * columns()),
            states * static_cast<size_t>(network_.P()), states * static_cast<size_t>(network_.H),
            g * gatewise::tape_size(*weights_[g], T, B)};
  }
  gatewise::Call<Real> call(size_t g, int64_t T, int64_t B, Address x) const {
    return {.weights = *weights_[g],
            .T = T,
            .B = B,
            .threads = 1,
            .x = {at<const Real>(x) + shares(g, T, B).x, B * network_.I, network_.I},
            .poll = {signalled, nullptr}};
  }

  std::vector<gatewise::SharedWeights<Real>> weights_;
  gatewise::Network network_;
};

// Packs the weights of G networks when they have changed.
template <class Real>
class Group {
 public:
  Group(int64_t G, const gatewise::Network& network) : network_(network) {
    for (int64_t g = 0; g < G; ++g) {
      caches_.push_back(std::make_unique<gatewise::WeightsCache<Real>>(network));
    }
  }

  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // parameters: of each layer and direction w_ih, w_hh, b_ih, b_hh (0 for no bias), and what else
  // the cell has; [G, ...] each.
  PackedGroup<Real> pack(const nb::tuple& parameters) {
    std::vector<std::vector<gatewise::Parameters<Real>>> all(caches_.size());
    const gatewise::Cell& cell = network_.cell;
    const std::vector<Address> addresses = addresses_of(parameters);
    for (size_t g = 0; g < all.size(); ++g) {
      Addresses<const Real> next(addresses);
      for (int64_t k = 0; k < network_.L * network_.D; ++k) {
        const ParameterSizes size(network_, k / network_.D);
        const auto take = [&](size_t count, bool there = true) -> const Real* {
          const Real* first = next.take(there);
          return first ? first + g * count : nullptr;
        };
        all[g].push_back({.w_ih = take(size.w_ih),
                          .w_hh = take(size.w_hh),
                          .b_ih = take(size.bias),
                          .b_hh = take(size.bias),
                          .w_hr = take(size.w_hr, network_.projection),
                          .peephole = take(size.peephole, cell.peephole),
                          .norm_ih = take(size.norm, cell.layer_norm),
                          .norm_hh = take(size.norm, cell.layer_norm),
                          .norm_c = take(size.norm_c, cell.layer_norm)});
      }
    }
    std::vector<gatewise::SharedWeights<Real>> weights;
    {
      const WithoutGil without_gil;
      for (size_t g = 0; g < all.size(); ++g) weights.push_back(caches_[g]->get(all[g]));
    }
    for (const auto& own : weights) {
      if (!own) throw std::bad_alloc();
    }
    return {std::move(weights), network_};
  }

 private:
  gatewise::Network network_;
  std::vector<std::unique_ptr<gatewise::WeightsCache<Real>>> caches_;
};

}  // namespace gatewise::bindings
