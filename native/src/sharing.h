// SPDX-License-Identifier: Apache-2.0
// How work is shared out over threads, by the shape of a call.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "threads.h"

namespace gatewise {

// Threads that so much work can use: each is to have some 25 microseconds of it.
inline int useful_threads(double operations, int threads) {
  constexpr double kOperationsPerThread = 2.5e6;
  const double most = std::max(threads, 1);
  return static_cast<int>(std::clamp(operations / kOperationsPerThread, 1.0, most));
}

// What a row has to do at a step, in operations of a product: 2 for each weight in forward.
inline double operations_of_row(const Shape& s, double per_weight, int64_t columns) {
  constexpr double kOperationsPerUnit = 60;  // the cell takes as long as so many
  const double per_unit = per_weight * 4.0 * static_cast<double>(columns) + kOperationsPerUnit;
  return per_unit * static_cast<double>(s.H);
}
// The same of a layer; in backward 4 for each weight.
inline double operations_of(const Shape& s, int64_t directions, double per_weight) {
  return operations_of_row(s, per_weight, s.I + s.P) * static_cast<double>(directions) *
         static_cast<double>(s.rows_before(s.T));
}

// Fewer rows are not worth a thread: a tile would have too few chains.
inline constexpr int64_t kRowsPerThread = 4;

// Whether the threads share out the hidden units of each step: where there are too few rows, or
// few for weights that each thread would read from beyond its cache at each step.
// pieces: of the hidden units of one direction.
inline bool in_lockstep(const Shape& s, int64_t directions, int threads, int64_t pieces,
                        int64_t weight_bytes) {
  constexpr int64_t kRowsPerThreadFar = 12;
  constexpr int64_t kOperationsPerStep = 50'000;
  if (threads <= directions) return false;
  const bool many_weights = weight_bytes > 2 * kCacheBytes && pieces * directions >= 2 * threads;
  const int64_t least = many_weights ? kRowsPerThreadFar : kRowsPerThread;
  return s.B * directions < least * threads && s.B * s.H * s.H >= kOperationsPerStep;
}

// Items of rows per direction: in all one for each thread at least. At most as many as rows.
inline int64_t row_items(int64_t B, int64_t directions, int threads) {
  const int64_t per_direction = (threads + directions - 1) / directions;
  return std::clamp<int64_t>(per_direction, 1, std::max<int64_t>(B, 1));
}

// Part `part` of [0, n) in `parts` even ones.
inline Range share(int64_t n, int64_t part, int64_t parts) {
  return {n * part / parts, n * (part + 1) / parts};
}

// The same of some rows of a batch; where they differ in length, with about as much to do in these
// steps. No part is empty as long as there are rows for all: `parts` is at most as many.
inline Range share_rows(const Shape& s, Range steps, Range rows, int64_t part, int64_t parts) {
  if (!s.ragged) {
    const Range own = share(rows.size(), part, parts);
    return {rows.first + own.first, rows.first + own.end};
  }
  const auto steps_of = [&](int64_t b) {
    return std::max<int64_t>(0, std::min(s.steps_of(b), steps.end) - steps.first);
  };
  int64_t total = 0, before = 0, b = rows.first;
  for (int64_t row = rows.first; row < rows.end; ++row) total += steps_of(row);
  Range own{b, b};
  for (int64_t k = 0; k <= part; ++k) {
    own.first = b;
    // Rows whose middle lies before the end of this part; at least one, and one for each to come.
    const double end =
        static_cast<double>(total) * static_cast<double>(k + 1) / static_cast<double>(parts);
    const int64_t most = rows.end - (parts - 1 - k);
    while (b < most &&
           (b == own.first || k == parts - 1 ||
            static_cast<double>(before) + 0.5 * static_cast<double>(steps_of(b)) < end)) {
      before += steps_of(b++);
    }
    own.end = b;
  }
  return own;
}

// Work that is worth a look whether another thread waits for some, and worth to be given to it:
// some 10 microseconds.
inline constexpr double kOperationsPerLook = 1e6;

// Steps of so many rows between two looks: whole blocks of steps.
inline int64_t steps_per_look(double operations_of_row, int64_t rows, int64_t block) {
  const double operations = operations_of_row * static_cast<double>(std::max<int64_t>(rows, 1));
  const auto steps = static_cast<int64_t>(kOperationsPerLook / operations) + 1;
  return (steps + block - 1) / block * block;
}

// Divides the rows of a portion, of which these steps are left; see Portions::halve.
inline bool halve_rows(const Shape& s, Range steps, double operations_of_row, Portion& own,
                       Portion& half) {
  const int64_t running = std::min(own.end, s.rows_at(steps.first)) - own.first;
  const double left = operations_of_row * static_cast<double>(running * steps.size());
  if (running < 2 * kRowsPerThread || left < 2 * kOperationsPerLook) return false;
  const int64_t end = share_rows(s, steps, {own.first, own.end}, 0, 2).end;
  half = own;
  own.end = half.first = end;
  return true;
}

}  // namespace gatewise
