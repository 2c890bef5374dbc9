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
template <class Signature>
class Work;
template <class Result, class... Args>
class Work<Result(Args...)> {
 public:
  template <class Function>
  Work(const Function& function)  // NOLINT(google-explicit-constructor): a lambda is the work
      : object_(&function), call_([](const void* object, Args... args) -> Result {
          return (*static_cast<const Function*>(object))(args...);
        }) {}
  Result operator()(Args... args) const { return call_(object_, args...); }

 private:
  const void* object_;
  Result (*call_)(const void*, Args...);
};

// Calls work(item, worker) once for each item in [0, items), on at most `threads` threads, the
// caller's included; returns when all are done. worker: in [0, threads), no two at a time alike,
// so that each can have scratch memory of its own. Re-entrant: a caller that finds the workers busy
// (or is one) does its items alone. work may not throw.
void parallel_for(int threads, int64_t items, const Work<void(int64_t, int)>& work);

// The step at which a piece of a lockstep is next to be taken.
struct alignas(64) NextStep {
  std::atomic<int64_t> step{0};
};

// Calls work(step, piece, worker) once for each, a step only when the step before is complete. A
// thread takes the same pieces at each step as long as it can (so their weights stay in its cache),
// and those of others when they are late. next: room for `pieces`.
void lockstep(int threads, int64_t steps, int64_t pieces, NextStep* next,
              const Work<void(int64_t, int64_t, int)>& work);

// Rows [first, end) of some item, and their next step.
struct Portion {
  int64_t item = 0, first = 0, end = 0, step = 0;
};

// How portions are done: `portion(k)` is the k-th of `count`; `advance(portion, worker)` takes it
// some steps on, and says whether more are left; `halve(portion, half)` gives half of what is left
// to another portion, or returns false: it will never be worth dividing.
struct Portions {
  int64_t count;
  Work<Portion(int64_t)> portion;
  Work<bool(Portion&, int)> advance;
  Work<bool(Portion&, Portion&)> halve;
};

// Does all portions, as parallel_for its items. A thread that finds none left is given half of one
// by another, between two calls of `advance`: so a slow core or a late thread takes less work.
void parallel_portions(int threads, const Portions& portions);

}  // namespace gatewise
