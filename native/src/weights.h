// Packed weights: see lstm.h for what they are, packing.h for how they lie in memory.
#pragma once

#include <mutex>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace gatewise {

template <class Real>
class Weights {
 public:
  explicit Weights(const Network& network);

  const Network network;
  const KernelTable<Real>& kernels;

  // Only while nobody else holds them.
  void pack(std::span<const Parameters<Real>> parameters);

  // index: layer * D + direction.
  struct Panels {
    const Real *weights, *bias;
    Extras<Real> extras;
  };
  Panels panels(int64_t index) const;

  struct Blocks {
    const Real *hh, *ih;
  };
  // Packed at the first call after pack(); may be called by several threads at once.
  Blocks blocks(int64_t index) const;

  Shape shape(int64_t index, int64_t T, int64_t B, const Ragged* ragged = nullptr) const {
    return {T, B, network.inputs(index / network.D), network.H, network.P(), ragged};
  }

 private:
  void pack_blocks() const;
  size_t extras_size(const BufferSizes& sizes) const;
  Extras<Real> extras(const BufferSizes& sizes, const Real* from) const;
  void pack_extras(const Shape& s, const Parameters<Real>& from, const Extras<Real>& to) const;
  Real* room_for_panels(const Shape& s) const;

  std::vector<size_t> panels_at_, blocks_at_;  // in elements, the last is the total
  Memory panels_;
  mutable std::mutex mutex_;  // guards what follows
  mutable Memory blocks_;
  mutable bool blocks_packed_ = false;
};

}  // namespace gatewise
