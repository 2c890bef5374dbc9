// SPDX-License-Identifier: Apache-2.0
#include "openmp.h"

#include <atomic>

#include "gatewise/lstm.h"

#if defined(GATEWISE_THREADS) && defined(__linux__)
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace gatewise {

#if defined(GATEWISE_THREADS) && defined(__linux__)

namespace {

// GCC's interface, which the runtimes of LLVM and Intel have, too: what `#pragma omp parallel`
// becomes. num_threads = 0: as many as the next of PyTorch's own operators takes, so that the team
// stays as it is.
using Parallel = void (*)(void (*member)(void*), void* data, unsigned num_threads, unsigned flags);
using Count = int (*)();

std::atomic<Parallel> parallel{nullptr};
std::atomic<Count> max_threads{nullptr};

}  // namespace

bool share_openmp_threads() {
  const auto run = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  const auto count = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  if (!run || !count) return false;
  // The child of a fork has none of the team's threads, and its runtime would wait for them.
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { parallel = nullptr; });
  max_threads = count;
  parallel = run;
  return true;
}

bool run_on_openmp(int threads, void (*member)(void*), void* data) {
  const Parallel run = parallel.load(std::memory_order_acquire);
  if (!run) return false;
  const int team = max_threads.load(std::memory_order_relaxed)();
  if (team < threads || team >= 2 * threads) return false;
  run(member, data, 0, 0);
  return true;
}

#else

bool share_openmp_threads() { return false; }
bool run_on_openmp(int, void (*)(void*), void*) { return false; }

#endif

}  // namespace gatewise
