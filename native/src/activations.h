// Vectorised sigmoid and tanh. Both come from one exponential: 2^n by exponent bits times
// 1 + expm1(r) by a polynomial, with n ln 2 + r = x and |r| <= ln(2)/2.
//
// float32: sigmoid and tanh within kMaxActivationUlp (lstm.h) of float64 over all finite inputs,
// shown by native/tests/exhaustive_activations.cc. NaN and infinities travel as in PyTorch.
#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

template <class Real>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float kLog2e = 1.44269504088896341f;
  // ln 2 in two parts; n * kLn2High is exact.
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // Adding it rounds to an integer and leaves n + exponent bias in the low bits.
  static constexpr float kMagic = 12582912.0f + 127.0f;
  static constexpr int kMantissaBits = 23;
  // sigmoid(-kLimit) is the smallest normal number; beyond it the result is flushed to zero.
  static constexpr float kLimit = 87.3365402f, kTanhLimit = 40.0f;
};

template <>
struct ExpConstants<double> {
  static constexpr double kLog2e = 1.4426950408889634074;
  static constexpr double kLn2High = 6.93147180369123816490e-01;  // fdlibm, e_exp.c
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kMagic = 6755399441055744.0 + 1023.0;
  static constexpr int kMantissaBits = 52;
  static constexpr double kLimit = 708.3964185322641, kTanhLimit = 80.0;
};

// expm1(r) for |r| <= ln(2)/2. Minimax of degree 6: within 0.07 ulp of exp.
GATEWISE_INLINE VecF expm1_reduced(VecF r) {
  const VecF r2 = r * r;
  const VecF high = fma(splat(1.381443348e-03f), r, splat(8.368796669e-03f));
  const VecF low = fma(splat(4.166839644e-02f), r, splat(1.666651964e-01f));
  VecF q = fma(high, r2, low);
  q = fma(q, r, splat(4.999999404e-01f));
  return fma(q, r2, r);
}

// Taylor series of degree 13: truncated at 4e-18. In pairs of terms (Estrin), for one chain of them
// all would be what the pointwise part waits for.
GATEWISE_INLINE VecD expm1_reduced(VecD r) {
  constexpr double kInverseFactorial[] = {
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  const VecD r2 = r * r, r4 = r2 * r2;
  VecD q[3];
#pragma GCC unroll 3
  for (int k = 0; k < 3; ++k) {
    const double* c = kInverseFactorial + 4 * k;
    const VecD low = fma(splat(c[1]), r, splat(c[0])), high = fma(splat(c[3]), r, splat(c[2]));
    q[k] = fma(high, r2, low);
  }
  return fma(fma(fma(q[2], r4, q[1]), r4, q[0]), r2, r);
}

// e^x = scale * (1 + expm1) for x in [-kLimit, kLimit].
template <class Real>
struct SplitExp {
  Vec<Real> scale, expm1;
};
template <class Real>
GATEWISE_INLINE SplitExp<Real> split_exp(Vec<Real> x) {
  using C = ExpConstants<Real>;
  const Vec<Real> shifted = fma(x, splat(C::kLog2e), splat(C::kMagic));
  const Vec<Real> n = shifted - splat(C::kMagic);
  Vec<Real> r = fma(n, splat(-C::kLn2High), x);
  r = fma(n, splat(-C::kLn2Low), r);
  const Vec<Real> scale = (Vec<Real>)((BitVec<Real>)shifted << C::kMantissaBits);
  return {scale, expm1_reduced(r)};
}

// 1 + e^-x, so that sigmoid(x) is its inverse. |x| beyond the range is clamped, so it is finite.
template <class Real>
GATEWISE_INLINE Vec<Real> sigmoid_denominator(Vec<Real> x) {
  constexpr Real limit = ExpConstants<Real>::kLimit;
  const auto e = split_exp<Real>(-at_most(at_least(x, -limit), limit));
  // The rounding error of 1 + scale goes back in: without it the bound of 2 ulp is just missed.
  const Vec<Real> sum = splat(Real{1}) + e.scale;
  const Vec<Real> lost = splat(Real{1}) - (sum - e.scale);
  return fma(e.scale, e.expm1, lost) + sum;
}

// tanh(x) = numerator / denominator = -expm1(-2|x|) / (1 + e^(-2|x|)), with the sign of x.
template <class Real>
struct Fraction {
  Vec<Real> numerator, denominator;
};
template <class Real>
GATEWISE_INLINE Fraction<Real> tanh_fraction(Vec<Real> x) {
  using Bits = BitVec<Real>;
  const Bits sign = (Bits)splat(Real{-0.0});
  const Vec<Real> minus_twice = (Vec<Real>)((Bits)(x + x) | sign);
  const auto e = split_exp<Real>(at_least(minus_twice, -ExpConstants<Real>::kTanhLimit));
  const Vec<Real> magnitude = fma(e.scale, e.expm1, e.scale - splat(Real{1}));
  return {(Vec<Real>)(((Bits)magnitude & ~sign) | ((Bits)x & sign)),
          fma(e.scale, e.expm1, splat(Real{1}) + e.scale)};
}

template <class Real>
GATEWISE_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  const Vec<Real> y = splat(Real{1}) / sigmoid_denominator<Real>(x);
  return x < splat(-ExpConstants<Real>::kLimit) ? splat(Real{0}) : y;
}

template <class Real>
GATEWISE_INLINE Vec<Real> tanh(Vec<Real> x) {
  const auto f = tanh_fraction<Real>(x);
  return f.numerator / f.denominator;
}

template <class Real>
GATEWISE_INLINE Vec<Real> magnitude(Vec<Real> x) {
  return (Vec<Real>)((BitVec<Real>)x & ~(BitVec<Real>)splat(Real{-0.0}));
}

template <class Real>
GATEWISE_INLINE Vec<Real> hard_sigmoid(Vec<Real> x) {
  return at_most(at_least(x / splat(Real{6}) + splat(Real{0.5}), Real{0}), Real{1});
}

template <class Real>
GATEWISE_INLINE Vec<Real> softsign(Vec<Real> x) {
  return x / (splat(Real{1}) + magnitude<Real>(x));
}

// `value` where low < y < high (or y is NaN), else 0.
template <class Real>
GATEWISE_INLINE Vec<Real> inside(Vec<Real> y, Real low, Real high, Vec<Real> value) {
  return (y <= splat(low)) | (y >= splat(high)) ? splat(Real{0}) : value;
}

}  // namespace gatewise::GATEWISE_ISA
