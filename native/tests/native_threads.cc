// SPDX-License-Identifier: Apache-2.0
// The three ways to share out work: everything is done once and in order, by more threads than
// cores, by threads of which one is slow, and by several callers at a time.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "threads.h"

namespace {

constexpr int64_t kItems = 3, kRows = 40, kSteps = 60;
constexpr int kThreads[] = {1, 2, 3, 4, 8, 16};

void require(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s\n", what);
  std::exit(1);
}

// Each place is to be reached once, at one step after the other.
class Steps {
 public:
  explicit Steps(int64_t places) : reached_(static_cast<size_t>(places)) {}
  void reach(int64_t place, int64_t step) {
    require(reached_[static_cast<size_t>(place)].fetch_add(1) == step, "a step out of order");
  }
  void require_all(int64_t steps) const {
    for (const auto& reached : reached_) require(reached == steps, "a step left out");
  }

 private:
  std::vector<std::atomic<int64_t>> reached_;
};

// No two threads may be the same worker at a time.
class Workers {
 public:
  void enter(int worker, int threads) {
    require(worker >= 0 && worker < threads, "no such worker");
    require(!inside_[worker].exchange(true), "two threads are one worker");
  }
  void leave(int worker) { inside_[worker] = false; }

 private:
  std::atomic<bool> inside_[16] = {};
};

void check_items(int threads) {
  Steps done(kRows);
  Workers workers;
  gatewise::parallel_for(threads, kRows, [&](int64_t item, int worker) {
    workers.enter(worker, threads);
    done.reach(item, 0);
    workers.leave(worker);
  });
  done.require_all(1);
}

void check_lockstep(int threads) {
  Steps done(kRows);
  std::atomic<int64_t> all{0};
  std::vector<gatewise::NextStep> next(kRows);
  gatewise::lockstep(threads, kSteps, kRows, next.data(), [&](int64_t step, int64_t piece, int) {
    require(all >= step * kRows, "a step before its time");
    done.reach(piece, step);
    ++all;
  });
  done.require_all(kSteps);
}

// Returns how often a portion was divided. slow: the caller sleeps at each of its steps.
int check_portions(int threads, bool slow) {
  Steps done(kItems * kRows);
  Workers workers;
  std::atomic<int> halves{0};
  const auto caller = std::this_thread::get_id();
  const auto portion = [](int64_t k) { return gatewise::Portion{k, 0, kRows, 0}; };
  const auto advance = [&](gatewise::Portion& own, int worker) {
    workers.enter(worker, threads);
    if (slow && std::this_thread::get_id() == caller) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    for (int64_t row = own.first; row < own.end; ++row) {
      done.reach(own.item * kRows + row, own.step);
    }
    workers.leave(worker);
    return ++own.step < kSteps;
  };
  const auto halve = [&](gatewise::Portion& own, gatewise::Portion& half) {
    if (own.end - own.first < 2) return false;
    half = own;
    own.end = half.first = (own.first + own.end) / 2;
    ++halves;
    return true;
  };
  gatewise::parallel_portions(threads, {kItems, portion, advance, halve});
  done.require_all(kSteps);
  return halves;
}

void check_callers() {
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([] {
      for (int k = 0; k < 20; ++k) check_portions(4, false);
    });
  }
  for (std::thread& caller : callers) caller.join();
  gatewise::parallel_for(4, 8, [](int64_t, int) { check_portions(4, false); });
}

}  // namespace

int main() {
  for (const int threads : kThreads) {
    for (int k = 0; k < 20; ++k) {
      check_items(threads);
      check_lockstep(threads);
      check_portions(threads, false);
    }
    int halves = 0;  // a thread may come too late, but not each time
    for (int k = 0; k < 50 && !halves; ++k) halves = check_portions(threads, true);
    require(threads == 1 ? halves == 0 : halves > 0, "a slow thread gives nothing away");
  }
  check_callers();
  std::puts("all work is done once, and in order");
}
