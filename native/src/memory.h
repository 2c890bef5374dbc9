// Memory of the core: aligned, in huge pages where it is large, and kept from call to call where it
// is scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace gatewise {

inline constexpr size_t kAlignment = 64;  // bytes

constexpr size_t rounded_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }
// So many elements, and what fills the last cache line.
template <class Real>
constexpr size_t whole_lines(size_t elements) {
  return rounded_up(elements, kAlignment / sizeof(Real));
}

// Uninitialised memory of some size.
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes);
  size_t bytes() const { return bytes_; }
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

// Scratch memory that each thread keeps from call to call: fresh pages would cost more than the
// work. Each purpose has its own slot, since a call uses several at once.
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
  kRows,  // of a single item of work
  kCount
};

template <class Real>
Real* scratch(Slot slot, size_t elements);

// Gives back what a long sequence needed and a usual one does not.
void trim_scratch();

}  // namespace gatewise
