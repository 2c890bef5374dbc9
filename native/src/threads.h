// A small thread pool. Work is claimed in items, not assigned: the caller starts at once, workers
// join as they wake, and nobody waits for a worker that has not begun. So a sleeping worker or a
// stolen core costs its share and no more.
#pragma once

#include <cstdint>
#include <functional>

namespace gatewise {

// Calls work(item) once for every item in [0, items), on at most `threads` threads, the caller's
// included; returns when all are done. While one caller uses the workers, another runs its items
// alone. The first exception that work throws ends the job and is thrown here. In a forked child
// the pool starts anew.
void parallel_for(int threads, int64_t items, const std::function<void(int64_t)>& work);

}  // namespace gatewise
