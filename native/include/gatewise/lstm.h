// The contract of the native core: a whole LSTM (all layers, both directions), forward and
// backward, in one call each.
//
// No Python, no torch: every array belongs to the caller and is borrowed for the call; only packed
// weights own memory. Nothing is checked here; bindings check shapes, dtypes and sizes before they
// call. All arrays have unit stride along their last axis. Gates are stacked in the order i, f, g,
// o.
//
//   Sizes   T time steps   B batch rows   I input features   H hidden units   L layers   D
//   directions, P the size of h: H, or that of the projection.
//   State arrays hold [L * D, B, *], layer by layer, within a layer the forward direction first.
//
// Guarantees: the same bits for any number of threads and from run to run; y, h_n, c_n, dx, dh0 and
// dc0 also for any split of the batch. Subnormal numbers are flushed to zero inside a call, and the
// caller's floating-point mode is restored. Calls may run on many threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace gatewise {

// Largest error of the float32 sigmoid and tanh, in units in the last place against float64, over
// all finite inputs; results below FLT_MIN (and subnormal inputs) count as flushed to zero.
inline constexpr double kMaxActivationUlp = 2.0;

// Built-in activations: their definitions are the table in cell.py. kOne at a gate removes it.
enum class Activation : int8_t {
  kSigmoid,
  kTanh,
  kHardSigmoid,
  kHardTanh,
  kRelu,
  kSoftsign,
  kIdentity,
  kOne
};

// Which LSTM: gatewise.Cell, whose docstring says what each field means.
struct Cell {
  Activation input_gate = Activation::kSigmoid, forget_gate = Activation::kSigmoid,
             candidate = Activation::kTanh, output_gate = Activation::kSigmoid,
             cell_output = Activation::kTanh;
  bool peephole = false, coupled = false, layer_norm = false;
  bool operator==(const Cell&) const = default;
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
  // Inputs of a layer: x, or what the layer below puts out.
  int64_t inputs(int64_t layer) const { return layer ? D * P() : I; }
  // Whether a unit needs what others of the same step have computed.
  bool staged() const { return cell.layer_norm || projection; }
  bool operator==(const Network&) const = default;
};

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

// Parameters of one layer and direction as PyTorch stores them. Biases may be null; they only ever
// act as their sum.
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

// A network's weights in the order in which the kernels of one instruction set read them: forward,
// and from the first backward on also the transposed operands of that. Independent of the
// parameters they were packed from, and immutable: any number of calls may share them.
template <class Real>
class Weights;
template <class Real>
struct ForwardPlan;
template <class Real>
using SharedWeights = std::shared_ptr<const Weights<Real>>;

// parameters: [L * D].
template <class Real>
SharedWeights<Real> pack(const Network& network, std::span<const Parameters<Real>> parameters);

// Keeps the weights packed last, and packs again when the parameters' contents have changed. That
// is seen by a fingerprint of their bits, so no way of writing to them goes unnoticed. Reading them
// once costs a few per cent of a sequence, but as much as a single step.
template <class Real>
class WeightsCache {
 public:
  explicit WeightsCache(const Network& network) : network_(network) {}
  SharedWeights<Real> get(std::span<const Parameters<Real>> parameters);
  const Network& network() const { return network_; }

 private:
  const Network network_;
  std::mutex mutex_;  // guards what follows
  uint64_t fingerprint_ = 0;
  std::shared_ptr<Weights<Real>> weights_, spare_;
};

template <class Real>
struct ForwardArgs {
  const Weights<Real>& weights;
  int64_t T, B;
  int threads;                     // at most this many, the caller's included
  Sequence<const Real> x;          // [T, B, I]
  const Real *h0, *c0;             // [L * D, B, P], [.., H], or null for zeros; h0 may not alias y
  Sequence<Real> y;                // [T, B, D * P] out
  Real *h_n, *c_n;                 // [L * D, B, P], [.., H] out
  Real* tape;                      // tape_size elements out, or null: nothing is kept for backward
  int64_t checkpoint_every = 0;    // see tape_size; of no account without a tape
  const Ragged* ragged = nullptr;  // or: every row runs through all T steps
  Noise<Real> noise = {};
};

