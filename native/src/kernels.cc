// SPDX-License-Identifier: Apache-2.0
// The kernels of one instruction set: CMake compiles this file once for each, with GATEWISE_ISA the
// name of the namespace and the compiler's flags to match. Nothing here may be called before
// dispatch.cc has seen that the machine runs it.
#include "kernels.h"

#include "entries.h"
#include "peaks.h"

#define GATEWISE_STRING_(x) #x
#define GATEWISE_STRING(x) GATEWISE_STRING_(x)

namespace gatewise::GATEWISE_ISA {

namespace {

template <class Real, class Weight>
BufferSizes sizes(const Shape& s) {
  const int64_t P = panel_count<Real>(s.H), width = kPanelWidth<Real>, V = kLanes<Real>;
  return {.panels = P,
          .blocks = (P + kBlockVectors - 1) / kBlockVectors,
          .operand_columns = kOperandBlock,
          .weights = static_cast<size_t>(P * (words<Weight>(s.I) + words<Weight>(s.P)) * width),
          .bias = static_cast<size_t>(P * width),
          .weights_hh = static_cast<size_t>(P * width * padded<Real>(s.P)),
          .weights_ih = static_cast<size_t>(P * width * padded<Real>(s.I)),
          .gradients = static_cast<size_t>(P * (s.I + s.P) * width),
          .unit = static_cast<size_t>(P * V),
          .project = static_cast<size_t>(in_whole_panels<Real>(s.H) * padded<Real>(s.P)),
          .unproject = static_cast<size_t>(in_whole_panels<Real>(s.P) * padded<Real>(s.H)),
          .project_gradient = static_cast<size_t>(in_whole_panels<Real>(s.H) * s.P),
          .gates = static_cast<size_t>(P * s.B * width),
          .cells = static_cast<size_t>(P * s.B * V),
          .dh = static_cast<size_t>(padded<Real>(s.P) * s.B),
          .norms = NormRow<Real>::size(P) * static_cast<size_t>(s.B),
          .projected = static_cast<size_t>(in_whole_panels<Real>(s.P) * s.B),
          .unprojected = static_cast<size_t>(in_whole_panels<Real>(s.H) * s.B)};
}

// A 64-bit fingerprint of the bits, made as XXH3 (Collet 2019) makes its own of long inputs, with a
// vector for its accumulators and keys of our own: each word is mixed with a key of its place by a
// multiplication of its halves and added to another lane as it is, so no two changes cancel by
// their distance alone; accumulators are scrambled after each block, and in the end mixed until
// every input bit moves about half of the output bits. Not made to withstand somebody who looks for
// collisions. Two flipped bits of one place, in words a multiple of a stripe apart, cancel with a
// chance of up to 2^-32.
constexpr int kChains = 4, kStripes = 32;  // independent accumulators; rounds between scrambles
constexpr uint64_t kPrime32 = 0x9E3779B1u, kPrime64 = 0x9E3779B185EBCA87u;

constexpr uint64_t avalanche(uint64_t x) {  // XXH3_avalanche
  x ^= x >> 37;
  x *= 0x165667919E3779F9u;
  return x ^ (x >> 32);
}
constexpr int kWords = kVectorBytes / 8;
struct Keys {
  alignas(64) uint64_t word[(kStripes + kChains) * kWords];
  constexpr Keys() : word() {
    uint64_t state = 0;
    for (uint64_t& w : word) {  // splitmix64 (Steele et al. 2014)
      uint64_t z = state += 0x9E3779B97F4A7C15u;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      w = z ^ (z >> 31);
    }
  }
};
constexpr Keys kKeys;

struct Accumulator {
  Words sum;
  GATEWISE_INLINE void add(Words data, const uint64_t* key) {
    const Words mixed = data ^ load_words(key);
    sum += multiply_halves(mixed) + swap_pairs(data);
  }
  GATEWISE_INLINE void scramble(const uint64_t* key) {
    sum ^= sum >> 47;
    sum ^= load_words(key);
    sum = multiply_low(sum, kPrime32);
  }
};

template <class Real>
uint64_t fingerprint(uint64_t seed, const Real* data, int64_t n) {
  if (n == 0) return avalanche(seed + kPrime64);  // most cells lack most arrays
  const auto* bytes = reinterpret_cast<const unsigned char*>(data);
  const auto size = static_cast<size_t>(n) * sizeof(Real);
  constexpr size_t kStripe = kChains * sizeof(Words);
  Accumulator chain[kChains];
  for (int k = 0; k < kChains; ++k) chain[k].sum = load_words(kKeys.word + k * kWords) ^ seed;
  size_t at = 0;
  int stripe = 0;
  for (; at + kStripe <= size; at += kStripe) {
#pragma GCC unroll 4
    for (int k = 0; k < kChains; ++k) {
      chain[k].add(load_words(bytes + at + static_cast<size_t>(k) * sizeof(Words)),
                   kKeys.word + (stripe + k) * kWords);
    }
    if (++stripe < kStripes) continue;
    stripe = 0;
    for (int k = 0; k < kChains; ++k) chain[k].scramble(kKeys.word + k * kWords);
  }
  for (int k = 0; at < size; ++k, at += sizeof(Words)) {
    alignas(64) unsigned char rest[sizeof(Words)] = {};
    __builtin_memcpy(rest, bytes + at, std::min(sizeof(Words), size - at));
    chain[k].add(load_words(rest), kKeys.word + (stripe + k) * kWords);
  }
  // Each lane is mixed with a key of its own, and so need not wait for another.
  uint64_t result = seed + size * kPrime64;
  const uint64_t* key = kKeys.word + kChains * kWords;  // the first ones began the accumulators
  for (const Accumulator& one : chain) {
    for (int lane = 0; lane < kWords; ++lane) {
      result += avalanche((one.sum[lane] ^ *key++) * kPrime64);
    }
  }
  return avalanche(result);
}

// As pack_forward, by way of float panels in `room`: gradients elements.
void pack_pairs(const Shape& s, const Parameters<float>& parameters, float* weights, float* bias,
                float* room) {
  pack_forward(s, parameters, room, bias);
  auto* to = reinterpret_cast<Bfloat16Pair*>(weights);
  for (int64_t panel = 0; panel < panel_count<float>(s.H); ++panel) {
    for (const int64_t columns : {s.I, s.P}) {
      squeeze(room, columns, to);
      room += columns * kPanelWidth<float>;
      to += words<Bfloat16Pair>(columns) * kPanelWidth<float>;
    }
  }
}

// The float panels of which pack_backward makes its blocks.
void expand_pairs(const Shape& s, const float* weights, float* panels) {
  const auto* from = reinterpret_cast<const Bfloat16Pair*>(weights);
  for (int64_t panel = 0; panel < panel_count<float>(s.H); ++panel) {
    for (const int64_t columns : {s.I, s.P}) {
      expand(from, columns, panels);
      panels += columns * kPanelWidth<float>;
      from += words<Bfloat16Pair>(columns) * kPanelWidth<float>;
    }
  }
}

template <class Real>
void unpack_panel(const BackwardPlan<Real>& plan, int64_t panel, Real* dw_ih, Real* dw_hh,
                  Real* db) {
  unpack_gradients<Real>(plan.shape, panel, plan.dw, plan.db, dw_ih, dw_hh, db);
}

template <class Real>
void add(Real* to, const Real* from, int64_t n) {
  const FlushSubnormals flush;
  for (int64_t j = 0; j < n; ++j) to[j] += from[j];
}

template <class Real>
void activate(const Activation& which, int64_t n, const Real* x, Real* y) {
  const FlushSubnormals flush;
  for (int64_t j = 0; j < n; j += kLanes<Real>) {
    const int lanes = static_cast<int>(std::min<int64_t>(kLanes<Real>, n - j));
    Vec<Real> v = load_first(x + j, lanes);
    squash<Real, 1>(which, &v, 1);
    store_first(y + j, scaled<Real>(which, v), lanes);
  }
}

template <class Real, class Weight>
constexpr KernelTable<Real> table() {
  KernelTable<Real> t = {.sizes = sizes<Real, Weight>,
                         .fingerprint = fingerprint<Real>,
                         .pack_forward = nullptr,
                         .pack_units = pack_units<Real>,
                         .unpack_units = unpack_units<Real>,
                         .pack_projection = pack_projection<Real>,
                         .unpack_projection = unpack_projection<Real>,
                         .expand = nullptr,
                         .round = nullptr,
                         .pack_backward = pack_backward<Real>,
                         .forward_scratch = forward_scratch<Real>,
                         .ahead_size = ahead_size_of_all<Real>,
                         .steps_ahead = steps_ahead<Real>,
                         .forward_rows = forward_rows<Real, Weight>,
                         .forward_step = forward_step<Real, Weight>,
                         .stream_step = stream_step<Real, Weight>,
                         .load_cells = load_cells<Real>,
                         .store_cells = store_cells<Real>,
                         .start_gradients = start_gradients<Real>,
                         .finish_gradients = finish_gradients<Real>,
                         .gradient_rows = gradient_rows<Real>,
                         .gradient_step = gradient_step<Real>,
                         .pack_operand = pack_operand<Real>,
                         .weight_gradient = weight_gradient<Real>,
                         .bias_gradient = bias_gradient<Real>,
                         .projection_gradient = projection_gradient<Real>,
                         .input_gradient = input_gradient<Real>,
                         .unpack_gradients = unpack_panel<Real>,
                         .read_tape = read_tape<Real>,
                         .read_gradients = read_gradients<Real>,
                         .add = add<Real>,
                         .activate = activate<Real>};
  if constexpr (kIsPair<Weight>) {
    t.pack_forward = pack_pairs;
    t.expand = expand_pairs;
    t.round = round_all;
  } else {
    t.pack_forward = [](const Shape& s, const Parameters<Real>& parameters, Real* weights,
                        Real* bias, Real*) { pack_forward(s, parameters, weights, bias); };
  }
  return t;
}

}  // namespace

#if defined(GATEWISE_FLOAT32_ONLY)  // for a small library: nothing may ask for the other two
constinit const Kernels kKernels = {
    GATEWISE_STRING(GATEWISE_ISA), fma_peak_gflops, read_gbs, table<float, float>(), {}, {}};
#else
constinit const Kernels kKernels = {
    GATEWISE_STRING(GATEWISE_ISA), fma_peak_gflops,         read_gbs,
    table<float, float>(),         table<double, double>(), table<float, Bfloat16Pair>()};
#endif

}  // namespace gatewise::GATEWISE_ISA
