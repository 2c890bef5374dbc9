// What a kernel needs to know of one layer in one direction (plans), and the table of kernels that
// each instruction set fills in. Plans are built in forward.cc and backward.cc.
#pragma once

#include "gatewise/lstm.h"

namespace gatewise {

// One layer in one direction. Steps count in the direction of running: step s is time s, or T-1-s
// in reverse.
struct Shape {
  int64_t T, B, I, H;
};

// State rows: row b lies at data + b * stride; stride 0 repeats one row for all.
template <class Real>
struct State {
  const Real* data = nullptr;
  int64_t stride = 0;
  const Real* row(int64_t b) const { return data + b * stride; }
};

// Gates after their activation [step][panel][b][gate][V], or null, and cell states
// [step + 1][panel][b][V], where state 0 is c0; without gates only one state is kept.
template <class Real>
struct Tape {
  Real *gates, *cells;
};

template <class Real>
struct ForwardPlan {
  Shape shape;
  bool reverse;
  const Real *weights, *bias;  // pack_forward
  Sequence<const Real> x;
  State<Real> h0, c0;
  Sequence<Real> y;
  Real *h_n, *c_n;  // [B, H]; h_n may be null
  Tape<Real> tape;
  Real* ahead;  // forward_scratch(B) elements, for forward_step only
};

template <class Real>
struct BackwardPlan {
  Shape shape;
  bool reverse;
  const Real *weights_hh, *weights_ih;  // pack_backward; weights_ih null: dx is not wanted
  Sequence<const Real> x;
  State<Real> h0;
  Sequence<const Real> y;
  Tape<const Real> tape;
  Sequence<const Real> dy;  // data may be null
  Sequence<Real> dx;
  int64_t sum_steps;    // steps whose terms of dW and db are summed apart
  int64_t chunk_steps;  // steps whose dgates are kept before they go into dW: whole sums
  // Working memory, all rows of the batch: gradients of the states [b][padded H] and [panel][b][V],
  // dgates [step in chunk][panel][b][gate][V], packed operands of dW (see pack_operand), and dW
  // [panel][I, then H][gate][V] and db [panel][gate][V] as they grow.
  Real *dh, *dc, *dgates, *operand, *dw, *db;
};

// A range of whatever is counted.
struct Range {
  int64_t first, end;
  int64_t size() const { return end - first; }
};

// Elements that buffers take, for one instruction set and shape.
struct BufferSizes {
  int64_t panels, blocks;   // of V hidden units; of columns in the backward product
  int64_t operand_columns;  // that dW takes together: ranges start at multiples of them
  size_t weights, bias, weights_hh, weights_ih;
  size_t gradients;         // of the weights; as many as weights where these are of full precision
  size_t gates, cells, dh;  // of one step; dgates are as large as gates, dc as cells
};

template <class Real>
struct KernelTable {
  BufferSizes (*sizes)(const Shape&);
  uint64_t (*fingerprint)(uint64_t seed, const Real* data, int64_t n);
  // room: `gradients` elements.
  void (*pack_forward)(const Shape&, const Parameters<Real>&, Real* weights, Real* bias,
                       Real* room);
  // For bfloat16 weights, else null: makes panels of full precision of them, which is what
  // pack_backward takes; and rounds the activations that meet them.
  void (*expand)(const Shape&, const Real* weights, Real* panels);
  void (*round)(const Real* from, int64_t n, Real* to);
  // The columns [first, first + N) of a panel's `columns`, transposed; see packing.h.
  void (*pack_backward)(int64_t H, int64_t columns, int64_t first, int64_t N, const Real* panels,
                        Real* out);

  // Elements of scratch for so many rows.
  size_t (*forward_scratch)(const Shape&, int64_t rows);
  // Some rows through all steps; or some panels through one step, for all rows.
  void (*forward_rows)(const ForwardPlan<Real>&, Range rows, Real* scratch);
  void (*forward_step)(const ForwardPlan<Real>&, int64_t step, Range panels);
  // One step of some rows, for T = 1, the panels in either order: c stays in tape.cells, where
  // load_cells and store_cells reach it.
  void (*stream_step)(const ForwardPlan<Real>&, Range rows, bool descending);
  void (*load_cells)(const ForwardPlan<Real>&);   // from c0
  void (*store_cells)(const ForwardPlan<Real>&);  // to c_n

  void (*start_gradients)(const BackwardPlan<Real>&, const Real* dh_n, const Real* dc_n);
  void (*finish_gradients)(const BackwardPlan<Real>&, Real* dh0, Real* dc0);
  // dgates and dh: some rows through some steps, from the last to the first; or one block of
  // columns through one step, for all rows (step -1 leaves the gradient of h0).
  void (*gradient_rows)(const BackwardPlan<Real>&, Range steps, Range rows);
  void (*gradient_step)(const BackwardPlan<Real>&, int64_t step, int64_t block);
  // What follows from the dgates of a chunk of steps. Columns count the I inputs, then the H
  // hidden.
  void (*pack_operand)(const BackwardPlan<Real>&, Range steps, Range columns);
  void (*weight_gradient)(const BackwardPlan<Real>&, Range steps, Range columns, Range panels);
  void (*bias_gradient)(const BackwardPlan<Real>&, Range steps, Range panels);
  void (*input_gradient)(const BackwardPlan<Real>&, Range steps, Range rows);
  void (*unpack_gradients)(const BackwardPlan<Real>&, int64_t panel, Real* dw_ih, Real* dw_hh,
                           Real* db);
  void (*add)(Real* to, const Real* from, int64_t n);
  void (*activate)(Activation, int64_t n, const Real* x, Real* y);
};

struct Kernels {
  const char* name;
  double (*fma_peak_gflops)();
  KernelTable<float> f32;
  KernelTable<double> f64;
  KernelTable<float> bf16;  // float32 but for the weights, and the activations that meet them
  template <class Real>
  const KernelTable<Real>& table(bool bfloat16 = false) const {
    if constexpr (sizeof(Real) == sizeof(float)) {
      return bfloat16 ? bf16 : f32;
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
namespace avx512bf16 {
// Puts the forward kernels of this instruction set into avx512's table of bfloat16 (dot.cc).
void use_dot(KernelTable<float>& bf16);
}  // namespace avx512bf16

}  // namespace gatewise
