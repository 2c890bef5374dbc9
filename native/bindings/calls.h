// SPDX-License-Identifier: Apache-2.0
// Whole calls on PyTorch's tensors: the usual ones, in which all are plain and dense. Each returns
// None, and has done nothing, where they are not.
#pragma once

#include <algorithm>
#include <vector>

#include "tensors.h"
#include "weights.h"

namespace gatewise::bindings {

template <class Real>
inline constexpr int kBits = 8 * sizeof(Real);

// A tensor like `like` to keep the tape of a call in.
template <class Real>
nb::object tape_like(const PackedWeights<Real>& weights, nb::handle like, int64_t T, int64_t B,
                     int64_t checkpoint_every, const Ragged* ragged) {
  constexpr size_t kPooledElements = size_t{1} << 18;  // from here on its fee is worth it
  const size_t size = weights.tape_size(T, B, checkpoint_every, ragged);
  if (size < kPooledElements) return empty(like, nb::make_tuple(size));
  return nb::cast(weights.template pooled<nb::pytorch>(size));
}

// Forward from the parameters: packs them where they have changed.
//
// tensors: x [T, B, I], h0, c0 (or None), and the parameters as in `pack`; shapes: theirs, -1 for T
// and B. Returns y [T, B, D * P], h_n [L * D, B, P], c_n [L * D, B, H], and with `keep` the tape
// and the packed weights, else None for these.
template <class Real>
nb::object call(gatewise::WeightsCache<Real>& cache, const nb::tuple& tensors,
                const nb::tuple& shapes, int threads, bool keep, int64_t checkpoint_every) {
  std::vector<Address> found;
  if (!find_dense(tensors, shapes, kBits<Real>, found)) return nb::none();
  const nb::object input = tensors[0];
  const Tensor x(input);
  const int64_t T = x.size(0), B = x.size(1);
  for (size_t k = 1; k < 3; ++k) {
    const nb::object state = tensors[k];
    if (found[k] && Tensor(state).size(1) != B) return nb::none();
  }
  const gatewise::Network& net = cache.network();
  if (!gatewise::check(net, T, B)) raise_unless_ok(gatewise::Status::kBadSize);
  const int64_t states = net.L * net.D, P = net.P(), columns = net.D * P;
  const PackedWeights<Real> weights = pack(cache, std::span<const Address>(found).subspan(3));

  const nb::object y = empty(input, nb::make_tuple(T, B, columns));
  const nb::object h_n = empty(input, nb::make_tuple(states, B, P));
  const nb::object c_n = empty(input, nb::make_tuple(states, B, net.H));
  const int64_t every = keep ? std::min(checkpoint_every, T) : 0;
  const nb::object tape = keep ? tape_like(weights, input, T, B, every, nullptr) : nb::none();
  weights.forward(
      {T, B, threads, {found[0], B * net.I, net.I}, found[1], found[2], every, nullptr, {}, {}},
      {Tensor(y).address(), B * columns, columns}, Tensor(h_n).address(), Tensor(c_n).address(),
      keep ? Tensor(tape).address() : 0);
  return nb::make_tuple(y, h_n, c_n, tape, keep ? nb::cast(weights) : nb::none());
}

// Backward of such a call.
//
// saved: x, h0, c0, y, the tape and the parameters; shapes: theirs. gradients: of y, h_n and c_n,
// None for zeros. needed: of x, h0, c0 and the parameters. Returns their gradients, None where not
// needed.
template <class Real>
nb::object gradients(const PackedWeights<Real>& weights, const nb::tuple& saved,
                     const nb::tuple& shapes, const nb::tuple& outer, const nb::tuple& needed,
                     int threads, int64_t checkpoint_every) {
  std::vector<Address> found, above;
  if (!find_dense(saved, shapes, kBits<Real>, found)) return nb::none();
  const gatewise::Network& net = weights.network();
  const nb::object input = saved[0];
  const Tensor x(input);
  const int64_t T = x.size(0), B = x.size(1);
  const int64_t states = net.L * net.D, P = net.P(), columns = net.D * P;
  const auto of = [&](size_t k, const nb::tuple& shape) -> nb::object {
    const nb::object gradient = outer[k];
    return gradient.is_none() ? nb::none() : nb::object(shape);
  };
  const nb::tuple outer_shapes =
      nb::make_tuple(of(0, nb::make_tuple(T, B, columns)), of(1, nb::make_tuple(states, B, P)),
                     of(2, nb::make_tuple(states, B, net.H)));
  if (!find_dense(outer, outer_shapes, kBits<Real>, above)) return nb::none();

  constexpr size_t kInputs = 3, kKept = 2;  // x, h0, c0; y and the tape are not given back
  nb::list rooms;
  std::vector<Address> to;
  for (size_t k = 0; k < needed.size(); ++k) {
    const size_t of_saved = k < kInputs ? k : k + kKept;
    nb::object room = nb::none();
    Address address = 0;
    if (nb::cast<bool>(needed[k])) {
      room =
          empty(nb::object(saved[of_saved]), nb::borrow<nb::tuple>(nb::object(shapes[of_saved])));
      address = Tensor(room).address();
    }
    rooms.append(room);
    to.push_back(address);
  }
  // The core gives both biases one gradient.
  std::vector<Address> parameters;
  const size_t names = (to.size() - kInputs) / static_cast<size_t>(states);
  for (size_t k = kInputs; k < to.size(); ++k) {
    const size_t name = (k - kInputs) % names;
    if (name == 2) parameters.push_back(to[k] ? to[k] : to[k + 1]);
    if (name != 2 && name != 3) parameters.push_back(to[k]);
  }
  const int64_t I = net.I;
  weights.backward({T,
                    B,
                    threads,
                    {found[0], B * I, I},
                    found[1],
                    found[2],
                    std::min(checkpoint_every, T),
                    nullptr,
                    {},
                    {}},
                   {found[3], B * columns, columns}, found[4], {above[0], B * columns, columns},
                   above[1], above[2], {to[0], B * I, I}, to[1], to[2], parameters, 0);
  for (size_t k = kInputs + 2; k < to.size(); k += names) {
    if (to[k] && to[k + 1]) {
      std::copy_n(at<const Real>(to[k]), 4 * net.H, at<Real>(to[k + 1]));
    }
  }
  return nb::tuple(rooms);
}

}  // namespace gatewise::bindings
