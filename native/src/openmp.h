// SPDX-License-Identifier: Apache-2.0
// The team of the OpenMP runtime that is in the process already, PyTorch's: its threads look for
// work for some milliseconds after each operation, on the very cores that ours would need.
//
// Nothing is linked: the runtime is found by name, when `share_openmp_threads` (lstm.h) is called.
#pragma once

namespace gatewise {

// Calls member(data) on each thread of the team, the caller's included, and returns when all have
// returned. False, and nothing done, if no team is shared, if it has fewer threads than these or
// twice as many (to wake the others would cost more than they bring), or if another thread of this
// process has it.
bool run_on_openmp(int threads, void (*member)(void*), void* data);

}  // namespace gatewise
