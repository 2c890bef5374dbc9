// SPDX-License-Identifier: Apache-2.0
// The built-in activation functions, vectorised. Sigmoid and tanh come from one exponential: 2^n by
// exponent bits times 1 + expm1(r) by a polynomial, with n ln 2 + r = x and |r| <= ln(2)/2.
//
// float32: sigmoid and tanh within kMaxActivationUlp (lstm.h) of float64 over all finite inputs,
// shown by native/tests/exhaustive_activations.cc. NaN and infinities travel as in PyTorch.
#pragma once

#include "gatewise/cell.h"
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
  // sigmoid is subnormal below -kNormal, and is flushed to zero. kLimit lies beyond, but not so far
  // that the scale of e^kLimit or e^-kLimit is no normal number.
  static constexpr float kNormal = 87.3365402f, kLimit = 87.5f, kTanhLimit = 40.0f;
};

template <>
struct ExpConstants<double> {
  static constexpr double kLog2e = 1.4426950408889634074;
  static constexpr double kLn2High = 6.93147180369123816490e-01;  // fdlibm, e_exp.c
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kMagic = 6755399441055744.0 + 1023.0;
  static constexpr int kMantissaBits = 52;
  static constexpr double kNormal = 708.3964185322641, kLimit = 708.5, kTanhLimit = 80.0;
};

// c + a * b, or c - a * b, so that a function of -x needs no negation.
template <bool kMinus, class V>
GATEWISE_INLINE V add_product(V a, V b, V c) {
  if constexpr (kMinus) {
    return fnma(a, b, c);
  } else {
    return fma(a, b, c);
  }
}

// expm1(r), or -expm1(-r), for |r| <= ln(2)/2. Minimax of degree 6: within 0.07 ulp of exp.
template <bool kMinus>
GATEWISE_INLINE VecF expm1_reduced(VecF r) {
  const VecF r2 = r * r;
  const VecF high = add_product<kMinus>(splat(1.381443348e-03f), r, splat(8.368796669e-03f));
  const VecF low = add_product<kMinus>(splat(4.166839644e-02f), r, splat(1.666651964e-01f));
  VecF q = fma(high, r2, low);
  q = add_product<kMinus>(q, r, splat(4.999999404e-01f));
  return add_product<kMinus>(q, r2, r);
}

// Taylor series of degree 13: truncated at 4e-18. In pairs of terms (Estrin), for one chain of them
// all would be what the pointwise part waits for.
template <bool kMinus>
GATEWISE_INLINE VecD expm1_reduced(VecD r) {
  constexpr double kInverseFactorial[] = {
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
  const VecD r2 = r * r, r4 = r2 * r2;
  VecD q[3];
#pragma GCC unroll 3
  for (int k = 0; k < 3; ++k) {
    const double* c = kInverseFactorial + 4 * k;
    const VecD low = add_product<kMinus>(splat(c[1]), r, splat(c[0]));
    const VecD high = add_product<kMinus>(splat(c[3]), r, splat(c[2]));
    q[k] = fma(high, r2, low);
  }
  return add_product<kMinus>(fma(fma(q[2], r4, q[1]), r4, q[0]), r2, r);
}

// e^x = scale * (1 + expm1) for x in [-kLimit, kLimit]; e^-x = scale * (1 - expm1) if kMinus.
template <class Real>
struct SplitExp {
  Vec<Real> scale, expm1;
};
template <class Real, bool kMinus>
GATEWISE_INLINE SplitExp<Real> split_exp(Vec<Real> x) {
  using C = ExpConstants<Real>;
  const Vec<Real> shifted = add_product<kMinus>(x, splat(C::kLog2e), splat(C::kMagic));
  const Vec<Real> n = shifted - splat(C::kMagic);
  Vec<Real> r = add_product<!kMinus>(n, splat(C::kLn2High), x);
  r = add_product<!kMinus>(n, splat(C::kLn2Low), r);
  const Vec<Real> scale = (Vec<Real>)((BitVec<Real>)shifted << C::kMantissaBits);
  return {scale, expm1_reduced<kMinus>(r)};
}

// 1 + e^-x, so that sigmoid(x) is its inverse. |x| beyond the range is clamped, so it is finite.
template <class Real>
GATEWISE_INLINE Vec<Real> sigmoid_denominator(Vec<Real> x) {
  using C = ExpConstants<Real>;
  const auto e = split_exp<Real, true>(at_most(at_least(x, -C::kLimit), C::kLimit));
  // The rounding error of 1 + scale goes back in: without it the bound of 2 ulp is just missed.
  const Vec<Real> sum = splat(Real{1}) + e.scale;
  const Vec<Real> lost = splat(Real{1}) - (sum - e.scale);
  return fnma(e.scale, e.expm1, lost) + sum;
}

// tanh(x) = numerator / denominator = -expm1(-2|x|) / (1 + e^(-2|x|)), with the sign of x.
template <class Real>
struct Fraction {
  Vec<Real> numerator, denominator;
};
template <class Real>
GATEWISE_INLINE Fraction<Real> tanh_fraction(Vec<Real> x) {
  using Bits = BitVec<Real>;
  const Vec<Real> sign = splat(Real{-0.0});
  const Vec<Real> minus_twice = (Vec<Real>)((Bits)(x + x) | (Bits)sign);
  const auto e = split_exp<Real, false>(at_least(minus_twice, -ExpConstants<Real>::kTanhLimit));
  const Vec<Real> magnitude = fma(e.scale, e.expm1, e.scale - splat(Real{1}));
  return {choose_bits(sign, x, magnitude), fma(e.scale, e.expm1, splat(Real{1}) + e.scale)};
}

template <class Real>
GATEWISE_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  using C = ExpConstants<Real>;
  static_assert(C::kNormal < C::kLimit);
  const Vec<Real> y = splat(Real{1}) / sigmoid_denominator<Real>(x);
  if constexpr (kFlushesSubnormals) {
    return y;
  } else {
    return x < splat(-C::kNormal) ? splat(Real{0}) : y;
  }
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

// `value` where low < y < high (or y is NaN), else 0.
template <class Real>
GATEWISE_INLINE Vec<Real> inside(Vec<Real> y, Real low, Real high, Vec<Real> value) {
  const BitVec<Real> outside = (y <= splat(low)) | (y >= splat(high));
  return outside ? splat(Real{0}) : value;
}

// The table of cell.py: a function, and the gradient of its input from d, that of y = value(x). All
// functions here can tell their slope from y alone. Where it is 0, so is the gradient, whatever d
// holds.
template <Function kFunction>
struct Definition;

template <>
struct Definition<Function::kSigmoid> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return sigmoid<Real>(x);
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    return d * (y - y * y);
  }
};
template <>
struct Definition<Function::kTanh> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return tanh<Real>(x);
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    return d * (splat(Real{1}) - y * y);
  }
};
template <>
struct Definition<Function::kHardSigmoid> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return at_most(at_least(x / splat(Real{6}) + splat(Real{0.5}), Real{0}), Real{1});
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    return inside<Real>(y, 0, 1, d / splat(Real{6}));
  }
};
template <>
struct Definition<Function::kHardTanh> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return at_most(at_least(x, Real{-1}), Real{1});
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    return inside<Real>(y, -1, 1, d);
  }
};
template <>
struct Definition<Function::kRelu> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return at_least(x, Real{0});
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    return y <= splat(Real{0}) ? splat(Real{0}) : d;
  }
};
template <>
struct Definition<Function::kSoftsign> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return x / (splat(Real{1}) + magnitude<Real>(x));
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real> y, Vec<Real> d) {
    const Vec<Real> rest = splat(Real{1}) - magnitude<Real>(y);  // 1 / (1 + |x|)
    return d * (rest * rest);
  }
};
template <>
struct Definition<Function::kIdentity> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real> x) {
    return x;
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real>, Vec<Real> d) {
    return d;
  }
};
template <>
struct Definition<Function::kOne> {
  template <class Real>
  GATEWISE_INLINE static Vec<Real> value(Vec<Real>) {
    return splat(Real{1});
  }
  template <class Real>
  GATEWISE_INLINE static Vec<Real> gradient(Vec<Real>, Vec<Real>) {
    return splat(Real{0});
  }
};

