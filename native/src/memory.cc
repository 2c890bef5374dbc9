// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "gatewise/lstm.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(GATEWISE_THREADS) && (defined(__unix__) || defined(__APPLE__))
#include <pthread.h>
#define GATEWISE_HAVE_FORK
#endif

namespace gatewise {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
#if defined(__linux__)
constexpr size_t kHugeFrom = size_t{1} << 20;
#else
constexpr size_t kHugeFrom = SIZE_MAX;  // nobody can be asked for huge pages
#endif
constexpr size_t kKeptBytes = size_t{64} << 20;      // of a slot, from call to call
constexpr size_t kMaxIdleBytes = size_t{256} << 20;  // of all tapes, and of all workspaces
constexpr size_t kMaxIdleWorkspaces = 64, kMaxIdleTapes = 256;

size_t unit_of(size_t bytes) { return bytes >= kHugeFrom ? kHugePage : kAlignment; }
size_t in_units(size_t bytes) { return rounded_up(bytes, unit_of(bytes)); }

}  // namespace

// What calls have given back, the latest at the end. Guarded by short_lock().
struct Idle {
  Idle() {
    workspaces.reserve(kMaxIdleWorkspaces);
    tapes.reserve(kMaxIdleTapes);
  }
  std::vector<std::unique_ptr<Workspace::Slots>> workspaces;
  size_t workspace_bytes = 0;
  std::vector<Memory> tapes;
};

namespace {

// Alive to the end: tensors may be freed after static objects are.
Idle& idle() {
  static auto* const all = new Idle;
  return *all;
}

#if defined(GATEWISE_THREADS)
std::mutex& the_lock() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}
// At load, so that no fork can come between.
[[maybe_unused]] const bool ready = [] {
  the_lock();
  idle();
#if defined(GATEWISE_HAVE_FORK)
  pthread_atfork([] { the_lock().lock(); }, [] { the_lock().unlock(); },
                 [] { the_lock().unlock(); });
#endif
  return true;
}();
#endif

}  // namespace

#if defined(GATEWISE_THREADS)
std::unique_lock<std::mutex> short_lock() { return std::unique_lock(the_lock()); }
#endif

Memory::Memory(size_t bytes) {
  if (!bytes) bytes = 1;
  const size_t unit = unit_of(bytes), whole = in_units(bytes);
  if (whole < bytes) return;
  pointer_.reset(std::aligned_alloc(unit, whole));
  if (!pointer_) return;
  bytes_ = whole;
#if defined(__linux__)
  if (unit == kHugePage) madvise(pointer_.get(), bytes_, MADV_HUGEPAGE);  // refused: no harm
#endif
}

void Memory::Free::operator()(void* pointer) const { std::free(pointer); }

Workspace::Workspace() {
  {
    const auto lock = short_lock();
    auto& all = idle().workspaces;
    if (!all.empty()) {
      slots_ = std::move(all.back());
      all.pop_back();
      idle().workspace_bytes -= slots_->bytes;
    }
  }
  if (!slots_) slots_.reset(new (std::nothrow) Slots);
}

Workspace::~Workspace() {
  if (!slots_) return;
  slots_->bytes = 0;
  for (Memory& memory : slots_->all) {
    if (memory.bytes() > kKeptBytes) memory = Memory();
    slots_->bytes += memory.bytes();
  }
  const auto lock = short_lock();
  auto& all = idle().workspaces;
  if (all.size() == kMaxIdleWorkspaces) return;
  if (idle().workspace_bytes + slots_->bytes > kMaxIdleBytes) return;
  idle().workspace_bytes += slots_->bytes;
  all.push_back(std::move(slots_));
}

void* Workspace::take_bytes(Slot slot, size_t bytes) {
  if (!slots_) {
    failed_ = true;
    return nullptr;
  }
  Memory& memory = slots_->all[static_cast<size_t>(slot)];
  if (memory.bytes() < std::max(bytes, size_t{1})) {
    memory = Memory();  // first give back, then take
    memory = Memory(bytes);
  }
  failed_ = failed_ || !memory.bytes();
  return memory.as<void>();
}

struct TapeMemory::Block {
  Memory memory;
};

TapeMemory::TapeMemory(size_t bytes) : block_(new (std::nothrow) Block) {
  if (!block_) return;
  {
    const auto lock = short_lock();
    auto& blocks = idle().tapes;
    const auto found = std::find_if(blocks.begin(), blocks.end(), [&](const Memory& m) {
      return m.bytes() >= bytes && m.bytes() / 5 * 4 <= in_units(bytes);
    });
    if (found != blocks.end()) {
      block_->memory = std::move(*found);
      blocks.erase(found);
      return;
    }
  }
  block_->memory = Memory(bytes);
}

TapeMemory::~TapeMemory() {
  if (!block_ || !block_->memory.bytes()) return;
  // No room could be made for it, even if all others went.
  if (block_->memory.bytes() > kMaxIdleBytes) return;
  Memory oldest[8];  // freed when the lock is no longer held
  const auto lock = short_lock();
  auto& blocks = idle().tapes;
  size_t total = block_->memory.bytes();
  for (const Memory& m : blocks) total += m.bytes();
  for (Memory& gone : oldest) {
    if (blocks.empty() || (total <= kMaxIdleBytes && blocks.size() < kMaxIdleTapes)) break;
    total -= blocks.front().bytes();
    gone = std::move(blocks.front());
    blocks.erase(blocks.begin());
  }
  if (total <= kMaxIdleBytes && blocks.size() < kMaxIdleTapes) {
    blocks.push_back(std::move(block_->memory));
  }
}

void* TapeMemory::data() const { return block_ ? block_->memory.as<void>() : nullptr; }

void release_memory() {
  for (;;) {
    std::unique_ptr<Workspace::Slots> workspace;  // both freed when the lock is no longer held
    Memory tape;
    const auto lock = short_lock();
    if (!idle().workspaces.empty()) {
      workspace = std::move(idle().workspaces.back());
      idle().workspaces.pop_back();
      idle().workspace_bytes -= workspace->bytes;
    } else if (!idle().tapes.empty()) {
      tape = std::move(idle().tapes.back());
      idle().tapes.pop_back();
    } else {
      return;
    }
  }
}

}  // namespace gatewise
