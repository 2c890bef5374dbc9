// SPDX-License-Identifier: Apache-2.0
// Weights in half the bytes: bfloat16, the upper half of a float32.
//
// A word holds the weights of two neighbouring columns k and k + 1 (the second zero where there is
// none), so that a shift and a mask make float32 of them. Activations that meet them are rounded to
// bfloat16 as well, but kept as float32; sums, gates and cell states are float32.
//
// The products are float32 multiply-adds (tile.h), or in avx512bf16 the dot product of AVX512-BF16
// (dot.h), which takes such words as they are.
#pragma once

#include "packing.h"

namespace gatewise::GATEWISE_ISA {

struct Bfloat16Pair {
  uint32_t bits;
};

template <class Weight>
inline constexpr bool kIsPair = std::is_same_v<Weight, Bfloat16Pair>;

// Words per unit and gate that so many columns take.
template <class Weight>
constexpr int64_t words(int64_t columns) {
  return kIsPair<Weight> ? (columns + 1) / 2 : columns;
}

GATEWISE_INLINE VecF first_of(BitVec<float> pair) { return (VecF)(pair << 16); }
GATEWISE_INLINE VecF second_of(BitVec<float> pair) {
  return (VecF)(pair & static_cast<int32_t>(0xffff0000));
}
GATEWISE_INLINE BitVec<float> load_pairs(const Bfloat16Pair* p) {
  return (BitVec<float>)load(reinterpret_cast<const float*>(p));
}

// To the nearest bfloat16, ties to even; NaN stays NaN, made quiet so that its upper half is one.
GATEWISE_INLINE VecF round_to_bfloat16(VecF x) {
  using Bits = BitVec<float>;
  const Bits bits = (Bits)x;
  const Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & static_cast<int32_t>(0xffff0000);
  return x == x ? (VecF)rounded : (VecF)(bits | 0x00400000);
}

inline void round_all(const float* from, int64_t n, float* to) {
  constexpr int V = kLanes<float>;
  for (int64_t j = 0; j < n; j += V) {
    const int lanes = static_cast<int>(std::min<int64_t>(V, n - j));
    store_first(to + j, round_to_bfloat16(load_first(from + j, lanes)), lanes);
  }
}

// One part (inputs or hidden units) of a panel: [column][gate][V] floats into words, and back.
inline void squeeze(const float* from, int64_t columns, Bfloat16Pair* to) {
  constexpr int V = kLanes<float>;
  constexpr int64_t W = kPanelWidth<float>;
  for (int64_t k = 0; k < columns; k += 2, from += 2 * W, to += W) {
    for (int64_t j = 0; j < W; j += V) {
      const auto first = (BitVec<float>)round_to_bfloat16(load(from + j));
      const VecF next = k + 1 < columns ? load(from + W + j) : VecF{};
      const auto second = (BitVec<float>)round_to_bfloat16(next);
      store(reinterpret_cast<float*>(to) + j,
            (VecF)(((first >> 16) & 0xffff) | (second & static_cast<int32_t>(0xffff0000))));
    }
  }
}

inline void expand(const Bfloat16Pair* from, int64_t columns, float* to) {
  constexpr int V = kLanes<float>;
  constexpr int64_t W = kPanelWidth<float>;
  for (int64_t k = 0; k < columns; k += 2, from += W, to += 2 * W) {
    for (int64_t j = 0; j < W; j += V) {
      const BitVec<float> pair = load_pairs(from + j);
      store(to + j, first_of(pair));
      if (k + 1 < columns) store(to + W + j, second_of(pair));
    }
  }
}

}  // namespace gatewise::GATEWISE_ISA
