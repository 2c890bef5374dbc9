// SPDX-License-Identifier: Apache-2.0
// The contract of the native core: a whole LSTM (all layers, both directions), forward and
// backward, in one call each. gatewise.h is its face for C.
//
// No Python, no torch. The caller owns every array and lends it for the call; only packed weights
// own memory. The core checks sizes (`check`); callers check shapes, dtypes and strides. All arrays
// have unit stride along their last axis and are aligned to their element. Gates are stacked in the
// order i, f, g, o.
//
//   Sizes   T time steps   B batch rows   I input features   H hidden units   L layers   D
//   directions, P the size of h: H, or that of the projection.
//   State arrays hold [L * D, B, *], layer by layer, within a layer the forward direction first.
//
// Guarantees: the same bits for any number of threads and from run to run; y, h_n, c_n, dx, dh0 and
// dc0 also for any split of the batch. A call flushes subnormal numbers to zero and restores the
// caller's floating-point mode. Calls may run on many threads at once, and processes may fork while
// they do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "gatewise/cell.h"

namespace gatewise {

// Largest error of the float32 sigmoid and tanh, in units in the last place against float64, over
// all finite inputs; results below FLT_MIN (and subnormal inputs) count as flushed to zero.
inline constexpr double kMaxActivationUlp = 2.0;

// How a call ended. After anything but kOk the contents of its outputs are undefined.
enum class [[nodiscard]] Status {
  kOk,
  kOutOfMemory,
  kCancelled,  // Poll said so
  kBadSize     // see check(); or checkpoints together with noise or edits
};

struct Network {
  int64_t L, D, I, H;
  // float32 only: weights, inputs and hidden states are rounded to bfloat16, which halves the bytes
  // of the weights; sums, gates and cell states stay float32. Backward gives the gradients of that
  // network, rounding taken for the identity.
  bool bfloat16 = false;
  Cell cell = {};
  int64_t projection = 0;  // proj_size; 0: none
  // Size of h.
  int64_t P() const { return projection ? projection : H; }
  // Inputs of a layer: x, or the outputs of the layer below.
  int64_t inputs(int64_t layer) const { return layer ? D * P() : I; }
  // Whether a unit needs what others of the same step have computed.
  bool staged() const { return cell.layer_norm || projection; }
  bool operator==(const Network&) const = default;
};

// Whether the core can run these sizes: L, H >= 1, I >= 0, D 1 or 2, 0 <= projection <= H, T, B >=
// 0, and no product of them overflows. Every entry point that takes sizes asks this first.
bool check(const Network& network, int64_t T = 0, int64_t B = 0);

// Whether they make a `Stream`: one direction, B >= 1.
bool check_stream(const Network& network, int64_t B);

// Batches whose rows differ in length, as in PyTorch's PackedSequence: rows sorted by length, the
// longest first, and of each time only the rows that are still running, time after time without
// gaps. In reverse each row starts at its own last step, so that here too the same number of rows
// runs at each step.
struct Ragged {
  std::vector<int64_t> rows;     // [T] that run at a step, never increasing, at least 1
  std::vector<int64_t> before;   // [T + 1] rows of all steps before
  std::vector<int64_t> lengths;  // [B]
  // batch_sizes: [T].
  explicit Ragged(std::span<const int64_t> batch_sizes);
};

// Whether these can be the sizes of a `Ragged` of N rows in all: a number from 1 on for each step,
// never increasing, that add up to N.
bool is_well_packed(std::span<const int64_t> batch_sizes, int64_t N);

// A [T, B, *] array whose rows lie at data + t * time_stride + b * batch_stride (in elements), so
// that batch-first tensors and the halves of a bidirectional output need no copy. Of a ragged
// batch, [rows of all steps, *], rows batch_stride apart.
template <class Real>
struct Sequence {
  Real* data = nullptr;
  int64_t time_stride = 0, batch_stride = 0;
  const Ragged* ragged = nullptr;
  Real* row(int64_t t, int64_t b) const {
    if (ragged) return data + (ragged->before[static_cast<size_t>(t)] + b) * batch_stride;
    return data + t * time_stride + b * batch_stride;
  }
  operator Sequence<const Real>() const
    requires(!std::is_const_v<Real>)
  {
    return {data, time_stride, batch_stride, ragged};
  }
};

// Parameters of one layer and direction as PyTorch stores them. Biases may be null; only their sum
// has an effect.
template <class Real>
struct Parameters {
  const Real* w_ih;                // [4H, inputs(layer)]
  const Real* w_hh;                // [4H, P]
  const Real* b_ih;                // [4H] or null
  const Real* b_hh;                // [4H] or null
  const Real* w_hr = nullptr;      // [P, H], with a projection
  const Real* peephole = nullptr;  // [3, H]: from c to i, f, o; with peepholes
  // Gain and shift; with layer norm.
  const Real *norm_ih = nullptr, *norm_hh = nullptr;  // [2, 4H]
  const Real* norm_c = nullptr;                       // [2, H]
};

// What disturbs the states in training, and the mean of that afterwards; see
// gatewise.reference.forward. Not together with bfloat16.
template <class Real>
struct Noise {
  const Real* recurrent_mask = nullptr;  // [L * D, B, P] or null: multiplies h where it meets w_hh
  // Zoneout: the share of h and c that stays as it was, [L * D, T, B, P] and [.., H] (of a ragged
  // batch [L * D, rows of all steps, *]); or null: the rates.
  const Real *zoneout_h = nullptr, *zoneout_c = nullptr;
  Real rate_h = 0, rate_c = 0;
  bool any() const {
    return recurrent_mask || zoneout_h || zoneout_c || rate_h != 0 || rate_c != 0;
  }
};

// What a run is made to do, whatever the equations say: where an array holds a number, that number
// stands in place of what the cell has computed, and the step goes on from there; NaN leaves the
// cell alone. [L * D, T, B, H] each, in the input's order, or null. Forward only.
template <class Real>
struct Edits {
  const Real *input_gate = nullptr, *forget_gate = nullptr;  // after their activation
  const Real *candidate = nullptr, *output_gate = nullptr;
  const Real *cell_state = nullptr, *cell_output = nullptr;  // c_t; psi(c_t)
  bool any() const {
    return input_gate || forget_gate || candidate || output_gate || cell_state || cell_output;
  }
};

// Lets a caller end a long call. stop(context) is asked on the calling thread between chunks of
// work, at most once in 50 ms; on true the call returns kCancelled. A chunk takes some 50 ms, in
// backward of wide layers up to some 200 ms; but never less than one step of all rows takes, which
// is longer where B * H * (I + P) is above some 1e9.
struct Poll {
  bool (*stop)(void* context) = nullptr;
  void* context = nullptr;
};

// A network's weights in the order in which the kernels of one instruction set read them: forward,
// and from the first backward on also the transposed operands of that. Independent of the
// parameters they were packed from, and immutable: any number of calls may share them.
template <class Real>
class Weights;
template <class Real>
struct ForwardPlan;
template <class Real>
using SharedWeights = std::shared_ptr<const Weights<Real>>;

// parameters: [L * D]. Returns null if the sizes fail `check` or there is no memory for the
// weights; for what is small, a few bytes per layer, operator new answers, here and in
// `WeightsCache::get`.
template <class Real>
SharedWeights<Real> pack(const Network& network, std::span<const Parameters<Real>> parameters);

// Keeps the weights packed last, and packs again when the parameters' contents have changed.
//
// Change is seen by a 64-bit fingerprint of the parameters' bits (see kernels.cc), whoever wrote
// them. What is packed comes from one read of the parameters, and the fingerprint kept is that of
// the same read: if another thread writes meanwhile, the next call packs again. Two contents that
// are not made to collide have the same fingerprint with a chance of about 2^-64, or up to 2^-32 if
// they differ in two bits alone.
template <class Real>
class WeightsCache {
 public:
  explicit WeightsCache(const Network& network) : network_(network) {}
  // Null: bad sizes, or no memory; what was kept stays.
  SharedWeights<Real> get(std::span<const Parameters<Real>> parameters);
  const Network& network() const { return network_; }

