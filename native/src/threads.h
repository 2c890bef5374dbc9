// A small pool of worker threads. Work is claimed in items, so a core that another program holds
// costs its share and no more, and nobody waits for a worker that has not begun.
#pragma once

#include <cstdint>
#include <functional>

namespace gatewise {

// Calls work(item) once for each item in [0, items), on at most `threads` threads, the caller's
// included; returns when all are done. Re-entrant: a caller that finds the workers busy (or is one)
// does its items alone. The first exception of an item is thrown again here, once all have stopped.
void parallel_for(int threads, int64_t items, const std::function<void(int64_t)>& work);

// Calls work(step, piece) once for each, a step only when the step before is complete. A thread
// takes the same pieces at each step as long as it can (so their weights stay in its cache), and
// those of others when they are late. work may not throw.
void lockstep(int threads, int64_t steps, int64_t pieces,
              const std::function<void(int64_t, int64_t)>& work);

}  // namespace gatewise
