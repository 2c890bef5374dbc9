// SPDX-License-Identifier: Apache-2.0
// Weights that lie beyond L2, fetched by tiles while they compute.
#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

// The first tile that meets a block of them would wait, so tiles of the block before fetch them,
// some bytes for each k.
struct NoFetch {
  void operator()(int64_t) const {}
};
struct Fetch {
  static constexpr int64_t kBytes = 32;
  const char* from;
  GATEWISE_INLINE void operator()(int64_t k) const {
    __builtin_prefetch(from + k * kBytes, 0, 2);  // to L2
  }
};

// Calls function with what tile number `tile` is to fetch of the next block of K lines of kVectors
// vectors; next: null if there is none.
template <class Real, int kVectors, class Function>
GATEWISE_INLINE void with_fetch(const Real* next, int64_t K, [[maybe_unused]] int64_t tile,
                                Function&& function) {
#if !defined(__wasm__)
  constexpr int64_t kTiles = kVectors * kVectorBytes / Fetch::kBytes;
  if (next && tile < kTiles) {
    return function(Fetch{reinterpret_cast<const char*>(next) + tile * K * Fetch::kBytes});
  }
#endif
  function(NoFetch{});
}

}  // namespace gatewise::GATEWISE_ISA
