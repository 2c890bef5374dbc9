// SPDX-License-Identifier: Apache-2.0
// Which sizes the core can run, and which batches are ragged.
#include <algorithm>
#include <numeric>

#include "gatewise/lstm.h"

namespace gatewise {

bool check(const Network& n, int64_t T, int64_t B) {
  if (n.L < 1 || n.D < 1 || n.D > 2 || n.I < 0 || n.H < 1 || T < 0 || B < 0) return false;
  if (n.projection < 0 || n.projection > n.H) return false;
  // In double the products cannot overflow. Each is a bound on the bytes of some array, its padding
  // to whole vectors and the kernels' working copies included; below 2^60 no sum of them wraps.
  // With addresses of 32 bits none may reach 2^32; what is summed does not take half of its bound.
  constexpr double kMost = sizeof(size_t) > 4 ? 0x1p60 : 0x1p32, kPadding = 64;
#if defined(GATEWISE_FLOAT32_ONLY)
  constexpr double kBytes = 4;
#else
  constexpr double kBytes = 8;
#endif
  const double H = static_cast<double>(n.H) + kPadding, I = static_cast<double>(n.I) + kPadding;
  const double layers = static_cast<double>(n.L) * static_cast<double>(n.D);
  const double inputs = I + 2 * H;
  const double weights = kBytes * layers * 16 * H * (inputs + H);
  const double steps = (static_cast<double>(T) + 512) * (static_cast<double>(B) + 1);
  const double sequences = kBytes * layers * steps * (inputs + 32 * H);
  return weights < kMost && sequences < kMost;
}

bool check_stream(const Network& n, int64_t B) { return n.D == 1 && B >= 1 && check(n, 1, B); }

Ragged::Ragged(std::span<const int64_t> batch_sizes)
    : rows(batch_sizes.begin(), batch_sizes.end()), before(batch_sizes.size() + 1) {
  std::partial_sum(rows.begin(), rows.end(), before.begin() + 1);
  lengths.resize(static_cast<size_t>(rows.empty() ? 0 : rows.front()));
  for (const int64_t running : rows) {
    for (int64_t b = 0; b < running; ++b) ++lengths[static_cast<size_t>(b)];
  }
}

bool is_well_packed(std::span<const int64_t> batch_sizes, int64_t N) {
  int64_t before = N, left = N;
  for (const int64_t running : batch_sizes) {
    if (running < 1 || running > before || running > left) return false;
    before = running;
    left -= running;
  }
  return !batch_sizes.empty() && left == 0;
}

}  // namespace gatewise
