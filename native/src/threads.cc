// SPDX-License-Identifier: Apache-2.0
#include "threads.h"

#include <algorithm>
#include <new>

#if defined(GATEWISE_THREADS)
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "openmp.h"

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

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// A caller looks for so long whether the last workers are done before it sleeps.
constexpr microseconds kWaitForWorkers{1000};
constexpr int kSpinsBeforeYield = 1000;

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at done() for at most so long; returns what it said last.
template <class Done>
bool spin(Clock::duration most, const Done& done) {
  constexpr int kPausesPerLook = 32;  // at the clock
  const auto end = Clock::now() + most;
  do {
    for (int k = 0; k < kPausesPerLook; ++k) {
      if (done()) return true;
      pause();
    }
  } while (Clock::now() < end);
  return done();
}

// How long a worker looks for work before it sleeps. To wake it costs 0.5 to 2 ms on a virtual
// machine, and to look costs a core: so it looks about as long as work has lately been in coming,
// and hardly at all where that has been longer.
class LookingTime {
 public:
  Clock::duration length() const { return usual_ < kLongest ? 2 * usual_ + kLeast : kLeast; }
  void took(Clock::duration wait) {
    usual_ += (std::min<Clock::duration>(wait, 4 * kLongest) - usual_) / 4;
  }

 private:
  static constexpr microseconds kLeast{50}, kLongest{1000};
  Clock::duration usual_ = kLeast;
};

struct Job {
  Job(const Work<void(int64_t, int)>& work, int64_t items, int threads)
      : work(work), items(items), threads(threads) {}

  const Work<void(int64_t, int)>& work;
  const int64_t items;
  const int threads;
  std::atomic<int64_t> next{0};
  std::atomic<int> joined{0};

  // One thread; those that come too late, or are too many, find nothing to do.
  void join() {
    const int worker = joined.fetch_add(1, std::memory_order_relaxed);
    if (worker < threads) run(worker);
  }
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
  bool run(Job& job) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;
    const auto member = [](void* shared) { static_cast<Job*>(shared)->join(); };
    if (!run_on_openmp(job.threads, member, &job)) run_on_workers(job);
    return true;
  }

 private:
  void run_on_workers(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      start(job.threads - 1);
      job.joined = 1;
      job_ = &job;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    job.run(0);
    {
      const std::lock_guard lock(mutex_);
      job_ = nullptr;  // whoever has not begun finds nothing
    }
    const auto idle = [this] { return active_.load(std::memory_order_acquire) == 0; };
    if (spin(kWaitForWorkers, idle)) return;
    std::unique_lock lock(mutex_);
    idle_.wait(lock, idle);
  }

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
    LookingTime looking;
    for (;;) {
      const auto begin = Clock::now();
      const auto called = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      spin(looking.length(), called);
      std::unique_lock lock(mutex_);
      wake_.wait(lock, called);
      looking.took(Clock::now() - begin);
      seen = generation_.load();
      Job* job = job_;
      if (!job || job->joined.load(std::memory_order_relaxed) >= job->threads) continue;
      ++active_;
      lock.unlock();
      job->join();
      lock.lock();
      if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_one();
    }
  }

  std::mutex owner_;  // held by the caller whose job runs
  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_, idle_;
  std::atomic<uint64_t> generation_{0};
  Job* job_ = nullptr;
  int workers_ = 0;
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

// A thread that waits for another, which may have lost its core: it looks, then yields.
class Patient {
 public:
  void wait() {
    if (looks_ < kSpinsBeforeYield) {
      ++looks_;
      pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  int looks_ = 0;
};

// What the threads that do portions share.
class Sharing {
 public:
  explicit Sharing(const Portions& portions) : portions_(portions), open_(portions.count) {}

  // One thread, until no portion is left that may be divided.
  void join(int worker) {
    for (Portion own; take(own);) {
      bool open = true;
      do {
        if (open && waiting_.load(std::memory_order_relaxed) > 0) open = give(own);
      } while (portions_.advance(own, worker));
      if (open) open_.fetch_sub(1, std::memory_order_release);
    }
  }

 private:
  // Of the half that is on offer; there is room for one.
  enum class Offer { kNone, kBusy, kReady };

  bool take(Portion& own) {
    const int64_t k = next_.fetch_add(1, std::memory_order_relaxed);
    if (k < portions_.count) {
      own = portions_.portion(k);
      return true;
    }
    waiting_.fetch_add(1, std::memory_order_relaxed);
    bool taken = false;
    for (Patient patient;
         !(taken = change(Offer::kReady)) && open_.load(std::memory_order_acquire);) {
      patient.wait();
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    if (!taken) return false;
    own = offered_;
    offer_.store(Offer::kNone, std::memory_order_release);
    return true;
  }

  // Whether the portion may be divided once more.
  bool give(Portion& own) {
    if (!change(Offer::kNone)) return true;  // somebody else gives
    const bool halved = portions_.halve(own, offered_);
    open_.fetch_add(halved ? 1 : -1, std::memory_order_release);
    offer_.store(halved ? Offer::kReady : Offer::kNone, std::memory_order_release);
    return halved;
  }

  // From this state to that of the one thread that may go on.
  bool change(Offer from) {
    return offer_.load(std::memory_order_relaxed) == from &&
           offer_.compare_exchange_strong(from, Offer::kBusy, std::memory_order_acquire);
  }

  const Portions& portions_;
  std::atomic<int64_t> next_{0};
  std::atomic<int64_t> open_;  // portions, begun or not, that may be divided
  std::atomic<Offer> offer_{Offer::kNone};
  Portion offered_{};
  alignas(64) std::atomic<int> waiting_{0};  // threads; all others look at it often
};

// What the threads of a lockstep share.
class Lockstep {
 public:
  Lockstep(int64_t steps, int64_t pieces, NextStep* next,
           const Work<void(int64_t, int64_t, int)>& work)
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
    for (Patient patient; done_.load(std::memory_order_acquire) < done;) patient.wait();
  }

  const int64_t steps_, pieces_;
  const Work<void(int64_t, int64_t, int)>& work_;
  NextStep* next_;
  alignas(64) std::atomic<int64_t> done_{0};
};

}  // namespace

void parallel_for(int threads, int64_t items, const Work<void(int64_t, int)>& work) {
  Job job(work, items, threads);
  if (threads <= 1 || items <= 1 || !the_pool.load()->run(job)) job.run(0);
}

void lockstep(int threads, int64_t steps, int64_t pieces, NextStep* next,
              const Work<void(int64_t, int64_t, int)>& work) {
  Lockstep shared(steps, pieces, next, work);
  const auto member = [&](int64_t member, int worker) {
    shared.join(member * pieces / threads, worker);
  };
  parallel_for(threads, threads, member);
}

void parallel_portions(int threads, const Portions& portions) {
  Sharing shared(portions);
  parallel_for(threads, threads, [&](int64_t, int worker) { shared.join(worker); });
}

#else  // one thread

void parallel_for(int, int64_t items, const Work<void(int64_t, int)>& work) {
  for (int64_t item = 0; item < items; ++item) work(item, 0);
}

void lockstep(int, int64_t steps, int64_t pieces, NextStep*,
              const Work<void(int64_t, int64_t, int)>& work) {
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t piece = 0; piece < pieces; ++piece) work(step, piece, 0);
  }
}

void parallel_portions(int, const Portions& portions) {
  for (int64_t k = 0; k < portions.count; ++k) {
    Portion own = portions.portion(k);
    while (portions.advance(own, 0)) {
    }
  }
}

#endif

}  // namespace gatewise
