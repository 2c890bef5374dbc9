// SPDX-License-Identifier: Apache-2.0
#include "openmp.h"

#include <atomic>

#include "gatewise/lstm.h"

#if defined(GATEWISE_THREADS) && defined(__linux__)
#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>
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

// A runtime keeps a team for each thread that calls it, as long as that lives. So there is one user
// at a time: the first thread, and when it has ended, the next that comes.
struct Thread;
std::atomic<const Thread*> user{nullptr};
struct Thread {
  ~Thread() {
    const Thread* own = this;
    user.compare_exchange_strong(own, nullptr);
  }
};
thread_local const Thread self;

bool is_user() {
  const Thread* found = nullptr;
  return user.compare_exchange_strong(found, &self) || found == &self;
}

// Whether this process has come from a fork and runs the same program: a team that its parent had
// is gone, and its runtime would wait for it.
bool is_forked() {
  std::FILE* file = std::fopen("/proc/self/stat", "r");
  if (!file) return true;
  unsigned flags = 0;
  const int found =
      std::fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %u", &flags);  // proc(5)
  std::fclose(file);
  constexpr unsigned kForkedWithoutExec = 0x40;
  return found != 1 || flags & kForkedWithoutExec;
}

}  // namespace

bool share_openmp_threads() {
  const auto run = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  const auto count = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
  if (!run || !count || is_forked()) return false;
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
  if (team < threads || team >= 2 * threads || !is_user()) return false;
  run(member, data, 0, 0);
  return true;
}

#else

bool share_openmp_threads() { return false; }
bool run_on_openmp(int, void (*)(void*), void*) { return false; }

#endif

}  // namespace gatewise
