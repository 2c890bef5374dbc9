// SPDX-License-Identifier: Apache-2.0
// The forward kernels of bfloat16 weights with AVX512-BF16. All else of that instruction set is
// avx512's: see dispatch.cc, before whose check nothing here may be called.
#include "dot.h"

#include "entries.h"

namespace gatewise::GATEWISE_ISA {

void use_dot(KernelTable<float>& table) {
  table.forward_rows = forward_rows<float, DotPair>;
  table.forward_step = forward_step<float, DotPair>;
  table.stream_step = stream_step<float, DotPair>;
}

}  // namespace gatewise::GATEWISE_ISA
