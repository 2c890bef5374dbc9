// SPDX-License-Identifier: Apache-2.0
// What a kernel needs to know of one layer in one direction (plans), and the table of kernels that
// each instruction set fills in. Plans are built in forward.cc and backward.cc.
#pragma once

#include "gatewise/lstm.h"

namespace gatewise {

// A range of whatever is counted.
struct Range {
  int64_t first, end;
  int64_t size() const { return end - first; }
};

// One layer in one direction. Steps count in the direction of running: step s is time s, or in
// reverse as far from the row's last.
struct Shape {
  int64_t T, B, I, H, P;
  const Ragged* ragged = nullptr;

  // Rows that run at a step (the first ones), at all steps before it, and the steps of a row.
  int64_t rows_at(int64_t step) const {
    return ragged ? ragged->rows[static_cast<size_t>(step)] : B;
  }
  int64_t rows_before(int64_t step) const {
    return ragged ? ragged->before[static_cast<size_t>(step)] : step * B;
  }
  int64_t steps_of(int64_t b) const { return ragged ? ragged->lengths[static_cast<size_t>(b)] : T; }
  int64_t time(int64_t step, int64_t b, bool reverse) const {
    return reverse ? steps_of(b) - 1 - step : step;
  }
};

// State rows: row b lies at data + b * stride; stride 0 repeats one row for all.
template <class Real>
struct State {
  const Real* data = nullptr;
  int64_t stride = 0;
  const Real* row(int64_t b) const { return data + b * stride; }
};

// Gates [step][panel][b][gate][V], or null, and cell states
// [step + 1][panel][b][V], where state 0 is c0. Without gates only one state is kept, and may lie
// apart for each item of rows, [item][panel][b][V]: else two cores would fetch each other's lines
// ahead, at each panel. Of each step only the rows that run. A gate is kept as the function's
// value, before the activation's scale and shift: its slope follows from that without what scale
// and shift would add to its error.
template <class Real>
struct Tape {
  Real *gates, *cells;
  Real* norms = nullptr;  // with layer norm: [step][b], see NormRow in norm.h
  int64_t rows = 0;  // of an item whose state lies apart, `cells` moved by its first row; 0: all
};

// What a cell has beside weights and biases, in the kernels' order; null where it lacks it.
template <class Real>
struct Extras {
  const Real* peephole;             // [panel][i, f, o][V]
  const Real *norm_ih, *norm_hh;    // [panel][gain, shift][gate][V]
  const Real* norm_c;               // [panel][gain, shift][V]
  const Real *project, *unproject;  // W_hr as the operand of products: m W_hr', and dh W_hr
};

// The noise of one layer and direction.
template <class Real>
struct LayerNoise {
  const Real* recurrent_mask = nullptr;  // [B, P] or null
  Sequence<const Real> zoneout_h = {}, zoneout_c = {};
  Real rate_h = 0, rate_c = 0;
};

// What the units of one layer and direction are made to do: [T, B, H] each, or null; see Edits.
template <class Real>
struct LayerEdits {
  const Real *i = nullptr, *f = nullptr, *g = nullptr, *o = nullptr;
  const Real *c = nullptr, *output = nullptr;
  bool any() const { return i || f || g || o || c || output; }
};

// What every pass over one layer in one direction needs: forward, backward and a stream.
template <class Real>
struct LayerPlan {
  Shape shape;
  bool reverse = false;
  Cell cell = {};
  Extras<Real> extras = {};
  LayerNoise<Real> noise = {};
  LayerEdits<Real> edits = {};
  bool staged = false;  // see staged.h
  Sequence<const Real> x = {};
  State<Real> h0 = {};
};

template <class Real>
struct ForwardPlan : LayerPlan<Real> {
  const Real *weights = nullptr, *bias = nullptr;  // pack_forward
  State<Real> c0 = {};
  Sequence<Real> y = {};
  Real *h_n = nullptr, *c_n = nullptr;  // [B, P], [B, H]; h_n may be null
  Tape<Real> tape = {};
};

// Backward's working memory where gates are staged: all rows of the batch, and of steps those of a
// chunk. Null where the cell has no use for it, or nobody wants the gradient.
template <class Real>
struct Staging {
  Real* kept;         // [b][padded P]: the gradient that zoneout leads past the cell
  Real *dm, *m;       // [b][padded H]: of o * psi(c), which is h where nothing follows; psi(c)
  Real* projected;    // [step][b][P in whole W]: the gradient of what the projection puts out
  Real* unprojected;  // [step][H in whole W][b][W]: what it takes
  Real *dnormal_c, *normal_c;  // [step][panel][b][V]: of the norm of c; c normalised
  Real* room;                  // [b][padded H]
  Real* inverse_std;           // [b]: of c
  // Gradients as they grow: [H in whole W][P][W], and like Extras.
  Real *dproject, *dnorm_ih, *dnorm_hh, *dnorm_c;
};

template <class Real>
struct BackwardPlan : LayerPlan<Real> {
  const Real *weights_hh = nullptr, *weights_ih = nullptr;  // pack_backward
  Sequence<const Real> y = {};
  Tape<const Real> tape = {};
  Sequence<const Real> dy = {};  // data may be null
  Sequence<Real> dx = {};        // data null: not wanted
  int64_t sum_steps = 1;         // steps whose terms of dW and db are summed apart
  int64_t chunk_steps = 1;       // steps whose dgates are kept before they go into dW: whole sums
  // Working memory, all rows of the batch: gradients of the states [b][padded P] and [panel][b][V],
  // dgates [step in chunk][panel][b][gate][V], packed operands of dW (see pack_operand), and dW
  // [panel][I, then P][gate][V] and db [panel][gate][V] as they grow. Null: not wanted.
  Real *dh = nullptr, *dc = nullptr, *dgates = nullptr, *operand = nullptr;
  Real *dw = nullptr, *db = nullptr;
  Real* dpeephole = nullptr;  // [panel][i, f, o][V], as it grows
  // Layer norms stand between the gates and their products: dgates as W_ih meets them, and as the
  // bias does. Else both are dgates.
  Real *dgates_x = nullptr, *dgates_pre = nullptr;
  Real* gate_gradients = nullptr;  // [T, B, 4, H] out: dgates_pre in the input's order
  Staging<Real> staging = {};
};

// Elements that buffers take, for one instruction set and shape.
struct BufferSizes {
  int64_t panels, blocks;   // of V hidden units; of columns in the backward product
  int64_t operand_columns;  // that dW takes together
  size_t weights, bias, weights_hh, weights_ih;
  size_t gradients;  // of the weights; as many as weights where these are of full precision
  size_t unit;       // one number for each hidden unit, in panels
  size_t project, unproject, project_gradient;
  size_t gates, cells, dh;               // of one step; dgates are as large as gates, dc as cells
  size_t norms, projected, unprojected;  // of one step
};

template <class Real>
struct KernelTable {
  BufferSizes (*sizes)(const Shape&);
  uint64_t (*fingerprint)(uint64_t seed, const Real* data, int64_t n);
  // room: `gradients` elements.
  void (*pack_forward)(const Shape&, const Parameters<Real>&, Real* weights, Real* bias,
                       Real* room);
  // [panel][k][V] of w [count, H], and back.
  void (*pack_units)(int64_t H, int64_t count, const Real* w, Real* out);
  void (*unpack_units)(int64_t H, int64_t count, const Real* in, Real* w);
  // W_hr [P, H] as in Extras; and its gradient as in Staging back.
  void (*pack_projection)(const Shape&, const Real* w_hr, Real* project, Real* unproject);
  void (*unpack_projection)(const Shape&, const Real* dproject, Real* dw_hr);
  // For bfloat16 weights, else null: makes panels of full precision of them, which is what
  // pack_backward takes; and rounds the activations that meet them.
  void (*expand)(const Shape&, const Real* weights, Real* panels);
  void (*round)(const Real* from, int64_t n, Real* to);
  // The columns [first, first + N) of a panel's `columns`, for products; see packing.h.
  void (*pack_backward)(int64_t H, int64_t columns, int64_t first, int64_t N, const Real* panels,
                        Real* out);

