// What a kernel needs to know of one call (plans), and the table of kernels that each instruction
// set fills in. Plans are built in api.cc; all scratch memory comes from there.
#pragma once

#include "gatewise/lstm.h"

namespace gatewise {

// The tape: gates [step][panel][b][gate][V], then cell states [step + 1][panel][b][V], where state
// 0 is c0. A step counts in the direction of running; step s is time s, or T-1-s in reverse.
template <class Real>
struct ForwardPlan {
  ForwardArgs<Real> args;
  const Real *weights, *bias;  // pack_forward
  Real* cells;                 // [panel][b][V], the running cell state; null with a tape
};

// dW is accumulated for each of `blocks` fixed blocks of rows apart, and these are added up in
// order: the number depends on the shape alone, so the bits do not depend on the threads.
template <class Real>
struct BackwardPlan {
  BackwardArgs<Real> args;
  const Real *weights_hh, *weights_ih;  // pack_backward; weights_ih null without dx
  int64_t blocks;
  int64_t chunk_steps;  // steps whose dgates are kept before they go into dW
  Real *dw, *db;        // [blocks] packed gradients, see unpack_gradients
};

// Elements that buffers take, for one instruction set and shape.
struct BufferSizes {
  size_t tape, weights, bias, cells, weights_hh, weights_ih;
  size_t gradient_weights, gradient_bias;  // of one block
  int64_t panels;
};

template <class Real>
struct KernelTable {
  BufferSizes (*sizes)(const Shape&);
  void (*pack_forward)(const Shape&, const Parameters<Real>&, Real* weights, Real* bias);
  void (*pack_backward)(int64_t H, int64_t N, const Real* w, Real* out);
  // Elements of scratch that forward_rows and backward_block need for so many rows.
  size_t (*forward_scratch)(const Shape&, int64_t rows);
  size_t (*backward_scratch)(const Shape&, int64_t rows, int64_t chunk_steps);
  void (*forward_rows)(const ForwardPlan<Real>&, int64_t row, int64_t row_end, Real* scratch);
  void (*backward_block)(const BackwardPlan<Real>&, int64_t block, int64_t row, int64_t row_end,
                         Real* scratch);
  void (*unpack_gradients)(const BackwardPlan<Real>&, int64_t panel);
  void (*activate)(Activation, int64_t n, const Real* x, Real* y);
};

struct Kernels {
  const char* name;
  KernelTable<float> f32;
  KernelTable<double> f64;
  template <class Real>
  const KernelTable<Real>& table() const {
    if constexpr (sizeof(Real) == sizeof(float)) {
      return f32;
    } else {
      return f64;
    }
  }
};

// The kernels in use (dispatch.cc).
const Kernels& kernels();

namespace portable {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
namespace neon {
extern const Kernels kKernels;
}

}  // namespace gatewise
