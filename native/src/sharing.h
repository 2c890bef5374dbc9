// How work is shared out over threads, by the shape of a call.
#pragma once

#include <algorithm>

#include "kernels.h"

namespace gatewise {

// Threads that a layer can use: below some hundred microseconds a second one costs more than it
// brings.
inline int useful_threads(const Shape& s, int64_t directions, int threads,
                          double operations_per_weight) {
  constexpr double kOperationsPerThread = 1e7;
  const double operations = operations_per_weight * static_cast<double>(directions) * 4.0 *
                            static_cast<double>(s.H) * static_cast<double>(s.I + s.P) *
                            static_cast<double>(s.rows_before(s.T));
  return std::clamp(static_cast<int>(operations / kOperationsPerThread), 1, std::max(threads, 1));
}

// Too few rows to share them out, but steps long enough to share out the hidden units of each.
inline bool in_lockstep(const Shape& s, int64_t directions, int threads) {
  constexpr int64_t kRowsPerThread = 5;
  constexpr int64_t kOperationsPerStep = 50'000;
  return threads > directions && s.B * directions < kRowsPerThread * threads &&
         s.B * s.H * s.H >= kOperationsPerStep;
}

// Items of rows per direction: two full tiles at least, and two items per thread for balance.
inline int64_t row_items(int64_t B, int64_t directions, int threads) {
  constexpr int64_t kRowsPerItem = 12;
  if (threads <= 1) return 1;
  const int64_t per_direction = (threads + directions - 1) / directions;
  return std::clamp<int64_t>(B / kRowsPerItem, std::min(B, per_direction), 2 * per_direction);
}

// Part `part` of [0, n) in `parts` even ones.
inline Range share(int64_t n, int64_t part, int64_t parts) {
  return {n * part / parts, n * (part + 1) / parts};
}

// The same of the rows of a batch; where they differ in length, with as much to do in these steps.
inline Range share_rows(const Shape& s, Range steps, int64_t part, int64_t parts) {
  if (!s.ragged) return share(s.B, part, parts);
  const int64_t total = s.rows_before(steps.end) - s.rows_before(steps.first);
  Range own{0, 0};
  for (int64_t b = 0, before = 0; b < s.B; ++b) {
    const int64_t run = std::max<int64_t>(0, std::min(s.steps_of(b), steps.end) - steps.first);
    const int64_t middle = before + run / 2;
    own.first += middle < total * part / parts;
    own.end += middle < total * (part + 1) / parts;
    before += run;
  }
  if (part == parts - 1) own.end = s.B;
  return own;
}

}  // namespace gatewise
