// Compares the float32 sigmoid and tanh of every instruction set this machine runs with float64,
// over all finite inputs. Prints a Markdown table; exits 1 if the bound of lstm.h does not hold.
#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gatewise/lstm.h"

namespace {

constexpr uint32_t kChunk = 1u << 20;

struct Worst {
  double ulp = 0;
  float at = 0;
  bool special = true;  // NaN and infinities as expected
};

// Distance in units of the last place of the exact value. Results below the normal range count as
// flushed to zero, as lstm.h says.
double ulp_error(float got, double exact) {
  if (std::fabs(exact) < FLT_MIN && got == 0.0f) return 0;
  int exponent;
  std::frexp(exact, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(static_cast<double>(got) - exact) / unit;
}

double exact(gatewise::Function which, double x) {
  if (which == gatewise::Function::kTanh) return std::tanh(x);
  const double e = std::exp(-std::fabs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

Worst check_chunk(gatewise::Function which, uint32_t chunk, std::vector<float>& x,
                  std::vector<float>& y) {
  for (uint32_t j = 0; j < kChunk; ++j) {
    const uint32_t bits = chunk * kChunk + j;
    std::memcpy(&x[j], &bits, 4);
  }
  gatewise::activate<float>(which, kChunk, x.data(), y.data());
  Worst worst;
  for (uint32_t j = 0; j < kChunk; ++j) {
    if (std::isnan(x[j])) {
      worst.special = worst.special && std::isnan(y[j]);
    } else if (std::isinf(x[j])) {
      worst.special = worst.special && y[j] == static_cast<float>(exact(which, x[j]));
    } else if (std::fabs(x[j]) >= FLT_MIN || y[j] != 0.0f) {
      const double error = ulp_error(y[j], exact(which, x[j]));
      if (!(error <= worst.ulp)) worst = {error, x[j], worst.special};
    }
  }
  return worst;
}

Worst check(gatewise::Function which) {
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<Worst> found(threads);
  std::vector<std::thread> pool;
  std::atomic<uint32_t> next{0};
  for (unsigned id = 0; id < threads; ++id) {
    pool.emplace_back([&, id] {
      std::vector<float> x(kChunk), y(kChunk);
      for (uint32_t chunk; (chunk = next.fetch_add(1)) < (1u << 12);) {
        const Worst w = check_chunk(which, chunk, x, y);
        found[id].special = found[id].special && w.special;
        if (w.ulp > found[id].ulp) found[id].ulp = w.ulp, found[id].at = w.at;
      }
    });
  }
  for (auto& t : pool) t.join();
  Worst worst;
  for (const Worst& w : found) {
    worst.special = worst.special && w.special;
    if (w.ulp > worst.ulp) worst.ulp = w.ulp, worst.at = w.at;
  }
  return worst;
}

}  // namespace

int main() {
  bool ok = true;
  std::printf("| instruction set | activation | worst error (ulp) | at x | NaN and infinities |\n");
  std::printf("|---|---|---|---|---|\n");
  std::istringstream names{gatewise::isa_available()};
  for (std::string isa; names >> isa;) {
    gatewise::isa_select(isa.c_str());
    for (const auto which : {gatewise::Function::kSigmoid, gatewise::Function::kTanh}) {
      const Worst w = check(which);
      ok = ok && w.special && w.ulp <= gatewise::kMaxActivationUlp;
      std::printf("| %s | %s | %.3f | %.9g | %s |\n", isa.c_str(),
                  which == gatewise::Function::kTanh ? "tanh" : "sigmoid", w.ulp, w.at,
                  w.special ? "as expected" : "WRONG");
      std::fflush(stdout);
    }
  }
  return ok ? 0 : 1;
}
