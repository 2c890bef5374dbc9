// SPDX-License-Identifier: Apache-2.0
// What Python hands over: addresses and sizes with names. And what the core says, as exceptions.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gatewise/lstm.h"
#include "gil.h"

namespace gatewise::bindings {

namespace nb = nanobind;

using Address = uintptr_t;
// Address, stride of time, stride of batch (of a ragged batch: of its rows).
using Rows = std::tuple<Address, int64_t, int64_t>;

template <class Real>
Real* at(Address address) {
  return reinterpret_cast<Real*>(address);
}

void raise_unless_ok(gatewise::Status status) {
  switch (status) {
    case gatewise::Status::kOk:
      return;
    case gatewise::Status::kOutOfMemory:
      throw std::bad_alloc();
    case gatewise::Status::kCancelled:
      throw nb::python_error();  // which the handler has set
    case gatewise::Status::kBadSize:
      throw nb::value_error("a size is out of range, or a product of sizes overflows");
  }
}

// Calls function without the GIL; what it returns becomes an exception with the GIL.
template <class Function>
void without_gil(Function&& function) {
  gatewise::Status status;
  {
    const WithoutGil lock;
    status = function();
  }
  raise_unless_ok(status);
}

// What disturbs the states: addresses of the masks, and rates. See gatewise::Noise.
struct NoiseFields {
  Address recurrent_mask = 0, zoneout_h = 0, zoneout_c = 0;
  double rate_h = 0, rate_c = 0;
  template <class Real>
  gatewise::Noise<Real> as() const {
    return {at<const Real>(recurrent_mask), at<const Real>(zoneout_h), at<const Real>(zoneout_c),
            static_cast<Real>(rate_h), static_cast<Real>(rate_c)};
  }
};

// What a run is made to do: addresses; see gatewise::Edits.
struct EditFields {
  Address input_gate = 0, forget_gate = 0, candidate = 0, output_gate = 0;
  Address cell_state = 0, cell_output = 0;
  template <class Real>
  gatewise::Edits<Real> as() const {
    return {at<const Real>(input_gate),  at<const Real>(forget_gate), at<const Real>(candidate),
            at<const Real>(output_gate), at<const Real>(cell_state),  at<const Real>(cell_output)};
  }
};

// What forward and backward share: gatewise::Call but for the weights. The caller keeps ragged
// alive.
struct CallFields {
  int64_t T, B;
  int threads;
  Rows x;
  Address h0, c0;
  int64_t checkpoint_every;
  const Ragged* ragged;
  std::optional<NoiseFields> noise;
  std::optional<EditFields> edits;

  template <class Real>
  gatewise::Sequence<Real> sequence(const Rows& rows) const {
    return {at<Real>(std::get<0>(rows)), std::get<1>(rows), std::get<2>(rows), ragged};
  }
  template <class Real>
  gatewise::Call<Real> with(const gatewise::Weights<Real>& weights) const {
    return {.weights = weights,
            .T = T,
            .B = B,
            .threads = threads,
            .x = sequence<const Real>(x),
            .h0 = at<const Real>(h0),
            .c0 = at<const Real>(c0),
            .checkpoint_every = checkpoint_every,
            .ragged = ragged,
            .noise = noise ? noise->as<Real>() : gatewise::Noise<Real>{},
            .edits = edits ? edits->as<Real>() : gatewise::Edits<Real>{},
            .poll = {signalled, nullptr}};
  }
};

inline std::vector<Address> addresses_of(const nb::tuple& given) {
  std::vector<Address> found;
  for (const nb::handle address : given) found.push_back(nb::cast<Address>(address));
  return found;
}

// Addresses of arrays of each layer and direction, one after the other.
template <class Real>
class Addresses {
 public:
  explicit Addresses(std::span<const Address> addresses) : addresses_(addresses) {}
  Real* take(bool given = true) {
    if (!given) return nullptr;
    if (next_ == addresses_.size()) {
      throw nb::value_error("not as many arrays as the network has");
    }
    return at<Real>(addresses_[next_++]);
  }

 private:
  std::span<const Address> addresses_;
  size_t next_ = 0;
};

// A site: the name of a function, or (name, scale, slope, shift).
gatewise::Activation activation(nb::handle site) {
  if (nb::isinstance<nb::tuple>(site)) {
    const auto parts = nb::cast<nb::tuple>(site);
    if (parts.size() != 4) throw nb::value_error("a site is (name, scale, slope, shift)");
    gatewise::Activation made = activation(parts[0]);
    made.scale = nb::cast<double>(parts[1]);
    made.slope = nb::cast<double>(parts[2]);
    made.shift = nb::cast<double>(parts[3]);
    return made;
  }
  const auto wanted = nb::cast<std::string>(site);
  const auto* found = std::find(std::begin(gatewise::kFunctionNames),
                                std::end(gatewise::kFunctionNames), std::string_view(wanted));
  if (found == std::end(gatewise::kFunctionNames)) throw nb::value_error("no such activation");
  return static_cast<gatewise::Function>(found - std::begin(gatewise::kFunctionNames));
}

// The five activations in the order of SITES, then the three switches.
gatewise::Cell make_cell(const nb::tuple& fields) {
  if (fields.size() == 0) return {};
  if (fields.size() != 8) throw nb::value_error("a cell is five sites and three switches");
  return {.input_gate = activation(fields[0]),
          .forget_gate = activation(fields[1]),
          .candidate = activation(fields[2]),
          .output_gate = activation(fields[3]),
          .cell_output = activation(fields[4]),
          .peephole = nb::cast<bool>(fields[5]),
          .coupled = nb::cast<bool>(fields[6]),
          .layer_norm = nb::cast<bool>(fields[7])};
}

}  // namespace gatewise::bindings