 private:
  const Network network_;
  // Guarded by short_lock() (memory.h), which is never held while parameters are read.
  uint64_t fingerprint_ = 0;
  std::shared_ptr<Weights<Real>> weights_, spare_;
};

// What forward and backward of one call share.
template <class Real>
struct Call {
  const Weights<Real>& weights;
  int64_t T, B;
  int threads;                              // at most this many, the caller's included
  Sequence<const Real> x;                   // [T, B, I]
  const Real *h0 = nullptr, *c0 = nullptr;  // [L * D, B, P], [.., H], or null for zeros
  int64_t checkpoint_every = 0;             // see tape_size; of no account without a tape
  const Ragged* ragged = nullptr;           // or: every row runs through all T steps
  Noise<Real> noise = {};
  Edits<Real> edits = {};
  Poll poll = {};
};

template <class Real>
struct ForwardArgs {
  Call<Real> call;
  Sequence<Real> y;      // [T, B, D * P] out; h0 may not alias it
  Real *h_n, *c_n;       // [L * D, B, P], [.., H] out
  Real* tape = nullptr;  // tape_size elements out, or null: nothing is kept for backward
};

template <class Real>
struct BackwardArgs {
  Call<Real> call;          // as forward had it
  Sequence<const Real> y;   // as forward left it
  const Real* tape;         // as forward left it
  Sequence<const Real> dy;  // [T, B, D * P], or data = null for zeros
  const Real *dh_n, *dc_n;  // [L * D, B, P], [.., H], or null for zeros
  Sequence<Real> dx;        // [T, B, I] out
  Real *dh0, *dc0;          // [L * D, B, P], [.., H] out
  // Gradients of one layer and direction, out, of the shapes of Parameters.
  struct Gradients {
    Real *dw_ih, *dw_hh;
    Real* db;  // the gradient of b_ih, and of b_hh
    Real *dw_hr = nullptr, *dpeephole = nullptr;
    Real *dnorm_ih = nullptr, *dnorm_hh = nullptr, *dnorm_c = nullptr;
    bool any() const {
      return dw_ih || dw_hh || db || dw_hr || dpeephole || dnorm_ih || dnorm_hh || dnorm_c;
    }
  };
  // [L * D]. Every output may be null: not wanted, and not computed where that saves time.
  std::span<const Gradients> gradients;
  // [L * D, T, B, 4, H] out, or null: the gradients of the gates before their activation, in the
  // input's order. Not with checkpoints; of a ragged batch only the steps that run are written.
  Real* gate_gradients = nullptr;
};

// Elements of the tape: what forward keeps for backward. Its layout is private.
//
// With checkpoint_every = 0, the four gates and the cell state of every step: about 5 T B H
// elements per layer and direction, and the outputs of the layers below the last. With
// checkpoint_every = k, the cell state after every k-th step and the outputs of the layers below
// the last; backward computes each stretch of k steps again, with 6 k B D H elements of working
// memory for one layer. k is at most T, rounded up to whole blocks of 128 rows (k B). The gradients
// have the same bits either way. Of a ragged batch, or with layer norm or a projection, every step
// is kept; with noise, checkpoint_every must be 0. Layer norm keeps 8 H numbers more for each row
// and step.
template <class Real>
size_t tape_size(const Weights<Real>& weights, int64_t T, int64_t B, int64_t checkpoint_every = 0,
                 const Ragged* ragged = nullptr);

// What a network did at every step, in the input's order: [L * D, T, B, H] each, or null: not
// wanted.
template <class Real>
struct Activity {
  Real *input_gate, *forget_gate, *candidate, *output_gate;  // after their activation
  Real* cell_state;                                          // c_t
};

// Reads what forward has kept. call: as forward had it, without checkpoints. An edited gate stands
// in the tape as the cell had computed it. Of a ragged batch only the steps that run are written.
template <class Real>
Status read_tape(const Call<Real>& call, const Real* tape, const Activity<Real>& to);

// Room for a tape, taken from a pool that keeps up to 256 MB and given back to it at the end:
// training takes the same at each step, and fresh pages cost more than they look. A caller may use
// any other memory.
class TapeMemory {
 public:
  explicit TapeMemory(size_t bytes);
  ~TapeMemory();
  TapeMemory(const TapeMemory&) = delete;
  TapeMemory& operator=(const TapeMemory&) = delete;
  void* data() const;  // null: there was no memory