// Calls work with the definition of a function.
template <class Callable>
GATEWISE_INLINE void with_definition(Function function, Callable&& work) {
  switch (function) {
#define GATEWISE_CASE(enumerator, name) \
  case Function::enumerator:            \
    return work(Definition<Function::enumerator>{});
    GATEWISE_FUNCTIONS(GATEWISE_CASE)
#undef GATEWISE_CASE
  }
}

// An activation is scale * function(slope * x) + shift. `squash` computes the function of it, in
// place, for n vectors that lie kStride vectors apart; `scaled` the rest.
template <class Real, int kStride>
__attribute__((noinline)) void squash(const Activation& a, Vec<Real>* x, int n) {
  if (a.slope != 1) {
    const Vec<Real> slope = splat(static_cast<Real>(a.slope));
    for (int k = 0; k < n; ++k) x[k * kStride] *= slope;
  }
  if (a.function == Function::kIdentity) return;
  with_definition(a.function, [&](auto definition) __attribute__((always_inline)) {
#pragma GCC unroll 1
    for (int k = 0; k < n; ++k) {
      x[k * kStride] = decltype(definition)::template value<Real>(x[k * kStride]);
    }
  });
}
template <class Real>
GATEWISE_INLINE Vec<Real> scaled(const Activation& a, Vec<Real> value) {
  if (a.scale == 1 && a.shift == 0) return value;
  return fma(splat(static_cast<Real>(a.scale)), value, splat(static_cast<Real>(a.shift)));
}
template <class Real, int kStride>
GATEWISE_INLINE void scale_all(const Activation& a, Vec<Real>* x, int n) {
  if (a.scale == 1 && a.shift == 0) return;
  for (int k = 0; k < n; ++k) x[k * kStride] = scaled<Real>(a, x[k * kStride]);
}

// The gradient of x from d, that of the activation's result. value: what `squash` made of x.
template <class Real>
GATEWISE_INLINE Vec<Real> before(const Activation& a, Vec<Real> value, Vec<Real> d) {
  Vec<Real> found{};
  with_definition(a.function, [&](auto definition) __attribute__((always_inline)) {
    found = decltype(definition)::template gradient<Real>(value, d);
  });
  const double factor = a.scale * a.slope;
  return factor == 1 ? found : found * splat(static_cast<Real>(factor));
}

}  // namespace gatewise::GATEWISE_ISA
