// SPDX-License-Identifier: Apache-2.0
// Cache lines: memory is aligned to them, and threads share none.
#pragma once

#include <cstddef>

namespace gatewise {

inline constexpr size_t kAlignment = 64;  // bytes

constexpr size_t rounded_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
// So many elements, and what fills the last cache line.
template <class Real>
constexpr size_t whole_lines(size_t elements) {
  return rounded_up(elements, kAlignment / sizeof(Real));
}

}  // namespace gatewise
