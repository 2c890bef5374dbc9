// SPDX-License-Identifier: Apache-2.0
// Layer norm (Ba et al. 2016, eq. 4) of one row whose numbers lie in panels.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "packing.h"

namespace gatewise::GATEWISE_ISA {

// PyTorch's default, and that of the reference.
inline constexpr double kNormEpsilon = 1e-5;

// One row's norms as backward needs them: the normalised products of x and of h, [panel][gate][V]
// each, and the inverse standard deviation of either.
template <class Real>
struct NormRow {
  Real *normal_x, *normal_h, *inverse_std;  // [2]
  static size_t size(int64_t panels) {
    return static_cast<size_t>(2 * panels * kPanelWidth<Real> + kLanes<Real>);
  }
  NormRow(Real* data, int64_t panels)
      : normal_x(data),
        normal_h(data + panels * kPanelWidth<Real>),
        inverse_std(normal_h + panels * kPanelWidth<Real>) {}
};

// Which vectors of a row count: of [panel][kVectors][V] those of the used kinds, and in the last
// panel the lanes of real units.
template <class Real, int kVectors>
class NormColumns {
 public:
  NormColumns(int64_t H, const std::array<bool, kVectors>& used) : H_(H), used_(used) {
    const int64_t kinds = std::count(used.begin(), used.end(), true);
    count_ = static_cast<Real>(std::max<int64_t>(1, kinds * H));
  }

  // Calls function(offset of the vector, its lanes) for each that counts.
  template <class Function>
  GATEWISE_INLINE void for_each(Function&& function) const {
    for (int64_t unit = 0, at = 0; unit < H_; unit += V) {
      const int lanes = static_cast<int>(std::min<int64_t>(V, H_ - unit));
      for (int k = 0; k < kVectors; ++k, at += V) {
        if (used_[k]) function(at, lanes);
      }
    }
  }

  // The mean of term(offset) over all that counts.
  template <class Term>
  GATEWISE_INLINE Real mean(Term&& term) const {
    Vec<Real> sum{};
    for_each([&](int64_t at, int lanes) __attribute__((always_inline)) {
      Vec<Real> value = term(at);
      if (lanes < V) value = keep_first<Real>(value, lanes);
      sum += value;
    });
    return sum_of_lanes<Real>(sum) / count_;
  }

  // row becomes (row - mean) / std; returns 1 / std.
  Real normalise(Real* row) const {
    const Vec<Real> centre = splat(mean([&](int64_t at) { return load(row + at); }));
    const Real variance = mean([&](int64_t at) {
      const Vec<Real> d = load(row + at) - centre;
      return d * d;
    });
    const Real inverse_std = 1 / std::sqrt(variance + static_cast<Real>(kNormEpsilon));
    for_each(
        [&](int64_t at, int) { store(row + at, (load(row + at) - centre) * splat(inverse_std)); });
    return inverse_std;
  }

  // out = the gradient before the norm, from that of its gained output, gained(offset).
  template <class Gained>
  void unnormalise(Gained&& gained, const Real* normal, Real inverse_std, Real* out,
                   int64_t panel_stride) const {
    const Vec<Real> centre = splat(mean(gained));
    const Vec<Real> along = splat(mean([&](int64_t at) { return gained(at) * load(normal + at); }));
    for_each([&](int64_t at, int lanes) {
      constexpr int64_t kPanel = int64_t{kVectors} * V;
      const Vec<Real> d = splat(inverse_std) * (gained(at) - centre - load(normal + at) * along);
      store(out + at / kPanel * panel_stride + at % kPanel, keep_first<Real>(d, lanes));
    });
  }

 private:
  static constexpr int V = kLanes<Real>;
  const int64_t H_;
  const std::array<bool, kVectors> used_;
  Real count_;
};

// Of the gates' products: only gates whose weights are used take part.
template <class Real>
NormColumns<Real, kGates> gate_columns(const Cell& cell, int64_t H) {
  return {H, cell.used_gates()};
}

template <class Real>
NormColumns<Real, 1> cell_columns(int64_t H) {
  return {H, std::array{true}};
}

}  // namespace gatewise::GATEWISE_ISA
