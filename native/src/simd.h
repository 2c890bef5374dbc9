// SPDX-License-Identifier: Apache-2.0
// The one file that knows vector instructions: GCC/Clang vector extensions, and the few primitives
// that they lack. Compiled once per instruction set, each in its own namespace.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define GATEWISE_INLINE inline __attribute__((always_inline))

namespace gatewise::GATEWISE_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32, kRegisters = 16;
#elif defined(__aarch64__)
inline constexpr int kVectorBytes = 16, kRegisters = 32;
#else
inline constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

template <class Real>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  using Bits = int32_t;
  typedef float Vec __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t BitVec __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorTypes<double> {
  using Bits = int64_t;
  typedef double Vec __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t BitVec __attribute__((vector_size(kVectorBytes)));
};
template <class Real>
using Vec = typename VectorTypes<Real>::Vec;
template <class Real>
using BitVec = typename VectorTypes<Real>::BitVec;
using VecF = Vec<float>;
using VecD = Vec<double>;

// Lanes of a vector of Real.
template <class Real>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(Real));

template <class Real>
GATEWISE_INLINE Vec<Real> load(const Real* p) {
  return *reinterpret_cast<const typename VectorTypes<Real>::Unaligned*>(p);
}
template <class Real>
GATEWISE_INLINE void store(Real* p, Vec<Real> v) {
  *reinterpret_cast<typename VectorTypes<Real>::Unaligned*>(p) = v;
}
#if defined(__AVX512F__)
// The first n lanes; the others load as zero and are not stored.
GATEWISE_INLINE VecF load_first(const float* p, int n) {
  return (VecF)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
GATEWISE_INLINE VecD load_first(const double* p, int n) {
  return (VecD)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
GATEWISE_INLINE void store_first(float* p, VecF v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), (__m512)v);
}
GATEWISE_INLINE void store_first(double* p, VecD v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
}
#else
template <class Real>
GATEWISE_INLINE Vec<Real> load_first(const Real* p, int n) {
  if (n == kLanes<Real>) return load(p);
  Vec<Real> v{};
  for (int lane = 0; lane < n; ++lane) v[lane] = p[lane];
  return v;
}
template <class Real>
GATEWISE_INLINE void store_first(Real* p, Vec<Real> v, int n) {
  if (n == kLanes<Real>) {
    store(p, v);
  } else {
    for (int lane = 0; lane < n; ++lane) p[lane] = v[lane];
  }
}
#endif

// v with all lanes but the first n set to zero.
template <class Real>
GATEWISE_INLINE Vec<Real> keep_first(Vec<Real> v, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == sizeof(float)) {
    return (VecF)_mm512_maskz_mov_ps(static_cast<__mmask16>((1u << n) - 1), (__m512)v);
  } else {
    return (VecD)_mm512_maskz_mov_pd(static_cast<__mmask8>((1u << n) - 1), (__m512d)v);
  }
#else
  if (n == kLanes<Real>) return v;
  for (int lane = n; lane < kLanes<Real>; ++lane) v[lane] = 0;
  return v;
#endif
}

