// SPDX-License-Identifier: Apache-2.0
// A small pool of worker threads, or the team of openmp.h. Threads claim items of work, so a core
// that another program holds costs its share and no more. Nobody waits for a worker of the pool
// that has not begun.
//
// Built with GATEWISE_THREADS=OFF the same functions run everything on the calling thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace gatewise {

// A reference to a function: it takes no memory, and what it refers to must outlive it.
template <class... Args>
class Work {
 public:
  template <class Function>
  Work(const Function& function)  // NOLINT(google-explicit-constructor): a lambda is the work
      : object_(&function), call_([](const void* object, Args... args) {
          (*static_cast<const Function*>(object))(args...);
        }) {}
  void operator()(Args... args) const { call_(object_, args...); }

 private:
  const void* object_;
  void (*call_)(const void*, Args...);
};

// Calls work(item, worker) once for each item in [0, items), on at most `threads` threads, the
// caller's included; returns when all are done. worker: in [0, threads), no two at a time alike,
// so that each can have scratch memory of its own. Re-entrant: a caller that finds the workers busy
// (or is one) does its items alone. work may not throw.
void parallel_for(int threads, int64_t items, const Work<int64_t, int>& work);

// The step at which a piece of a lockstep is next to be taken.
struct alignas(64) NextStep {
  std::atomic<int64_t> step{0};
};

// Calls work(step, piece, worker) once for each, a step only when the step before is complete. A
// thread takes the same pieces at each step as long as it can (so their weights stay in its cache),
// and those of others when they are late. next: room for `pieces`.
void lockstep(int threads, int64_t steps, int64_t pieces, NextStep* next,
              const Work<int64_t, int64_t, int>& work);

}  // namespace gatewise
