// SPDX-License-Identifier: Apache-2.0
// The forward products of bfloat16 weights by AVX512-BF16, whose one instruction takes two columns;
// tile.h has the same by multiply-adds.
//
// dot adds the product of a pair's second columns first and then that of the first ones. Products
// are exact, each sum is rounded once, to the nearest float32, and subnormal numbers count as zero:
// fused multiply-adds in that order, under FlushSubnormals, give the same bits (a test holds tile.h
// to it). Each accumulator is one chain over the pairs in ascending k.
#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// Words as in Bfloat16Pair, under a name of its own, which chooses the functions below.
struct DotPair {
  uint32_t bits;
};
template <>
inline constexpr bool kIsPair<DotPair> = true;

GATEWISE_INLINE VecF dot(VecF sum, __m512i a, __m512i b) {
  return (VecF)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
GATEWISE_INLINE __m512i load_pairs(const DotPair* p) { return _mm512_loadu_si512(p); }
GATEWISE_INLINE __m512i splat_pair(uint32_t bits) {
  return _mm512_set1_epi32(static_cast<int>(bits));
}

// Columns whose pairs fill one vector.
inline constexpr int64_t kDotColumns = 2 * kLanes<float>;

// Pairs of the next n <= kDotColumns columns of a row, which holds bfloat16 numbers as float32.
// Nothing past them is read: in the last pair of an odd n the second number is zero, as its weight
// is. Each panel packs its rows anew: four instructions for the 64 dots of a row that follow, and
// no memory but the stack.
GATEWISE_INLINE void pack_row(const float* row, int64_t n, uint32_t (&pairs)[kDotColumns / 2]) {
  constexpr int64_t V = kLanes<float>;
  const VecF low = load_first(row, static_cast<int>(std::min(n, V)));
  const VecF high = load_first(row + V, static_cast<int>(std::max(n - V, int64_t{0})));
  _mm512_store_si512(pairs, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
}

template <class Real, int kRows, int kVectors, int kStride>
GATEWISE_INLINE void multiply(VecF (&acc)[kRows][kVectors], const DotPair* w,
                              const float* const* rows, int64_t K) {
  for (int64_t from = 0; from < K; from += kDotColumns) {
    const int64_t columns = std::min(kDotColumns, K - from), count = words<DotPair>(columns);
    alignas(64) uint32_t pairs[kRows][kDotColumns / 2];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) pack_row(rows[r] + from, columns, pairs[r]);
#pragma GCC unroll 2
    for (int64_t k = 0; k < count; ++k, w += kStride * kLanes<float>) {
      __m512i wk[kVectors];
#pragma GCC unroll 8
      for (int n = 0; n < kVectors; ++n) wk[n] = load_pairs(w + n * kLanes<float>);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const __m512i a = splat_pair(pairs[r][k]);
#pragma GCC unroll 8
        for (int n = 0; n < kVectors; ++n) acc[r][n] = dot(acc[r][n], a, wk[n]);
      }
    }
  }
}

GATEWISE_INLINE void multiply_pair(VecF (&acc)[2][kGates], const DotPair* w, int64_t w_stride,
                                   const float* row, int64_t K) {
  for (int64_t from = 0; from < K; from += kDotColumns) {
    const int64_t columns = std::min(kDotColumns, K - from), count = words<DotPair>(columns);
    alignas(64) uint32_t pairs[kDotColumns / 2];
    pack_row(row + from, columns, pairs);
#pragma GCC unroll 2
    for (int64_t k = 0; k < count; ++k, w += kPanelWidth<float>) {
      const __m512i a = splat_pair(pairs[k]);
#pragma GCC unroll 2
      for (int p = 0; p < 2; ++p) {
#pragma GCC unroll 4
        for (int n = 0; n < kGates; ++n)
          acc[p][n] = dot(acc[p][n], a, load_pairs(w + p * w_stride + n * kLanes<float>));
      }
    }
  }
}

}  // namespace gatewise::GATEWISE_ISA