// splat: not `Vec{} + x`, which costs an addition and turns -0 into +0.
// at_least(x, low), at_most(x, high): a NaN in x stays (it must be the second operand on x86).
// fma(a, b, c) = c + a * b, and fnma(a, b, c) = c - a * b, fused where the instruction set can.
#if defined(__AVX512F__)
GATEWISE_INLINE VecF splat(float x) { return (VecF)_mm512_set1_ps(x); }
GATEWISE_INLINE VecD splat(double x) { return (VecD)_mm512_set1_pd(x); }
GATEWISE_INLINE VecF at_least(VecF x, float low) {
  return (VecF)_mm512_max_ps((__m512)splat(low), (__m512)x);
}
GATEWISE_INLINE VecD at_least(VecD x, double low) {
  return (VecD)_mm512_max_pd((__m512d)splat(low), (__m512d)x);
}
GATEWISE_INLINE VecF at_most(VecF x, float high) {
  return (VecF)_mm512_min_ps((__m512)splat(high), (__m512)x);
}
GATEWISE_INLINE VecD at_most(VecD x, double high) {
  return (VecD)_mm512_min_pd((__m512d)splat(high), (__m512d)x);
}
GATEWISE_INLINE VecF fma(VecF a, VecF b, VecF c) {
  return (VecF)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
GATEWISE_INLINE VecF fnma(VecF a, VecF b, VecF c) {
  return (VecF)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
GATEWISE_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return (VecD)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
GATEWISE_INLINE VecD fnma(VecD a, VecD b, VecD c) {
  return (VecD)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif defined(__AVX2__)
GATEWISE_INLINE VecF splat(float x) { return (VecF)_mm256_set1_ps(x); }
GATEWISE_INLINE VecD splat(double x) { return (VecD)_mm256_set1_pd(x); }
GATEWISE_INLINE VecF at_least(VecF x, float low) {
  return (VecF)_mm256_max_ps((__m256)splat(low), (__m256)x);
}
GATEWISE_INLINE VecD at_least(VecD x, double low) {
  return (VecD)_mm256_max_pd((__m256d)splat(low), (__m256d)x);
}
GATEWISE_INLINE VecF at_most(VecF x, float high) {
  return (VecF)_mm256_min_ps((__m256)splat(high), (__m256)x);
}
GATEWISE_INLINE VecD at_most(VecD x, double high) {
  return (VecD)_mm256_min_pd((__m256d)splat(high), (__m256d)x);
}
GATEWISE_INLINE VecF fma(VecF a, VecF b, VecF c) {
  return (VecF)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
GATEWISE_INLINE VecF fnma(VecF a, VecF b, VecF c) {
  return (VecF)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
GATEWISE_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return (VecD)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
GATEWISE_INLINE VecD fnma(VecD a, VecD b, VecD c) {
  return (VecD)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#else
#if defined(__x86_64__)
GATEWISE_INLINE VecF splat(float x) { return (VecF)_mm_set1_ps(x); }
GATEWISE_INLINE VecD splat(double x) { return (VecD)_mm_set1_pd(x); }
#else
GATEWISE_INLINE VecF splat(float x) { return VecF{x, x, x, x}; }
GATEWISE_INLINE VecD splat(double x) { return VecD{x, x}; }
#endif
#if defined(__aarch64__)
GATEWISE_INLINE VecF fma(VecF a, VecF b, VecF c) {
  return (VecF)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
GATEWISE_INLINE VecF fnma(VecF a, VecF b, VecF c) {
  return (VecF)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
GATEWISE_INLINE VecD fma(VecD a, VecD b, VecD c) {
  return (VecD)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
GATEWISE_INLINE VecD fnma(VecD a, VecD b, VecD c) {
  return (VecD)vfmsq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#else
GATEWISE_INLINE VecF fma(VecF a, VecF b, VecF c) { return a * b + c; }
GATEWISE_INLINE VecD fma(VecD a, VecD b, VecD c) { return a * b + c; }
GATEWISE_INLINE VecF fnma(VecF a, VecF b, VecF c) { return c - a * b; }
GATEWISE_INLINE VecD fnma(VecD a, VecD b, VecD c) { return c - a * b; }
#endif
template <class V, class Real>
GATEWISE_INLINE V at_least(V x, Real low) {
  return x < splat(low) ? splat(low) : x;
}
template <class V, class Real>
GATEWISE_INLINE V at_most(V x, Real high) {
  return x > splat(high) ? splat(high) : x;
}
#endif

// The bits of a where the mask has ones, and of b elsewhere.
template <class V>
GATEWISE_INLINE V choose_bits(V mask, V a, V b) {
#if defined(__AVX512F__)
  constexpr int kFirstChooses = 0xca;  // the table of mask ? a : b
  return (V)_mm512_ternarylogic_epi32((__m512i)mask, (__m512i)a, (__m512i)b, kFirstChooses);
#else
  using Bits = BitVec<float>;  // of as many bytes, whatever V holds
  return (V)(((Bits)mask & (Bits)a) | (~(Bits)mask & (Bits)b));
#endif
}

// One step of a transposition: exchanges the blocks of kStep lanes that lie off the diagonal.
template <class Real, int kStep, int... kLane>
GATEWISE_INLINE void exchange(Vec<Real>& a, Vec<Real>& b, std::integer_sequence<int, kLane...>) {
  constexpr int V = kLanes<Real>;
#if defined(__clang__)
  const Vec<Real> low =
      __builtin_shufflevector(a, b, (kLane & kStep ? kLane - kStep + V : kLane)...);
  b = __builtin_shufflevector(a, b, (kLane & kStep ? kLane + V : kLane + kStep)...);
#else
  const Vec<Real> low =
      __builtin_shuffle(a, b, BitVec<Real>{(kLane & kStep ? kLane - kStep + V : kLane)...});
  b = __builtin_shuffle(a, b, BitVec<Real>{(kLane & kStep ? kLane + V : kLane + kStep)...});
#endif
  a = low;
}

// Transposes a square of kLanes vectors in place (Eklundh 1972).
template <class Real, int kStep = kLanes<Real> / 2>
GATEWISE_INLINE void transpose(Vec<Real> (&rows)[kLanes<Real>]) {
  constexpr int V = kLanes<Real>;
#pragma GCC unroll 16
  for (int r = 0; r < V; ++r) {
    if ((r & kStep) == 0) {
      exchange<Real, kStep>(rows[r], rows[r + kStep], std::make_integer_sequence<int, V>{});
    }
  }
  if constexpr (kStep > 1) transpose<Real, kStep / 2>(rows);
}

// The sum of a vector's lanes: the upper half is added to the lower half until one lane is left.
template <class Real, int kStep = kLanes<Real> / 2>
GATEWISE_INLINE Real sum_of_lanes(Vec<Real> v) {
  if constexpr (kStep == 0) {
    return v[0];
  } else {
    Vec<Real> other = v;
    exchange<Real, kStep>(v, other, std::make_integer_sequence<int, kLanes<Real>>{});
    return sum_of_lanes<Real, kStep / 2>(v + other);
  }
}

// Integers of 64 bits, for the fingerprint of weights.
typedef uint64_t Words __attribute__((vector_size(kVectorBytes)));

GATEWISE_INLINE Words load_words(const void* p) {
  Words w;
  __builtin_memcpy(&w, p, sizeof w);
  return w;
}
// The lower half of each word times its upper half.
GATEWISE_INLINE Words multiply_halves(Words w) {
#if defined(__AVX512F__)
  return (Words)_mm512_mul_epu32((__m512i)w, (__m512i)(w >> 32));
#elif defined(__AVX2__)
  return (Words)_mm256_mul_epu32((__m256i)w, (__m256i)(w >> 32));
#elif defined(__x86_64__)
  return (Words)_mm_mul_epu32((__m128i)w, (__m128i)(w >> 32));
#elif defined(__aarch64__)
  const auto v = (uint64x2_t)w;
  return (Words)vmull_u32(vmovn_u64(v), vshrn_n_u64(v, 32));
#else
  return (w & 0xffffffffu) * (w >> 32);
#endif
}
// Each word times a factor below 2^32.
GATEWISE_INLINE Words multiply_low(Words w, uint64_t factor) {
  const Words f = Words{} + factor;
  return multiply_halves((w & 0xffffffffu) | (f << 32)) +
         (multiply_halves((w >> 32) | (f << 32)) << 32);
}
// Neighbours change places.
template <int... kLane>
GATEWISE_INLINE Words swap_pairs(Words w, std::integer_sequence<int, kLane...>) {
#if defined(__clang__)
  return __builtin_shufflevector(w, w, (kLane ^ 1)...);
#else
  return __builtin_shuffle(w, Words{static_cast<uint64_t>(kLane ^ 1)...});
#endif
}
GATEWISE_INLINE Words swap_pairs(Words w) {
  return swap_pairs(w, std::make_integer_sequence<int, kVectorBytes / 8>{});
}

// Whether FlushSubnormals does what it says, which sigmoid relies on. An architecture whose mode we
// do not know keeps subnormals.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool kFlushesSubnormals = true;
#else
inline constexpr bool kFlushesSubnormals = false;
#endif

// Flushes subnormals to zero on this thread for as long as it lives.
class FlushSubnormals {
 public:
#if defined(__x86_64__)
  FlushSubnormals() : saved_(_mm_getcsr()) {
    constexpr unsigned kFlush = 0x8000, kReadAsZero = 0x40, kNoTrap = 0x800;  // of underflow
    _mm_setcsr(saved_ | kFlush | kReadAsZero | kNoTrap);
  }
  ~FlushSubnormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  FlushSubnormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"(saved_ | (uint64_t{1} << 24)) : "memory");
  }
  ~FlushSubnormals() { asm volatile("msr fpcr, %0" ::"r"(saved_) : "memory"); }

 private:
  uint64_t saved_;
#else
  FlushSubnormals() {}
#endif
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;
};

}  // namespace gatewise::GATEWISE_ISA
