// SPDX-License-Identifier: Apache-2.0
// What one thread of this machine can do at most, measured: the limits that a kernel is held
// against.
#pragma once

#include <algorithm>
#include <chrono>

#include "kernels.h"
#include "simd.h"

namespace gatewise::GATEWISE_ISA {

// As many independent chains as hide the latency, and all registers but the factors'.
inline double fma_peak_gflops() {
  using Clock = std::chrono::steady_clock;
  constexpr int kChains = kRegisters - 4, kRepeats = 20000, kRuns = 30;
  VecF factor = splat(0.999f), term = splat(0.001f);
  asm volatile("" : "+m"(factor), "+m"(term));
  const VecF a = factor, b = term;
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    VecF chain[kChains];
    for (VecF& c : chain) c = a;
    asm volatile("" : "+m"(chain));  // or the compiler sees that all are equal, and computes one
    const auto start = Clock::now();
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
#pragma GCC unroll 32
      for (int k = 0; k < kChains; ++k) chain[k] = fma(chain[k], a, b);
    }
    const std::chrono::duration<double> seconds = Clock::now() - start;
    VecF sum = chain[0];
    for (int k = 1; k < kChains; ++k) sum += chain[k];
    asm volatile("" ::"m"(sum));
    best = std::max(best, 2.0 * kRepeats * kChains * kLanes<float> / seconds.count() / 1e9);
  }
  return best;
}

// Reads of n numbers again and again, in GB/s: of the cache that holds them. data: aligned; n: a
// multiple of kReadNumbers.
inline double read_gbs(const float* data, size_t n) {
  using Clock = std::chrono::steady_clock;
  constexpr int kChains = 8, kRuns = 30;
  constexpr size_t kStripe = kChains * kLanes<float>, kNumbersPerRun = size_t{8} << 20;
  static_assert(kReadNumbers % kStripe == 0);
  const size_t repeats = std::max<size_t>(1, kNumbersPerRun / n);
  VecF sum[kChains] = {};
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = Clock::now();
    for (size_t repeat = 0; repeat < repeats; ++repeat) {
      const float* from = data;
      asm volatile("" : "+r"(from));
      for (size_t at = 0; at < n; at += kStripe, from += kStripe) {
#pragma GCC unroll 8
        for (int k = 0; k < kChains; ++k) sum[k] += load(from + k * kLanes<float>);
      }
    }
    const std::chrono::duration<double> seconds = Clock::now() - start;
    const auto bytes = static_cast<double>(repeats * n * sizeof(float));
    best = std::max(best, bytes / seconds.count() / 1e9);
  }
  asm volatile("" ::"m"(sum));
  return best;
}

}  // namespace gatewise::GATEWISE_ISA
