// SPDX-License-Identifier: Apache-2.0
// Packed weights: see lstm.h for what they are, packing.h for how they lie in memory.
#pragma once

#include <atomic>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace gatewise {

template <class Real>
class Weights {
 public:
  explicit Weights(const Network& network);
  ~Weights();

  const Network network;
  const KernelTable<Real>& kernels;

  bool has_memory() const { return panels_.bytes(); }

  // Only while nobody else holds them. False: there was no memory, and the weights are undefined.
  bool pack(std::span<const Parameters<Real>> parameters);

  // index: layer * D + direction.
  struct Panels {
    const Real *weights, *bias;
    Extras<Real> extras;
  };
  Panels panels(int64_t index) const;

  // The operands of backward, packed at the first call after pack(); several threads may call it,
  // and no lock is held while they pack. Null: there was no memory.
  const Real* blocks() const;
  struct Blocks {
    const Real *hh, *ih;
  };
  Blocks blocks(const Real* all, int64_t index) const;

  Shape shape(int64_t index, int64_t T, int64_t B, const Ragged* ragged = nullptr) const {
    return {T, B, network.inputs(index / network.D), network.H, network.P(), ragged};
  }

 private:
  bool pack_blocks(Real* all) const;
  size_t extras_size(const BufferSizes& sizes) const;
  Extras<Real> extras(const BufferSizes& sizes, const Real* from) const;
  void pack_extras(const Shape& s, const Parameters<Real>& from, const Extras<Real>& to) const;
  Memory room_for_panels(const Shape& s) const;

  std::vector<size_t> panels_at_, blocks_at_;  // in elements, the last is the total
  Memory panels_;
  // The operands as far as they are packed, and memory for them that is not in use.
  mutable std::atomic<Memory*> blocks_{nullptr}, spare_{nullptr};
};

}  // namespace gatewise
