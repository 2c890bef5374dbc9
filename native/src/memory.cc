#include "memory.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "gatewise/lstm.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gatewise {
namespace {

constexpr size_t kHugePage = size_t{2} << 20, kHugeFrom = size_t{1} << 20;
constexpr size_t kKeptBytes = size_t{64} << 20;  // of a slot, from call to call

std::array<Memory, static_cast<size_t>(Slot::kCount)>& slots() {
  static thread_local std::array<Memory, static_cast<size_t>(Slot::kCount)> own;
  return own;
}

size_t unit_of(size_t bytes) { return bytes >= kHugeFrom ? kHugePage : kAlignment; }
size_t in_units(size_t bytes) { return rounded_up(bytes, unit_of(bytes)); }

// Blocks not in use, the one given back last at the end.
struct Pool {
  static constexpr size_t kMaxBytes = size_t{256} << 20;
  std::mutex mutex;
  std::vector<Memory> blocks;
};
Pool& pool() {
  static auto* const alive_to_the_end = new Pool;  // tensors may be freed after static objects are
  return *alive_to_the_end;
}

}  // namespace

Memory::Memory(size_t bytes) : bytes_(in_units(bytes)) {
  const size_t unit = unit_of(bytes);
  pointer_.reset(std::aligned_alloc(unit, bytes_));
  if (!pointer_ && bytes_) throw std::bad_alloc();
#if defined(__linux__)
  if (unit == kHugePage) madvise(pointer_.get(), bytes_, MADV_HUGEPAGE);  // refused: no harm
#endif
}

void Memory::Free::operator()(void* pointer) const { std::free(pointer); }

struct TapeMemory::Block {
  Memory memory;
};

TapeMemory::TapeMemory(size_t bytes) : block_(std::make_unique<Block>()) {
  {
    const std::lock_guard lock(pool().mutex);
    auto& blocks = pool().blocks;
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
  const std::lock_guard lock(pool().mutex);
  auto& blocks = pool().blocks;
  blocks.push_back(std::move(block_->memory));
  size_t total = 0;
  for (const Memory& m : blocks) total += m.bytes();
  while (total > Pool::kMaxBytes) {  // the oldest go first
    total -= blocks.front().bytes();
    blocks.erase(blocks.begin());
  }
}

void* TapeMemory::data() const { return block_->memory.as<void>(); }

template <class Real>
Real* scratch(Slot slot, size_t elements) {
  Memory& memory = slots()[static_cast<size_t>(slot)];
  if (memory.bytes() < elements * sizeof(Real)) {
    memory = Memory();  // first give back, then take
    memory = Memory(elements * sizeof(Real));
  }
  return memory.as<Real>();
}

void trim_scratch() {
  for (Memory& memory : slots()) {
    if (memory.bytes() > kKeptBytes) memory = Memory();
  }
}

template float* scratch<float>(Slot, size_t);
template double* scratch<double>(Slot, size_t);

}  // namespace gatewise
