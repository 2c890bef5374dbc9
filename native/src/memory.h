// SPDX-License-Identifier: Apache-2.0
// Memory of the core: aligned, in huge pages where it is large, and kept from call to call where it
// is scratch. Nothing here throws: a null pointer says that there was no memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lines.h"

#if defined(GATEWISE_THREADS)
#include <mutex>
#endif

namespace gatewise {

#if defined(GATEWISE_THREADS)
// The one lock of the core's shared state, for a few instructions at a time: nobody holds it while
// packing, hashing, allocating a tape or computing. A fork waits for it, so that no child inherits
// it locked.
std::unique_lock<std::mutex> short_lock();
#else
struct NoLock {
  ~NoLock() {}
};
inline NoLock short_lock() { return {}; }
#endif

// Uninitialised memory of some size.
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes);
  size_t bytes() const { return bytes_; }  // 0 if there is none
  template <class T>
  T* as() const {
    return static_cast<T*>(pointer_.get());
  }

 private:
  struct Free {
    void operator()(void* pointer) const;
  };
  std::unique_ptr<void, Free> pointer_;
  size_t bytes_ = 0;
};

// Purposes of scratch memory. Each has a slot of its own, since a call uses several at once.
enum class Slot {
  kZeros,
  kInput,  // rounded
  kInputState,
  kEven,  // what passes between layers, by the layer's parity
  kOdd,
  kOther,  // dx of the reverse direction
  kCells,
  kAhead,
  kDh,
  kDc,
  kDGates,
  kOperand,
  kDWeights,
  kDBias,
  kDPeephole,
  kDGatesX,
  kDGatesPre,
  kStaging,
  kSegment,  // the tape of one segment, and its outputs once more
  kAgain,
  kSnapshot,  // of parameters
  kRows,      // of the items of work that run at a time
  kShares,    // which rows each item has
  kLockstep,  // of the pieces of a lockstep
  kCount
};

struct Idle;
void release_memory();

// The scratch memory of one call. Calls borrow it and give it back, for fresh pages would cost more
// than the work; what is large does not stay.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Contents are undefined. Null if there is no memory, and from then on the workspace has failed.
  template <class Real>
  Real* take(Slot slot, size_t elements);
  bool failed() const { return failed_; }

 private:
  friend struct Idle;
  friend void release_memory();
  struct Slots {
    std::array<Memory, static_cast<size_t>(Slot::kCount)> all;
    size_t bytes = 0;  // while idle
  };
  void* take_bytes(Slot slot, size_t bytes);
  std::unique_ptr<Slots> slots_;
  bool failed_ = false;
};

template <class Real>
Real* Workspace::take(Slot slot, size_t elements) {
  return static_cast<Real*>(take_bytes(slot, elements * sizeof(Real)));
}

}  // namespace gatewise