  // Elements of scratch for any number of rows from `least` to `most`.
  size_t (*forward_scratch)(const Shape&, int64_t least, int64_t most, bool staged);
  size_t (*ahead_size)(const Shape&);                  // of the input projected ahead in lockstep
  int64_t (*steps_ahead)(const Shape&, int64_t rows);  // that forward_rows projects ahead, or 0
  // Some rows through some steps; or some panels through one step, for all rows, with the input
  // projected ahead at `ahead` and scratch for the rows of one step.
  void (*forward_rows)(const ForwardPlan<Real>&, Range steps, Range rows, Real* scratch);
  void (*forward_step)(const ForwardPlan<Real>&, int64_t step, Range panels, Real* ahead,
                       Real* scratch);
  // One step of some rows, for T = 1, the panels in either order: c stays in tape.cells, where
  // load_cells and store_cells reach it.
  void (*stream_step)(const ForwardPlan<Real>&, Range rows, bool descending, Real* scratch);
  void (*load_cells)(const ForwardPlan<Real>&);   // from c0
  void (*store_cells)(const ForwardPlan<Real>&);  // to c_n

  void (*start_gradients)(const BackwardPlan<Real>&, const Real* dh_n, const Real* dc_n);
  void (*finish_gradients)(const BackwardPlan<Real>&, Real* dh0, Real* dc0);
  // dgates and dh: some rows through some steps, from the last to the first; or one block of
  // columns through one step, for all rows (step -1 leaves the gradient of h0).
  void (*gradient_rows)(const BackwardPlan<Real>&, Range steps, Range rows);
  void (*gradient_step)(const BackwardPlan<Real>&, int64_t step, int64_t block);
  // What follows from the dgates of a chunk of steps. Columns count the I inputs, then the P
  // of h.
  void (*pack_operand)(const BackwardPlan<Real>&, Range steps, Range columns);
  void (*weight_gradient)(const BackwardPlan<Real>&, Range steps, Range columns, Range panels);
  void (*bias_gradient)(const BackwardPlan<Real>&, Range steps, Range panels);  // and the like
  void (*projection_gradient)(const BackwardPlan<Real>&, Range steps);
  void (*input_gradient)(const BackwardPlan<Real>&, Range steps, Range rows);
  // Each of the three may be null.
  void (*unpack_gradients)(const BackwardPlan<Real>&, int64_t panel, Real* dw_ih, Real* dw_hh,
                           Real* db);
  // What traces are made of; see recording.h.
  void (*read_tape)(const LayerPlan<Real>&, const Tape<const Real>&, Range steps,
                    const Activity<Real>&);
  void (*read_gradients)(const BackwardPlan<Real>&, Range steps);
  void (*add)(Real* to, const Real* from, int64_t n);
  void (*activate)(const Activation&, int64_t n, const Real* x, Real* y);
};

// Weights of a layer that a core's L2 keeps from one step to the next; more come from beyond it.
inline constexpr int64_t kCacheBytes = int64_t{1} << 20;

// Numbers that the reads of `Kernels::read_gbs` go through at a time.
inline constexpr size_t kReadNumbers = 128;

struct Kernels {
  const char* name;
  double (*fma_peak_gflops)();
  double (*read_gbs)(const float* data, size_t n);
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
