// The contract of the native core: one LSTM layer in one direction, forward and backward.
//
// No Python, no torch, no ownership: every buffer belongs to the caller and is borrowed for the
// call. Nothing is checked here; bindings check shapes, dtypes and sizes before they call. All
// arrays have unit stride along their last axis. Gates are stacked in the order i, f, g, o.
//
//   Sizes   T time steps   B batch rows   I input features   H hidden units
//
// Guarantees: the same bits for any number of threads and from run to run; y, h_n, c_n, dx, dh0 and
// dc0 also for any split of the batch. Subnormal numbers are flushed to zero inside a call, and the
// caller's floating-point mode is restored.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gatewise {

// Largest error of the float32 sigmoid and tanh, in units in the last place against float64, over
// all finite inputs; results below FLT_MIN (and subnormal inputs) count as flushed to zero.
inline constexpr double kMaxActivationUlp = 2.0;

struct Shape {
  int64_t T, B, I, H;
};

// A [T, B, *] array whose rows lie at data + t * time_stride + b * batch_stride (in elements), so
// that batch-first tensors and the halves of a bidirectional output need no copy.
template <class Real>
struct Sequence {
  Real* data = nullptr;
  int64_t time_stride = 0, batch_stride = 0;
  Real* row(int64_t t, int64_t b) const { return data + t * time_stride + b * batch_stride; }
};

// Parameters as PyTorch stores them. Biases may be null; they only ever act as their sum.
template <class Real>
struct Parameters {
  const Real* w_ih;  // [4H, I]
  const Real* w_hh;  // [4H, H]
  const Real* b_ih;  // [4H] or null
  const Real* b_hh;  // [4H] or null
};

template <class Real>
struct ForwardArgs {
  Shape shape;
  bool reverse;  // run from t = T-1 to 0
  int threads;   // at most this many, the caller's included
  Parameters<Real> parameters;
  Sequence<const Real> x;  // [T, B, I]
  const Real* h0;          // [B, H], may not alias y
  const Real* c0;          // [B, H]
  Sequence<Real> y;        // [T, B, H] out
  Real* h_n;               // [B, H] out
  Real* c_n;               // [B, H] out
  Real* tape;              // tape_size(shape) elements out, or null: nothing is kept for backward
};

template <class Real>
struct BackwardArgs {
  Shape shape;
  bool reverse;
  int threads;
  Parameters<Real> parameters;
  Sequence<const Real> x;   // as in forward
  const Real* h0;           // as in forward
  Sequence<const Real> y;   // as forward left it
  const Real* tape;         // as forward left it, in the same instruction set
  Sequence<const Real> dy;  // [T, B, H], or data = null for zeros
  const Real* dh_n;         // [B, H], or null for zeros
  const Real* dc_n;         // [B, H], or null for zeros
  Sequence<Real> dx;        // [T, B, I] out, or data = null: not wanted
  Real* dh0;                // [B, H] out
  Real* dc0;                // [B, H] out
  Real* dw_ih;              // [4H, I] out
  Real* dw_hh;              // [4H, H] out
  Real* db;                 // [4H] out: the gradient of b_ih, and of b_hh
};

// Elements of the tape: what forward keeps for backward (gates after their activation, and the cell
// states). Its layout is private to the instruction set.
template <class Real>
size_t tape_size(const Shape& shape);

template <class Real>
void forward(const ForwardArgs<Real>& args);

template <class Real>
void backward(const BackwardArgs<Real>& args);

// y[j] = sigmoid(x[j]) or tanh(x[j]), exactly as the kernels compute it. x may alias y.
enum class Activation { kSigmoid, kTanh };
template <class Real>
void activate(Activation which, int64_t n, const Real* x, Real* y);

// Instruction sets: "avx512", "avx2", "neon", "portable", best first. The best that this machine
// runs is chosen at first use, or the one that GATEWISE_ISA names.
const char* isa_name();
// Names of those this machine runs, best first, separated by blanks.
const char* isa_available();
// Choose one by name; returns false (and changes nothing) if this machine does not run it. Not for
// use while another thread computes.
bool isa_select(const char* name);

}  // namespace gatewise
