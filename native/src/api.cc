// Plans a call: packs weights, provides scratch memory, splits rows, and runs the kernels.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels.h"
#include "threads.h"

namespace gatewise {
namespace {

constexpr size_t kAlignment = 64;

// Scratch memory that a thread keeps from call to call: fresh pages would cost more than the work.
// Each purpose has its own slot, since a call uses several at once.
enum Slot { kWeights, kBias, kCells, kGradientWeights, kGradientBias, kWork, kSlots };

template <class Real>
Real* scratch(Slot slot, size_t elements) {
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  struct Buffer {
    std::unique_ptr<void, Free> memory;
    size_t bytes = 0;
  };
  static thread_local std::array<Buffer, kSlots> buffers;
  Buffer& buffer = buffers[slot];
  const size_t bytes = (elements * sizeof(Real) + kAlignment - 1) / kAlignment * kAlignment;
  if (buffer.bytes < bytes) {
    buffer.memory.reset();
    buffer.bytes = 0;
    buffer.memory.reset(std::aligned_alloc(kAlignment, bytes));
    if (!buffer.memory) throw std::bad_alloc();
    buffer.bytes = bytes;
  }
  return static_cast<Real*>(buffer.memory.get());
}

// Threads that a call of so many floating-point operations can use: below some hundred microseconds
// a second thread costs more than it brings.
int useful_threads(const Shape& s, int threads, double operations_per_weight) {
  constexpr double kOperationsPerThread = 2e7;
  const double operations = operations_per_weight * 4.0 * static_cast<double>(s.H) *
                            static_cast<double>(s.I + s.H) * static_cast<double>(s.T * s.B);
  return std::clamp(static_cast<int>(operations / kOperationsPerThread), 1, std::max(threads, 1));
}

int64_t share(int64_t n, int64_t part, int64_t parts) { return n * part / parts; }

// Rows per forward item: two full tiles at least, and two items per thread for balance.
int64_t forward_items(int64_t B, int threads) {
  constexpr int64_t kRowsPerItem = 12;
  if (threads <= 1) return 1;
  return std::clamp<int64_t>(B / kRowsPerItem, std::min<int64_t>(B, threads), 2 * threads);
}

// Blocks of rows whose dW is accumulated apart: a function of B alone (see BackwardPlan).
int64_t backward_blocks(int64_t B) {
  constexpr int64_t kRowsPerBlock = 16, kMaxBlocks = 8;
  return std::clamp<int64_t>(B / kRowsPerBlock, 1, kMaxBlocks);
}

// Rows (steps x batch) that go into dW in one product.
int64_t chunk_steps(const Shape& s, int64_t rows) {
  constexpr int64_t kRowsPerProduct = 384;
  return std::clamp<int64_t>(kRowsPerProduct / std::max<int64_t>(rows, 1), 1,
                             std::max<int64_t>(s.T, 1));
}

}  // namespace

template <class Real>
size_t tape_size(const Shape& shape) {
  return kernels().table<Real>().sizes(shape).tape;
}

template <class Real>
void forward(const ForwardArgs<Real>& args) {
  const auto& table = kernels().table<Real>();
  const Shape& s = args.shape;
  if (s.B == 0) return;
  const BufferSizes sizes = table.sizes(s);
  Real* weights = scratch<Real>(kWeights, sizes.weights);
  Real* bias = scratch<Real>(kBias, sizes.bias);
  table.pack_forward(s, args.parameters, weights, bias);
  const ForwardPlan<Real> plan{args, weights, bias,
                               args.tape ? nullptr : scratch<Real>(kCells, sizes.cells)};

  const int threads = useful_threads(s, args.threads, 2.0);
  const int64_t items = forward_items(s.B, threads);
  parallel_for(threads, items, [&](int64_t item) {
    const int64_t row = share(s.B, item, items), end = share(s.B, item + 1, items);
    table.forward_rows(plan, row, end, scratch<Real>(kWork, table.forward_scratch(s, end - row)));
  });
}

template <class Real>
void backward(const BackwardArgs<Real>& args) {
  const auto& table = kernels().table<Real>();
  const Shape& s = args.shape;
  const BufferSizes sizes = table.sizes(s);
  const int64_t blocks = backward_blocks(s.B);
  const size_t needed = sizes.weights_hh + (args.dx.data ? sizes.weights_ih : 0);
  Real* weights_hh = scratch<Real>(kWeights, needed);
  Real* weights_ih = args.dx.data ? weights_hh + sizes.weights_hh : nullptr;
  table.pack_backward(s.H, s.H, args.parameters.w_hh, weights_hh);
  if (weights_ih) table.pack_backward(s.H, s.I, args.parameters.w_ih, weights_ih);

  const auto parts = static_cast<size_t>(blocks);
  const BackwardPlan<Real> plan{args,
                                weights_hh,
                                weights_ih,
                                blocks,
                                chunk_steps(s, (s.B + blocks - 1) / blocks),
                                scratch<Real>(kGradientWeights, parts * sizes.gradient_weights),
                                scratch<Real>(kGradientBias, parts * sizes.gradient_bias)};

  const int threads = useful_threads(s, args.threads, args.dx.data ? 4.0 : 3.0);
  parallel_for(threads, blocks, [&](int64_t block) {
    const int64_t row = share(s.B, block, blocks), end = share(s.B, block + 1, blocks);
    const size_t size = table.backward_scratch(s, end - row, plan.chunk_steps);
    table.backward_block(plan, block, row, end, scratch<Real>(kWork, size));
  });
  parallel_for(threads, sizes.panels, [&](int64_t panel) { table.unpack_gradients(plan, panel); });
}

template <class Real>
void activate(Activation which, int64_t n, const Real* x, Real* y) {
  kernels().table<Real>().activate(which, n, x, y);
}

template size_t tape_size<float>(const Shape&);
template size_t tape_size<double>(const Shape&);
template void forward<float>(const ForwardArgs<float>&);
template void forward<double>(const ForwardArgs<double>&);
template void backward<float>(const BackwardArgs<float>&);
template void backward<double>(const BackwardArgs<double>&);
template void activate<float>(Activation, int64_t, const float*, float*);
template void activate<double>(Activation, int64_t, const double*, double*);

}  // namespace gatewise