template <class Real>
struct BackwardArgs {
  const Weights<Real>& weights;  // those of forward
  int64_t T, B;
  int threads;
  Sequence<const Real> x;   // as in forward
  const Real *h0, *c0;      // as in forward
  Sequence<const Real> y;   // as forward left it
  const Real* tape;         // as forward left it
  Sequence<const Real> dy;  // [T, B, D * P], or data = null for zeros
  const Real *dh_n, *dc_n;  // [L * D, B, P], [.., H], or null for zeros
  Sequence<Real> dx;        // [T, B, I] out, or data = null: not wanted
  Real *dh0, *dc0;          // [L * D, B, P], [.., H] out
  // Gradients of one layer and direction, out, of the shapes of Parameters.
  struct Gradients {
    Real *dw_ih, *dw_hh;
    Real* db;  // the gradient of b_ih, and of b_hh
    Real *dw_hr = nullptr, *dpeephole = nullptr;
    Real *dnorm_ih = nullptr, *dnorm_hh = nullptr, *dnorm_c = nullptr;
  };
  std::span<const Gradients> gradients;  // [L * D]
  int64_t checkpoint_every = 0;          // as in forward
  const Ragged* ragged = nullptr;        // as in forward
  Noise<Real> noise = {};                // as in forward
};

// Elements of the tape: what forward keeps for backward. Its layout is private.
//
// With checkpoint_every = 0, the four gates and the cell state of every step: about 5 T B H
// elements per layer and direction, and the outputs of the layers below the last. With
// checkpoint_every = k, the cell state after every k-th step and the outputs of the layers below
// the last; backward computes each stretch of k steps again, with 6 k B D H elements of working
// memory for one layer. k is rounded up to whole blocks of 128 rows (k B). The gradients have the
// same bits either way. Of a ragged batch, or with layer norm or a projection, every step is kept;
// with noise, checkpoint_every must be 0. Layer norm keeps 8 H numbers more for each row and step.
template <class Real>
size_t tape_size(const Weights<Real>& weights, int64_t T, int64_t B, int64_t checkpoint_every = 0,
                 const Ragged* ragged = nullptr);

// Room for a tape, taken from and at the end given back to a pool that keeps up to 256 MB: training
// takes the same at each step, and fresh pages cost more than they look. A caller may use any
// other.
class TapeMemory {
 public:
  explicit TapeMemory(size_t bytes);
  ~TapeMemory();
  void* data() const;

 private:
  struct Block;
  std::unique_ptr<Block> block_;
};

template <class Real>
void forward(const ForwardArgs<Real>& args);

template <class Real>
void backward(const BackwardArgs<Real>& args);

// An LSTM in motion, one step at a time with its state inside; forward in one direction only. A
// step takes no memory. Not for two threads at once.
template <class Real>
class Stream {
 public:
  // rates: of zoneout, for h and for c.
  Stream(SharedWeights<Real> weights, int64_t B, std::pair<Real, Real> rates = {});
  Stream(Stream&&) noexcept;
  ~Stream();
  void step(const Real* x, Real* y, int threads);  // [B, I] -> [B, P]; y may alias x
  void get_state(Real* h, Real* c) const;          // [L, B, P], [L, B, H] out
  void set_state(const Real* h, const Real* c);    // [L, B, P], [L, B, H], or null for zeros
  int64_t batch() const;
  const Network& network() const;

 private:
  struct Layer;
  Real* room(const ForwardPlan<Real>& plan, int64_t rows) const;

  SharedWeights<Real> weights_;
  int64_t B_;
  std::vector<Layer> layers_;
  std::unique_ptr<Real[]> input_;  // x, rounded, where the weights are bfloat16
  bool descending_ = false;        // the order of panels, by turns: see forward.h
};

// y[j] = the activation of x[j], exactly as the kernels compute it. x may alias y.
template <class Real>
void activate(Activation which, int64_t n, const Real* x, Real* y);

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

}  // namespace gatewise
