// SPDX-License-Identifier: Apache-2.0
#include "threads.h"

#include <algorithm>
#include <new>

#if defined(GATEWISE_THREADS)
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define GATEWISE_HAVE_FORK
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#endif

namespace gatewise {

#if defined(GATEWISE_THREADS)

namespace {

// Waking a sleeping worker costs 0.5 to 2 ms on a virtual machine, so workers look for more work
// for a moment before they sleep.
constexpr int kSpins = 4000, kSpinsBeforeYield = 1000;

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

struct Job {
  Job(const Work<int64_t, int>& work, int64_t items) : work(work), items(items) {}

  const Work<int64_t, int>& work;
  const int64_t items;
  int max_workers = 0;
  std::atomic<int64_t> next{0};

  void run(int worker) {
    for (int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < items;) {
      work(item, worker);
    }
  }
};

// Lives as long as the process: workers are never joined.
class Pool {
 public:
  // Returns false if another caller has the workers.
  bool run(int threads, Job& job) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;
    job.max_workers = threads - 1;
    {
      const std::lock_guard lock(mutex_);
      start(job.max_workers);
      job_ = &job;
      joined_ = 0;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.run(0);
    {
      const std::lock_guard lock(mutex_);
      job_ = nullptr;  // whoever has not begun finds nothing
    }
    for (int spin = 0; spin < kSpins && active_.load(std::memory_order_acquire); ++spin) pause();
    if (active_.load(std::memory_order_acquire)) {
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [this] { return active_.load() == 0; });
    }
    return true;
  }

 private:
  void start(int workers) {
    try {
      while (workers_ < workers) {
        std::thread([this, seen = generation_.load()] { serve(seen); }).detach();
        ++workers_;
      }
    } catch (const std::system_error&) {
      // No more threads are to be had: those there are do the work.
    } catch (const std::bad_alloc&) {
      // The same.
    }
  }

  void serve(uint64_t seen) {
    for (;;) {
      for (int spin = 0; spin < kSpins; ++spin) {
        if (generation_.load(std::memory_order_acquire) != seen) break;
        pause();
      }
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      seen = generation_.load();
      Job* job = job_;
      if (!job || joined_ >= job->max_workers) continue;
      const int worker = ++joined_;
      ++active_;
      lock.unlock();
      job->run(worker);
      lock.lock();
      if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_one();
    }
  }

  std::mutex owner_;  // held by the caller whose job runs
  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_, idle_;
  std::atomic<uint64_t> generation_{0};
  Job* job_ = nullptr;
  int workers_ = 0, joined_ = 0;
  std::atomic<int> active_{0};  // rises only while job_ is set
};

std::atomic<Pool*> the_pool{nullptr};

// At load, so that no fork can come between. The child has none of the workers, and may have
// inherited locked mutexes: it gets a new pool, and the old one is left alone.
[[maybe_unused]] const bool ready = [] {
  the_pool = new Pool;
#if defined(GATEWISE_HAVE_FORK)
  pthread_atfork(nullptr, nullptr, [] { the_pool = new Pool; });
#endif
  return true;
}();

// What the threads of a lockstep share.
class Lockstep {
 public:
  Lockstep(int64_t steps, int64_t pieces, NextStep* next, const Work<int64_t, int64_t, int>& work)
      : steps_(steps), pieces_(pieces), work_(work), next_(next) {
    for (int64_t piece = 0; piece < pieces; ++piece) new (next + piece) NextStep;
  }

  // One thread, which prefers the pieces from `first` on.
  void join(int64_t first, int worker) {
    for (int64_t step = done_.load(std::memory_order_acquire) / pieces_; step < steps_; ++step) {
      for (int64_t k = 0; k < pieces_; ++k) {
        const int64_t piece = (first + k) % pieces_;
        if (!claim(step, piece)) continue;
        work_(step, piece, worker);
        done_.fetch_add(1, std::memory_order_acq_rel);
      }
      wait_for((step + 1) * pieces_);
    }
  }

 private:
  bool claim(int64_t step, int64_t piece) {
    auto& next = next_[piece].step;
    int64_t expected = step;
    return next.load(std::memory_order_relaxed) == step &&
           next.compare_exchange_strong(expected, step + 1, std::memory_order_relaxed);
  }

  void wait_for(int64_t done) {
    for (int spin = 0; done_.load(std::memory_order_acquire) < done; ++spin) {
      // Whoever holds the last piece may have lost its core.
      if (spin < kSpinsBeforeYield) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  const int64_t steps_, pieces_;
  const Work<int64_t, int64_t, int>& work_;
  NextStep* next_;
  alignas(64) std::atomic<int64_t> done_{0};
};

}  // namespace

void parallel_for(int threads, int64_t items, const Work<int64_t, int>& work) {
  Job job(work, items);
  if (threads <= 1 || items <= 1 || !the_pool.load()->run(threads, job)) job.run(0);
}

void lockstep(int threads, int64_t steps, int64_t pieces, NextStep* next,
              const Work<int64_t, int64_t, int>& work) {
  Lockstep shared(steps, pieces, next, work);
  const auto member = [&](int64_t member, int worker) {
    shared.join(member * pieces / threads, worker);
  };
  parallel_for(threads, threads, member);
}

#else  // one thread

void parallel_for(int, int64_t items, const Work<int64_t, int>& work) {
  for (int64_t item = 0; item < items; ++item) work(item, 0);
}

void lockstep(int, int64_t steps, int64_t pieces, NextStep*,
              const Work<int64_t, int64_t, int>& work) {
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t piece = 0; piece < pieces; ++piece) work(step, piece, 0);
  }
}

#endif

}  // namespace gatewise
