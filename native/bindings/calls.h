// SPDX-License-Identifier: Apache-2.0
// Whole calls on PyTorch's tensors, where all are plain and dense.
#pragma once

#include <algorithm>
#include <vector>

#include "tensors.h"
#include "weights.h"

namespace gatewise::bindings {

template <class Real>
inline constexpr int kBits = 8 * sizeof(Real);

// A tensor of `like`'s dtype to keep the tape of a call in. Pooled memory costs a conversion by
// DLPack, so a small tape is PyTorch's memory.
template <class Real>
nb::object tape_like(const PackedWeights<Real>& weights, nb::handle like, int64_t T, int64_t B,
                     int64_t checkpoint_every, const Ragged* ragged) {
  constexpr size_t kPooledElements = size_t{1} << 18;
  const size_t size = weights.tape_size(T, B, checkpoint_every, ragged);
  if (size < kPooledElements) return empty(like, nb::make_tuple(size));
  return nb::cast(weights.template pooled<nb::pytorch>(size));
}

// Forward from the parameters, or from `packed` if it is not null: else they are packed where they
// have changed. None, and nothing is done, if the tensors are not plain, dense, and of their
// shapes.
//
// tensors: x [T, B, I], h0, c0 (or None), and the parameters as in `pack`; shapes: those of this
// network, with -1 for T and B. Returns y [T, B, D * P], h_n [L * D, B, P], c_n [L * D, B, H], and
// with `keep` the tape and the packed weights, else None for these.
template <class Real>
nb::object forward_tensors(gatewise::WeightsCache<Real>& cache, const nb::tuple& tensors,
                           const nb::tuple& shapes, int threads, bool keep,
                           int64_t checkpoint_every, const PackedWeights<Real>* packed) {
  std::vector<Tensor> in;
  if (!read_dense(tensors, shapes, kBits<Real>, in)) return nb::none();
  std::vector<Address> found;
  for (const Tensor& tensor : in) found.push_back(tensor.address());
  const gatewise::Network& net = cache.network();
  const int64_t T = in[0].size(0), B = in[0].size(1);
  if (!gatewise::check(net, T, B)) raise_unless_ok(gatewise::Status::kBadSize);
  const int64_t states = net.L * net.D, P = net.P(), columns = net.D * P;
  if (packed && packed->network() != net) throw nb::value_error("packed is of another network");
  const PackedWeights<Real> weights =
      packed ? *packed : pack(cache, std::span<const Address>(found).subspan(3));

  const nb::object x = tensors[0];
  const nb::object y = empty(x, nb::make_tuple(T, B, columns));
  const nb::object h_n = empty(x, nb::make_tuple(states, B, P));
  const nb::object c_n = P == net.H ? empty_like(h_n) : empty(x, nb::make_tuple(states, B, net.H));
  const int64_t every = keep ? std::min(checkpoint_every, T) : 0;
  const nb::object tape = keep ? tape_like(weights, x, T, B, every, nullptr) : nb::none();
  weights.forward(
      {T, B, threads, {found[0], B * net.I, net.I}, found[1], found[2], every, nullptr, {}, {}},
      {Tensor::made(y).address(), B * columns, columns}, Tensor::made(h_n).address(),
      Tensor::made(c_n).address(), keep ? Tensor::made(tape).address() : 0);
  return nb::make_tuple(y, h_n, c_n, tape, keep ? nb::cast(weights) : nb::none());
}

// Backward of such a call. None, and nothing is done, under the same conditions.
//
// saved: x, h0, c0, y, the tape and the parameters; shapes: theirs, as forward had them.
// grad_outputs: of y, h_n and c_n, None for zeros. needs_input_grad: of x, h0, c0 and the
// parameters. Returns their gradients, None where not needed.
template <class Real>
nb::object backward_tensors(const PackedWeights<Real>& weights, const nb::tuple& saved,
                            const nb::tuple& shapes, const nb::tuple& grad_outputs,
                            const nb::tuple& needs_input_grad, int threads,
                            int64_t checkpoint_every) {
  constexpr size_t kInputs = 3, kKept = 2;  // x, h0, c0; y and the tape
  std::vector<Tensor> in, grads;
  if (grad_outputs.size() != 3 || needs_input_grad.size() + kKept != saved.size() ||
      !read_dense(saved, shapes, kBits<Real>, in)) {
    return nb::none();
  }
  const gatewise::Network& net = weights.network();
  const int64_t T = in[0].size(0), B = in[0].size(1), I = net.I;
  const int64_t states = net.L * net.D, P = net.P(), columns = net.D * P;
  const auto unless_none = [&](size_t k, const nb::tuple& shape) -> nb::object {
    return nb::object(grad_outputs[k]).is_none() ? nb::none() : nb::object(shape);
  };
  const nb::tuple grad_shapes = nb::make_tuple(unless_none(0, nb::make_tuple(T, B, columns)),
                                               unless_none(1, nb::make_tuple(states, B, P)),
                                               unless_none(2, nb::make_tuple(states, B, net.H)));
  if (!read_dense(grad_outputs, grad_shapes, kBits<Real>, grads)) return nb::none();

  nb::list gradients;
  std::vector<Address> to;
  for (size_t k = 0; k < needs_input_grad.size(); ++k) {
    nb::object gradient = nb::none();
    if (nb::cast<bool>(needs_input_grad[k])) {
      gradient = empty_like(nb::object(saved[k < kInputs ? k : k + kKept]));
    }
    to.push_back(gradient.is_none() ? 0 : Tensor::made(gradient).address());
    gradients.append(gradient);
  }
  // The core gives both biases one gradient.
  std::vector<Address> parameters;
  const size_t names = (to.size() - kInputs) / static_cast<size_t>(states);
  for (size_t k = kInputs; k < to.size(); ++k) {
    const size_t name = (k - kInputs) % names;
    if (name == 2) parameters.push_back(to[k] ? to[k] : to[k + 1]);
    if (name != 2 && name != 3) parameters.push_back(to[k]);
  }
  weights.backward({T,
                    B,
                    threads,
                    {in[0].address(), B * I, I},
                    in[1].address(),
                    in[2].address(),
                    std::min(checkpoint_every, T),
                    nullptr,
                    {},
                    {}},
                   {in[3].address(), B * columns, columns}, in[4].address(),
                   {grads[0].address(), B * columns, columns}, grads[1].address(),
                   grads[2].address(), {to[0], B * I, I}, to[1], to[2], parameters, 0);
  for (size_t k = kInputs + 2; k < to.size(); k += names) {
    if (to[k] && to[k + 1]) {
      std::copy_n(at<const Real>(to[k]), 4 * net.H, at<Real>(to[k + 1]));
    }
  }
  return nb::tuple(gradients);
}

}  // namespace gatewise::bindings