 private:
  struct Block;
  std::unique_ptr<Block> block_;
};

// Runs later calls on the threads of the OpenMP runtime that is in the process (PyTorch's), where
// it has about as many as a call takes. Its threads would otherwise contend with ours for the
// cores. Only the first thread that makes a call which needs several gets them, as long as it
// lives; others, and the child of a fork, have the core's own workers. Returns false where there is
// no such runtime, in a process that was forked, and on other systems than Linux.
bool share_openmp_threads();

// Gives back all memory that is kept for later calls and not in use: tapes and scratch.
void release_memory();

template <class Real>
Status forward(const ForwardArgs<Real>& args);

template <class Real>
Status backward(const BackwardArgs<Real>& args);

// Independent calls at once, such as those of many small networks: each runs on one thread, and at
// most `threads` of them at a time. The bits are those of one after the other. What a call says of
// threads is of no account; the first status that is not kOk is returned.
template <class Real>
Status forward_each(std::span<const ForwardArgs<Real>> calls, int threads);

template <class Real>
Status backward_each(std::span<const BackwardArgs<Real>> calls, int threads);

// An LSTM in motion, one step at a time with its state inside; forward in one direction only. A
// step takes no memory and cannot fail. Not for two threads at once.
template <class Real>
class Stream {
 public:
  // rates: of zoneout, for h and for c. Returns null if the sizes fail `check_stream`, or there is
  // no memory.
  static std::unique_ptr<Stream> make(SharedWeights<Real> weights, int64_t B,
                                      std::pair<Real, Real> rates = {});
  ~Stream();
  void step(const Real* x, Real* y, int threads);  // [B, I] -> [B, P]; y may alias x
  void get_state(Real* h, Real* c) const;          // [L, B, P], [L, B, H] out
  void set_state(const Real* h, const Real* c);    // [L, B, P], [L, B, H], or null for zeros
  int64_t batch() const;
  const Network& network() const;

 private:
  struct State;
  explicit Stream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// y[j] = the activation of x[j], as the kernels compute it. x may alias y.
template <class Real>
void activate(const Activation& which, int64_t n, const Real* x, Real* y);

// Instruction sets: "avx512", "avx512bf16", "avx2", "neon", "portable", best first; "avx512bf16"
// is avx512 but for the forward products of bfloat16, and comes first on AMD's processors, where
// they gain by it. The best that this machine runs is chosen at first use, or the one that
// GATEWISE_ISA names. Packed weights keep the one they were packed for.
const char* isa_name();
// Names of those this machine runs, best first, separated by blanks.
const char* isa_available();
// Choose one by name; returns false (and changes nothing) if this machine does not run it. Not for
// use while another thread computes.
bool isa_select(const char* name);

// Multiply-adds that one thread does in a second in the instruction set in use, counted as two
// float32 operations each, in units of 1e9: what a kernel's speed is measured against. Takes 50 ms.
double fma_peak_gflops();

// What one thread reads of so many bytes that it reads again and again, in GB/s: of the cache that
// holds them. Takes some 50 ms.
double read_gbs(size_t bytes);

}  // namespace gatewise
